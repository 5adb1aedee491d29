//! How a checkpoint is sampled: by its makers' recipe where it has a name, by plain rules where it is given by its path.

use super::releases::{Common, GuidanceRow, PassRecipe, Perturbed, PerturbedMode, Release};
use super::rope::LatentGrid;
use super::scheduler::Scheduler;
use crate::diffusion::guidance::Guidance;
use crate::diffusion::guidance_plan::{GuidancePlan, GuidanceRange};
use crate::diffusion::schedule::{self, Schedule};
use crate::diffusion::shift::{Mu, Shift};
use crate::error::{Error, Result};
use crate::models::{DecodeSettings, Pass, Recipe, SamplingOptions, Variant};
use crate::units::Clip;

/// Steps of a model that is given by its path and not distilled.
const STEPS: usize = 40;
/// Its guidance.
const GUIDANCE_SCALE: f64 = 3.0;
/// The levels that distilled models were trained for: eight linear-quadratic steps, rounded.
const DISTILLED: [f64; 8] = [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.4219];
/// Share of a schedule that the second pass of two leaves out at its beginning: what the makers of 13B-dev do.
const SECOND_PASS_BEGINS: f64 = 17.0 / 30.0;
/// The first pass of two makes sides of this share of the clip's.
const FIRST_PASS_SCALE: f64 = 0.666_666_6;

/// What a checkpoint is sampled by where the user says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The schedule that levels are taken from, unless they are listed.
    pub scheduler: Scheduler,
    single: PassRules,
    first: PassRules,
    second: PassRules,
    image_noise: f64,
    degrades_picture: bool,
    project_unconditional: bool,
    tone_map_compression: f64,
    decode: Option<DecodeSettings>,
    /// What is not to be seen.
    pub negative_prompt: String,
    /// Blocks of the transformer.
    layers: usize,
}

/// One pass.
#[derive(Debug, Clone, PartialEq)]
struct PassRules {
    levels: Levels,
    guidance: Vec<GuidanceRow>,
}

/// The noise levels of a pass.
#[derive(Debug, Clone, PartialEq)]
enum Levels {
    /// These and no others.
    Listed(Vec<f64>),
    /// A part of a schedule of so many steps.
    Scheduled { steps: usize, skip_first: usize, skip_last: usize },
}

/// What a checkpoint is, as far as rules need it.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The schedule of its own configuration.
    pub scheduler: &'a Scheduler,
    /// Blocks of the transformer.
    pub layers: usize,
    /// Whether the decoder is told how noisy the latents are.
    pub timestep_conditioning: bool,
}

impl Rules {
    /// The plain rules for a checkpoint of which nothing but its own configuration is known.
    pub fn plain(subject: &Subject, variant: Variant, common: &Common) -> Self {
        let row = |scale| vec![GuidanceRow { down_to: 0.0, scale, perturbation: None, rescale: 0.0 }];
        let scheduled = |skip_first| Levels::Scheduled { steps: STEPS, skip_first, skip_last: 0 };
        let (single, first, second) = match variant {
            Variant::Dev => {
                let begin = (STEPS as f64 * SECOND_PASS_BEGINS) as usize;
                let pass = |levels| PassRules { levels, guidance: row(GUIDANCE_SCALE) };
                (pass(scheduled(0)), pass(scheduled(0)), pass(scheduled(begin)))
            }
            Variant::Distilled => {
                let pass = |levels: &[f64]| PassRules { levels: Levels::Listed(levels.to_vec()), guidance: row(1.0) };
                // The first of two passes leaves out the last level, the second begins two levels before the first one ended.
                (pass(&DISTILLED), pass(&DISTILLED[..7]), pass(&DISTILLED[5..]))
            }
        };
        Self {
            scheduler: subject.scheduler.clone(),
            single,
            first,
            second,
            image_noise: 0.0,
            degrades_picture: false,
            project_unconditional: false,
            tone_map_compression: 0.0,
            decode: decode(subject, common),
            negative_prompt: String::new(),
            layers: subject.layers,
        }
    }

