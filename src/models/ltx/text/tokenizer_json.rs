//! `tokenizer.json`: what of it T5's tokenizer is made of goes to the tokenizers library, and anything else is refused.
//!
//! The library reads far more kinds of tokenizers than T5's, and trusts what it reads: a table of replacements that leads out of itself ends
//! the program, a regular expression may take for ever. So only T5's own parts reach it, each of them checked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::charsmap::Charsmap;

/// The only regular expression of T5's files.
const SPACES: &str = " {2,}";

/// Reads the content of such a file, into a tokenizer that does not add the end; what cannot be used is said in words.
///
/// # Errors
/// What was found instead of T5's tokenizer.
pub fn read(bytes: &[u8]) -> Result<Tokenizer, String> {
    let mut json: Value = serde_json::from_slice(bytes).map_err(|problem| problem.to_string())?;
    let parts = json.as_object_mut().ok_or("no JSON object")?;
    check_model(parts.get("model").unwrap_or(&Value::Null))?;
    each(parts.get("normalizer"), "normalizers", &check_normalizer)?;
    each(parts.get("pre_tokenizer"), "pretokenizers", &|part| known(part, &["Metaspace", "WhitespaceSplit"]))?;
    each(parts.get("post_processor"), "processors", &|part| known(part, &["TemplateProcessing"]))?;
    // Some files cut and pad by themselves, which would hide what is cut. All that T5's template adds is the end, which the caller does. Nothing
    // is ever decoded.
    for name in ["truncation", "padding", "post_processor", "decoder"] {
        parts.insert(name.to_owned(), Value::Null);
    }
    Tokenizer::from_bytes(json.to_string()).map_err(|problem| problem.to_string())
}

fn check_model(model: &Value) -> Result<(), String> {
    if kind(model) != Some("Unigram") {
        return Err(format!("a model of type {}, where T5's is Unigram", named(model)));
    }
    match model.get("byte_fallback") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(_) => Err("a fallback to bytes".to_owned()),
    }
}

/// Checks a part, or every one of a sequence of them, which is in the field `list`.
fn each(part: Option<&Value>, list: &str, check: &dyn Fn(&Value) -> Result<(), String>) -> Result<(), String> {
    match part {
        None | Some(Value::Null) => Ok(()),
        Some(part) if kind(part) == Some("Sequence") => match part.get(list).and_then(Value::as_array) {
            Some(parts) => parts.iter().try_for_each(check),
            None => Err(format!("a sequence without `{list}`")),
        },
        Some(part) => check(part),
    }
}

fn check_normalizer(part: &Value) -> Result<(), String> {
    match kind(part) {
        Some("Precompiled") => {
            let text = part.get("precompiled_charsmap").and_then(Value::as_str);
            // The library's own reader of base64 is not stricter than this, and ends the program where it fails.
            let bytes = text.and_then(|text| STANDARD.decode(text).ok()).ok_or("a charsmap that is no base64")?;
            if Charsmap::read(&bytes)?.is_sound() {
                Ok(())
            } else {
                Err("a charsmap that leads out of itself".to_owned())
            }
        }
        Some("Replace") => match part.pointer("/pattern/Regex") {
            Some(pattern) if pattern == SPACES => Ok(()),
            _ => Err(format!("a replacement of {}", part.get("pattern").unwrap_or(&Value::Null))),
        },
        _ => known(part, &["Strip"]),
    }
}

fn known(part: &Value, kinds: &[&str]) -> Result<(), String> {
    if kind(part).is_some_and(|kind| kinds.contains(&kind)) {
        return Ok(());
    }
    Err(format!("a part of type {}, where T5's are {}", named(part), kinds.join(", ")))
}

fn kind(part: &Value) -> Option<&str> {
    part.get("type")?.as_str()
}

fn named(part: &Value) -> String {
    part.get("type").map_or("none".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn toy() -> Value {
        json!({
            "version": "1.0", "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Strip", "strip_left": false, "strip_right": true},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
            ]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            "post_processor": null, "decoder": {"type": "ByteLevel"},
            "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁a", -1.0], ["b", -2.0]]},
        })
    }

    fn refusal(json: &Value) -> String {
        read(json.to_string().as_bytes()).expect_err("it is refused")
    }

    #[test]
    fn parts_of_t5_are_read_and_what_is_never_used_is_left_out() {
        let tokenizer = read(toy().to_string().as_bytes()).unwrap();
        assert_eq!(tokenizer.encode("ab", false).unwrap().get_ids(), [1, 2]);
        let mut cutting = toy();
        cutting["truncation"] = json!({"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0});
        assert_eq!(read(cutting.to_string().as_bytes()).unwrap().encode("ab", false).unwrap().len(), 2);
    }

    #[test]
    fn other_parts_are_refused_by_name() {
        for (pointer, value, said) in [
            ("/model/type", json!("BPE"), "\"BPE\""),
            ("/model/type", json!(null), "type null"),
            ("/model/byte_fallback", json!(true), "fallback"),
            ("/model", json!({}), "type none"),
            ("/normalizer/normalizers/0/type", json!("ByteLevel"), "ByteLevel"),
            ("/normalizer/normalizers/1/pattern", json!({"Regex": "(a+)+$"}), "(a+)+$"),
            ("/normalizer", json!({"type": "Sequence"}), "`normalizers`"),
            ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "?"}), "base64"),
            ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "cut"),
            ("/pre_tokenizer", json!({"type": "Split", "pattern": {"Regex": "a"}}), "Split"),
            ("/post_processor", json!({"type": "RobertaProcessing"}), "RobertaProcessing"),
        ] {
            let mut json = toy();
            match json.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => json["model"]["byte_fallback"] = value,
            }
            let found = refusal(&json);
            assert!(found.contains(said), "{said}: {found}");
        }
    }

    /// A trie of one unit, whose every child would lie beyond it, which ends the library.
    #[test]
    fn a_table_that_leads_out_of_itself_is_refused() {
        let mut json = toy();
        // The trie's four bytes, one unit of 0, and an empty text.
        json["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAAA"});
        assert_eq!(refusal(&json), "a charsmap that leads out of itself");
    }

    /// Bits after the last byte would end the program in the library.
    #[test]
    fn a_table_in_loose_base64_is_refused() {
        let mut json = toy();
        for text in ["BAAAAAAAAAB=", "BAAAAAAAAA", "BAAA AAAA"] {
            json["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": text});
            assert_eq!(refusal(&json), "a charsmap that is no base64", "{text}");
        }
    }
}
