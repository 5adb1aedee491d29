//! What the sampler must keep: the camera, which is known; eyes that cannot blink; and whatever the words do not ask for, which rests.

use candle_core::{Device, Tensor};

use super::codec::CAMERA;
use super::features::EYES_OPEN;
use super::named::named;
use super::text::channel;
use super::text::names::{CAMERA as CAMERA_PATH, PLAN};
use super::{CONTROL_CHANNELS, FEATURE_CHANNELS, FEATURES, GRID, KEYS, LATENT_CHANNELS, PLAN_CHANNELS};
use crate::error::Result;
use crate::latents::Constraint;
use crate::models::Conditioning;
use crate::shape;

/// Control channels of the blink, left and right.
const BLINK_CHANNELS: usize = 6;

/// The first control channel of head, breath and light, and for each from there the entries of the plan that move it. The denoiser was trained with the
/// same table: `MOVED_BY` in `scripts/sway/sampler.py`.
const BODY: usize = CAMERA.end;
const MOVED_BY: [&[usize]; CONTROL_CHANNELS - BODY] = [
    &[channel::HEAD_SWAY, channel::HEAD_TURN],
    &[channel::HEAD_SWAY, channel::HEAD_NOD],
    &[channel::HEAD_SWAY, channel::HEAD_TILT],
    &[channel::HEAD_SWAY, channel::HEAD_NOD],
    &[channel::BREATH],
    &[channel::LIGHT_GAIN, channel::LIGHT_SHIFT, channel::FLICKER],
    &[channel::WARMTH, channel::LIGHT_SHIFT, channel::FLICKER],
];
/// The entry of the plan that moves each spatial channel.
const FIELD_MOVED_BY: [usize; LATENT_CHANNELS] = [channel::HAIR, channel::HAIR, channel::CLOTH, channel::CLOTH];

/// The camera's channels hold its path. The blink of an eye that is not open and visible, or is not asked to blink, holds 0, open; so does every other
/// channel, and the field of hair or cloth, that the plan does not ask to move.
///
/// # Errors
/// A condition that lacks a tensor, or a tensor of another shape.
pub fn constraints(conditioning: &Conditioning) -> Result<Vec<Constraint>> {
    let hint = "encode picture and prompt with the same version";
    let features = named(&conditioning.image.tensors, FEATURES)?;
    shape::expect(FEATURES, features, &[1, GRID, GRID, FEATURE_CHANNELS], hint)?;
    let camera = named(&conditioning.text.tensors, CAMERA_PATH)?;
    shape::expect(CAMERA_PATH, camera, &[1, KEYS, CAMERA.len()], hint)?;
    let plan = named(&conditioning.text.tensors, PLAN)?;
    shape::expect(PLAN, plan, &[1, PLAN_CHANNELS], hint)?;

    let features = features.flatten_all()?.to_vec1::<f32>()?;
    let camera = camera.flatten_all()?.to_vec1::<f32>()?;
    let plan = plan.flatten_all()?.to_vec1::<f32>()?;
    Ok(vec![hold_control(&features, &camera, &plan)?, hold_fields(&plan)?])
}

fn hold_control(features: &[f32], camera: &[f32], plan: &[f32]) -> Result<Constraint> {
    let mut held = [false; CONTROL_CHANNELS];
    held[CAMERA].fill(true);
    for (eye, asked) in [channel::BLINK_LEFT, channel::BLINK_RIGHT].into_iter().enumerate() {
        let rests = features[EYES_OPEN[eye]] < 0.5 || plan[asked] == 0.0;
        held[eye * BLINK_CHANNELS..][..BLINK_CHANNELS].fill(rests);
    }
    for (held, moved_by) in held[BODY..].iter_mut().zip(MOVED_BY) {
        *held = moved_by.iter().all(|&entry| plan[entry] == 0.0);
    }
    let mask: Vec<f32> = held.iter().map(|&held| f32::from(u8::from(held))).collect();
    let mut value = vec![0f32; KEYS * CONTROL_CHANNELS];
    for (row, path) in value.chunks_exact_mut(CONTROL_CHANNELS).zip(camera.chunks_exact(CAMERA.len())) {
        row[CAMERA].copy_from_slice(path);
    }
    let shape = (1, KEYS, CONTROL_CHANNELS);
    Ok(Constraint {
        part: "control",
        mask: Tensor::from_vec(mask, (1, 1, CONTROL_CHANNELS), &Device::Cpu)?.broadcast_as(shape)?.contiguous()?,
        value: Tensor::from_vec(value, shape, &Device::Cpu)?,
    })
}

fn hold_fields(plan: &[f32]) -> Result<Constraint> {
    let mask = FIELD_MOVED_BY.map(|entry| f32::from(u8::from(plan[entry] == 0.0)));
    let shape = (1, LATENT_CHANNELS, KEYS, GRID, GRID);
    let mask = Tensor::new(&mask, &Device::Cpu)?.reshape((1, LATENT_CHANNELS, 1, 1, 1))?;
    Ok(Constraint {
        part: "latents",
        mask: mask.broadcast_as(shape)?.contiguous()?,
        value: mask.zeros_like()?.broadcast_as(shape)?.contiguous()?,
    })
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
        conditioning.text.tensors.insert(PLAN, plan(&[channel::BLINK_LEFT, channel::BLINK_RIGHT]));
        conditioning
    }

    /// A plan that asks for these entries.
    fn plan(asked: &[usize]) -> Tensor {
        let values: Vec<f32> = (0..PLAN_CHANNELS).map(|entry| f32::from(u8::from(asked.contains(&entry)))).collect();
        Tensor::from_vec(values, (1, PLAN_CHANNELS), &Device::Cpu).unwrap()
    }

    fn row(tensor: &Tensor, key: usize) -> Vec<f32> {
        tensor.get(0).unwrap().get(key).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_camera_is_held_and_so_is_the_eye_that_is_not_open() {
        let constraints = constraints(&conditioning([true, false])).unwrap();
        let (mask, value) = (row(&constraints[0].mask, 3), row(&constraints[0].value, 3));
        assert_eq!(constraints[0].mask.dims(), [1, 25, 26]);
        assert!(mask[..6].iter().all(|&held| held == 0.0));
        assert!(mask[6..].iter().all(|&held| held == 1.0));
        assert_eq!(value[6..12], [0.0; 6]);
        assert_eq!(value[12..19], [21.0, 22.0, 23.0, 24.0, 25.0, 26.0, 27.0]);
        assert_eq!(constraints[0].value.dtype(), DType::F32);
    }

    #[test]
    fn what_is_asked_for_is_free_and_the_rest_is_held() {
        let mut conditioning = conditioning([true, true]);
        conditioning.text.tensors.insert(PLAN, plan(&[channel::HAIR, channel::HEAD_NOD, channel::WARMTH]));
        let constraints = constraints(&conditioning).unwrap();
        let mask = row(&constraints[0].mask, 0);
        assert!(mask[..19].iter().all(|&held| held == 1.0), "no blink is asked for");
        assert_eq!(mask[19..], [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
        let fields = constraints[1].mask.narrow(2, 0, 1).unwrap().narrow(3, 2, 1).unwrap().narrow(4, 2, 1).unwrap();
        assert_eq!(fields.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(constraints[1].value.dims(), [1, 4, 25, 6, 6]);
    }

    #[test]
    fn a_missing_camera_is_an_error() {
        let mut conditioning = conditioning([true, true]);
        conditioning.text.tensors.clear();
        assert!(constraints(&conditioning).unwrap_err().to_string().contains("`camera`"));
    }
}
