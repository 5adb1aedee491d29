//! One block of the transformer, and how spatio-temporal guidance perturbs it.

use candle_core::{D, DType, Tensor};

use super::config::TransformerConfig;
use super::modulation::Modulation;
use super::rope::Rope;
use crate::error::Result;
use crate::nn::joined_projection::JoinedProjection;
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
    /// Shifts, scales and gates of this block.
    pub modulation: &'a Modulation,
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
    attention: SelfAttention,
    cross: CrossAttention,
    expand: Projection,
    contract: Projection,
    norm_epsilon: f64,
}

impl Block {
    pub fn load(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        let width = config.width();
        let network = weights.at("ff").at("net");
        Ok(Self {
            attention: SelfAttention::load(&weights.at("attn1"), config)?,
            cross: CrossAttention::load(&weights.at("attn2"), config)?,
            expand: Projection::load_with_bias(&network.at("0").at("proj"), width, 4 * width)?,
            contract: Projection::load_with_bias(&network.at("2"), 4 * width, width)?,
            norm_epsilon: config.norm_epsilon,
        })
    }

    /// What the block attends to of a text `[B, L, D]`: the same at every step.
    pub fn text(&self, text: &Tensor) -> Result<KeysAndValues> {
        self.cross.text(text)
    }

    /// `x: [B, N, D]` to the same. Norms, modulation and gates are computed in float32, whatever the type of `x`.
    pub fn forward(&self, x: &Tensor, inputs: &BlockInputs, perturbed: Option<PerturbationMode>) -> Result<Tensor> {
        if perturbed == Some(PerturbationMode::TransformerBlock) {
            return Ok(x.clone());
        }
        let Modulation { rows, attention_gate, mlp_gate } = inputs.modulation;
        let modulated = |x: &Tensor, first| {
            let affine = Affine::Modulation { rows, first };
            norm(x, &Norm { affine, ..Norm::root_mean_square(self.norm_epsilon) })
        };

        let h = modulated(x, 0)?;
        let gated = Epilogue::Residual { residual: x, gate: &gate(attention_gate, x)? };
        let x = match perturbed {
            None => self.attention.forward(&h, inputs.rope, gated)?,
            Some(PerturbationMode::AttentionValues) => self.attention.own_values(&h, gated)?,
            Some(_) => self.attention.heads.output.forward_with(&h, gated)?,
        };
        let x = self.cross.forward(&x, inputs.text, Epilogue::Sum(&x))?;
        let h = self.expand.forward_with(&modulated(&x, 3)?, Epilogue::Gelu)?;
        self.contract.forward_with(&h, Epilogue::Residual { residual: &x, gate: &gate(mlp_gate, &x)? })
    }
}

/// Every token attends to all.
struct SelfAttention {
    /// Queries, keys and values.
    inputs: JoinedProjection<'static, 3>,
    heads: Heads,
}

impl SelfAttention {
    fn load(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        let width = config.width();
        let inputs = JoinedProjection::load_with_bias(weights, ["to_q", "to_k", "to_v"], width, width)?;
        Ok(Self { inputs, heads: Heads::load(weights, config)? })
    }

    /// `x: [B, N, D]` to the same, with `epilogue` at its end.
    fn forward(&self, x: &Tensor, rope: &Rope, epilogue: Epilogue<'_>) -> Result<Tensor> {
        // Positions turn channels of the whole width, before the heads are told apart.
        let placed = Then::Rotation { cosines: rope.cosines(), sines: rope.sines() };
        let inputs = self.inputs.forward(x)?;
        let query = self.heads.queries(&inputs.part(0)?, placed)?;
        let keys = self.heads.keys(&inputs.part(1)?, placed)?;
        let source = KeysAndValues { keys, values: inputs.heads(2, self.heads.count)? };
        self.heads.gather(&query, &source, epilogue)
    }