    /// The recipe of a release, of which `subject` is the checkpoint.
    pub fn of_release(subject: &Subject, release: &Release, common: &Common) -> Self {
        let own = vec![GuidanceRow {
            down_to: 0.0,
            scale: release.guidance_scale.unwrap_or(1.0),
            perturbation: release.perturbation.clone(),
            rescale: release.rescale,
        }];
        let pass = |recipe: &PassRecipe| PassRules {
            levels: match &recipe.sigmas {
                Some(sigmas) => Levels::Listed(sigmas.clone()),
                None => Levels::Scheduled {
                    steps: recipe.steps.or(release.steps).unwrap_or(STEPS),
                    skip_first: recipe.skip_first,
                    skip_last: recipe.skip_last,
                },
            },
            guidance: if recipe.guidance.is_empty() { own.clone() } else { recipe.guidance.clone() },
        };
        let whole = PassRecipe { sigmas: release.sigmas.clone(), steps: release.steps, ..PassRecipe::default() };
        let lists_single = release.sigmas.is_some() || release.steps.is_some();
        let first = release.first_pass.as_ref();
        let single = if lists_single { &whole } else { first.unwrap_or(&whole) };
        let second = release.second_pass.clone().unwrap_or_else(|| PassRecipe {
            skip_first: (release.steps.unwrap_or(STEPS) as f64 * SECOND_PASS_BEGINS) as usize,
            ..PassRecipe::default()
        });
        let mut scheduler = subject.scheduler.clone();
        scheduler.stochastic |= release.stochastic;
        Self {
            scheduler,
            single: pass(single),
            first: pass(first.unwrap_or(&whole)),
            second: pass(&second),
            image_noise: common.conditioning_noise_scale,
            degrades_picture: true,
            project_unconditional: release.project_unconditional,
            tone_map_compression: second.tone_map_compression,
            decode: decode(subject, common),
            negative_prompt: common.negative_prompt.clone(),
            layers: subject.layers,
        }
    }

    /// How a clip is made by these rules and what the user asks for.
    ///
    /// # Errors
    /// Options that contradict each other or the model, and noise levels in no order.
    pub fn recipe(&self, options: &SamplingOptions, clip: &Clip) -> Result<Recipe> {
        let passes = if options.two_pass {
            let small = scaled(clip, FIRST_PASS_SCALE);
            // Between the passes the spread of values is kept, and a single one has none.
            if grid(&small).tokens() < 2 {
                let found = format!("one latent, of {}x{} pixels and 1 frame", small.width, small.height);
                let hint = "choose a larger size or more frames, or leave --two-pass out";
                return Err(Error::input("--two-pass", "a first pass of two latents or more", found, hint));
            }
            let large = Clip { width: 2 * small.width, height: 2 * small.height, ..small };
            // Levels that are given are the first pass's, and a list is not to be stretched.
            let steps = options.steps.filter(|_| matches!(self.second.levels, Levels::Scheduled { .. }));
            let second = SamplingOptions { steps, sigmas: None, ..options.clone() };
            vec![self.pass(&self.first, options, &small)?, self.pass(&self.second, &second, &large)?]
        } else {
            vec![self.pass(&self.single, options, clip)?]
        };
        let decode = match self.decode {
            None => {
                let given = [("--decode-timestep", options.decode_timestep), ("--decode-noise", options.decode_noise)];
                if let Some((option, Some(value))) = given.into_iter().find(|(_, value)| value.is_some()) {
                    let wanted = "it left out: this model's decoder is not told how noisy latents are";
                    return Err(Error::input(option, wanted, value.to_string(), format!("leave {option} out")));
                }
                DecodeSettings::default()
            }
            Some(own) => DecodeSettings {
                timestep: options.decode_timestep.unwrap_or(own.timestep),
                noise: options.decode_noise.unwrap_or(own.noise),
            },
        };
        Ok(Recipe {
            passes,
            strength: options.strength.unwrap_or(1.0),
            image_noise: options.image_noise.unwrap_or(self.image_noise),
            degrades_picture: self.degrades_picture,
            tone_map_compression: if options.two_pass { self.tone_map_compression } else { 0.0 },
            decode,
        })
    }

    fn pass(&self, rules: &PassRules, options: &SamplingOptions, clip: &Clip) -> Result<Pass> {
        Ok(Pass {
            clip: *clip,
            sigmas: self.sigmas(&rules.levels, options, clip)?,
            guidance: self.guidance(&rules.guidance, options),
            stochastic: self.scheduler.stochastic,
        })
    }

