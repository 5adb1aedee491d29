//! A small JSON Schema validator: the keywords that `events.schema.json` uses, and a panic on any other, so that nothing is left unchecked unseen.

use serde_json::Value;

/// What is wrong with `value`, if anything; `place` is where it stands.
pub fn check(schema: &Value, root: &Value, value: &Value, place: &str) -> Result<(), String> {
    let keywords = schema.as_object().unwrap_or_else(|| panic!("the schema at {place} is no object: {schema}"));
    for (keyword, wanted) in keywords {
        match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" => {}
            "$ref" => {
                let pointer =
                    wanted.as_str().and_then(|text| text.strip_prefix('#')).expect("a reference into the schema");
                let target = root.pointer(pointer).unwrap_or_else(|| panic!("nothing stands at {pointer}"));
                check(target, root, value, place)?;
            }
            "oneOf" => {
                let results: Vec<_> = list(wanted).iter().map(|schema| check(schema, root, value, place)).collect();
                if results.iter().filter(|result| result.is_ok()).count() != 1 {
                    let problems: Vec<String> = results.into_iter().filter_map(Result::err).collect();
                    return Err(format!("{place}: not exactly one of: {}", problems.join("; ")));
                }
            }
            "type" => {
                let names = if wanted.is_array() { list(wanted).to_vec() } else { vec![wanted.clone()] };
                if !names.iter().any(|name| is_of(name.as_str().unwrap(), value)) {
                    return Err(format!("{place}: wanted {wanted}, found {value}"));
                }
            }
            "const" => same(std::slice::from_ref(wanted), value, place)?,
            "enum" => same(list(wanted), value, place)?,
            "minimum" => {
                if value.as_f64().is_some_and(|number| number < wanted.as_f64().unwrap()) {
                    return Err(format!("{place}: {value} is below {wanted}"));
                }
            }
            "required" => {
                for name in list(wanted) {
                    if value.get(name.as_str().unwrap()).is_none() {
                        return Err(format!("{place}: no {name}"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(schema, root, value, &format!("{place}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                let known = keywords.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    if *wanted == Value::Bool(false) {
                        return Err(format!("{place}: {name} is not described"));
                    }
                    check(wanted, root, value, &format!("{place}.{name}"))?;
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(wanted, root, value, &format!("{place}[{index}]"))?;
                }
            }
            other => panic!("the schema says {other}, which this validator does not know"),
        }
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn same(wanted: &[Value], value: &Value, place: &str) -> Result<(), String> {
    if wanted.contains(value) { Ok(()) } else { Err(format!("{place}: wanted one of {wanted:?}, found {value}")) }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type of JSON Schema"),
    }
}
