//! Latents to frames, one by one.

use candle_core::{Device, IndexOp, Tensor};

use super::denoiser::part;
use super::vae::config::Config;
use super::vae::decoder::{Decoder, LatentSize};
use super::vae::memory::DecodeMemory;
use super::vae::statistics::Statistics;
use super::vae::stream::Stream;
use super::vae::tiling::Tiling;
use crate::device::available_memory;
use crate::diffusion::noise::{self, Purpose};
use crate::error::{Error, Result};
use crate::models::{self, DecodeInputs, DecodeState, VaeTiling};
use crate::ops::pixels::to_bytes;
use crate::picture::Picture;
use crate::weights::store::Placement;

/// The autoencoder's decoder.
pub struct FrameDecoder {
    /// The network.
    pub decoder: Decoder,
    /// What it is made of.
    pub config: Config,
    /// Of its latents.
    pub statistics: Statistics,
    /// Where it runs.
    pub placement: Placement,
    /// Whether frames are cut into tiles.
    pub tiling: VaeTiling,
}

/// A preview has frames of about this short side, in latent positions.
const PREVIEW_SIDE: usize = 8;

impl models::Decoder for FrameDecoder {
    fn start(&self, inputs: &DecodeInputs) -> Result<Box<dyn DecodeState>> {
        let latents = part(inputs.latents)?;
        let share = inputs.settings.noise;
        let noisy = if share > 0.0 {
            let values = noise::normals(inputs.seed, Purpose::Decode, 0, latents.elem_count());
            let noise = Tensor::from_vec(values, latents.shape(), &Device::Cpu)?;
            ((latents * (1.0 - share))? + (noise * share)?)?
        } else {
            latents.clone()
        };
        let latents = self.statistics.denormalise(&noisy)?;
        let size = LatentSize::of(&latents)?;
        let map_noise = self.decoder.draw_noise(inputs.seed, size)?;
        let latents = self.placed(&latents)?;
        let map_noise = map_noise.iter().map(|map| self.placed(map)).collect::<Result<Vec<_>>>()?;
        let reason = reason_for_tiles(self.tiling, &self.config, size, &self.placement);
        if let Some(reason) = reason {
            let given = (inputs.settings.timestep, map_noise.as_slice());
            let clip = self.decoder.decode_tiled(&latents, given, Tiling::DEFAULT)?;
            let note = format!("frames are decoded in tiles: {reason}");
            return Ok(Box::new(Decoded { clip, next: 0, note }));
        }
        let stream = self.decoder.prepare(inputs.settings.timestep, &map_noise)?.stream(&latents)?;
        Ok(Box::new(Streamed { stream, read: 0 }))
    }

    /// A decode of latents that are averaged over squares, brought back to the spread that the decoder knows.
    fn start_preview(&self, inputs: &DecodeInputs) -> Result<Box<dyn DecodeState>> {
        let latents = part(inputs.latents)?;
        let size = LatentSize::of(latents)?;
        let side = (size.height.min(size.width) / PREVIEW_SIDE).max(1);
        let frames = latents.dim(2)?;
        // What is not averaged keeps its spread, and a single position has none.
        let pooled = if side == 1 { latents.clone() } else { averaged(latents, side)? };
        let (_, _, _, height, width) = pooled.dims5()?;
        let latents = self.placed(&self.statistics.denormalise(&pooled)?)?;
        let map_noise = self.decoder.draw_noise(inputs.seed, LatentSize { height, width })?;
        let map_noise = map_noise.iter().map(|map| self.placed(map)).collect::<Result<Vec<_>>>()?;
        let stream = self.decoder.prepare(inputs.settings.timestep, &map_noise)?.stream(&latents)?;
        let decoded = self.config.temporal_ratio() * (frames - 1) + 1;
        Ok(Box::new(EveryFew {
            frames: Streamed { stream, read: 0 },
            decoded,
            wanted: inputs.clip.frames.0,
            read: 0,
            given: 0,
        }))
    }
}

