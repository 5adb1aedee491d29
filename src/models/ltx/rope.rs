//! Rotary positions in time and space, over the whole width of the hidden state.

use candle_core::{Device, Tensor};

use super::config::TransformerConfig;
use crate::error::Result;
use crate::units::Fps;

/// Pixel frames, rows and columns of one latent voxel.
const STRIDE: [usize; 3] = [8, 32, 32];

/// Latent frames, rows and columns of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatentGrid {
    /// Latent frames, `F`.
    pub frames: usize,
    /// Latent rows, `H`.
    pub height: usize,
    /// Latent columns, `W`.
    pub width: usize,
}

impl LatentGrid {
    /// The number of tokens, `N`.
    pub fn tokens(&self) -> usize {
        self.frames * self.height * self.width
    }
}

/// Cosines and sines for all tokens of one grid, for every pair of neighbouring channels.
pub struct Rope {
    /// `[N, D / 2]`, float32.
    cosines: Tensor,
    /// `[N, D / 2]`, float32.
    sines: Tensor,
}

impl Rope {
    /// Tables for a clip of `fps` frames a second.
    ///
    /// Pair `rest + 3 k + axis` turns by frequency `k` of the axis (time, rows, columns); the first `rest` pairs, where the width is no
    /// multiple of 6, are left alone. Everything is rounded to float32 where the references round it: the fastest angle is 15708, where
    /// one rounding is 1e-3 radians.
    ///
    /// # Errors
    /// A failed tensor operation.
    ///
    /// # Source
    /// `LTXVideoRotaryPosEmbed` of diffusers 0.42.1, with the coordinates of `LTXConditionPipeline` for causal releases and those of
    /// `LTXPipeline` for the older ones.
    pub fn new(config: &TransformerConfig, grid: LatentGrid, fps: Fps, device: &Device) -> Result<Self> {
        let count = config.width() / 6;
        let frequencies = frequencies(config.theta, count);
        let second = (1.0 / fps.0) as f32;
        let positions = [
            (0..grid.frames).map(|frame| pixel_frame(frame, config.causal_time) as f32 * second).collect::<Vec<_>>(),
            (0..grid.height).map(|row| (row * STRIDE[1]) as f32).collect(),
            (0..grid.width).map(|column| (column * STRIDE[2]) as f32).collect(),
        ];
        let shape = [grid.frames, grid.height, grid.width];
        let table = |turn: fn(f64) -> f64, identity: f64| -> Result<Tensor> {
            let mut axes = Vec::with_capacity(3);
            for (axis, positions) in positions.iter().enumerate() {
                let values: Vec<f32> = positions
                    .iter()
                    .flat_map(|position| {
                        let centred = *position / config.max_positions[axis] as f32 * 2.0 - 1.0;
                        frequencies.iter().map(move |frequency| turn(f64::from(frequency * centred)) as f32)
                    })
                    .collect();
                // Angles of an axis depend on one coordinate alone, so each is computed once and repeated over the grid.
                let mut own = [1, 1, 1, count, 1];
                own[axis] = shape[axis];
                let values = Tensor::from_vec(values, &own, &Device::Cpu)?;
                axes.push(values.broadcast_as((shape[0], shape[1], shape[2], count, 1))?);
            }
            let turned = Tensor::cat(&axes, 4)?.reshape((grid.tokens(), 3 * count))?;
            let rest = config.width() / 2 - 3 * count;
            let kept = Tensor::full(identity as f32, (grid.tokens(), rest), &Device::Cpu)?;
            Ok(Tensor::cat(&[kept, turned], 1)?.to_device(device)?)
        };
        Ok(Self { cosines: table(libm::cos, 1.0)?, sines: table(libm::sin, 0.0)? })
    }

    /// Cosines, `[N, D / 2]`, float32.
    pub fn cosines(&self) -> &Tensor {
        &self.cosines
    }

    /// Sines, `[N, D / 2]`, float32.
    pub fn sines(&self) -> &Tensor {
        &self.sines
    }
}

/// The pixel frame at which a latent frame lies. A causal VAE puts frame 0 alone into latent frame 0 and eight frames into each other one,
/// which then lies at the first of them.
fn pixel_frame(latent_frame: usize, causal: bool) -> usize {
    let frame = latent_frame * STRIDE[0];
    if causal { (frame + 1).saturating_sub(STRIDE[0]) } else { frame }
}

/// `count` frequencies from pi / 2 to `theta` times that, in equal ratios.
fn frequencies(theta: f64, count: usize) -> Vec<f32> {
    let step = f64::from(1.0 / (count - 1) as f32);
    let share = |index: usize| {
        // PyTorch's `linspace` counts from the nearer end, and rounds once.
        let exact = if index < count / 2 { step * index as f64 } else { 1.0 - step * (count - 1 - index) as f64 };
        exact as f32
    };
    let ratio = |index: usize| libm::pow(theta, f64::from(share(index))) as f32;
    (0..count).map(|index| ratio(index) * std::f32::consts::PI / 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causal_latent_frames_lie_where_their_first_pixel_frame_does() {
        assert_eq!([0, 1, 2, 19].map(|frame| pixel_frame(frame, true)), [0, 1, 9, 145]);
        assert_eq!([0, 1, 2, 19].map(|frame| pixel_frame(frame, false)), [0, 8, 16, 152]);
    }

    #[test]
    fn frequencies_go_from_a_quarter_turn_to_theta_times_that() {
        let values = frequencies(10_000.0, 5);
        let expected = [1.0, 10.0, 100.0, 1000.0, 10_000.0].map(|ratio| ratio * std::f32::consts::FRAC_PI_2);
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() <= 2e-6 * expected, "{values:?}");
        }
    }
}
