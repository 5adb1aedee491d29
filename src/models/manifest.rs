//! What a model's folder says of itself: `manifest.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Defaults, GUIDANCE_SCALES, STEPS};
use crate::error::{Error, Result};
use crate::weights::files::is_file_name;

/// A manifest, with all of its values checked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The family that runs the model, a name from [`FAMILIES`](super::FAMILIES).
    pub family: String,
    /// Under what terms the weights may be used.
    pub licence: Option<String>,
    /// What the model runs with where the user says nothing.
    pub defaults: Defaults,
    /// The model's files, by their names in the folder, each with the SHA-256 of its content in hexadecimal digits.
    pub sha256: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads the text of a manifest; `thing` is what messages call it.
    ///
    /// # Errors
    /// Text that is no TOML, a key that is missing, unknown or of another type, and values that nothing can be done with.
    pub fn parse(text: &str, thing: &str) -> Result<Self> {
        let refused = |wanted: &str, found: String| {
            let hint = "correct it by the example of models/sway/manifest.toml, or have it written again: \
                        python -m scripts.sway.manifest --models FOLDER";
            Error::input(thing, wanted, found, hint)
        };
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(0, |span| text.as_bytes()[..span.start].split(|&byte| byte == b'\n').count());
            let place = if line > 0 { format!(" (line {line})") } else { String::new() };
            refused("the TOML of a model's manifest", format!("{}{place}", error.message().replace('\n', " ")))
        })?;
        let Defaults { steps, guidance_scale } = manifest.defaults;
        if !STEPS.contains(&steps) {
            return Err(refused(&format!("`steps` from {} to {}", STEPS.start(), STEPS.end()), steps.to_string()));
        }
        if !GUIDANCE_SCALES.contains(&guidance_scale) {
            let wanted = format!("`guidance_scale` from {} to {}", GUIDANCE_SCALES.start(), GUIDANCE_SCALES.end());
            return Err(refused(&wanted, guidance_scale.to_string()));
        }
        for (file, digits) in &manifest.sha256 {
            if !is_file_name(file) || file.starts_with('.') {
                return Err(refused("names of files in the manifest's own folder", format!("{file:?}")));
            }
            if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(refused("the 64 hexadecimal digits of a SHA-256", format!("{digits:?} for {file}")));
            }
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"family = "sway"
[defaults]
steps = 8
guidance_scale = 2.0
[sha256]
"a.safetensors" = "0000000000000000000000000000000000000000000000000000000000000000"
"#;

    #[test]
    fn all_that_it_says_is_read() {
        let manifest = Manifest::parse(GOOD, "manifest").unwrap();
        assert_eq!(manifest.family, "sway");
        assert_eq!(manifest.licence, None);
        assert_eq!(manifest.defaults, Defaults { steps: 8, guidance_scale: 2.0 });
        assert_eq!(manifest.sha256.keys().collect::<Vec<_>>(), ["a.safetensors"]);
    }

    #[test]
    fn every_defect_is_named() {
        let refusals = [
            ("family = \"sway\"", "family = sway", "(line 1)"),
            ("family = \"sway\"", "", "missing field `family`"),
            ("family = \"sway\"", "family = 3", "invalid type: integer `3`"),
            ("family = \"sway\"", "family = \"sway\"\nauthor = \"me\"", "unknown field `author`"),
            ("steps = 8", "", "missing field `steps`"),
            ("steps = 8", "steps = 0", "`steps` from 1 to 1000, found 0"),
            ("steps = 8", "steps = 4000000000", "found 4000000000"),
            ("steps = 8", "steps = -1", "(line 3)"),
            ("steps = 8", "steps = 8\ncfg = 1", "unknown field `cfg`"),
            ("= 2.0", "= nan", "`guidance_scale` from 0 to 100, found NaN"),
            ("= 2.0", "= 100.5", "found 100.5"),
            ("= 2.0", "= inf", "found inf"),
            ("= 2.0", "= -1.0", "found -1"),
            ("a.safetensors", "../a.safetensors", "\"../a.safetensors\""),
            ("a.safetensors", "/a.safetensors", "\"/a.safetensors\""),
            ("a.safetensors", "C:a.safetensors", "\"C:a.safetensors\""),
            ("a.safetensors", "", "\"\""),
            ("0\"\n", "\"\n", "64 hexadecimal digits"),
            ("0\"\n", "g\"\n", "for a.safetensors"),
            ("[sha256]", "[sha1]", "unknown field `sha1`"),
        ];
        for (good, bad, said) in refusals {
            assert!(GOOD.contains(good), "{good}");
            let error = Manifest::parse(&GOOD.replace(good, bad), "the manifest").unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().starts_with("the manifest: wanted"), "{error}");
            assert!(error.to_string().contains(said), "{bad}: {error}");
        }
    }
}
