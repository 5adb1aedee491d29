//! One block of the transformer, and how spatio-temporal guidance perturbs it.

use candle_core::{D, DType, Tensor};

use super::config::TransformerConfig;
use super::rope::Rope;
use super::timestep::MODULATIONS;
use crate::error::Result;
use crate::nn::projection::Projection;
use crate::ops::attention::{Inputs, attention};
use crate::ops::gelu::gelu;
use crate::weights::store::Scope;

/// Of the norms of queries and keys: PyTorch's value in diffusers, unlike that of the blocks.
const QUERY_NORM_EPSILON: f64 = 1e-5;

/// What a perturbed block does instead of its self-attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerturbationMode {
    /// Every token takes its own value instead of gathering the others': what the releases recommend.
    AttentionValues,
    /// Every token takes the input of the attention.
    AttentionSkip,
    /// The whole block does nothing.
    TransformerBlock,
}

/// What a forward pass knows besides the hidden state. `F` latent frames of `N / F` tokens each.
pub(super) struct BlockInputs<'a> {
    /// `[B, L, D]`: the projected text.
    pub context: &'a Tensor,
    /// `[F, 6, D]`, float32: shift, scale and gate of attention and of the MLP, before the block's own table.
    pub modulation: &'a Tensor,
    /// The positions of the `N` tokens.
    pub rope: &'a Rope,
}

/// Self-attention over all tokens of the clip, cross-attention to the text, and an MLP.
pub(super) struct Block {
    attention: Attention,
    cross: Attention,
    expand: Projection,
    contract: Projection,
    /// `[6, D]`, float32.
    modulation_table: Tensor,
    norm_epsilon: f64,
}

impl Block {
    pub fn load(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        let width = config.width();
        let network = weights.at("ff").at("net");
        Ok(Self {
            attention: Attention::load(&weights.at("attn1"), config)?,
            cross: Attention::load(&weights.at("attn2"), config)?,
            expand: Projection::load_with_bias(&network.at("0").at("proj"), width, 4 * width)?,
            contract: Projection::load_with_bias(&network.at("2"), 4 * width, width)?,
            modulation_table: weights.take("scale_shift_table", &[MODULATIONS, width])?.to_dtype(DType::F32)?,
            norm_epsilon: config.norm_epsilon,
        })
    }

    /// `x: [B, N, D]` to the same. Norms, modulation and gates are computed in float32, whatever the type of `x`.
    pub fn forward(&self, x: &Tensor, inputs: &BlockInputs, perturbed: Option<PerturbationMode>) -> Result<Tensor> {
        if perturbed == Some(PerturbationMode::TransformerBlock) {
            return Ok(x.clone());
        }
        let rows = inputs.modulation.broadcast_add(&self.modulation_table)?;
        let norm = |x: &Tensor, first: usize| -> Result<Tensor> {
            modulated(&rms_norm(x, self.norm_epsilon)?, &rows, first)?.to_dtype_of(x)
        };
        let gated = |x: &Tensor, branch: Tensor, row: usize| -> Result<Tensor> {
            let branch = per_frame(&branch.to_dtype(DType::F32)?, &rows, row, Tensor::broadcast_mul)?;
            (x.to_dtype(DType::F32)? + branch)?.to_dtype_of(x)
        };

        let h = norm(x, 0)?;
        let h = match perturbed {
            None => self.attention.forward(&h, &h, Some(inputs.rope))?,
            Some(PerturbationMode::AttentionValues) => self.attention.values(&h)?,
            Some(_) => self.attention.output.forward(&h)?,
        };
        let x = gated(x, h, 2)?;
        let x = (&x + self.cross.forward(&x, inputs.context, None)?)?;
        let h = self.contract.forward(&gelu(&self.expand.forward(&norm(&x, 3)?)?)?)?;
        gated(&x, h, 5)
    }
}

/// Multi-head attention whose queries and keys are normalised over all heads together.
struct Attention {
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    /// `[D]`, float32.
    query_norm: Tensor,
    /// `[D]`, float32.
    key_norm: Tensor,
    heads: usize,
}

impl Attention {
    fn load(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        let width = config.width();
        let layer = |name: &str| Projection::load_with_bias(&weights.at(name), width, width);
        let norm =
            |name: &str| -> Result<Tensor> { Ok(weights.at(name).take("weight", &[width])?.to_dtype(DType::F32)?) };
        Ok(Self {
            query: layer("to_q")?,
            key: layer("to_k")?,
            value: layer("to_v")?,
            output: Projection::load_with_bias(&weights.at("to_out").at("0"), width, width)?,
            query_norm: norm("norm_q")?,
            key_norm: norm("norm_k")?,
            heads: config.heads,
        })
    }

