//! Adaptive instance normalisation: the colours and contrasts of one clip in the latents of another.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// Keeps a channel that is the same everywhere from being divided by 0; it takes the mean of the reference.
const SMALLEST: f32 = f32::MIN_POSITIVE;

/// Brings every channel of `x` to the mean and the unbiased standard deviation of that channel of `reference`, by the share `share`: 0 leaves
/// `x` as it is, 1 goes the whole way.
///
/// `x: [B, C, F, H, W]` and `reference: [B, C, ...]`, float32, to the shape of `x`. The sizes of the two may differ.
///
/// # Errors
/// Fewer than two values in a channel, which deviate from nothing, and other batches or channels.
///
/// # Source
/// Huang and Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization" (ICCV 2017), equation 8; diffusers 0.42.1,
/// `LTXLatentUpsamplePipeline.adain_filter_latent`.
pub fn adaptive_instance_norm(x: &Tensor, reference: &Tensor, share: f64) -> Result<Tensor> {
    let (own, wanted) = (ChannelStatistics::of("latents", x)?, ChannelStatistics::of("reference latents", reference)?);
    let scale = (wanted.deviation / own.deviation.maximum(SMALLEST)?)?;
    let result = x.broadcast_sub(&own.mean)?.broadcast_mul(&scale)?.broadcast_add(&wanted.mean)?;
    Ok((x + ((result - x)? * share)?)?)
}

/// Mean and deviation of every channel, `[B, C, 1, 1, 1]`.
struct ChannelStatistics {
    mean: Tensor,
    deviation: Tensor,
}

impl ChannelStatistics {
    /// Of `[B, C, F, H, W]`; `name` is what messages call it.
    fn of(name: &str, x: &Tensor) -> Result<Self> {
        let (batch, channels, frames, height, width) = x.dims5()?;
        let places = frames * height * width;
        if places < 2 {
            let hint = "choose a larger size or more frames";
            return Err(Error::input(name, "two places or more in a channel", places.to_string(), hint));
        }
        let values = x.reshape((batch, channels, places))?;
        let shape = (batch, channels, 1, 1, 1);
        let mean = values.mean_keepdim(2)?;
        let deviation = values.broadcast_sub(&mean)?.sqr()?.sum_keepdim(2)? / (places - 1) as f64;
        Ok(Self { mean: mean.reshape(shape)?, deviation: deviation?.sqrt()?.reshape(shape)? })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// One batch, two channels of these values.
    fn clip(channels: [&[f32]; 2]) -> Tensor {
        let places = channels[0].len();
        Tensor::from_vec(channels.concat(), (1, 2, places, 1, 1), &Device::Cpu).unwrap()
    }

    fn matched(x: &Tensor, reference: &Tensor, share: f64) -> Vec<f32> {
        let result = adaptive_instance_norm(x, reference, share).unwrap();
        assert_eq!(result.dims(), x.dims());
        result.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// By hand: channel 0 has mean 2 and deviation sqrt(2), the reference 20 and 2 sqrt(2); channel 1 is as its reference already.
    #[test]
    fn channels_take_mean_and_deviation_by_hand() {
        let (x, reference) = (clip([&[1.0, 3.0], &[-4.0, 4.0]]), clip([&[18.0, 22.0], &[4.0, -4.0]]));
        assert_eq!(matched(&x, &reference, 1.0), [18.0, 22.0, -4.0, 4.0]);
        assert_eq!(matched(&x, &reference, 0.5), [9.5, 12.5, -4.0, 4.0]);
        assert_eq!(matched(&x, &reference, 0.0), [1.0, 3.0, -4.0, 4.0]);
    }

    /// By hand: 1, 2, 3 has the unbiased deviation 1, and 0, 2 that of sqrt(2). Biased ones would give another ratio.
    #[test]
    fn deviations_are_unbiased_where_sizes_differ() {
        let found = matched(&clip([&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]]), &clip([&[0.0, 2.0], &[0.0, 2.0]]), 1.0);
        let root = 2f32.sqrt();
        for (found, expected) in found.iter().zip([1.0 - root, 1.0, 1.0 + root, 1.0 - root, 1.0, 1.0 + root]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn a_channel_without_contrast_takes_the_mean() {
        assert_eq!(
            matched(&clip([&[7.0, 7.0], &[0.0, 1.0]]), &clip([&[1.0, 3.0], &[5.0, 5.0]]), 1.0),
            [2.0, 2.0, 5.0, 5.0]
        );
    }

    #[test]
    fn a_single_place_is_refused() {
        let (one, two) = (clip([&[1.0], &[1.0]]), clip([&[1.0, 2.0], &[1.0, 2.0]]));
        let message = adaptive_instance_norm(&two, &one, 1.0).unwrap_err().to_string();
        assert!(message.starts_with("reference latents") && message.ends_with("found 1"), "{message}");
    }
}
