//! 2-D convolution in every type on every device.

use candle_core::{DType, Module, Tensor};
use candle_nn::Conv2d;

use crate::error::Result;

/// What `layer` makes of `x: [B, C, H, W]`, in the type of both. Candle has no bfloat16 convolution for the CPU: there it is computed in float32
/// and rounded at the end.
///
/// # Errors
/// A failed tensor operation.
pub fn conv2d(layer: &Conv2d, x: &Tensor) -> Result<Tensor> {
    if !(x.device().is_cpu() && x.dtype() == DType::BF16) {
        return Ok(layer.forward(x)?);
    }
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F32);
    let layer = Conv2d::new(wide(layer.weight())?, layer.bias().map(wide).transpose()?, *layer.config());
    Ok(layer.forward(&wide(x)?)?.to_dtype(DType::BF16)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use candle_nn::Conv2dConfig;

    use super::*;

    /// By hand: all numbers are exact in every type.
    #[test]
    fn every_type_gives_the_same_small_numbers() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let tensor = |values: &[f32], shape: &[usize]| {
                Tensor::from_slice(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
            };
            let layer =
                Conv2d::new(tensor(&[2.0, -1.0], &[1, 2, 1, 1]), Some(tensor(&[0.5], &[1])), Conv2dConfig::default());
            let y = conv2d(&layer, &tensor(&[1.0, 2.0, 3.0, 4.0], &[1, 2, 1, 2])).unwrap();
            assert_eq!(y.dtype(), dtype);
            let y = y.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
            assert_eq!(y.to_vec1::<f32>().unwrap(), [-0.5, 0.5]);
        }
    }
}
