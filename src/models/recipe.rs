//! How a clip is sampled: what the user asks for, and what a model makes of it.

use super::Branch;
use crate::diffusion::guidance::Guidance;
use crate::diffusion::guidance_plan::{GuidancePlan, GuidanceRange};
use crate::error::{Error, Result};
use crate::units::Clip;

/// What the user asks of the sampling; `None` leaves it to the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SamplingOptions {
    /// Denoising steps.
    pub steps: Option<usize>,
    /// Classifier-free guidance; 1 or less is none.
    pub guidance_scale: Option<f64>,
    /// How far the spread of the guided velocity is brought back, 0 to 1.
    pub guidance_rescale: Option<f64>,
    /// The factor by which the schedule is shifted towards noise, above 0; 1 shifts nothing.
    pub flow_shift: Option<f64>,
    /// The noise levels themselves, falling, in 0 to 1, without the 0 at the end.
    pub sigmas: Option<Vec<f64>>,
    /// Spatio-temporal guidance; 0 is none.
    pub perturbation_scale: Option<f64>,
    /// How firmly the picture is held, 0 to 1.
    pub strength: Option<f64>,
    /// Noise that the denoiser sees on the picture, against frozen clips; 0 is none.
    pub image_noise: Option<f64>,
    /// Whether the clip is made small first, then once more at twice the size.
    pub two_pass: bool,
    /// How noisy the decoder takes the latents to be, 0 to 1.
    pub decode_timestep: Option<f64>,
    /// Share of noise that is mixed into the latents before they are decoded, 0 to 1.
    pub decode_noise: Option<f64>,
}

impl SamplingOptions {
    /// Refuses what is asked for and is not among `known`, by the options' names on the command line.
    ///
    /// # Errors
    /// The first option that the model has no use for.
    pub fn expect_only(&self, model: &str, known: &[&str]) -> Result<()> {
        let given = [
            ("--steps", self.steps.is_some()),
            ("--guidance-scale", self.guidance_scale.is_some()),
            ("--guidance-rescale", self.guidance_rescale.is_some()),
            ("--flow-shift", self.flow_shift.is_some()),
            ("--sigmas", self.sigmas.is_some()),
            ("--stg-scale", self.perturbation_scale.is_some()),
            ("--strength", self.strength.is_some()),
            ("--image-noise", self.image_noise.is_some()),
            ("--two-pass", self.two_pass),
            ("--decode-timestep", self.decode_timestep.is_some()),
            ("--decode-noise", self.decode_noise.is_some()),
        ];
        match given.into_iter().find(|(option, given)| *given && !known.contains(option)) {
            None => Ok(()),
            Some((option, _)) => {
                let wanted = format!("it left out: the model {model} has nothing that it sets");
                Err(Error::input(option, wanted, "a value", format!("leave {option} out, or choose another model")))
            }
        }
    }
}

/// How one clip is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// One pass; or two, the second from the first one's latents at a larger size.
    pub passes: Vec<Pass>,
    /// How firmly the picture is held, 0 to 1: see [`Constraint`](crate::latents::Constraint).
    pub strength: f64,
    /// Noise that the denoiser sees on what is held to the end, times the noise level squared.
    pub image_noise: f64,
    /// Whether pictures that are as clean as no frame of a video are to be degraded where much motion is asked for.
    pub degrades_picture: bool,
    /// How far large latents are compressed before they are decoded, 0 (not at all) to 1.
    pub tone_map_compression: f64,
    /// How latents are decoded.
    pub decode: DecodeSettings,
}

/// One way from noise to a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// The clip that it makes, on the model's grid.
    pub clip: Clip,
    /// Falling noise levels, the last one 0.
    pub sigmas: Vec<f64>,
    /// Guidance for every level.
    pub guidance: GuidancePlan,
    /// Whether each step goes to the expected clip and back with fresh noise.
    pub stochastic: bool,
}

impl Pass {
    /// Denoising steps.
    pub fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }

    fn describe(&self) -> String {
        let Clip { width, height, frames, .. } = self.clip;
        let (first, last) = (self.sigmas[0], self.sigmas[self.steps() - 1]);
        let plural = if self.steps() == 1 { "" } else { "s" };
        let guidance = match self.guidance.only().map(|range| range.guidance) {
            None => "guidance by noise level".to_owned(),
            Some(Guidance { scale, perturbation_scale, rescale, .. }) => {
                format!("guidance {scale}, spatio-temporal {perturbation_scale}, rescale {rescale}")
            }
        };
        let steps = self.steps();
        format!("{width}x{height}x{}, {steps} step{plural} from level {first} to {last:.4}, {guidance}", frames.0)
    }

    /// What the step from the level `sigma` predicts.
    pub fn branches(&self, sigma: f64) -> Vec<Branch<'_>> {
        let range = self.guidance.at(sigma);
        let unconditional = range.guidance.needs_unconditional().then_some(Branch::Unconditional);
        let perturbed = range.guidance.needs_perturbed().then_some(Branch::Perturbed(&range.perturbed_blocks));
        [Some(Branch::Prompt), unconditional, perturbed].into_iter().flatten().collect()
    }

    /// Whether any step predicts without the prompt.
    pub fn needs_unconditional(&self) -> bool {
        self.sigmas[..self.steps()].iter().any(|sigma| self.guidance.at(*sigma).guidance.needs_unconditional())
    }
}

/// How latents are decoded, for models whose decoder is told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DecodeSettings {
    /// How noisy the decoder takes them to be, 0 to 1.
    pub timestep: f64,
    /// Share of noise that is mixed in before, 0 to 1.
    pub noise: f64,
}

impl Recipe {
    /// What it does, in a line for the user.
    pub fn describe(&self) -> String {
        let passes: Vec<String> = self.passes.iter().map(Pass::describe).collect();
        format!("sampling: {}", passes.join("; then "))
    }

    /// A single pass with the same guidance at every level, and nothing else.
    pub fn plain(clip: &Clip, sigmas: Vec<f64>, guidance_scale: f64) -> Self {
        let guidance = Guidance { scale: guidance_scale, ..Guidance::NONE };
        let range = GuidanceRange { down_to: 0.0, guidance, perturbed_blocks: Vec::new() };
        let guidance = GuidancePlan::new(range, Vec::new());
        Self {
            passes: vec![Pass { clip: *clip, sigmas, guidance, stochastic: false }],
            strength: 1.0,
            image_noise: 0.0,
            degrades_picture: false,
            tone_map_compression: 0.0,
            decode: DecodeSettings::default(),
        }
    }
}
