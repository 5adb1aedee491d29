//! What the makers of each release recommend: `models/ltx/manifest.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::diffusion::schedule::{Schedule, Spacing};
use crate::error::{Error, Result};

const MANIFEST: &str = include_str!("../../../models/ltx/manifest.toml");

/// The recipes of all releases.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Releases {
    /// What they have in common.
    pub defaults: Common,
    /// By name, such as `2b-0.9.8-distilled`.
    pub release: BTreeMap<String, Release>,
}

/// What all releases have in common.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// Frame rate of the videos that they were trained on most.
    pub fps: f64,
    /// The longest clip that the makers recommend, in frames.
    pub frames: usize,
    /// How noisy a decoder that is told takes the latents to be.
    pub decode_timestep: f64,
    /// Share of noise mixed in before such a decoder.
    pub decode_noise_scale: f64,
    /// Noise that the denoiser sees on the picture.
    pub conditioning_noise_scale: f64,
    /// What is not to be seen, where guidance asks.
    pub negative_prompt: String,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its single file in the makers' repository.
    pub file: Option<String>,
    /// Its repository in the layout of diffusers.
    pub folder: Option<String>,
    /// Exact size of the file.
    pub bytes: Option<u64>,
    /// Whether positions in time are causal.
    pub causal_time: bool,
    /// Generation of its autoencoder.
    pub vae: String,
    /// Where noise levels come from, unless they are listed.
    pub schedule: Option<ScheduleName>,
    /// Whether each step goes to the expected clip and back with fresh noise.
    #[serde(default)]
    pub stochastic: bool,
    /// Whether guidance first scales the unconditional prediction to be near the prompt's.
    #[serde(default)]
    pub project_unconditional: bool,
    /// The noise levels, where they are listed.
    pub sigmas: Option<Vec<f64>>,
    /// Steps of a single pass.
    pub steps: Option<usize>,
    /// Classifier-free guidance of a single pass.
    pub guidance_scale: Option<f64>,
    /// Spatio-temporal guidance of a single pass.
    pub perturbation: Option<Perturbed>,
    /// How far the spread is brought back in a single pass.
    #[serde(default)]
    pub rescale: f64,
    /// The first of two passes, which is also a single pass where the release lists no other.
    pub first_pass: Option<PassRecipe>,
    /// The second of two passes.
    pub second_pass: Option<PassRecipe>,
}

/// Where noise levels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// Equal distances, shifted by the number of tokens.
    Shifted,
    /// Small distances first.
    LinearQuadratic,
    /// The file's metadata.
    Metadata,
}

/// One pass of two.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PassRecipe {
    /// The noise levels, where they are listed.
    pub sigmas: Option<Vec<f64>>,
    /// Steps of the schedule of which this pass takes a part.
    pub steps: Option<usize>,
    /// Levels left out at its beginning.
    pub skip_first: usize,
    /// Levels left out at its end.
    pub skip_last: usize,
    /// From noise to clean; empty is the release's own guidance.
    pub guidance: Vec<GuidanceRow>,
    /// How far large latents are compressed afterwards.
    pub tone_map_compression: f64,
}

/// Guidance down to one noise level.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceRow {
    /// The lowest level that it is for.
    pub down_to: f64,
    /// Classifier-free guidance.
    pub scale: f64,
    /// Spatio-temporal guidance.
    pub perturbation: Option<Perturbed>,
    /// How far the spread is brought back.
    #[serde(default)]
    pub rescale: f64,
}

/// Spatio-temporal guidance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Perturbed {
    /// How far away from the perturbed prediction; 0 is none.
    pub scale: f64,
    /// The perturbed blocks.
    pub blocks: Vec<usize>,
    /// What they do; only `attention_values` is recommended by anyone.
    pub mode: PerturbedMode,
}

/// What a perturbed block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerturbedMode {
    /// Every token takes its own value.
    AttentionValues,
}

impl Release {
    /// Checks that the checkpoint at `path` is of this release, as far as its own configuration shows.
    ///
    /// # Errors
    /// Other positions in time or another schedule: a file of another release under this one's name.
    pub fn expect(&self, path: &Path, causal_time: bool, schedule: &Schedule) -> Result<()> {
        let refused = |what: &str, wanted: String, found: String| {
            let hint = "it is a file of another release; run it by its path, or fetch the named model again";
            Err(Error::input(format!("{what} of {}", path.display()), wanted, found, hint))
        };
        if causal_time != self.causal_time {
            let name = |causal| if causal { "causal" } else { "not causal" }.to_owned();
            return refused("positions in time", name(self.causal_time), name(causal_time));
        }
        let wanted = match self.schedule {
            Some(ScheduleName::Shifted) => Spacing::Uniform,
            Some(ScheduleName::LinearQuadratic) => Spacing::LinearQuadratic,
            Some(ScheduleName::Metadata) | None => return Ok(()),
        };
        if schedule.spacing == wanted {
            return Ok(());
        }
        refused("spacing of noise levels", format!("{wanted:?}"), format!("{:?}", schedule.spacing))
    }
}

impl Releases {
    /// Reads the manifest that is inside the program.
    ///
    /// # Errors
    /// A manifest that was changed before the program was built.
    pub fn embedded() -> Result<Self> {
        toml::from_str(MANIFEST).map_err(|problem| {
            let found = problem.message().to_owned();
            Error::run("models/ltx/manifest.toml", "recipes of releases", found, "report it with the version of stir")
        })
    }
}