    /// The same where every token attends to itself alone.
    fn own_values(&self, x: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor> {
        self.heads.output.forward_with(&self.inputs.forward_one(2, x)?, epilogue)
    }
}

/// Every token attends to the text.
struct CrossAttention {
    query: Projection,
    /// Keys and values.
    source: JoinedProjection<'static, 2>,
    heads: Heads,
}

impl CrossAttention {
    fn load(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        let width = config.width();
        Ok(Self {
            query: Projection::load_with_bias(&weights.at("to_q"), width, width)?,
            source: JoinedProjection::load_with_bias(weights, ["to_k", "to_v"], width, width)?,
            heads: Heads::load(weights, config)?,
        })
    }

    /// Of `text: [B, L, D]`.
    fn text(&self, text: &Tensor) -> Result<KeysAndValues> {
        let source = self.source.forward(text)?;
        let keys = self.heads.keys(&source.part(0)?, Then::Nothing)?;
        // Kept for the whole run, so without what lies between them.
        Ok(KeysAndValues { keys, values: source.heads(1, self.heads.count)?.contiguous()? })
    }

    /// `x: [B, N, D]` to the same, with `epilogue` at its end.
    fn forward(&self, x: &Tensor, text: &KeysAndValues, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let query = self.heads.queries(&self.query.forward(x)?, Then::Nothing)?;
        self.heads.gather(&query, text, epilogue)
    }
}

/// Multi-head attention whose queries and keys are normalised over all heads together.
struct Heads {
    count: usize,
    /// `[D]`, float32.
    query_norm: Tensor,
    /// `[D]`, float32.
    key_norm: Tensor,
    output: Projection,
}

impl Heads {
    fn load(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        let width = config.width();
        let norm =
            |name: &str| -> Result<Tensor> { Ok(weights.at(name).take("weight", &[width])?.to_dtype(DType::F32)?) };
        Ok(Self {
            count: config.heads,
            query_norm: norm("norm_q")?,
            key_norm: norm("norm_k")?,
            output: Projection::load_with_bias(&weights.at("to_out").at("0"), width, width)?,
        })
    }

    /// `x: [B, N, D]` -> `[B, N, heads, D / heads]`.
    fn queries(&self, x: &Tensor, then: Then<'_>) -> Result<Tensor> {
        self.split(&norm(x, &weighted(&self.query_norm, then))?)
    }

    /// As queries.
    fn keys(&self, x: &Tensor, then: Then<'_>) -> Result<Tensor> {
        self.split(&norm(x, &weighted(&self.key_norm, then))?)
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
        Ok(x.reshape((batch, tokens, self.count, width / self.count))?)
    }
}

fn weighted<'a>(weight: &'a Tensor, then: Then<'a>) -> Norm<'a> {
    Norm { affine: Affine::Weight(weight), then, ..Norm::root_mean_square(QUERY_NORM_EPSILON) }
}

/// The gate for `x: [B, N, D]` with one row of factors for every frame, `[F, D]`.
fn gate(factors: &Tensor, x: &Tensor) -> Result<Gate> {
    let (batch, tokens, _) = x.dims3()?;
    let frames = factors.dim(0)?;
    let starts: Vec<usize> = (0..batch * frames).map(|frame| frame * (tokens / frames)).collect();
    Gate::new(&factors.repeat((batch, 1))?, &starts)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// By hand: two samples of two frames of one token each.
    #[test]
    fn every_frame_has_its_own_gate() {
        let x = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]], &Device::Cpu).unwrap();
        let factors = Tensor::new(&[[1f32, 0.0], [10.0, -1.0]], &Device::Cpu).unwrap();
        let gate = gate(&factors, &x).unwrap();
        let identity = Tensor::eye(2, DType::F32, &Device::Cpu).unwrap();
        let epilogue = Epilogue::Residual { residual: &x.zeros_like().unwrap(), gate: &gate };
        let gated = crate::ops::gemm::definition(&x, &identity, None, epilogue).unwrap();
        assert_eq!(gated.to_vec3::<f32>().unwrap(), [[[1.0, 0.0], [30.0, -4.0]], [[5.0, 0.0], [70.0, -8.0]]]);
    }
}
