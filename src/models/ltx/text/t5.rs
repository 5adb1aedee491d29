//! The encoder half of T5 v1.1.
//!
//! Tokens are never padded: a text goes through by itself, which gives the same as masked padding. What needs float32 is computed in it
//! whatever the type of the weights: norms, softmax and its bias. Float16 is too narrow for the sums between the layers.
//!
//! # Source
//! transformers 5.23, `modeling_t5.py`; Raffel et al., "Exploring the Limits of Transfer Learning" (2020), section 2.1; Shazeer, "GLU Variants"
//! (2020), for the gate.

use candle_core::{DType, Tensor};

use super::config::{Config, names};
use super::names::Names;
use crate::error::{Error, Result};
use crate::nn::joined_projection::JoinedProjection;
use crate::nn::projection::{PassingProjection, Projection};
use crate::ops::attention::{Inputs, biased_attention};
use crate::ops::gelu::gated_gelu;
use crate::ops::gemm::Epilogue;
use crate::ops::norm::{Affine, Norm, norm};
use crate::weights::store::{Scope, Store};

/// How many layers are in memory at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residency {
    /// All, from the beginning.
    Whole,
    /// One: each is read when its turn comes, and dropped; on the CPU where its file is mapped, part by part.
    Layer,
}

/// Tokens in, a vector for each out.
pub struct Encoder<'store> {
    weights: Scope<'store>,
    names: &'static Names,
    config: Config,
    /// `[buckets, heads]`, float32.
    relative_bias: Tensor,
    final_norm: RmsNorm,
    /// None where they are read one by one.
    layers: Option<Vec<Layer<'store>>>,
}

impl<'store> Encoder<'store> {
    /// Takes its weights; with [`Residency::Layer`] those of the layers only when [`Encoder::forward`] runs.
    ///
    /// # Errors
    /// Missing or misshapen weights, and a store that converts to float16.
    pub fn load(store: &'store Store<'store>, config: Config, residency: Residency) -> Result<Self> {
        let names = names(store)?;
        let weights = store.root();
        if let Some(copy) = names.embedding_copy {
            weights.at(copy).ignore("weight");
        }
        weights.at(names.embedding).expect("weight", &[config.vocabulary, config.width])?;
        let first = weights.at(names.blocks).at(0).at(names.relative_bias);
        let relative_bias = first.take("weight", &[config.buckets, config.heads])?;
        if relative_bias.dtype() == DType::F16 {
            let hint = "convert the weights to bfloat16 or float32 when they are loaded";
            return Err(Error::run("text encoder's type", "bfloat16 or float32", "float16, which overflows", hint));
        }
        let relative_bias = relative_bias.to_dtype(DType::F32)?;
        let final_norm = RmsNorm::load(&weights.at(names.final_norm), &config)?;
        let mut encoder = Self { weights, names, config, relative_bias, final_norm, layers: None };
        if residency == Residency::Whole {
            encoder.layers =
                Some((0..config.layers).map(|index| encoder.layer(index, Residency::Whole)).collect::<Result<_>>()?);
        }
        Ok(encoder)
    }

    fn layer(&self, index: usize, residency: Residency) -> Result<Layer<'store>> {
        Layer::load(&self.weights.at(self.names.blocks).at(index), residency, self.names, &self.config)
    }

    /// For each text its tokens, `[L]`, to `[L, width]`; several at once, so that each weight is read once. A text's result does not depend on the others.
    ///
    /// # Errors
    /// No tokens, a token that the embedding does not have, missing or misshapen weights, and a failed tensor operation.
    pub fn forward(&self, texts: &[&[u32]]) -> Result<Vec<Tensor>> {
        if texts.iter().any(|tokens| tokens.is_empty()) {
            return Err(Error::run("text encoder's tokens", "at least the end", "none", "tokenize the text first"));
        }
        let embedding = self.weights.at(self.names.embedding);
        let table = [self.config.vocabulary, self.config.width];
        let mut hidden = embedding.take_rows("weight", table, &texts.concat())?;
        let mut start = 0;
        let place = |tokens: &&[u32]| {
            let text = TextPlace { start, length: tokens.len(), bias: self.bias(tokens.len())? };
            start += tokens.len();
            Ok(text)
        };
        let places = texts.iter().map(place).collect::<Result<Vec<_>>>()?;
        for index in 0..self.config.layers {
            let read;
            let layer = match &self.layers {
                Some(layers) => &layers[index],
                None => {
                    read = self.layer(index, Residency::Layer)?;
                    &read
                }
            };
            hidden = layer.forward(&hidden, &places)?;
        }
        let hidden = self.final_norm.forward(&hidden)?;
        places.iter().map(|text| Ok(hidden.narrow(0, text.start, text.length)?.contiguous()?)).collect()
    }

    /// What distances add to the scores: `[heads, L, L]`, float32.
    fn bias(&self, length: usize) -> Result<Tensor> {
        let buckets: Vec<u32> = (0..length)
            .flat_map(|query| (0..length).map(move |key| (key, query)))
            .map(|(key, query)| bucket(key as i64 - query as i64, &self.config))
            .collect();
        let buckets = Tensor::from_vec(buckets, length * length, self.relative_bias.device())?;
        let bias = self.relative_bias.index_select(&buckets, 0)?;
        Ok(bias.reshape((length, length, self.config.heads))?.permute((2, 0, 1))?.contiguous()?)
    }
}

