//! The joint space-time denoiser: it predicts the clean motion of the whole clip at once.
//!
//! Tokens are `[T, S, D]`: `T` = 25 latent frames, `S` = 37, the 36 cells of the grid row by row and then one control token. A block is attention
//! over the 37 tokens of each latent frame, attention over the 25 latent frames of each token, and an MLP. Modulation is shared by all blocks,
//! plus a learned table in each.
//!
//! # Source
//! `scripts/sway/denoiser.py`; Chen et al., "PixArt-alpha" (ICLR 2024), section 2.3, for the shared modulation.

use candle_core::{D, DType, IndexOp, Tensor};

use super::named::named;
use super::text::names::{PLAN, UNCONDITIONAL_PLAN};
use super::{CELLS, CONTROL_CHANNELS, FEATURE_CHANNELS, FEATURES, GRID, KEYS, LATENT_CHANNELS, PLAN_CHANNELS};
use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::models::{self, Branch, Prediction};
use crate::nn::projection::Projection;
use crate::ops::attention::{Inputs, attention};
use crate::ops::gemm::{Epilogue, Gate};
use crate::ops::norm::{Affine, Norm, norm};
use crate::shape;
use crate::weights::store::Scope;

pub(super) const WIDTH: usize = 128;
const HEADS: usize = 4;
pub(super) const LAYERS: usize = 4;
pub(super) const SIGMA_CHANNELS: usize = 64;
/// Tokens of a latent frame.
pub(super) const TOKENS: usize = CELLS + 1;
const NORM_EPSILON: f64 = 1e-6;
/// Below this noise level `(x - clean) / sigma` would only magnify rounding; schedules end their last step at 0 but never ask there.
const SMALLEST_SIGMA: f64 = 1e-4;

/// The network: noisy motion in, clean motion out.
pub struct Denoiser {
    latent_input: Projection,
    control_input: Projection,
    token_position: Tensor,
    frame_position: Tensor,
    sigma_expand: Projection,
    sigma_contract: Projection,
    plan_expand: Projection,
    plan_contract: Projection,
    modulation: Projection,
    blocks: Vec<Block>,
    final_modulation: Projection,
    latent_output: Projection,
    control_output: Projection,
}

/// What the network is told apart from the motion itself.
pub struct Known<'a> {
    /// The picture's features, `[1, 6, 6, 16]`.
    pub features: &'a Tensor,
    /// The plan, `[1, 20]`.
    pub plan: &'a Tensor,
    /// Noise level in 0 to 1; 1 is pure noise.
    pub sigma: f64,
}

