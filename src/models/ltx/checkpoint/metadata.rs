//! What Lightricks' single files say of themselves: the entry `config` of their metadata.

use serde_json::Value;

use crate::error::Result;
use crate::models::ltx::config_fields::Fields;
use crate::weights::files::WeightFiles;

/// The entry of the metadata.
const ENTRY: &str = "config";
/// Fields that change nothing here: the text encoder is another file, which speaks for itself.
const KNOWN: [&str; 4] = ["_class_name", "_diffusers_version", "text_encoder", "tokenizer"];

/// The objects of the entry, as JSON texts, each `None` where the file lacks it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    pub transformer: Option<String>,
    pub vae: Option<String>,
    pub scheduler: Option<String>,
    /// Noise levels, above 0 and at most 1, that a distilled model was made for.
    pub allowed_levels: Option<Vec<f64>>,
}

impl Metadata {
    /// Reads the entry, if there is one.
    pub fn read(files: &WeightFiles) -> Result<Self> {
        let entries = files.metadata()?;
        match entries.get(ENTRY) {
            Some(json) => Self::parse(&thing(ENTRY, files), json),
            None => Ok(Self::default()),
        }
    }

    fn parse(thing: &str, json: &str) -> Result<Self> {
        let mut fields = Fields::parse(thing, json)?;
        let mut object =
            |name: &str| -> Result<_> { Ok(fields.take_optional::<Value>(name)?.map(|value| value.to_string())) };
        let [transformer, vae, scheduler] = [object("transformer")?, object("vae")?, object("scheduler")?];
        let allowed_levels: Option<Vec<f64>> = fields.take_optional("allowed_inference_steps")?;
        if let Some(level) = allowed_levels.iter().flatten().find(|level| !(**level > 0.0 && **level <= 1.0)) {
            let (wanted, hint) = ("noise levels above 0 and at most 1", "fetch the file again");
            return Err(fields.refusal("allowed_inference_steps", wanted, &level.to_string(), hint));
        }
        fields.finish(&KNOWN);
        Ok(Self { transformer, vae, scheduler, allowed_levels })
    }
}

/// What messages call the object `name` of the entry.
pub fn thing(name: &str, files: &WeightFiles) -> String {
    format!("`{name}` in the metadata of {}", files.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_apart_and_may_be_missing() {
        let json = r#"{"transformer": {"num_layers": 28}, "scheduler": null, "allowed_inference_steps": [1.0, 0.725]}"#;
        let metadata = Metadata::parse("the metadata", json).unwrap();
        assert_eq!(metadata.transformer.as_deref(), Some(r#"{"num_layers":28}"#));
        assert_eq!((metadata.vae, metadata.scheduler), (None, None));
        assert_eq!(metadata.allowed_levels, Some(vec![1.0, 0.725]));
    }

    #[test]
    fn levels_that_are_none_are_refused() {
        for (json, found) in [
            (r#"{"allowed_inference_steps": [1.0, 0.0]}"#, "found 0"),
            (r#"{"allowed_inference_steps": [1.5]}"#, "found 1.5"),
            (r#"{"allowed_inference_steps": 8}"#, "found 8"),
            ("[]", "found []"),
        ] {
            let message = Metadata::parse("the metadata", json).unwrap_err().to_string();
            assert!(message.ends_with(found), "{message}");
        }
    }
}