/// The kind of a distance: single ones near by, then ever wider ranges; keys behind the query come after those before it.
fn bucket(distance: i64, config: &Config) -> u32 {
    let side = config.buckets / 2;
    let single = side / 2;
    let start = if distance > 0 { side } else { 0 };
    let distance = distance.unsigned_abs() as usize;
    let kind = if distance < single {
        distance
    } else {
        // In float32, as the reference: at the ends of ranges the rounding decides.
        let share = (distance as f32 / single as f32).ln() / (config.max_distance as f64 / single as f64).ln() as f32;
        (single + (share * (side - single) as f32) as usize).min(side - 1)
    };
    (start + kind) as u32
}

/// Where a text's tokens lie among those of all texts.
struct TextPlace {
    start: usize,
    length: usize,
    /// `[heads, length, length]`, float32.
    bias: Tensor,
}

struct Layer<'store> {
    attention_norm: RmsNorm,
    /// Queries, keys and values.
    inputs: JoinedProjection<'store, 3>,
    output: PassingProjection<'store>,
    feed_forward_norm: RmsNorm,
    gate: PassingProjection<'store>,
    expand: PassingProjection<'store>,
    contract: PassingProjection<'store>,
    heads: usize,
}

impl<'store> Layer<'store> {
    fn load(weights: &Scope<'store>, residency: Residency, names: &Names, config: &Config) -> Result<Self> {
        let Config { width, feed_forward, heads, .. } = *config;
        let inner = heads * config.head_width;
        let projection = |name: &str, from, to| match residency {
            Residency::Whole => Ok(PassingProjection::Kept(Projection::load(&weights.at(name), from, to)?)),
            Residency::Layer => PassingProjection::load(&weights.at(name), from, to),
        };
        let inputs = [names.query, names.key, names.value];
        let inputs = match residency {
            Residency::Whole => JoinedProjection::load(weights, inputs, width, inner)?,
            Residency::Layer => JoinedProjection::load_passing(weights, inputs, width, inner)?,
        };
        Ok(Self {
            attention_norm: RmsNorm::load(&weights.at(names.attention_norm), config)?,
            inputs,
            output: projection(names.output, inner, width)?,
            feed_forward_norm: RmsNorm::load(&weights.at(names.feed_forward_norm), config)?,
            gate: projection(names.gate, width, feed_forward)?,
            expand: projection(names.expand, width, feed_forward)?,
            contract: projection(names.contract, feed_forward, width)?,
            heads,
        })
    }

    /// `x: [N, width]`, the tokens of all texts one after the other, to the same.
    fn forward(&self, x: &Tensor, texts: &[TextPlace]) -> Result<Tensor> {
        let x = &self.attend(x, texts)?;
        let h = self.feed_forward_norm.forward(x)?;
        let h = gated_gelu(&self.gate.forward(&h)?, &self.expand.forward(&h)?)?;
        self.contract.forward_with(&h, Epilogue::Sum(x))
    }

    /// `x: [N, width]` to the same: each text's tokens attend to each other. The scores are not scaled: the weights are.
    fn attend(&self, x: &Tensor, texts: &[TextPlace]) -> Result<Tensor> {
        let inputs = self.inputs.forward(&self.attention_norm.forward(x)?)?;
        let heads = |index| Ok::<_, Error>(inputs.heads(index, self.heads)?.unsqueeze(0)?);
        let (query, key, value) = (heads(0)?, heads(1)?, heads(2)?);
        let gather = |text: &TextPlace| {
            let part = |tensor: &Tensor| tensor.narrow(1, text.start, text.length);
            let (query, key, value) = (part(&query)?, part(&key)?, part(&value)?);
            biased_attention(&Inputs { query: &query, key: &key, value: &value }, 1.0, &text.bias)
        };
        let gathered = texts.iter().map(gather).collect::<Result<Vec<_>>>()?;
        let gathered = Tensor::cat(&gathered, 1)?.squeeze(0)?.flatten_from(1)?;
        self.output.forward_with(&gathered, Epilogue::Sum(x))
    }
}

/// RMS norm with a weight.
struct RmsNorm {
    /// `[width]`, float32.
    weight: Tensor,
    epsilon: f64,
}

impl RmsNorm {
    fn load(weights: &Scope, config: &Config) -> Result<Self> {
        let weight = weights.take("weight", &[config.width])?.to_dtype(DType::F32)?;
        Ok(Self { weight, epsilon: config.epsilon })
    }

    /// `[L, width]` to the same.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        norm(x, &Norm { affine: Affine::Weight(&self.weight), ..Norm::root_mean_square(self.epsilon) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            vocabulary: 1,
            width: 1,
            head_width: 1,
            heads: 1,
            feed_forward: 1,
            layers: 1,
            buckets: 32,
            max_distance: 128,
            epsilon: 1e-6,
        }
    }

    /// By hand from the formula: 8 + floor(ln(a / 8) / ln 16 * 8) from distance 8 on, plus 16 for keys behind the query.
    #[test]
    fn distances_fall_into_their_buckets() {
        let expected = [(0, 0), (-1, 1), (1, 17), (-7, 7), (7, 23), (-8, 8), (8, 24), (-12, 9), (-64, 14), (500, 31)];
        for (distance, expected) in expected {
            assert_eq!(bucket(distance, &config()), expected, "distance {distance}");
        }
    }
}
