//! What the sampler must keep: the camera, which is known, and eyes that cannot blink.

use candle_core::{Device, Tensor};

use super::codec::CAMERA;
use super::features::EYES_OPEN;
use super::named::named;
use super::text::names::CAMERA as CAMERA_PATH;
use super::{CONTROL_CHANNELS, FEATURE_CHANNELS, FEATURES, GRID, KEYS};
use crate::error::Result;
use crate::latents::Constraint;
use crate::models::Conditioning;
use crate::shape;

/// Control channels of the blink, left and right.
const BLINK_CHANNELS: usize = 6;

/// The camera's channels hold its path; the blink of an eye that is not open and visible holds 0, open.
///
/// # Errors
/// A condition that lacks a tensor, or a tensor of another shape.
pub fn constraints(conditioning: &Conditioning) -> Result<Vec<Constraint>> {
    let hint = "encode picture and prompt with the same version";
    let features = named(&conditioning.image.tensors, FEATURES)?;
    shape::expect(FEATURES, features, &[1, GRID, GRID, FEATURE_CHANNELS], hint)?;
    let camera = named(&conditioning.text.tensors, CAMERA_PATH)?;
    shape::expect(CAMERA_PATH, camera, &[1, KEYS, CAMERA.len()], hint)?;

    let features = features.flatten_all()?.to_vec1::<f32>()?;
    let camera = camera.flatten_all()?.to_vec1::<f32>()?;
    let mut held = [false; CONTROL_CHANNELS];
    held[CAMERA].fill(true);
    for (eye, channel) in EYES_OPEN.into_iter().enumerate() {
        held[eye * BLINK_CHANNELS..][..BLINK_CHANNELS].fill(features[channel] < 0.5);
    }
    let mask: Vec<f32> = held.iter().map(|&held| f32::from(u8::from(held))).collect();
    let mut value = vec![0f32; KEYS * CONTROL_CHANNELS];
    for (row, path) in value.chunks_exact_mut(CONTROL_CHANNELS).zip(camera.chunks_exact(CAMERA.len())) {
        row[CAMERA].copy_from_slice(path);
    }
    let shape = (1, KEYS, CONTROL_CHANNELS);
    Ok(vec![Constraint {
        part: "control",
        mask: Tensor::from_vec(mask, (1, 1, CONTROL_CHANNELS), &Device::Cpu)?.broadcast_as(shape)?.contiguous()?,
        value: Tensor::from_vec(value, shape, &Device::Cpu)?,
    }])
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::super::class_map::{ClassMap, class};
    use super::super::curve::Point;
    use super::super::features::{Figure, features};
    use super::super::parts::{Head, Rectangle};
    use super::*;

    fn conditioning(eyes_open: [bool; 2]) -> Conditioning {
        let map = ClassMap::new(6, 6, vec![0.1; class::COUNT * 36]).unwrap();
        let face = Rectangle { left: 2.0, top: 2.0, right: 4.0, bottom: 4.0 };
        let head = Head { centre: Point { x: 3.0, y: 3.0 }, radius: 1.0, face };
        let figure = Figure { width: 6, height: 6, head: Some(&head), eyes_open };
        let camera = Tensor::arange(0f32, 175.0, &Device::Cpu).unwrap().reshape((1, 25, 7)).unwrap();
        let mut conditioning = Conditioning::default();
        conditioning.image.tensors.insert(FEATURES, features(&map, figure).unwrap());
        conditioning.text.tensors.insert(CAMERA_PATH, camera);
        conditioning
    }

    fn row(tensor: &Tensor, key: usize) -> Vec<f32> {
        tensor.get(0).unwrap().get(key).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_camera_is_held_and_so_is_the_eye_that_is_not_open() {
        let constraints = constraints(&conditioning([true, false])).unwrap();
        assert_eq!(constraints.len(), 1);
        let (mask, value) = (row(&constraints[0].mask, 3), row(&constraints[0].value, 3));
        assert_eq!(constraints[0].mask.dims(), [1, 25, 26]);
        assert!(mask[..6].iter().all(|&held| held == 0.0) && mask[19..].iter().all(|&held| held == 0.0));
        assert!(mask[6..19].iter().all(|&held| held == 1.0));
        assert_eq!(value[6..12], [0.0; 6]);
        assert_eq!(value[12..19], [21.0, 22.0, 23.0, 24.0, 25.0, 26.0, 27.0]);
        assert_eq!(constraints[0].value.dtype(), DType::F32);
    }

    #[test]
    fn a_missing_camera_is_an_error() {
        let mut conditioning = conditioning([true, true]);
        conditioning.text.tensors.clear();
        assert!(constraints(&conditioning).unwrap_err().to_string().contains("`camera`"));
    }
}