    /// `x: [B, N, D]`, `source: [B, L, D]` -> `[B, N, D]`.
    fn forward(&self, x: &Tensor, source: &Tensor, rope: Option<&Rope>) -> Result<Tensor> {
        // Positions turn channels of the whole width, before the heads are told apart.
        let placed = |x: Tensor, weight: &Tensor| -> Result<Tensor> {
            let normed = rms_norm(&x, QUERY_NORM_EPSILON)?.broadcast_mul(weight)?;
            rope.map_or(Ok(normed.clone()), |rope| rope.apply(&normed))?.to_dtype_of(&x)
        };
        let query = self.split(&placed(self.query.forward(x)?, &self.query_norm)?)?;
        let key = self.split(&placed(self.key.forward(source)?, &self.key_norm)?)?;
        let value = self.split(&self.value.forward(source)?)?;
        let scale = 1.0 / (query.dim(D::Minus1)? as f64).sqrt();
        let gathered = attention(&Inputs { query: &query, key: &key, value: &value }, scale)?;
        self.output.forward(&gathered.flatten_from(2)?)
    }

    /// Attention in which every token looks only at itself. `x: [B, N, D]` to the same.
    fn values(&self, x: &Tensor) -> Result<Tensor> {
        self.output.forward(&self.value.forward(x)?)
    }

    /// `[B, N, D]` -> `[B, N, heads, D / heads]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        Ok(x.reshape((batch, tokens, self.heads, width / self.heads))?)
    }
}

/// Conversion to the type of another tensor.
pub(super) trait ToDtypeOf {
    /// The same values in the type of `example`.
    fn to_dtype_of(&self, example: &Tensor) -> Result<Tensor>;
}

impl ToDtypeOf for Tensor {
    fn to_dtype_of(&self, example: &Tensor) -> Result<Tensor> {
        Ok(self.to_dtype(example.dtype())?)
    }
}

/// `x: [..., D]` of any type, over its root mean square; float32.
fn rms_norm(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let x = x.to_dtype(DType::F32)?;
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(x.broadcast_div(&(mean_square + epsilon)?.sqrt()?)?)
}

/// `x * (1 + scale) + shift`, where `shift` and `scale` are the rows `first` and `first + 1` of `rows: [F, R, D]`; all float32.
pub(super) fn modulated(x: &Tensor, rows: &Tensor, first: usize) -> Result<Tensor> {
    let scaled = per_frame(x, &(rows + 1.0)?, first + 1, Tensor::broadcast_mul)?;
    per_frame(&scaled, rows, first, Tensor::broadcast_add)
}

/// Combines the tokens of every latent frame of `x: [B, N, D]` with row `row` of the frame in `rows: [F, R, D]`.
fn per_frame(
    x: &Tensor,
    rows: &Tensor,
    row: usize,
    operation: fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    let (batch, tokens, width) = x.dims3()?;
    let frames = rows.dim(0)?;
    let rows = rows.narrow(1, row, 1)?.contiguous()?;
    Ok(operation(&x.reshape((batch, frames, tokens / frames, width))?, &rows)?.reshape(x.shape())?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// By hand: two frames of one token each; rows are shift and scale of each frame.
    #[test]
    fn every_frame_has_its_own_modulation() {
        let x = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0]]], &Device::Cpu).unwrap();
        let rows = Tensor::new(&[[[0f32, 0.5], [1.0, 0.0]], [[10.0, 20.0], [0.0, -1.0]]], &Device::Cpu).unwrap();
        let result = modulated(&x, &rows, 0).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(result, [[2.0, 2.5], [13.0, 20.0]]);
    }

    /// By hand: the root mean square of 3 and 4 is sqrt(12.5).
    #[test]
    fn the_norm_keeps_the_mean() {
        let x = Tensor::new(&[3f32, 4.0], &Device::Cpu).unwrap();
        let result = rms_norm(&x, 0.0).unwrap().to_vec1::<f32>().unwrap();
        assert!((result[0] - 3.0 / 12.5f32.sqrt()).abs() < 1e-6 && (result[1] - 4.0 / 12.5f32.sqrt()).abs() < 1e-6);
    }
}