impl Denoiser {
    /// Takes its weights.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope) -> Result<Self> {
        let layer = |name: &str, from, to| Projection::load_with_bias(&weights.at(name), from, to);
        let block = |index: usize| Block::load(&weights.at("blocks").at(index));
        Ok(Self {
            latent_input: layer("latent_input", LATENT_CHANNELS + FEATURE_CHANNELS, WIDTH)?,
            control_input: layer("control_input", CONTROL_CHANNELS, WIDTH)?,
            token_position: weights.take("token_position", &[TOKENS, WIDTH])?,
            frame_position: weights.take("frame_position", &[KEYS, WIDTH])?,
            sigma_expand: layer("sigma_expand", SIGMA_CHANNELS, WIDTH)?,
            sigma_contract: layer("sigma_contract", WIDTH, WIDTH)?,
            plan_expand: layer("plan_expand", PLAN_CHANNELS, WIDTH)?,
            plan_contract: layer("plan_contract", WIDTH, WIDTH)?,
            modulation: layer("modulation", WIDTH, 9 * WIDTH)?,
            blocks: (0..LAYERS).map(block).collect::<Result<_>>()?,
            final_modulation: layer("final_modulation", WIDTH, 2 * WIDTH)?,
            latent_output: layer("latent_output", WIDTH, LATENT_CHANNELS)?,
            control_output: layer("control_output", WIDTH, CONTROL_CHANNELS)?,
        })
    }

    /// Part `latents: [1, 4, 25, 6, 6]` and part `control: [1, 25, 26]` at a noise level to the clean ones, of the same shapes, type and device.
    ///
    /// # Errors
    /// Another shape, or a failed tensor operation.
    pub fn clean(&self, noisy: &Latents, known: &Known) -> Result<Latents> {
        let (latents, control) = parts(noisy)?;
        let hint = "it belongs to another model, or was made by another version";
        shape::expect(FEATURES, known.features, &[1, GRID, GRID, FEATURE_CHANNELS], hint)?;
        shape::expect(PLAN, known.plan, &[1, PLAN_CHANNELS], hint)?;

        let x = self.tokens(latents, control, known.features)?;
        let condition = self.condition(known)?;
        let shared = self.modulation.forward(&condition)?.reshape((1, 9, WIDTH))?;
        let x = self.blocks.iter().try_fold(x, |x, block| block.forward(&x, &shared))?;

        let rows = self.final_modulation.forward(&condition)?.reshape((1, 2, WIDTH))?;
        let x = modulated(&x, &rows, 0)?;
        let clean_latents = self.latent_output.forward(&x.narrow(1, 0, CELLS)?.contiguous()?)?;
        let clean_latents = clean_latents.permute((2, 0, 1))?.reshape((1, LATENT_CHANNELS, KEYS, GRID, GRID))?;
        let clean_control = self.control_output.forward(&x.i((.., CELLS))?.contiguous()?)?.unsqueeze(0)?;
        Ok(Latents {
            parts: [("latents", like(&clean_latents, latents)?), ("control", like(&clean_control, control)?)].into(),
        })
    }

    /// Tokens `[T, S, D]` with their positions.
    fn tokens(&self, latents: &Tensor, control: &Tensor, features: &Tensor) -> Result<Tensor> {
        let weight = self.token_position();
        let cells = like(&latents.squeeze(0)?.permute((1, 2, 3, 0))?.reshape((KEYS, CELLS, LATENT_CHANNELS))?, weight)?;
        let picture = like(&features.reshape((1, CELLS, FEATURE_CHANNELS))?, weight)?;
        let picture = picture.broadcast_as((KEYS, CELLS, FEATURE_CHANNELS))?;
        let cells = self.latent_input.forward(&Tensor::cat(&[&cells, &picture], D::Minus1)?)?;
        let control = self.control_input.forward(&like(&control.squeeze(0)?, weight)?)?.unsqueeze(1)?;
        let tokens = Tensor::cat(&[cells, control], 1)?;
        Ok(tokens.broadcast_add(&self.token_position)?.broadcast_add(&self.frame_position.unsqueeze(1)?)?)
    }

    /// Noise level and plan as one vector, `[1, D]`.
    fn condition(&self, known: &Known) -> Result<Tensor> {
        let weight = self.token_position();
        let waves = like(
            &Tensor::from_slice(&sigma_waves(known.sigma), (1, SIGMA_CHANNELS), &candle_core::Device::Cpu)?,
            weight,
        )?;
        let sigma = self.sigma_contract.forward(&self.sigma_expand.forward(&waves)?.silu()?)?;
        let plan = self.plan_contract.forward(&self.plan_expand.forward(&like(known.plan, weight)?)?.silu()?)?;
        Ok((sigma + plan)?.silu()?)
    }

    /// A weight, as the example of the network's type and device.
    fn token_position(&self) -> &Tensor {
        &self.token_position
    }
}

impl models::Denoiser for Denoiser {
    fn velocity(&self, x: &Latents, prediction: &Prediction) -> Result<Latents> {
        let Prediction { sigma, branch, conditioning, .. } = *prediction;
        if sigma < SMALLEST_SIGMA {
            return Err(Error::run(
                "noise level",
                format!("{SMALLEST_SIGMA} or more"),
                sigma.to_string(),
                "check --sigmas",
            ));
        }
        let plan = match branch {
            Branch::Prompt => PLAN,
            Branch::Unconditional => UNCONDITIONAL_PLAN,
            Branch::Perturbed(_) => {
                let hint = "leave --stg-scale out, or choose another model";
                return Err(Error::input("--stg-scale", "a model with blocks to perturb", "sway", hint));
            }
        };
        let known = Known {
            features: named(&conditioning.image.tensors, FEATURES)?,
            plan: named(&conditioning.text.tensors, plan)?,
            sigma,
        };
        let clean = self.clean(x, &known)?;
        let mut velocity = Latents::default();
        for (name, part) in &x.parts {
            velocity.parts.insert(name, ((part - &clean.parts[name])? / sigma)?);
        }
        Ok(velocity)
    }
}

/// One transformer block.
struct Block {
    spatial: SelfAttention,
    temporal: SelfAttention,
    expand: Projection,
    contract: Projection,
    modulation_table: Tensor,
}

impl Block {
    fn load(weights: &Scope) -> Result<Self> {
        Ok(Self {
            spatial: SelfAttention::load(&weights.at("spatial"))?,
            temporal: SelfAttention::load(&weights.at("temporal"))?,
            expand: Projection::load_with_bias(&weights.at("expand"), WIDTH, 4 * WIDTH)?,
            contract: Projection::load_with_bias(&weights.at("contract"), 4 * WIDTH, WIDTH)?,
            modulation_table: weights.take("modulation_table", &[9, WIDTH])?,
        })
    }

