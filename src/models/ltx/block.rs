//! One block of the transformer, and how spatio-temporal guidance perturbs it.

use candle_core::{D, DType, Tensor};

use super::config::TransformerConfig;
use super::rope::Rope;
use super::timestep::MODULATIONS;
use crate::error::Result;
use crate::nn::projection::Projection;
use crate::ops::attention::{Inputs, attention};
use crate::ops::gemm::{Epilogue, Gate};
use crate::ops::norm::{Affine, Norm, Then, norm};
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
    /// The text, as this block attends to it.
    pub text: &'a KeysAndValues,
    /// `[F, 6, D]`, float32: shift, scale and gate of attention and of the MLP, before the block's own table.
    pub modulation: &'a Tensor,
    /// The positions of the `N` tokens.
    pub rope: &'a Rope,
}

/// What is attended to, in heads of `D / heads` channels.
pub(super) struct KeysAndValues {
    /// `[B, L, heads, D / heads]`.
    keys: Tensor,
    /// As the keys.
    values: Tensor,
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

    /// What the block attends to of a text `[B, L, D]`: the same at every step.
    pub fn text(&self, text: &Tensor) -> Result<KeysAndValues> {
        self.cross.keys_and_values(text, Then::Nothing)
    }

    /// `x: [B, N, D]` to the same. Norms, modulation and gates are computed in float32, whatever the type of `x`.
    pub fn forward(&self, x: &Tensor, inputs: &BlockInputs, perturbed: Option<PerturbationMode>) -> Result<Tensor> {
        if perturbed == Some(PerturbationMode::TransformerBlock) {
            return Ok(x.clone());
        }
        let rows = inputs.modulation.broadcast_add(&self.modulation_table)?;
        let modulated = |x: &Tensor, first| {
            let affine = Affine::Modulation { rows: &rows, first };
            norm(x, &Norm { affine, ..Norm::root_mean_square(self.norm_epsilon) })
        };

        let h = modulated(x, 0)?;
        let gated = Epilogue::Residual { residual: x, gate: &gate(&rows, 2, x)? };
        let x = match perturbed {
            None => self.attention.attend_to_itself(&h, inputs.rope, gated)?,
            Some(PerturbationMode::AttentionValues) => {
                self.attention.output.forward_with(&self.attention.value.forward(&h)?, gated)?
            }
            Some(_) => self.attention.output.forward_with(&h, gated)?,
        };
        let query = self.cross.queries(&x, Then::Nothing)?;
        let x = self.cross.gather(&query, inputs.text, Epilogue::Sum(&x))?;
        let h = self.expand.forward_with(&modulated(&x, 3)?, Epilogue::Gelu)?;
        self.contract.forward_with(&h, Epilogue::Residual { residual: &x, gate: &gate(&rows, 5, &x)? })
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

    /// `x: [B, N, D]` to the same, with `epilogue` at its end.
    fn attend_to_itself(&self, x: &Tensor, rope: &Rope, epilogue: Epilogue<'_>) -> Result<Tensor> {
        // Positions turn channels of the whole width, before the heads are told apart.
        let placed = Then::Rotation { cosines: rope.cosines(), sines: rope.sines() };
        let source = self.keys_and_values(x, placed)?;
        self.gather(&self.queries(x, placed)?, &source, epilogue)
    }

    /// `x: [B, N, D]` -> `[B, N, heads, D / heads]`.
    fn queries(&self, x: &Tensor, then: Then<'_>) -> Result<Tensor> {
        self.split(&norm(&self.query.forward(x)?, &weighted(&self.query_norm, then))?)
    }

    /// Of `source: [B, L, D]`.
    fn keys_and_values(&self, source: &Tensor, then: Then<'_>) -> Result<KeysAndValues> {
        let keys = self.split(&norm(&self.key.forward(source)?, &weighted(&self.key_norm, then))?)?;
        Ok(KeysAndValues { keys, values: self.split(&self.value.forward(source)?)? })
    }

    /// `query: [B, N, heads, D / heads]` -> `[B, N, D]`, with `epilogue` at its end.
    fn gather(&self, query: &Tensor, source: &KeysAndValues, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let scale = 1.0 / (query.dim(D::Minus1)? as f64).sqrt();
        let gathered = attention(&Inputs { query, key: &source.keys, value: &source.values }, scale)?;
        self.output.forward_with(&gathered.flatten_from(2)?, epilogue)
    }

    /// `[B, N, D]` -> `[B, N, heads, D / heads]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        Ok(x.reshape((batch, tokens, self.heads, width / self.heads))?)
    }
}

fn weighted<'a>(weight: &'a Tensor, then: Then<'a>) -> Norm<'a> {
    Norm { affine: Affine::Weight(weight), then, ..Norm::root_mean_square(QUERY_NORM_EPSILON) }
}

/// The gate for `x: [B, N, D]` in row `row` of every frame of `rows: [F, R, D]`.
fn gate(rows: &Tensor, row: usize, x: &Tensor) -> Result<Gate> {
    let (batch, tokens, _) = x.dims3()?;
    let frames = rows.dim(0)?;
    let values = rows.narrow(1, row, 1)?.squeeze(1)?.repeat((batch, 1))?;
    let starts: Vec<usize> = (0..batch * frames).map(|frame| frame * (tokens / frames)).collect();
    Gate::new(&values, &starts)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// By hand: two samples of two frames of one token each.
    #[test]
    fn every_frame_has_its_own_gate() {
        let x = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]], &Device::Cpu).unwrap();
        let rows = Tensor::new(&[[[9f32, 9.0], [1.0, 0.0]], [[9.0, 9.0], [10.0, -1.0]]], &Device::Cpu).unwrap();
        let gate = gate(&rows, 1, &x).unwrap();
        let identity = Tensor::eye(2, DType::F32, &Device::Cpu).unwrap();
        let epilogue = Epilogue::Residual { residual: &x.zeros_like().unwrap(), gate: &gate };
        let gated = crate::ops::gemm::definition(&x, &identity, None, epilogue).unwrap();
        assert_eq!(gated.to_vec3::<f32>().unwrap(), [[[1.0, 0.0], [30.0, -4.0]], [[5.0, 0.0], [70.0, -8.0]]]);
    }
}
