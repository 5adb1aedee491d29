//! Camera commands to the camera's control channels: clean values that the sampler holds.

use candle_core::{Device, Tensor};

use super::KEYS;
use crate::camera::{self, CameraCommand};
use crate::error::Result;

/// How many channels the camera has.
const WIDTH: usize = 7;
const PAN_X: usize = 0;
const PAN_Y: usize = 1;
const TRUCK_X: usize = 2;
const TRUCK_Y: usize = 3;
const ZOOM: usize = 4;
const PUSH: usize = 5;
const ROLL: usize = 6;

/// Seconds that the easing is designed for; a clip of another length keeps the shares.
const DESIGN_SECONDS: f64 = 6.0;
/// From rest to full speed, and back to rest.
const EASE_IN_SECONDS: f64 = 0.8;
const EASE_OUT_SECONDS: f64 = 0.6;

/// A camera command with its strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameraMove {
    /// What the camera does.
    pub command: CameraCommand,
    /// 1 is full strength: see [`camera_keys`]. Motion intensity does not change it.
    pub strength: f64,
}

impl CameraMove {
    /// A command at full strength, as one in brackets is.
    pub fn full(command: CameraCommand) -> Self {
        Self { command, strength: 1.0 }
    }
}

/// Control channels 12 to 18 at the 25 keys: `[key][pan_x, pan_y, truck_x, truck_y, zoom, push, roll]`, in the channels' units, where 1 is
/// full strength. All start at 0; an eased move ends at its strength exactly. Several commands add up.
///
/// Left, right, up and down are the camera's, the values the content's: "pan left" moves the content to the right, which is `pan_x = 1`.
/// A tracking shot is a slow truck to the right with a slight push. A shake is a fixed sum of slow sinusoids, the fastest that 25 keys carry.
///
/// # Errors
/// Commands that contradict each other: see [`camera::check_together`].
pub fn camera_keys(moves: &[CameraMove]) -> Result<[[f64; WIDTH]; KEYS]> {
    camera::check_together(&moves.iter().map(|camera_move| camera_move.command).collect::<Vec<_>>())?;
    let mut keys = [[0.0; WIDTH]; KEYS];
    for (index, key) in keys.iter_mut().enumerate() {
        let position = index as f64 / (KEYS - 1) as f64;
        for camera_move in moves {
            let values = match camera_move.command {
                CameraCommand::Shake => shake(position),
                eased => end_values(eased).map(|value| value * eased_position(position)),
            };
            for (sum, value) in key.iter_mut().zip(values) {
                *sum += camera_move.strength * value;
            }
        }
    }
    Ok(keys)
}

/// The same as a tensor `[1, 25, 7]`, float32 on the CPU: clean values of control channels 12 to 18.
///
/// # Errors
/// Commands that contradict each other, or a failed tensor operation.
pub fn camera_tensor(moves: &[CameraMove]) -> Result<Tensor> {
    let values: Vec<f32> = camera_keys(moves)?.iter().flatten().map(|value| *value as f32).collect();
    Ok(Tensor::from_vec(values, (1, KEYS, WIDTH), &Device::Cpu)?)
}

/// Where an eased move at full strength ends.
fn end_values(command: CameraCommand) -> [f64; WIDTH] {
    use CameraCommand::*;
    let ends: &[(usize, f64)] = match command {
        PanLeft => &[(PAN_X, 1.0)],
        PanRight => &[(PAN_X, -1.0)],
        TiltUp => &[(PAN_Y, 1.0)],
        TiltDown => &[(PAN_Y, -1.0)],
        TruckLeft => &[(TRUCK_X, 1.0)],
        TruckRight => &[(TRUCK_X, -1.0)],
        PedestalUp => &[(TRUCK_Y, 1.0)],
        PedestalDown => &[(TRUCK_Y, -1.0)],
        ZoomIn => &[(ZOOM, 1.0)],
        ZoomOut => &[(ZOOM, -1.0)],
        PushIn => &[(PUSH, 1.0)],
        PullOut => &[(PUSH, -1.0)],
        TrackingShot => &[(TRUCK_X, -0.6), (PUSH, 0.3)],
        Shake | StaticShot => &[],
    };
    let mut values = [0.0; WIDTH];
    for (channel, value) in ends {
        values[*channel] = *value;
    }
    values
}

/// Way covered at `position` in [0, 1]: the speed rises and falls as half a cosine and is even in between.
fn eased_position(position: f64) -> f64 {
    if position >= 1.0 {
        return 1.0;
    }
    let (rise, fall) = (EASE_IN_SECONDS / DESIGN_SECONDS, EASE_OUT_SECONDS / DESIGN_SECONDS);
    // The integral of (1 - cos(pi x / length)) / 2 over the first x of a ramp.
    let ramp = |x: f64, length: f64| {
        x / 2.0 - length / (2.0 * std::f64::consts::PI) * libm::sin(std::f64::consts::PI * x / length)
    };
    let total = 1.0 - (rise + fall) / 2.0;
    let covered = if position < rise {
        ramp(position, rise)
    } else if position <= 1.0 - fall {
        rise / 2.0 + (position - rise)
    } else {
        total - ramp(1.0 - position, fall)
    };
    covered / total
}

