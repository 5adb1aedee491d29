//! The fixed linear codec of the first stage: latents to motion curves and coarse fields, for a clip of any length.
//!
//! It stands where a learned decoder will stand. Twelve of 25 DCT terms in time take the jitter out of what a denoiser predicts; motion starts from
//! rest; natural cubic splines join the 25 keys. The camera and the blink are known or fast, and stay as they are.
//!
//! # Source
//! `scripts/sway/codec.py`.

use std::f64::consts::PI;
use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::denoiser::parts;
use super::motion::{ControlFrame, Field, MotionFrame};
use super::{CELLS, CONTROL_CHANNELS, GRID, KEYS, LATENT_CHANNELS};
use crate::error::Result;
use crate::latents::Latents;
use crate::units::{Clip, Seconds};

/// Time of the last frame of the clips that the networks were trained on, 150 frames at 25 fps: the 25 keys span it.
const KEYED_SECONDS: f64 = 149.0 / 25.0;
/// Where a longer clip turns back, motion slows down and picks up again within this time on either side.
const TURNING_SECONDS: f64 = 0.4;
/// A clip that is longer by no more than this just stops there: 6 s at any rate end within it.
const STOPPING_SECONDS: f64 = 0.05;
/// Samples of a blink over the clip: six for each key.
const BLINK_SAMPLES: usize = 150;
/// Where the blink's samples lie in the control channels, left and right.
const BLINK: [Range<usize>; 2] = [0..6, 6..12];
/// Control channels of the camera.
pub const CAMERA: Range<usize> = 12..19;
/// Control channels of head, breath and light.
const BODY: Range<usize> = 19..26;
/// DCT terms that are kept.
const KEPT_TERMS: usize = 12;
/// The value at key 0 is taken away, fading like this.
const START_DECAY_SECONDS: f64 = 0.5;
/// The eye is as in the picture for this many samples.
const RESTING_BLINK_SAMPLES: usize = 3;
/// Closures this near to open or closed are meant as open or closed: without it the lids of an open eye would tremble.
const BLINK_SLACK: f64 = 0.04;

/// All motion of a clip, to be asked at any time.
pub struct Motion {
    clip: Clip,
    /// Closure 0 to 1, left and right.
    blink: [Vec<f64>; 2],
    camera: Vec<Spline>,
    body: Vec<Spline>,
    /// By channel, row and column.
    fields: Vec<Spline>,
}

impl Motion {
    /// Decodes the latents for a clip.
    ///
    /// # Errors
    /// Parts of another shape.
    pub fn decode(latents: &Latents, clip: &Clip) -> Result<Self> {
        let (spatial, control) = parts(latents)?;
        let control = series(&control.squeeze(0)?.t()?, CONTROL_CHANNELS)?;
        let spatial = series(&spatial.squeeze(0)?.permute((0, 2, 3, 1))?, LATENT_CHANNELS * CELLS)?;
        let smooth = |keys: &Keys| Spline::through(smooth(keys));
        Ok(Self {
            clip: *clip,
            blink: BLINK.map(|channels| closure(&control[channels])),
            camera: control[CAMERA].iter().copied().map(Spline::through).collect(),
            body: control[BODY].iter().map(smooth).collect(),
            fields: spatial.iter().map(smooth).collect(),
        })
    }

    /// The clip's frames in order.
    ///
    /// Hair, cloth, head, breath and eyes move at their own pace whatever the clip's length: a shorter clip shows the beginning, a longer one
    /// goes back and forth. The camera and the light make their whole way from the first frame to the last.
    pub fn frames(&self) -> impl Iterator<Item = MotionFrame> + '_ {
        let end = self.clip.time(self.clip.frames.0.saturating_sub(1));
        (0..self.clip.frames.0)
            .map(move |index| self.at(keyed_share(self.clip.time(index), end), self.clip.position(index)))
    }

    /// The motion at a share of the keyed time, with camera and light at a share of the clip; both 0 to 1.
    pub fn at(&self, keyed: f64, position: f64) -> MotionFrame {
        let place = |share: f64| share * (KEYS - 1) as f64;
        let value = |spline: &Spline| spline.at(place(keyed)) as f32;
        let whole_way = |spline: &Spline| spline.at(place(position)) as f32;
        let blink = |samples: &[f64]| interpolate(samples, keyed * (BLINK_SAMPLES - 1) as f64) as f32;
        let field = |first_channel: usize| -> Field {
            let at =
                |channel: usize, row: usize, column: usize| value(&self.fields[(channel * GRID + row) * GRID + column]);
            std::array::from_fn(|row| {
                std::array::from_fn(|column| std::array::from_fn(|axis| at(first_channel + axis, row, column)))
            })
        };
        let control = ControlFrame {
            blink_left: blink(&self.blink[0]),
            blink_right: blink(&self.blink[1]),
            pan_x: whole_way(&self.camera[0]),
            pan_y: whole_way(&self.camera[1]),
            truck_x: whole_way(&self.camera[2]),
            truck_y: whole_way(&self.camera[3]),
            zoom: whole_way(&self.camera[4]),
            push: whole_way(&self.camera[5]),
            roll: whole_way(&self.camera[6]),
            head_yaw: value(&self.body[0]),
            head_pitch: value(&self.body[1]),
            head_roll: value(&self.body[2]),
            head_bob: value(&self.body[3]),
            breath: value(&self.body[4]),
            light_gain: whole_way(&self.body[5]),
            warmth: whole_way(&self.body[6]),
        };
        MotionFrame { control, hair_field: field(0), cloth_field: field(2) }
    }
}

