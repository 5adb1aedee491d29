//! From noise to latents: one pass of a recipe.

use crate::diffusion::guidance::Predictions;
use crate::diffusion::noise::{self, Purpose};
use crate::diffusion::sampler::{self, Start};
use crate::error::Result;
use crate::latents::{Constraint, Latents, Shapes};
use crate::models::{Branch, Conditioning, Denoiser, Pass, Prediction};

/// Everything that one pass is made from, except what it starts from.
pub struct Denoising<'a> {
    /// The network.
    pub denoiser: &'a dyn Denoiser,
    /// Levels and guidance.
    pub pass: &'a Pass,
    /// Picture, of the pass's size, and words.
    pub conditioning: &'a Conditioning,
    /// What is held.
    pub constraints: &'a [Constraint],
    /// Noise that the denoiser sees on what is held to the end, times the noise level squared; 0 is none.
    pub image_noise: f64,
    /// Shapes of the parts.
    pub shapes: &'a Shapes,
    /// Seed of fresh noise.
    pub seed: u64,
    /// The number of the first step: a second pass counts on, so that its fresh noise is its own.
    pub first_step: usize,
}

impl Denoising<'_> {
    /// Takes `start`, at the first level, to final latents. `watch(clean, step)` is called after every prediction with what the clip is
    /// expected to become; steps count from 0.
    ///
    /// # Errors
    /// Whatever the network or `watch` returns, and a value that is not finite.
    pub fn run(&self, start: Latents, mut watch: impl FnMut(Expected, usize) -> Result<()>) -> Result<Latents> {
        self.run_from(0, start, |moment, step| match moment {
            Moment::Predicted(expected) => watch(expected, step),
            Moment::Stepped(_) => Ok(()),
        })
    }

    /// The same from the latents after `taken` steps, which are those of the start after none. `watch(moment, step)` is called twice in every
    /// step.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_from(
        &self,
        taken: usize,
        latents: Latents,
        mut watch: impl FnMut(Moment, usize) -> Result<()>,
    ) -> Result<Latents> {
        let velocity = |x: &Latents, sigma: f64, step: usize| {
            if step > taken {
                watch(Moment::Stepped(x), step - 1)?;
            }
            let number = self.first_step + step + 1;
            let velocity =
                self.velocity(x, sigma, step).map_err(|error| error.during(&format!("denoising step {number}")))?;
            let expected = Expected { x, velocity: &velocity, sigma, constraints: self.constraints };
            watch(Moment::Predicted(expected), step)?;
            Ok(velocity)
        };
        let start = Start { latents, sigmas: &self.pass.sigmas, constraints: self.constraints, taken };
        let result = if self.pass.stochastic {
            sampler::stochastic(start, velocity, |step| self.fresh(Purpose::Step, step))
        } else {
            sampler::euler_from(start, velocity)
        }?;
        if taken < self.pass.steps() {
            watch(Moment::Stepped(&result), self.pass.steps() - 1)?;
        }
        Ok(result)
    }

    /// The guided velocity.
    fn velocity(&self, x: &Latents, sigma: f64, step: usize) -> Result<Latents> {
        let noisy;
        let x = if self.image_noise > 0.0 {
            let fresh = self.fresh(Purpose::Held, step)?;
            noisy = sampler::with_noise_on_held(x, self.constraints, &fresh, self.image_noise * sigma * sigma)?;
            &noisy
        } else {
            x
        };
        let range = self.pass.guidance.at(sigma);
        let predict = |branch: Branch| {
            let Self { conditioning, constraints, .. } = *self;
            self.denoiser.velocity(x, &Prediction { sigma, branch, conditioning, constraints, clip: &self.pass.clip })
        };
        let guidance = &range.guidance;
        let unconditional = guidance.needs_unconditional().then(|| predict(Branch::Unconditional)).transpose()?;
        let perturbed = Branch::Perturbed(&range.perturbed_blocks);
        let perturbed = guidance.needs_perturbed().then(|| predict(perturbed)).transpose()?;
        guidance.combine(&Predictions { prompt: predict(Branch::Prompt)?, unconditional, perturbed })
    }

    fn fresh(&self, purpose: Purpose, step: usize) -> Result<Latents> {
        noise::of_step(self.seed, purpose, self.first_step + step, self.shapes)
    }
}

/// What can be watched of a step.
pub enum Moment<'a> {
    /// The network has predicted.
    Predicted(Expected<'a>),
    /// The step is taken; these are the latents from which the next one begins.
    Stepped(&'a Latents),
}

/// What a step expects the clip to become, computed when somebody asks.
pub struct Expected<'a> {
    x: &'a Latents,
    velocity: &'a Latents,
    sigma: f64,
    constraints: &'a [Constraint],
}

impl Expected<'_> {
    /// Clean latents.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn latents(&self) -> Result<Latents> {
        sampler::expected(self.x, self.velocity, self.sigma, self.constraints)
    }
}
