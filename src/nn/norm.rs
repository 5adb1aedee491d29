//! Normalisation, plain and modulated.

use candle_core::Tensor;
pub use candle_nn::GroupNorm;

use crate::error::Result;
use crate::weights::store::Scope;

/// PyTorch's default for group norm.
const GROUP_NORM_EPSILON: f64 = 1e-5;
/// What diffusion transformers use.
const LAYER_NORM_EPSILON: f32 = 1e-6;

/// `[B, channels, H, W]` to the same, each of the `groups` groups of channels to mean 0 and variance 1, then `weight` and `bias: [channels]`.
///
/// # Errors
/// Missing or misshapen weights.
pub fn group_norm(weights: &Scope, channels: usize, groups: usize) -> Result<GroupNorm> {
    let weight = weights.take("weight", &[channels])?;
    Ok(GroupNorm::new(weight, weights.take("bias", &[channels])?, channels, groups, GROUP_NORM_EPSILON)?)
}

/// Shift, scale and gate of one residual branch, `[D]` each.
///
/// # Source
/// Peebles and Xie, "Scalable Diffusion Models with Transformers" (ICCV 2023), figure 3: adaptive layer norm.
pub struct Modulation {
    /// Added after the norm.
    pub shift: Tensor,
    /// 1 is added to it before it multiplies the norm.
    pub scale: Tensor,
}

impl Modulation {
    /// `x: [..., D]` to the same: layer norm without weights, then `* (1 + scale) + shift`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn norm(&self, x: &Tensor) -> Result<Tensor> {
        Ok(candle_nn::ops::layer_norm(x, &(&self.scale + 1.0)?, &self.shift, LAYER_NORM_EPSILON)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// By hand: mean 2, variance 1, so the norm is -1 and 1 (up to epsilon); times (1 + 1), plus 0.5.
    #[test]
    fn modulation_by_hand() {
        let modulation = Modulation {
            shift: Tensor::new(&[0.5f32, 0.5], &Device::Cpu).unwrap(),
            scale: Tensor::new(&[1f32, 1.0], &Device::Cpu).unwrap(),
        };
        let x = Tensor::new(&[[1f32, 3.0]], &Device::Cpu).unwrap();
        let result = modulation.norm(&x).unwrap().to_vec2::<f32>().unwrap();
        assert!((result[0][0] + 1.5).abs() < 1e-5 && (result[0][1] - 2.5).abs() < 1e-5, "{result:?}");
    }
}
