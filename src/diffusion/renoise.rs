//! Latents that go back to a noise level, from which a second pass denoises them again.

use candle_core::Tensor;

use crate::error::Result;

/// `sigma * noise + (1 - sigma) * clean`: 0 is `clean`, 1 is `noise`. All of one shape.
///
/// # Errors
/// Tensors of different shapes.
///
/// # Source
/// Liu et al., "Flow Straight and Fast" (2022), section 2.1; `LTXConditionPipeline.prepare_latents` of diffusers 0.42.1.
pub fn renoise(clean: &Tensor, noise: &Tensor, sigma: f64) -> Result<Tensor> {
    Ok(((noise * sigma)? + (clean * (1.0 - sigma))?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_mixture_by_hand() {
        let [clean, noise] = [[4f32, -8.0], [1.0, 0.0]].map(|values| Tensor::new(&values, &Device::Cpu).unwrap());
        for (sigma, expected) in [(0.0, [4.0, -8.0]), (0.25, [3.25, -6.0]), (1.0, [1.0, 0.0])] {
            assert_eq!(renoise(&clean, &noise, sigma).unwrap().to_vec1::<f32>().unwrap(), expected);
        }
    }
}
