//! The encoder's sizes: from its `config.json`, or from the shapes of its tensors.

use std::path::Path;

use serde::Deserialize;

use super::names::{GGUF, Names, TRANSFORMERS, TRANSFORMERS_UNSHARED};
use crate::error::{Error, Result};
use crate::models::ltx::config_fields::{MOST, MOST_LAYERS};
use crate::weights::small_file;
use crate::weights::store::Store;

const HINT: &str = "use the encoder of T5 v1.1 XXL that belongs to LTX-Video";

/// Sizes of an encoder of T5 v1.1; field names in files are those of transformers.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Config {
    /// Rows of the embedding.
    #[serde(rename = "vocab_size")]
    pub vocabulary: usize,
    /// Channels of a token.
    #[serde(rename = "d_model")]
    pub width: usize,
    /// Channels of a head; heads together need not have as many as a token.
    #[serde(rename = "d_kv")]
    pub head_width: usize,
    /// Heads of attention.
    #[serde(rename = "num_heads")]
    pub heads: usize,
    /// Channels inside the feed-forward part.
    #[serde(rename = "d_ff")]
    pub feed_forward: usize,
    /// Layers.
    #[serde(rename = "num_layers")]
    pub layers: usize,
    /// Kinds of distance between tokens that attention tells apart, both directions together.
    #[serde(rename = "relative_attention_num_buckets", default = "default_buckets")]
    pub buckets: usize,
    /// From this distance on all are one kind.
    #[serde(rename = "relative_attention_max_distance", default = "default_distance")]
    pub max_distance: usize,
    /// Added to the mean square in norms.
    #[serde(rename = "layer_norm_epsilon", default = "default_epsilon")]
    pub epsilon: f64,
}

fn default_buckets() -> usize {
    32
}

fn default_distance() -> usize {
    128
}

fn default_epsilon() -> f64 {
    1e-6
}

impl Config {
    /// Of the checkpoint at `path`, opened as `store`: a folder's `config.json`, else by [`Config::of_shapes`].
    ///
    /// # Errors
    /// As [`Config::read`] and [`Config::of_shapes`].
    pub fn open(path: &Path, store: &Store) -> Result<Self> {
        let file = path.join("config.json");
        if file.exists() { Self::read(&file) } else { Self::of_shapes(store) }
    }

    /// Reads transformers' `config.json`.
    ///
    /// # Errors
    /// A file that cannot be read, and as [`Config::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let thing = format!("text encoder's config {}", path.display());
        let text = small_file::read_text(path);
        Self::parse(&thing, &text.map_err(|found| Error::input(&thing, "a file that can be read", found, HINT))?)
    }

    /// Reads the text of such a file; `thing` is what messages call it.
    ///
    /// # Errors
    /// A missing size, one that no encoder has, and a field whose value changes the mathematics in a way that is not implemented.
    pub fn parse(thing: &str, json: &str) -> Result<Self> {
        let refused = |wanted: &str, found: String| Error::input(thing, wanted, found, HINT);
        let fields: serde_json::Value = serde_json::from_str(json)
            .map_err(|problem| refused("JSON as transformers writes it", problem.to_string()))?;
        for (field, wanted, absent_is_wanted) in [
            ("model_type", serde_json::json!("t5"), true),
            ("feed_forward_proj", serde_json::json!("gated-gelu"), false),
            ("is_gated_act", serde_json::json!(true), true),
            ("dense_act_fn", serde_json::json!("gelu_new"), true),
            ("quantization_config", serde_json::Value::Null, true),
        ] {
            let found = fields.get(field);
            if found != Some(&wanted) && !(found.is_none() && absent_is_wanted) {
                let found = found.map_or("none".to_owned(), ToString::to_string);
                return Err(refused(&format!("`{field}` {wanted}"), format!("`{field}` {found}")));
            }
        }
        let config: Self = serde_json::from_value(fields)
            .map_err(|problem| refused("the sizes of an encoder", problem.to_string()))?;
        config.check().map_err(|found| refused("sizes that make an encoder", found))?;
        Ok(config)
    }

    /// Concludes the sizes from the tensors' shapes; what shapes do not show is as in every T5.
    ///
    /// # Errors
    /// Tensors that are not those of an encoder of T5 v1.1.
    pub fn of_shapes(store: &Store) -> Result<Self> {
        let names = names(store)?;
        let matrix = |name: &str| {
            let name = format!("{name}.weight");
            match store.shape(&name).as_deref() {
                Some([rows, columns]) => Ok([*rows, *columns]),
                other => {
                    let found = other.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"));
                    Err(Error::input(format!("text encoder's tensor `{name}`"), "a matrix", found, HINT))
                }
            }
        };
        let first = |part: &str| matrix(&format!("{}.0.{part}", names.blocks));
        let [vocabulary, width] = matrix(names.embedding)?;
        let [buckets, heads] = first(names.relative_bias)?;
        let [inner, _] = first(names.query)?;
        let [feed_forward, _] = first(names.gate)?;
        let present =
            |layer: &usize| store.shape(&format!("{}.{layer}.{}.weight", names.blocks, names.query)).is_some();
        let config = Self {
            vocabulary,
            width,
            head_width: inner / heads.max(1),
            heads,
            feed_forward,
            layers: (0..).take_while(present).count(),
            buckets,
            max_distance: default_distance(),
            epsilon: default_epsilon(),
        };
        let refused = |found| Error::input("text encoder's tensors", "shapes that make an encoder", found, HINT);
        config.check().map_err(refused)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let sizes = [self.vocabulary, self.width, self.head_width, self.heads, self.feed_forward, self.layers];
        if sizes.contains(&0) {
            return Err(format!("a size of 0 in {self:?}"));
        }
        let distances = [self.buckets, self.max_distance];
        let inner = self.heads.checked_mul(self.head_width);
        let most = *sizes.iter().chain(&distances).max().expect("there are some");
        if most > MOST || self.layers > MOST_LAYERS || inner.is_none_or(|inner| inner > MOST) {
            return Err(format!("sizes above {MOST}, or layers above {MOST_LAYERS}, in {self:?}"));
        }
        // A quarter of the kinds are single distances to either side, and logarithms of distances need more than that at the end.
        if self.buckets < 4 || !self.buckets.is_multiple_of(4) || self.max_distance <= self.buckets / 4 {
            return Err(format!("{} buckets up to distance {}", self.buckets, self.max_distance));
        }
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(format!("epsilon {}", self.epsilon));
        }
        Ok(())
    }
}

/// Which convention of names a checkpoint follows.
///
/// # Errors
/// None of those that are known.
pub fn names(store: &Store) -> Result<&'static Names> {
    let known = [&TRANSFORMERS, &TRANSFORMERS_UNSHARED, &GGUF];
    let follows = |names: &&Names| store.shape(&format!("{}.weight", names.embedding)).is_some();
    known.into_iter().find(follows).ok_or_else(|| {
        let wanted = known.map(|names| format!("`{}.weight`", names.embedding)).join(" or ");
        Error::input("text encoder's tensors", wanted, "neither", HINT)
    })
}