/// The share of the keyed time, 0 to 1, that is shown at a time of a clip whose last frame is at `end`: the time itself as far as the keys
/// reach, then back and forth, with rounded turns.
fn keyed_share(time: Seconds, end: Seconds) -> f64 {
    if end.0 <= KEYED_SECONDS + STOPPING_SECONDS {
        return (time.0 / KEYED_SECONDS).min(1.0);
    }
    let turns = (time.0 / KEYED_SECONDS).round();
    let from_turn = (time.0 - turns * KEYED_SECONDS).abs();
    // The start is no turn.
    let away = if turns > 0.0 && from_turn < TURNING_SECONDS {
        (TURNING_SECONDS + from_turn * from_turn / TURNING_SECONDS) / 2.0
    } else {
        from_turn
    };
    let at_the_last_key = turns % 2.0 == 1.0;
    if at_the_last_key { 1.0 - away / KEYED_SECONDS } else { away / KEYED_SECONDS }
}

/// One value for each key.
type Keys = [f64; KEYS];

/// `[..., 25]` as `count` series of keys.
fn series(tensor: &Tensor, count: usize) -> Result<Vec<Keys>> {
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.contiguous()?.reshape((count, KEYS))?;
    Ok(values.to_vec2::<f64>()?.iter().map(|keys| std::array::from_fn(|key| keys[key])).collect())
}

/// A closure with [`BLINK_SLACK`] at both ends, in [0, 1].
fn without_slack(closure: f64) -> f64 {
    ((closure - BLINK_SLACK) / (1.0 - 2.0 * BLINK_SLACK)).clamp(0.0, 1.0)
}

/// Closure samples of one eye from its six channels: stored doubled, 0 open to 2 closed.
fn closure(channels: &[Keys]) -> Vec<f64> {
    let mut samples: Vec<f64> =
        (0..BLINK_SAMPLES).map(|sample| without_slack(channels[sample % 6][sample / 6] / 2.0)).collect();
    samples[..RESTING_BLINK_SAMPLES].fill(0.0);
    samples
}

/// The first twelve orthonormal DCT-II terms of the keys, starting from 0.
fn smooth(keys: &Keys) -> Keys {
    let basis = |term: usize, key: usize| {
        let norm = if term == 0 { (1.0 / KEYS as f64).sqrt() } else { (2.0 / KEYS as f64).sqrt() };
        norm * libm::cos(PI * (key as f64 + 0.5) * term as f64 / KEYS as f64)
    };
    let mut smooth = [0.0; KEYS];
    for term in 0..KEPT_TERMS {
        let coefficient: f64 = keys.iter().enumerate().map(|(key, value)| value * basis(term, key)).sum();
        for (key, value) in smooth.iter_mut().enumerate() {
            *value += coefficient * basis(term, key);
        }
    }
    let start = smooth[0];
    for (key, value) in smooth.iter_mut().enumerate() {
        let seconds = key as f64 * KEYED_SECONDS / (KEYS - 1) as f64;
        *value -= start * libm::exp(-seconds / START_DECAY_SECONDS);
    }
    smooth
}

/// Linear interpolation between samples at 0, 1, 2 and so on.
fn interpolate(samples: &[f64], place: f64) -> f64 {
    let left = (place.max(0.0) as usize).min(samples.len() - 2);
    let fraction = place - left as f64;
    samples[left] * (1.0 - fraction) + samples[left + 1] * fraction
}

/// The natural cubic spline through the keys at 0, 1, ..., 24: its second derivative is 0 at both ends.
struct Spline {
    keys: Keys,
    /// Second derivative at each key.
    bend: Keys,
}

impl Spline {
    /// # Source
    /// Press et al., "Numerical Recipes" (third edition), section 3.3: the tridiagonal system, solved by elimination.
    fn through(keys: Keys) -> Self {
        let mut bend = [0.0; KEYS];
        let mut upper = [0.0; KEYS];
        for key in 1..KEYS - 1 {
            let second_difference = keys[key - 1] - 2.0 * keys[key] + keys[key + 1];
            let pivot = 4.0 - upper[key - 1];
            upper[key] = 1.0 / pivot;
            bend[key] = (6.0 * second_difference - bend[key - 1]) / pivot;
        }
        for key in (1..KEYS - 1).rev() {
            bend[key] -= upper[key] * bend[key + 1];
        }
        Self { keys, bend }
    }