    /// `x: [T, S, D]`, `shared: [1, 9, D]` -> `[T, S, D]`. The nine rows: shift, scale and gate of space, of time, of the MLP.
    fn forward(&self, x: &Tensor, shared: &Tensor) -> Result<Tensor> {
        let rows = shared.broadcast_add(&self.modulation_table)?;
        let gate = |branch: usize| Gate::new(&rows.i((.., 3 * branch + 2))?, &[0]);

        let x = self.spatial.forward(&modulated(x, &rows, 0)?, Epilogue::Residual { residual: x, gate: &gate(0)? })?;
        let x = x.transpose(0, 1)?.contiguous()?;
        let x =
            self.temporal.forward(&modulated(&x, &rows, 3)?, Epilogue::Residual { residual: &x, gate: &gate(1)? })?;
        let x = x.transpose(0, 1)?.contiguous()?;
        let h = self.expand.forward_with(&modulated(&x, &rows, 6)?, Epilogue::Gelu)?;
        self.contract.forward_with(&h, Epilogue::Residual { residual: &x, gate: &gate(2)? })
    }
}

/// Layer norm without weights, `* (1 + scale) + shift` by the rows `first` and `first + 1` of `rows: [1, R, D]`.
fn modulated(x: &Tensor, rows: &Tensor, first: usize) -> Result<Tensor> {
    norm(x, &Norm { affine: Affine::Modulation { rows, first }, ..Norm::layer(NORM_EPSILON) })
}

/// Multi-head self-attention over the second axis.
struct SelfAttention {
    query_key_value: Projection,
    output: Projection,
}

impl SelfAttention {
    fn load(weights: &Scope) -> Result<Self> {
        Ok(Self {
            query_key_value: Projection::load_with_bias(&weights.at("query_key_value"), WIDTH, 3 * WIDTH)?,
            output: Projection::load_with_bias(&weights.at("output"), WIDTH, WIDTH)?,
        })
    }

    /// `x: [N, L, D]` -> `[N, L, D]`.
    fn forward(&self, x: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let (count, length, width) = x.dims3()?;
        let heads = self.query_key_value.forward(x)?.reshape((count, length, 3, HEADS, width / HEADS))?;
        let [query, key, value] = [0, 1, 2].map(|part| heads.i((.., .., part)));
        let scale = 1.0 / ((width / HEADS) as f64).sqrt();
        let attended = attention(&Inputs { query: &query?, key: &key?, value: &value? }, scale)?;
        self.output.forward_with(&attended.reshape((count, length, width))?, epilogue)
    }
}

/// 32 cosines, then 32 sines, of the noise level at frequencies `100 * 1000^(-i / 32)` radians.
fn sigma_waves(sigma: f64) -> [f32; SIGMA_CHANNELS] {
    let half = SIGMA_CHANNELS / 2;
    let mut waves = [0.0; SIGMA_CHANNELS];
    for index in 0..half {
        let angle = sigma * 100.0 * libm::exp(-libm::log(1000.0) * index as f64 / half as f64);
        waves[index] = libm::cos(angle) as f32;
        waves[half + index] = libm::sin(angle) as f32;
    }
    waves
}

/// The parts of the latents, of exactly the shapes that the network knows.
pub(super) fn parts(latents: &Latents) -> Result<(&Tensor, &Tensor)> {
    let hint = "sway always has 25 latent frames; check the file given as --noise";
    let spatial = named(&latents.parts, "latents")?;
    shape::expect("latents", spatial, &[1, LATENT_CHANNELS, KEYS, GRID, GRID], hint)?;
    let control = named(&latents.parts, "control")?;
    shape::expect("control", control, &[1, KEYS, CONTROL_CHANNELS], hint)?;
    Ok((spatial, control))
}

/// The tensor in the type and on the device of `example`.
fn like(tensor: &Tensor, example: &Tensor) -> Result<Tensor> {
    let (dtype, device): (DType, _) = (example.dtype(), example.device());
    Ok(tensor.to_device(device)?.to_dtype(dtype)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_start_at_100_radians_and_end_near_a_tenth() {
        let waves = sigma_waves(0.5);
        assert!((waves[0] - 50f32.cos()).abs() < 1e-5 && (waves[32] - 50f32.sin()).abs() < 1e-5);
        let slowest = 0.05 * 1000f32.powf(1.0 / 32.0);
        assert!((waves[31] - slowest.cos()).abs() < 1e-6 && (waves[63] - slowest.sin()).abs() < 1e-6);
    }
}
