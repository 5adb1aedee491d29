//! Decoded frames to the bytes of pictures.

#[cfg(feature = "cuda")]
mod cuda;
mod reading;

use candle_core::{DType, Device, Tensor};

use crate::error::Result;
pub use reading::{FrameBytes, FrameReader};

/// `frame: [3, H, W]`, about -1 to 1, to `[H, W, 3]` in the computer's memory: -1 and below becomes 0, 1 and above 255, and what lies between the nearest
/// level, of two as near the even one. `None` where a value is not finite.
///
/// On CUDA a kernel writes the bytes, the same ones, so that they alone are brought here.
///
/// # Errors
/// A failed tensor operation.
pub fn to_bytes(frame: &Tensor) -> Result<Option<Vec<u8>>> {
    #[cfg(feature = "cuda")]
    if let Some(found) = cuda::write(frame)? {
        return found.finite();
    }
    of_values(frame)
}

/// The same by the CPU.
fn of_values(frame: &Tensor) -> Result<Option<Vec<u8>>> {
    let frame = frame.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let values = frame.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?;
    if values.iter().any(|value| !value.is_finite()) {
        return Ok(None);
    }
    Ok(Some(values.iter().map(|value| level(*value)).collect()))
}

/// The level of a finite value.
fn level(value: f32) -> u8 {
    ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: [f32; 6]) -> Option<Vec<u8>> {
        to_bytes(&Tensor::new(&values, &Device::Cpu).unwrap().reshape((3, 1, 2)).unwrap()).unwrap()
    }

    #[test]
    fn values_are_limited_and_rounded() {
        // The second pixel's: beyond the ends, and halfway between 127 and 128.
        assert_eq!(of([-1.0, -1.5, 1.0, 7.0, 0.0, 1.0 / 255.0]), Some(vec![0, 255, 128, 0, 255, 128]));
    }

    #[test]
    fn frames_that_are_not_finite_have_no_pixels() {
        assert_eq!(of([0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0]), None);
        assert_eq!(of([0.0, 0.0, 0.0, 0.0, 0.0, f32::NEG_INFINITY]), None);
    }
}