    fn sigmas(&self, levels: &Levels, options: &SamplingOptions, clip: &Clip) -> Result<Vec<f64>> {
        if let Some(sigmas) = &options.sigmas {
            return Ok(sigmas.iter().copied().chain([0.0]).collect());
        }
        match levels {
            Levels::Listed(listed) => {
                let refused = |option: &str, found: String| {
                    let wanted = format!("the {} noise levels that the model was distilled for", listed.len());
                    let hint = "leave it out, or name other levels by --sigmas";
                    Err(Error::input(option, wanted, found, hint))
                };
                match (options.steps, options.flow_shift) {
                    (Some(steps), _) if steps != listed.len() => refused("--steps", steps.to_string()),
                    (_, Some(shift)) => refused("--flow-shift", shift.to_string()),
                    _ => Ok(listed.iter().copied().chain([0.0]).collect()),
                }
            }
            &Levels::Scheduled { steps, skip_first, skip_last } => {
                let asked = options.steps.unwrap_or(steps);
                // Of another number of steps the same share is left out.
                let share = |skipped: usize| (skipped * asked / steps).min(asked.saturating_sub(1));
                let levels = self.schedule(options.flow_shift).levels(asked, grid(clip).tokens());
                if !schedule::falls(&levels) {
                    let hint = "fetch the scheduler's configuration again, or name the levels by --sigmas";
                    let (wanted, found) = ("noise levels that fall from at most 1 to 0", format!("{levels:?}"));
                    return Err(Error::input("the model's scheduler", wanted, found, hint));
                }
                Ok(schedule::part(&levels, share(skip_first), share(skip_last)))
            }
        }
    }

    fn schedule(&self, flow_shift: Option<f64>) -> Schedule {
        let Schedule { spacing, shift } = self.scheduler.schedule.clone();
        let shift = match flow_shift {
            Some(factor) => Shift { mu: Mu::Constant(libm::log(factor)), ..shift },
            None => shift,
        };
        Schedule { spacing, shift }
    }

    fn guidance(&self, rows: &[GuidanceRow], options: &SamplingOptions) -> GuidancePlan {
        let range = |row: &GuidanceRow| {
            let perturbed = self.perturbed(row.perturbation.as_ref(), options.perturbation_scale);
            GuidanceRange {
                down_to: row.down_to,
                guidance: Guidance {
                    scale: options.guidance_scale.unwrap_or(row.scale),
                    project_unconditional: self.project_unconditional,
                    perturbation_scale: perturbed.scale,
                    rescale: options.guidance_rescale.unwrap_or(row.rescale),
                },
                perturbed_blocks: perturbed.blocks,
            }
        };
        let mut ranges = rows.iter().map(range);
        let first = ranges.next().expect("a pass has guidance");
        GuidancePlan::new(first, ranges.collect())
    }

    /// The perturbation of a row, or of the blocks that suit the network where a scale is asked for and the row has none.
    fn perturbed(&self, own: Option<&Perturbed>, asked: Option<f64>) -> Perturbed {
        let mode = PerturbedMode::AttentionValues;
        let own = own.cloned().unwrap_or_else(|| Perturbed {
            scale: 0.0,
            // 19 of 28 and 28 of 48 are what the makers of the 2B and the 13B models name.
            blocks: vec![if self.layers == 48 { 28 } else { 19 * self.layers / 28 }],
            mode,
        });
        Perturbed { scale: asked.unwrap_or(own.scale), ..own }
    }
}

fn decode(subject: &Subject, common: &Common) -> Option<DecodeSettings> {
    let own = DecodeSettings { timestep: common.decode_timestep, noise: common.decode_noise_scale };
    subject.timestep_conditioning.then_some(own)
}

/// The latents of a clip that lies on the model's grid.
pub fn grid(clip: &Clip) -> LatentGrid {
    LatentGrid { frames: (clip.frames.0 - 1) / 8 + 1, height: clip.height / 32, width: clip.width / 32 }
}

/// The clip with sides of about this share, multiples of 32 that are not larger.
fn scaled(clip: &Clip, share: f64) -> Clip {
    let side = |side: usize| (((side as f64 * share) as usize) / 32).max(1) * 32;
    Clip { width: side(clip.width), height: side(clip.height), ..*clip }
}
