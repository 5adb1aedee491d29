//! Tone mapping: large latents are made smaller, so that a clip does not burn out.

use candle_core::Tensor;

use crate::error::Result;

/// How far full compression goes.
const FULL: f64 = 0.75;
/// Of a value, what the strongest compression takes away.
const REACH: f64 = 0.8;
/// How fast compression sets in around values of 1.
const STEEPNESS: f64 = 4.0;

/// `x * (1 - 0.8 k sigmoid(4 k (|x| - 1)))` with `k = 0.75 * compression`. `compression`: 0 leaves `x` as it is, 1 is the most.
///
/// `x`: any shape, normalised latents, to the same.
///
/// # Errors
/// A failed tensor operation.
///
/// # Source
/// `tone_map_latents` of Lightricks/LTX-Video, which maps normalised latents before they are decoded; diffusers 0.42.1 has the same formula in
/// `LTXLatentUpsamplePipeline`, there for latents of the autoencoder.
pub fn tone_map(x: &Tensor, compression: f64) -> Result<Tensor> {
    let k = FULL * compression;
    let share = candle_nn::ops::sigmoid(&((x.abs()? - 1.0)? * (STEEPNESS * k))?)?;
    Ok((x * share.affine(-REACH * k, 1.0)?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn mapped(values: &[f32], compression: f64) -> Vec<f32> {
        tone_map(&Tensor::new(values, &Device::Cpu).unwrap(), compression).unwrap().to_vec1().unwrap()
    }

    /// By hand, with k = 0.75: sigmoid(0) = 1/2 gives the factor 0.7; |x| = 2 has sigmoid(3) = 0.952574, so 2 (1 - 0.6 * 0.952574).
    #[test]
    fn full_compression_by_hand() {
        for (found, expected) in mapped(&[0.0, 1.0, -1.0, 2.0], 1.0).iter().zip([0.0, 0.7, -0.7, 0.856_911]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn no_compression_changes_nothing() {
        assert_eq!(mapped(&[0.3, -5.0], 0.0), [0.3, -5.0]);
    }
}