/// A hand that holds the camera: slow sway with a faster tremor, both on frequencies (in cycles a clip) that do not beat with the 25 keys.
/// Each channel's values stay within about 0.3, with a root mean square of 0.12 to 0.2, and begin at 0.
fn shake(position: f64) -> [f64; WIDTH] {
    let wave = |cycles: f64, phase: f64| {
        libm::sin(2.0 * std::f64::consts::PI * (cycles * position + phase))
            - libm::sin(2.0 * std::f64::consts::PI * phase)
    };
    let settle = (position * 12.0).min(1.0);
    let mut values = [0.0; WIDTH];
    values[PAN_X] = settle * (0.12 * wave(2.3, 0.0) + 0.12 * wave(6.7, 0.02) + 0.06 * wave(8.9, 0.48));
    values[PAN_Y] = settle * (0.12 * wave(1.9, 0.51) + 0.12 * wave(7.3, 0.03) + 0.06 * wave(9.1, 0.52));
    values[ROLL] = settle * (0.12 * wave(1.7, 0.02) + 0.10 * wave(5.9, 0.49));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(commands: &[CameraCommand], channel: usize) -> Vec<f64> {
        let moves: Vec<_> = commands.iter().copied().map(CameraMove::full).collect();
        camera_keys(&moves).unwrap().iter().map(|key| key[channel]).collect()
    }

    #[test]
    fn every_eased_command_ends_at_full_strength_in_its_own_channel_only() {
        use CameraCommand::*;
        let expected = [
            (PanLeft, PAN_X, 1.0),
            (PanRight, PAN_X, -1.0),
            (TiltUp, PAN_Y, 1.0),
            (TiltDown, PAN_Y, -1.0),
            (TruckLeft, TRUCK_X, 1.0),
            (TruckRight, TRUCK_X, -1.0),
            (PedestalUp, TRUCK_Y, 1.0),
            (PedestalDown, TRUCK_Y, -1.0),
            (ZoomIn, ZOOM, 1.0),
            (ZoomOut, ZOOM, -1.0),
            (PushIn, PUSH, 1.0),
            (PullOut, PUSH, -1.0),
        ];
        for (command, own, end) in expected {
            let keys = camera_keys(&[CameraMove::full(command)]).unwrap();
            assert_eq!(keys[0], [0.0; WIDTH], "{command:?}");
            for (other, value) in keys[KEYS - 1].iter().enumerate() {
                assert_eq!(*value, if other == own { end } else { 0.0 }, "{command:?} channel {other}");
            }
        }
    }

    #[test]
    fn an_eased_move_is_monotonic_starts_and_ends_at_rest_and_is_even_between() {
        let pan = channel(&[CameraCommand::PanLeft], PAN_X);
        let steps: Vec<f64> = pan.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| *step > 0.0));
        let cruise = steps[10];
        assert!(steps[0] < 0.35 * cruise && steps[23] < 0.45 * cruise, "{steps:?}");
        assert!(steps[4..20].iter().all(|step| (step - cruise).abs() < 1e-12));
        // A trapezoid of speed with 0.8 s and 0.6 s ramps covers 5.3 s worth of cruising in 6 s.
        assert!((cruise - (1.0 / 24.0) / (5.3 / 6.0)).abs() < 1e-12);
    }

    #[test]
    fn strength_scales_and_commands_add_up() {
        let moves = [
            CameraMove { command: CameraCommand::PushIn, strength: 0.6 },
            CameraMove { command: CameraCommand::TrackingShot, strength: 1.0 },
            CameraMove::full(CameraCommand::TiltUp),
        ];
        let last = camera_keys(&moves).unwrap()[KEYS - 1];
        for (value, wanted) in last.iter().zip([0.0, 1.0, -0.6, 0.0, 0.0, 0.9, 0.0]) {
            assert!((value - wanted).abs() < 1e-12, "{last:?}");
        }
    }

    #[test]
    fn a_shake_is_small_restless_and_begins_at_zero() {
        for own in [PAN_X, PAN_Y, ROLL] {
            let keys = channel(&[CameraCommand::Shake], own);
            assert_eq!(keys[0], 0.0);
            let mean = keys.iter().sum::<f64>() / KEYS as f64;
            let deviation = (keys.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / KEYS as f64).sqrt();
            assert!((0.08..0.22).contains(&deviation), "channel {own}: {deviation}");
            assert!(keys.iter().all(|value| value.abs() < 0.45), "channel {own}: {keys:?}");
            let turns = keys.windows(3).filter(|three| (three[1] - three[0]) * (three[2] - three[1]) < 0.0).count();
            assert!(turns >= 8, "channel {own} changes its direction only {turns} times");
        }
        assert!(channel(&[CameraCommand::Shake], ZOOM).iter().all(|value| *value == 0.0));
    }

    #[test]
    fn a_static_shot_and_no_command_are_exactly_zero() {
        for moves in [vec![], vec![CameraMove::full(CameraCommand::StaticShot)]] {
            assert_eq!(camera_keys(&moves).unwrap(), [[0.0; WIDTH]; KEYS]);
        }
    }

    #[test]
    fn contradictions_are_refused_by_both_names() {
        use CameraCommand::*;
        for (first, second) in [(PanLeft, PanRight), (ZoomOut, ZoomIn), (PushIn, StaticShot), (StaticShot, Shake)] {
            let moves = [CameraMove::full(first), CameraMove::full(second)];
            let error = camera_keys(&moves).unwrap_err();
            assert!(error.to_string().contains(first.name()) && error.to_string().contains(second.name()), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        camera_keys(&[CameraMove::full(PanLeft), CameraMove::full(ZoomIn), CameraMove::full(Shake)]).unwrap();
    }

    #[test]
    fn the_tensor_has_the_documented_shape() {
        let tensor = camera_tensor(&[CameraMove::full(CameraCommand::ZoomIn)]).unwrap();
        assert_eq!(tensor.dims(), [1, KEYS, super::super::codec::CAMERA.len()]);
    }
}
