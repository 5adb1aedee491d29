//! Weights that are made up in memory: real shapes and random values, for measuring a model that nobody has to fetch.
//!
//! A value depends on the seed, the tensor's name and the value's place alone, so it is the same on every machine and for any number of
//! threads. Values are uniform, 24 bits of a mixed counter each: the normal values of the sampler's noise take more than
//! ten times as long.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, WithDType};
use half::{bf16, f16};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// The step of the counter, odd: 2^64 over the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
/// Fewest values that a thread makes at a time.
const PIECE: usize = 1 << 16;
/// Standard deviation of biases, tables and whatever else is no matrix.
const SMALL: f32 = 0.02;

/// A checkpoint that has every tensor that is asked for, of the shape that is asked for.
#[derive(Debug, Clone)]
pub struct Synthetic {
    name: String,
    seed: u64,
    known: BTreeMap<String, Vec<usize>>,
}

/// One tensor of it, made when it is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticTensor {
    shape: Vec<usize>,
    key: u64,
    values: Values,
}

/// What a tensor is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Values {
    /// This everywhere.
    Constant(f32),
    /// Uniform between minus this and this.
    Uniform(f32),
}

impl Synthetic {
    /// `name` is what messages call it. `known`: tensors that are seen by who looks which tensors there are, before taking any.
    pub fn new(name: impl Into<String>, seed: u64, known: &[(&str, &[usize])]) -> Self {
        let known = known.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
        Self { name: name.into(), seed, known }
    }

    /// All that its values depend on.
    pub fn made_from(&self) -> String {
        format!("{}, seed {}", self.name, self.seed)
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape of a tensor that is known before it is taken.
    pub fn known_shape(&self, name: &str) -> Option<Vec<usize>> {
        self.known.get(name).cloned()
    }

    /// The tensor `name` of this shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> SyntheticTensor {
        let digest = Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(name).finalize();
        let key = u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
        SyntheticTensor { shape: shape.to_vec(), key, values: Values::of(name, shape) }
    }
}

impl Values {
    /// Norms keep what they get, deviations are 1, and products of matrices keep the variance, so that activations stay finite.
    fn of(name: &str, shape: &[usize]) -> Self {
        let weight = name.ends_with("weight");
        match shape {
            [] => Self::Constant(1.0),
            [_] if weight || name.ends_with("std") => Self::Constant(1.0),
            [_, inputs @ ..] if weight && !inputs.is_empty() => {
                Self::with_deviation(1.0 / (inputs.iter().product::<usize>().max(1) as f32).sqrt())
            }
            _ => Self::with_deviation(SMALL),
        }
    }

    fn with_deviation(deviation: f32) -> Self {
        Self::Uniform(deviation * 3f32.sqrt())
    }
}

impl SyntheticTensor {
    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All of it in `dtype`, on the CPU.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn dense(&self, dtype: DType) -> candle_core::Result<Tensor> {
        // Without a copy in float32: fresh pages of memory take longer than the values in them.
        match dtype {
            DType::BF16 => self.filled::<bf16>(),
            DType::F16 => self.filled::<f16>(),
            _ => self.filled::<f32>()?.to_dtype(dtype),
        }
    }

    fn filled<T: WithDType>(&self) -> candle_core::Result<Tensor> {
        let count = self.shape.iter().product();
        let values: Vec<T> =
            (0..count).into_par_iter().with_min_len(PIECE).map(|index| T::from_f64(self.value(index))).collect();
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu)
    }

    /// Rows of a matrix in `dtype`, on the CPU. `rows` are there.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn rows(&self, rows: &[u32], dtype: DType) -> candle_core::Result<Tensor> {
        let columns = self.shape[1];
        let places = rows.iter().map(|row| *row as usize * columns).flat_map(|first| first..first + columns);
        let values: Vec<f32> = places.map(|place| self.value(place) as f32).collect();
        Tensor::from_vec(values, (rows.len(), columns), &Device::Cpu)?.to_dtype(dtype)
    }

    /// The value at a place in row-major order, which float32 holds exactly.
    fn value(&self, index: usize) -> f64 {
        f64::from(match self.values {
            Values::Constant(value) => value,
            Values::Uniform(bound) => unit(self.key, index as u64) * bound,
        })
    }
}

/// A uniform number from -1 to less than 1, which float32 holds exactly.
fn unit(key: u64, index: u64) -> f32 {
    let bits = mixed(key.wrapping_add(index.wrapping_mul(STEP))) >> 40;
    bits as f32 / (1u32 << 23) as f32 - 1.0
}

/// Every bit of the result depends on every bit of `x`.
///
/// # Source
/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014), with the constants of Stafford's variant 13.
fn mixed(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Synthetic {
        Synthetic::new("made up", 7, &[("shared.weight", &[32, 4])])
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The first numbers of SplitMix64 from the state 1234567, which are published with it.
    #[test]
    fn the_mixing_is_that_of_split_mix() {
        let numbers: Vec<u64> =
            (1..=3).map(|index| mixed(1_234_567u64.wrapping_add(STEP.wrapping_mul(index)))).collect();
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn matrices_keep_the_variance() {
        let matrix = made().tensor("layer.weight", &[400, 300]).dense(DType::F32).unwrap();
        let values = values(&matrix);
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 1e-3 && (variance * 300.0 - 1.0).abs() < 0.02, "mean {mean}, variance {variance}");
        let deviation = |name: &str, shape: &[usize]| made().tensor(name, shape).values;
        assert_eq!(deviation("convolution.weight", &[8, 4, 3, 3, 3]), Values::with_deviation(1.0 / 108f32.sqrt()));
        assert_eq!(deviation("norm.weight", &[8]), Values::Constant(1.0));
        assert_eq!(deviation("latents_std", &[8]), Values::Constant(1.0));
        assert_eq!(deviation("multiplier", &[]), Values::Constant(1.0));
        assert_eq!(deviation("layer.bias", &[8]), Values::with_deviation(SMALL));
        assert_eq!(deviation("scale_shift_table", &[6, 8]), Values::with_deviation(SMALL));
    }

    /// More than a piece, so that several threads would each make their part.
    #[test]
    fn values_depend_on_seed_name_and_place_alone() {
        let shape = [3, PIECE];
        let whole = |seed, name| values(&Synthetic::new("", seed, &[]).tensor(name, &shape).dense(DType::F32).unwrap());
        let first = whole(1, "a.weight");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(first, pool.install(|| whole(1, "a.weight")));
        assert!(first != whole(2, "a.weight") && first != whole(1, "b.weight"));
        let rows = Synthetic::new("", 1, &[]).tensor("a.weight", &shape).rows(&[2, 0], DType::F32).unwrap();
        assert_eq!(values(&rows), [&first[2 * PIECE..], &first[..PIECE]].concat());
    }

    #[test]
    fn narrower_types_hold_the_same_values_rounded() {
        let tensor = made().tensor("layer.weight", &[300, 5]);
        let wide = tensor.dense(DType::F32).unwrap();
        for dtype in [DType::BF16, DType::F16] {
            let narrow = tensor.dense(dtype).unwrap();
            assert_eq!(narrow.dtype(), dtype);
            let rounded = wide.to_dtype(dtype).unwrap();
            assert_eq!(values(&narrow.to_dtype(DType::F32).unwrap()), values(&rounded.to_dtype(DType::F32).unwrap()));
        }
    }

    #[test]
    fn only_known_tensors_are_seen_beforehand() {
        assert_eq!(made().known_shape("shared.weight"), Some(vec![32, 4]));
        assert_eq!(made().known_shape("other.weight"), None);
    }
}
