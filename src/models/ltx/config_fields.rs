//! The fields of a network's configuration, none of which is ignored in silence.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The most channels, heads, rows and the like of a network that is looked at: the released ones have some thousands. Their products stay countable.
pub const MOST: usize = 1 << 20;
/// The most layers of a network: the released ones have some tens.
pub const MOST_LAYERS: usize = 1 << 10;

/// A JSON object whose fields are taken one by one, until [`Fields::finish`] looks at the rest.
#[derive(Debug)]
pub struct Fields {
    thing: String,
    rest: Map<String, Value>,
}

impl Fields {
    /// Reads the text of a JSON object; `thing` is what messages call it.
    ///
    /// # Errors
    /// Text that is no JSON object.
    pub fn parse(thing: &str, json: &str) -> Result<Self> {
        let hint = "fetch the file again";
        let value: Value =
            serde_json::from_str(json).map_err(|error| Error::input(thing, "JSON", error.to_string(), hint))?;
        match value {
            Value::Object(rest) => Ok(Self { thing: thing.to_owned(), rest }),
            other => Err(Error::input(thing, "a JSON object", other.to_string(), hint)),
        }
    }

    /// The field `name`, which has to be there.
    ///
    /// # Errors
    /// A field that is missing or has another type.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        match self.take_optional(name)? {
            Some(value) => Ok(value),
            None => Err(self.refusal(name, "a value", "none", "fetch the configuration again")),
        }
    }

    /// The field `name`, a number from 1 to `most`.
    ///
    /// # Errors
    /// A field that is missing, has another type, or is another number.
    pub fn size(&mut self, name: &str, most: usize) -> Result<usize> {
        let size: usize = self.take(name)?;
        if (1..=most).contains(&size) {
            return Ok(size);
        }
        Err(self.refusal(name, &format!("1 to {most}"), &size.to_string(), "fetch the configuration again"))
    }

    /// The field `name`, which has to be there, or `otherwise` where there is one; a number above 0.
    ///
    /// # Errors
    /// A field that is missing, has another type, or is another number.
    pub fn positive(&mut self, name: &str, otherwise: Option<f64>) -> Result<f64> {
        let value = match otherwise {
            Some(otherwise) => self.take_optional(name)?.unwrap_or(otherwise),
            None => self.take(name)?,
        };
        if value > 0.0 && f64::is_finite(value) {
            return Ok(value);
        }
        Err(self.refusal(name, "a number above 0", &value.to_string(), "fetch the configuration again"))
    }

    /// The field `name`, or `None` where it is left out or null.
    ///
    /// # Errors
    /// A field of another type.
    pub fn take_optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(value) = self.rest.remove(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let found = value.to_string();
        serde_json::from_value(value)
            .map(Some)
            .map_err(|error| self.refusal(name, &error.to_string(), &found, "fetch the configuration again"))
    }

    /// Takes the field `name`, of which only the value `wanted` is implemented; it may be left out, which means `wanted`.
    ///
    /// # Errors
    /// Another value: the network would compute something else.
    pub fn only(&mut self, name: &str, wanted: impl Into<Value>) -> Result<()> {
        let wanted = wanted.into();
        match self.rest.remove(name) {
            Some(found) if !same(&found, &wanted) => {
                let hint = "this variant of the model is not supported; use one that `models/ltx/manifest.toml` lists";
                Err(self.refusal(name, &wanted.to_string(), &found.to_string(), hint))
            }
            _ => Ok(()),
        }
    }

    /// The fields that were not taken.
    pub fn rest(&self) -> impl Iterator<Item = &str> {
        self.rest.keys().map(String::as_str)
    }

    /// Warns of every field that was not taken, except `known` ones, which change nothing that stir computes.
    pub fn finish(self, known: &[&str]) {
        for name in self.unknown(known) {
            tracing::warn!("{}: stir does not know the field `{name}` and goes on without it", self.thing);
        }
    }

    fn unknown(&self, known: &[&str]) -> Vec<&str> {
        self.rest.keys().map(String::as_str).filter(|name| !known.contains(name)).collect()
    }

    /// An error that names the field `name` of this configuration.
    pub fn refusal(&self, name: &str, wanted: &str, found: &str, hint: &str) -> Error {
        Error::input(format!("`{name}` of {}", self.thing), wanted, found, hint)
    }
}

/// Equality of values, where 1 and 1.0 are the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse("the toy", json).unwrap()
    }

    #[test]
    fn fields_are_taken_and_the_rest_is_known_or_not() {
        let mut toy = fields(r#"{"layers": 3, "scale": null, "patch": 1.0, "dropout": 0, "magic": true}"#);
        assert_eq!(toy.take::<usize>("layers").unwrap(), 3);
        assert_eq!(toy.take_optional::<f64>("scale").unwrap(), None);
        toy.only("patch", 1).unwrap();
        toy.only("absent", "rope").unwrap();
        assert_eq!(toy.unknown(&["dropout"]), ["magic"]);
    }

    #[test]
    fn every_refusal_names_field_and_value() {
        let mut toy = fields(r#"{"layers": -3, "norm": "layer"}"#);
        let errors = [
            toy.take::<usize>("layers").unwrap_err(),
            toy.take::<usize>("width").unwrap_err(),
            toy.only("norm", "rms").unwrap_err(),
        ];
        assert!(errors[0].to_string().contains("`layers` of the toy") && errors[0].to_string().ends_with("found -3"));
        assert_eq!(errors[1].to_string(), "`width` of the toy: wanted a value, found none");
        assert_eq!(errors[2].to_string(), "`norm` of the toy: wanted \"rms\", found \"layer\"");
        assert!(errors.iter().all(|error| error.exit_code() == 2));
    }

    #[test]
    fn sizes_and_numbers_lie_in_their_ranges() {
        let mut toy = fields(r#"{"none": 0, "few": 3, "many": 1000000000, "shift": -1.0, "theta": 2}"#);
        assert_eq!(toy.size("few", 3).unwrap(), 3);
        assert!(toy.size("none", 3).unwrap_err().to_string().ends_with("`none` of the toy: wanted 1 to 3, found 0"));
        assert!(toy.size("many", MOST).unwrap_err().to_string().ends_with("wanted 1 to 1048576, found 1000000000"));
        assert_eq!((toy.positive("theta", None).unwrap(), toy.positive("absent", Some(1.0)).unwrap()), (2.0, 1.0));
        assert!(toy.positive("shift", Some(1.0)).unwrap_err().to_string().ends_with("a number above 0, found -1"));
        assert!(toy.positive("missing", None).is_err());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(Fields::parse("the toy", "[1]").unwrap_err().to_string().ends_with("found [1]"));
        assert_eq!(Fields::parse("the toy", "{").unwrap_err().exit_code(), 2);
    }
}
