//! The transformer as the sampler asks for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::{Device, IndexOp, Tensor, TensorId};

use super::block::PerturbationMode;
use super::prompt::{NEGATIVE_PROMPT, PROMPT};
use super::rope::{LatentGrid, Rope};
use super::timestep::FrameLevels;
use super::transformer::{Context, Perturbation, Transformer, TransformerInputs};
use crate::error::{Error, Result};
use crate::latents::{Constraint, Latents};
use crate::models::{self, Branch, Prediction};
use crate::units::Fps;

/// The part of the latents that all of the family's tensors are of: `[1, C, F, H, W]`.
pub const PART: &str = "latents";

/// The transformer, with the positions of the clip that it denoises.
pub struct Denoiser<'a> {
    transformer: Transformer<'a>,
    device: Device,
    positions: RefCell<Option<Positions>>,
    /// What is attended to, by the text condition that it was made of: a run has one or two.
    contexts: RefCell<HashMap<TensorId, Rc<Context>>>,
}

struct Positions {
    grid: LatentGrid,
    fps: Fps,
    rope: Rc<Rope>,
}

impl<'a> Denoiser<'a> {
    /// `device`: where the network is.
    pub fn new(transformer: Transformer<'a>, device: Device) -> Self {
        Self { transformer, device, positions: RefCell::default(), contexts: RefCell::default() }
    }

    fn context(&self, text: &Tensor) -> Result<Rc<Context>> {
        if let Some(known) = self.contexts.borrow().get(&text.id()) {
            return Ok(known.clone());
        }
        let context = Rc::new(self.transformer.context(text)?);
        self.contexts.borrow_mut().insert(text.id(), context.clone());
        Ok(context)
    }

    /// Tables take longer to make than to keep: they are those of the last prediction, where these have its size.
    fn rope(&self, grid: LatentGrid, fps: Fps) -> Result<Rc<Rope>> {
        let mut positions = self.positions.borrow_mut();
        match &*positions {
            Some(known) if known.grid == grid && known.fps == fps => Ok(known.rope.clone()),
            _ => {
                let rope = Rc::new(Rope::new(self.transformer.config(), grid, fps, &self.device)?);
                *positions = Some(Positions { grid, fps, rope: rope.clone() });
                Ok(rope)
            }
        }
    }
}

impl models::Denoiser for Denoiser<'_> {
    fn velocity(&self, x: &Latents, prediction: &Prediction) -> Result<Latents> {
        let latents = part(x)?;
        let (_, _, frames, height, width) = latents.dims5()?;
        let rope = self.rope(LatentGrid { frames, height, width }, prediction.clip.fps)?;
        let levels = FrameLevels::held(&strengths(prediction.constraints, frames)?, prediction.sigma);
        let text = match prediction.branch {
            Branch::Prompt | Branch::Perturbed(_) => PROMPT,
            Branch::Unconditional => NEGATIVE_PROMPT,
        };
        let text = prediction.conditioning.text.tensors.get(text).ok_or_else(|| {
            Error::run("text condition", format!("a tensor `{text}`"), "none", "report it with the exact command")
        })?;
        let perturbation = match prediction.branch {
            Branch::Perturbed(blocks) => {
                Some(Perturbation { blocks: blocks.to_vec(), mode: PerturbationMode::AttentionValues })
            }
            Branch::Prompt | Branch::Unconditional => None,
        };
        let context = self.context(text)?;
        let velocity = self.transformer.forward(&TransformerInputs {
            latents,
            levels: &levels,
            context: &context,
            rope: &rope,
            perturbation: perturbation.as_ref(),
        })?;
        Ok(Latents { parts: [(PART, velocity.to_device(latents.device())?)].into() })
    }
}

/// The only part of the family's latents.
///
/// # Errors
/// Latents of another family.
pub fn part(latents: &Latents) -> Result<&Tensor> {
    latents.parts.get(PART).ok_or_else(|| {
        let found = latents.parts.keys().copied().collect::<Vec<_>>().join(", ");
        Error::input("latents", format!("a part `{PART}`"), found, "they belong to another model")
    })
}

/// How firmly every latent frame is held, 0 to 1.
fn strengths(constraints: &[Constraint], frames: usize) -> Result<Vec<f64>> {
    let mut strengths = vec![0f64; frames];
    for constraint in constraints {
        // A frame is held as a whole.
        let held = constraint.mask.i((0, 0, .., 0, 0))?.to_vec1::<f32>()?;
        for (strength, held) in strengths.iter_mut().zip(held) {
            *strength = strength.max(f64::from(held));
        }
    }
    Ok(strengths)
}
