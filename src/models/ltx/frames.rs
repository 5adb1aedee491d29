//! Latents to frames, one by one.

use candle_core::{Device, Tensor};

use super::denoiser::part;
use super::pieces::{Frames, Piece};
use super::vae::config::Config;
use super::vae::decoder::{Decoder, LatentSize};
use super::vae::statistics::Statistics;
use super::vae::stream::Stream;
use crate::backend::cpu::memory;
use crate::device::available_memory;
use crate::diffusion::noise::{self, Purpose};
use crate::error::{Error, Result};
use crate::models::{self, DecodeInputs, DecodeState, VaeTiling};
use crate::ops::pixels::{FrameBytes, FrameReader, to_bytes};
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
        let (_, _, latent_frames, ..) = latents.dims5()?;
        let size = LatentSize::of(&latents)?;
        let map_noise = self.decoder.draw_noise(inputs.seed, size)?;
        let latents = self.placed(&latents)?;
        let map_noise = map_noise.iter().map(|map| self.placed(map)).collect::<Result<Vec<_>>>()?;
        let frames = self.frames(size, self.config.temporal_ratio() * (latent_frames - 1) + 1);
        let piece = match inputs.piece {
            Some(side) => frames.piece_of(side),
            None => frames.largest(available_memory(&self.placement.device)),
        };
        if self.placement.device.is_cpu() {
            // What does not fit cannot be freed half way: Rust ends a program whose allocation fails.
            memory::expect(frames.needed(piece))?;
        }
        if let (Some(tiles), Piece::Tiles(tiling)) = (frames.tiles(piece), piece) {
            let given = (inputs.settings.timestep, map_noise.as_slice());
            let frames = self.decoder.decode_tiled(&latents, given, tiling)?.into_iter();
            return Ok(Box::new(Decoded { frames, read: 0, note: format!("frames are decoded in {tiles}") }));
        }
        let stream = self.decoder.prepare(inputs.settings.timestep, &map_noise)?.stream(&latents)?;
        Ok(Box::new(Streamed::new(stream, &self.placement.device)?))
    }

    fn largest_piece(&self, inputs: &DecodeInputs, below: Option<usize>) -> Option<usize> {
        let side = |length: usize| length / self.config.spatial_ratio();
        let size = LatentSize { height: side(inputs.clip.height), width: side(inputs.clip.width) };
        let frames = self.frames(size, inputs.clip.frames.0);
        let available = available_memory(&self.placement.device);
        let piece = match below {
            Some(below) => frames.largest_below(below, available)?,
            None => frames.largest(available),
        };
        Some(frames.side(piece))
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
            frames: Streamed::new(stream, &self.placement.device)?,
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

    fn frames(&self, size: LatentSize, count: usize) -> Frames<'_> {
        Frames { config: &self.config, size, count, placement: &self.placement, tiling: self.tiling }
    }
}

/// A decode without tiles.
struct Streamed {
    stream: Stream,
    reader: FrameReader,
    ended: bool,
    read: usize,
}

impl Streamed {
    fn new(stream: Stream, device: &Device) -> Result<Self> {
        Ok(Self { stream, reader: FrameReader::new(device)?, ended: false, read: 0 })
    }
}

impl DecodeState for Streamed {
    fn next(&mut self) -> Result<Option<Picture>> {
        // A device that computes beside its copies is not to wait for them.
        while !self.ended && self.reader.takes_more() {
            match self.stream.next()? {
                Some(pixels) => self.reader.begin(pixels)?,
                None => self.ended = true,
            }
        }
        let Some(frame) = self.reader.finish()? else { return Ok(None) };
        self.read += 1;
        picture(frame, self.read).map(Some)
    }
}

/// A decode in tiles: all frames at once, because every tile has a part of each.
struct Decoded {
    /// `[3, H, W]` each.
    frames: std::vec::IntoIter<Tensor>,
    read: usize,
    note: String,
}

impl DecodeState for Decoded {
    fn next(&mut self) -> Result<Option<Picture>> {
        let Some(pixels) = self.frames.next() else { return Ok(None) };
        self.read += 1;
        let (_, height, width) = pixels.dims3()?;
        picture(FrameBytes { height, width, bytes: to_bytes(&pixels)? }, self.read).map(Some)
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

/// A decoded frame as a picture; `number` counts the frames that the decoder gives, from 1.
fn picture(FrameBytes { height, width, bytes }: FrameBytes, number: usize) -> Result<Picture> {
    let Some(bytes) = bytes else {
        // A frame of them would be black.
        let hint = "try --dtype f32 or another --vae, and report it with the exact command";
        return Err(Error::run(format!("decoded frame {number}"), "finite values", "NaN or infinity", hint));
    };
    Ok(Picture::new(width, height, bytes))
}