/// Latents averaged over squares of this side, with the spread in each channel that they had before.
fn averaged(latents: &Tensor, side: usize) -> Result<Tensor> {
    let (_, channels, frames, _, _) = latents.dims5()?;
    let rows = latents.squeeze(0)?.transpose(0, 1)?.contiguous()?.avg_pool2d(side)?;
    let (_, _, height, width) = rows.dims4()?;
    let flat = rows.transpose(0, 1)?.contiguous()?.reshape((channels, frames * height * width))?;
    let mean = flat.mean_keepdim(1)?;
    let spread = |x: &Tensor| -> Result<Tensor> { Ok((x.var_keepdim(1)? + 1e-12)?.sqrt()?) };
    let full = latents.reshape((channels, ()))?;
    let flat = flat.broadcast_sub(&mean)?.broadcast_mul(&(spread(&full)? / spread(&flat)?)?)?.broadcast_add(&mean)?;
    Ok(flat.reshape((1, channels, frames, height, width))?)
}

impl FrameDecoder {
    fn placed(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_device(&self.placement.device)?.to_dtype(self.placement.dtype)?)
    }
}

/// Why a decode of latent frames of this size is one of tiles, if it is; frames no larger than a tile have nothing to cut.
pub fn reason_for_tiles(
    tiling: VaeTiling,
    config: &Config,
    size: LatentSize,
    placement: &Placement,
) -> Option<&'static str> {
    if size.height.max(size.width) <= Tiling::DEFAULT.side {
        return None;
    }
    match tiling {
        VaeTiling::On => Some("--vae-tiling is on"),
        VaeTiling::Off => None,
        VaeTiling::Auto => {
            let needed = DecodeMemory::of(config, size, placement.dtype.size_in_bytes()).peak();
            let available = available_memory(&placement.device)?;
            (needed as u64 > available).then_some("whole ones would not fit into memory")
        }
    }
}

/// A decode without tiles.
struct Streamed {
    stream: Stream,
    read: usize,
}

impl DecodeState for Streamed {
    fn next(&mut self) -> Result<Option<Picture>> {
        let Some(pixels) = self.stream.next()? else { return Ok(None) };
        self.read += 1;
        picture(&pixels, self.read).map(Some)
    }
}

/// A decode in tiles: all frames at once, because every tile has a part of each.
struct Decoded {
    /// `[1, 3, T, H, W]`.
    clip: Tensor,
    next: usize,
    note: String,
}

impl DecodeState for Decoded {
    fn next(&mut self) -> Result<Option<Picture>> {
        if self.next == self.clip.dim(2)? {
            return Ok(None);
        }
        self.next += 1;
        picture(&self.clip.i((0, .., self.next - 1))?, self.next).map(Some)
    }

    fn note(&self) -> Option<&str> {
        Some(&self.note)
    }
}

/// Some of the frames, evenly from the first to the last.
struct EveryFew {
    frames: Streamed,
    decoded: usize,
    wanted: usize,
    read: usize,
    given: usize,
}

impl DecodeState for EveryFew {
    fn next(&mut self) -> Result<Option<Picture>> {
        if self.given == self.wanted {
            return Ok(None);
        }
        let index = (self.given * (self.decoded - 1)).checked_div(self.wanted - 1).unwrap_or(0);
        self.given += 1;
        loop {
            let frame = self.frames.next()?;
            self.read += 1;
            if frame.is_none() || self.read > index {
                return Ok(frame);
            }
        }
    }
}

/// `[3, H, W]`, about -1 to 1, as a frame; `number` counts the frames that the decoder gives, from 1.
fn picture(pixels: &Tensor, number: usize) -> Result<Picture> {
    let (_, height, width) = pixels.dims3()?;
    let Some(bytes) = to_bytes(pixels)? else {
        // A frame of them would be black.
        let hint = "try --dtype f32 or another --vae, and report it with the exact command";
        return Err(Error::run(format!("decoded frame {number}"), "finite values", "NaN or infinity", hint));
    };
    Ok(Picture::new(width, height, bytes))
}
