//! A quick look at a clip while it is being made: small, with half the frames or fewer.

use super::observer::Observer;
use crate::error::Result;
use crate::latents::Latents;
use crate::media::{self, Target};
use crate::models::{Conditioning, DecodeInputs, DecodeSettings, Decoder};
use crate::picture::Picture;
use crate::units::{Clip, Fps, PixelFrames};

/// The short side in pixels; a smaller clip keeps its size.
const SHORT_SIDE: usize = 240;
/// At most this many frames a second.
const MOST_FPS: f64 = 12.5;

/// Writes previews of one clip, each in place of the one before.
pub struct Preview<'a> {
    target: Target,
    decoder: &'a dyn Decoder,
    picture: Picture,
    clip: Clip,
    settings: DecodeSettings,
}

impl<'a> Preview<'a> {
    /// `picture` and `clip`: as the model gets them.
    pub fn new(target: Target, decoder: &'a dyn Decoder, picture: &Picture, pass: (&Clip, DecodeSettings)) -> Self {
        let (clip, settings) = pass;
        let small = small(clip);
        let picture = media::framing::cover(picture, small.width, small.height);
        // Each preview takes the place of the one before; that of an earlier run has been checked for.
        Self { target: Target { replace: true, ..target }, decoder, picture, clip: small, settings }
    }

    /// Writes what the latents show, and says so.
    ///
    /// # Errors
    /// A failed tensor operation, encoder or file operation.
    pub fn write(&self, latents: &Latents, conditioning: &Conditioning, observer: &mut dyn Observer) -> Result<()> {
        let (picture, clip) = (Some(&self.picture), &self.clip);
        let inputs =
            DecodeInputs { latents, conditioning, picture, clip, settings: self.settings, seed: 0, piece: None };
        let mut frames = self.decoder.start_preview(&inputs)?;
        let mut writer = media::create(&self.target, &self.clip)?;
        while let Some(frame) = frames.next()? {
            writer.write(&media::framing::stretched(frame, (clip.width, clip.height)))?;
        }
        observer.preview(&writer.finish()?.path);
        Ok(())
    }
}

/// The small version of a clip: the same aspect and duration.
pub fn small(clip: &Clip) -> Clip {
    let scale = (SHORT_SIDE as f64 / clip.width.min(clip.height) as f64).min(1.0);
    let side = |side: usize| ((side as f64 * scale / 2.0).round() as usize).max(1) * 2;
    let apart = (clip.fps.0 / MOST_FPS).ceil().max(1.0);
    Clip {
        width: side(clip.width),
        height: side(clip.height),
        frames: PixelFrames((clip.frames.0 as f64 / apart).ceil() as usize),
        fps: Fps(clip.fps.0 / apart),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_small_and_lasts_as_long() {
        let clip = Clip { width: 1280, height: 720, frames: PixelFrames(150), fps: Fps(25.0) };
        let wanted = Clip { width: 426, height: 240, frames: PixelFrames(75), fps: Fps(12.5) };
        assert_eq!(small(&clip), wanted);
        let tiny = Clip { width: 64, height: 96, frames: PixelFrames(1), fps: Fps(5.0) };
        assert_eq!(small(&tiny), tiny);
    }
}
