//! What an autoencoder in a single file is made of, where the file says nothing: concluded from the shapes of its tensors.

use super::blocks::{Block, Blocks, Kind};
use super::config::{COLOURS, Config};
use crate::error::{Error, Result};

impl Config {
    /// `shape`: of the tensor with a name as in Lightricks' single files, without `vae.`; `thing` is what messages call the file. What
    /// shapes do not show is as in the releases: from 0.9.1 on, when decoders are told the timestep, doubling adds its input.
    ///
    /// # Errors
    /// Tensors that are not those of an autoencoder.
    pub fn of_shapes(shape: impl Fn(&str) -> Option<Vec<usize>>, thing: &str) -> Result<Self> {
        Shapes { shape, thing }.blocks()?.config(thing)
    }
}

struct Shapes<'a, S> {
    shape: S,
    thing: &'a str,
}

/// Channels of a convolution.
struct Channels {
    to: usize,
    from: usize,
}

impl<S: Fn(&str) -> Option<Vec<usize>>> Shapes<'_, S> {
    fn blocks(&self) -> Result<Blocks> {
        let [first, last] = [self.channels("encoder.conv_in.conv")?, self.channels("encoder.conv_out.conv")?];
        let output = self.channels("decoder.conv_out.conv")?;
        let patch = (first.from / COLOURS).isqrt();
        if patch * patch * COLOURS != first.from || last.to < 2 {
            return Err(self.refusal("encoder.conv_in.conv", "colours of a square of pixels", &first.from.to_string()));
        }
        let timestep_conditioning = self.has("decoder.last_scale_shift_table");
        Ok(Blocks {
            encoder: self.encoder(first.to)?,
            decoder: self.decoder(timestep_conditioning)?,
            encoder_channels: first.to,
            decoder_channels: output.from,
            latent_channels: last.to - 1,
            patch,
            timestep_conditioning,
            decoder_causal: false,
        })
    }

    fn encoder(&self, mut channels: usize) -> Result<Vec<Block>> {
        let mut blocks = Vec::new();
        for index in 0.. {
            let place = format!("encoder.down_blocks.{index}");
            let block = if let Some(block) = self.residuals(&place) {
                block
            } else if let Some(change) = self.find(&format!("{place}.conv1.conv")) {
                Block { multiplier: ratio(change.to, channels), ..Block::new(Kind::Change) }
            } else if let Some(convolution) = self.find(&format!("{place}.conv.conv")) {
                // What comes next shows how many channels the folding makes.
                let next = self.find(&format!("encoder.down_blocks.{}.res_blocks.0.conv1.conv", index + 1));
                let next = next.map_or(0, |next| next.to);
                let kind = match ratio(next, convolution.to) {
                    2 => "temporal",
                    4 => "spatial",
                    8 => "spatiotemporal",
                    other => return Err(self.refusal(&place, "a folding by 2, 4 or 8", &other.to_string())),
                };
                Block { multiplier: ratio(next, channels), ..Block::new(Kind::Fold(kind)) }
            } else if self.find(&format!("{place}.conv")).is_some() {
                Block::new(Kind::Scale)
            } else {
                break;
            };
            channels = channels.saturating_mul(block.multiplier);
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn decoder(&self, residual: bool) -> Result<Vec<Block>> {
        let mut blocks = Vec::new();
        for index in 0.. {
            let place = format!("decoder.up_blocks.{index}");
            let block = if let Some(block) = self.residuals(&place) {
                block
            } else if let Some(Channels { to, from }) = self.find(&format!("{place}.conv1.conv")) {
                Block { multiplier: ratio(from, to), ..Block::new(Kind::Change) }
            } else if let Some(Channels { to, from }) = self.find(&format!("{place}.conv.conv")) {
                Block { residual, multiplier: ratio(from.saturating_mul(8), to), ..Block::new(Kind::Scale) }
            } else {
                break;
            };
            if block.multiplier == 0 {
                return Err(self.refusal(&place, "channels that divide", "others"));
            }
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// Residual blocks that keep the channels, if there are any at `place`.
    fn residuals(&self, place: &str) -> Option<Block> {
        let present = |index: &usize| self.has(&format!("{place}.res_blocks.{index}.conv1.conv.weight"));
        let layers = (0..).take_while(present).count();
        let inject_noise = self.has(&format!("{place}.res_blocks.0.per_channel_scale1"));
        (layers > 0).then(|| Block { layers, inject_noise, ..Block::new(Kind::Residuals) })
    }

    fn has(&self, name: &str) -> bool {
        (self.shape)(name).is_some()
    }

    fn find(&self, layer: &str) -> Option<Channels> {
        match (self.shape)(&format!("{layer}.weight"))?.as_slice() {
            [to, from, _, _, _] => Some(Channels { to: *to, from: *from }),
            _ => None,
        }
    }

    fn channels(&self, layer: &str) -> Result<Channels> {
        self.find(layer).ok_or_else(|| self.refusal(&format!("{layer}.weight"), "a 3-D convolution", "none"))
    }

    fn refusal(&self, place: &str, wanted: &str, found: &str) -> Error {
        let hint = "the file holds no autoencoder of LTX-Video; give one with --vae";
        Error::input(format!("`{place}` of {}", self.thing), wanted, found, hint)
    }
}

/// How many times `part` goes into `whole`; 0 where it does not.
fn ratio(whole: usize, part: usize) -> usize {
    if part > 0 && whole.is_multiple_of(part) { whole / part } else { 0 }
}