    fn at(&self, place: f64) -> f64 {
        let left = (place.max(0.0) as usize).min(KEYS - 2);
        let (b, a) = (place - left as f64, 1.0 - (place - left as f64));
        let line = a * self.keys[left] + b * self.keys[left + 1];
        line + ((a.powi(3) - a) * self.bend[left] + (b.powi(3) - b) * self.bend[left + 1]) / 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Fps, PixelFrames};

    #[test]
    fn a_spline_passes_through_its_keys_and_reproduces_a_line() {
        let line = Spline::through(std::array::from_fn(|key| 3.0 - 0.5 * key as f64));
        for place in [0.0, 0.3, 11.5, 23.999, 24.0] {
            assert!((line.at(place) - (3.0 - 0.5 * place)).abs() < 1e-12);
        }
        let keys: Keys = std::array::from_fn(|key| ((key * key) % 7) as f64);
        let spline = Spline::through(keys);
        for (key, value) in keys.iter().enumerate() {
            assert!((spline.at(key as f64) - value).abs() < 1e-12);
        }
    }

    /// Twelve terms reach slow waves exactly and take the fastest one away.
    #[test]
    fn smoothing_keeps_slow_waves_and_drops_the_fastest() {
        let wave = |term: usize| -> Keys {
            std::array::from_fn(|key| libm::cos(PI * (key as f64 + 0.5) * term as f64 / KEYS as f64))
        };
        let (slow, fast) = (smooth(&wave(3)), smooth(&wave(24)));
        let start = wave(3)[0];
        for key in 0..KEYS {
            let rest = start * libm::exp(-(key as f64) * KEYED_SECONDS / 24.0 / START_DECAY_SECONDS);
            assert!((slow[key] - (wave(3)[key] - rest)).abs() < 1e-12 && fast[key].abs() < 1e-12);
        }
    }

    #[test]
    fn every_clip_starts_at_rest() {
        let parts = [("latents", (1, 4, 25, 6, 6).into()), ("control", candle_core::Shape::from((1, 25, 26)))];
        let ones = |shape: candle_core::Shape| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
        let mut latents = Latents { parts: parts.into_iter().map(|(name, shape)| (name, ones(shape))).collect() };
        let still = Tensor::zeros((1, 25, 7), DType::F32, &Device::Cpu).unwrap();
        let control = latents.parts["control"].slice_assign(&[0..1, 0..25, CAMERA], &still).unwrap();
        latents.parts.insert("control", control);
        let clip = Clip { width: 64, height: 64, frames: PixelFrames(72), fps: Fps(12.0) };
        let motion = Motion::decode(&latents, &clip).unwrap();
        let frames: Vec<MotionFrame> = motion.frames().collect();
        assert_eq!(frames.len(), 72);
        let magnitude = |frame: &MotionFrame| {
            let field: f32 =
                frame.hair_field.iter().chain(&frame.cloth_field).flatten().flatten().map(|v| v.abs()).sum();
            field + frame.control.breath.abs() + frame.control.blink_left + frame.control.pan_x.abs()
        };
        assert!(magnitude(&frames[0]) < 1e-5, "{:?}", frames[0]);
        assert!((frames[71].control.breath - 1.0).abs() < 0.01 && frames[71].control.blink_right == 0.5);
    }

    #[test]
    fn motion_keeps_its_pace_in_clips_of_any_length() {
        let share = |time: f64, end: f64| keyed_share(Seconds(time), Seconds(end));
        // The clip of 150 frames at 25 fps shows all keys, once and evenly; a shorter one their beginning.
        for index in 0..150 {
            assert!((share(index as f64 / 25.0, 149.0 / 25.0) - index as f64 / 149.0).abs() < 1e-12);
        }
        assert!((share(2.0, 2.0) - 2.0 / KEYED_SECONDS).abs() < 1e-12);
        // A longer one turns back and is at the start again after twice the time, without a jump in place or speed.
        let steps: Vec<f64> = (0..2000).map(|index| share(index as f64 / 100.0, 20.0)).collect();
        assert!(steps.iter().all(|share| (0.0..=1.0).contains(share)));
        let turned = steps[(2.0 * KEYED_SECONDS * 100.0) as usize];
        assert!(turned * KEYED_SECONDS < TURNING_SECONDS, "{turned}");
        for three in steps.windows(3) {
            assert!((three[1] - three[0]).abs() < 0.011 / KEYED_SECONDS);
            assert!((three[2] - 2.0 * three[1] + three[0]).abs() < 0.0003 / KEYED_SECONDS, "{three:?}");
        }
    }
}
