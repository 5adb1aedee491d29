//! TOML that a user writes: any text is a valid config file or manifest, or refused.

use stir::cli::config::Config;
use stir::models::manifest::Manifest;

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(config) = Config::parse(text, "fuzzed file") {
        assert!(config.without(|_| true).settings.is_empty());
    }
    if let Ok(manifest) = Manifest::parse(text, "fuzzed manifest") {
        assert!(manifest.defaults.steps > 0 && manifest.defaults.guidance_scale.is_finite());
    }
}
