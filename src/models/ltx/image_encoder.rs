//! The picture to the latent frame that the clip begins with.

use candle_core::{Device, Tensor};

use super::vae::encoder::Encoder;
use super::vae::statistics::Statistics;
use crate::error::Result;
use crate::models::{self, ImageCondition, PictureHints};
use crate::picture::Picture;
use crate::weights::store::Placement;

/// Tensor of the image condition: `[1, C, 1, H, W]`, float32 on the CPU, normalised: the mode of the posterior.
pub const LATENTS: &str = "latents";

/// The autoencoder's encoder.
pub struct ImageEncoder {
    /// The network.
    pub encoder: Encoder,
    /// Of its latents.
    pub statistics: Statistics,
    /// Where it runs.
    pub placement: Placement,
}

impl models::ImageEncoder for ImageEncoder {
    fn encode(&self, picture: &Picture, _hints: &PictureHints) -> Result<ImageCondition> {
        let Placement { dtype, device } = &self.placement;
        let pixels = pixels(picture)?.to_device(device)?.to_dtype(*dtype)?;
        let latents = self.statistics.normalise(&self.encoder.encode(&pixels)?.mean)?;
        Ok(ImageCondition { tensors: [(LATENTS, latents.to_device(&Device::Cpu)?)].into(), notes: Vec::new() })
    }
}

/// `[1, 3, 1, H, W]`, -1 to 1.
fn pixels(picture: &Picture) -> Result<Tensor> {
    let values: Vec<f32> = picture.pixels().iter().map(|value| f32::from(*value) / 127.5 - 1.0).collect();
    let rows = Tensor::from_vec(values, (picture.height(), picture.width(), 3), &Device::Cpu)?;
    Ok(rows.permute((2, 0, 1))?.unsqueeze(1)?.unsqueeze(0)?.contiguous()?)
}
