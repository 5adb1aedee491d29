//! Latents to frames: the codec decodes motion, the renderer moves the picture.

use candle_core::Device;

use super::class_map::ClassMap;
use super::codec::Motion;
use super::decoder::FrameRenderer;
use super::decoder::camera::cover_zooms;
use super::given_eyes;
use super::motion::{ControlFrame, MotionFrame};
use super::named::named;
use super::parts::{PROBABILITIES, Parts};
use crate::error::{Error, Result};
use crate::models::{DecodeInputs, DecodeState, Decoder};
use crate::ops::canvas::Canvas;
use crate::picture::Picture;

/// The decoder: it has no weights of its own.
pub struct MotionDecoder {
    /// What draws the frames, if it can; otherwise the CPU does.
    pub device: Device,
}

impl Decoder for MotionDecoder {
    fn start(&self, inputs: &DecodeInputs) -> Result<Box<dyn DecodeState>> {
        let DecodeInputs { latents, conditioning, picture, clip, .. } = *inputs;
        let picture = picture.ok_or_else(|| {
            Error::run(
                "the decoder of sway",
                "the picture that it draws on",
                "none",
                "report it with the exact command",
            )
        })?;
        let probabilities = ClassMap::from_tensor(named(&conditioning.image.tensors, PROBABILITIES)?)?;
        let motion: Vec<MotionFrame> = Motion::decode(latents, clip)?.frames().collect();
        let control: Vec<ControlFrame> = motion.iter().map(|frame| frame.control).collect();
        let covers = cover_zooms(&control, clip.width, clip.height);
        let eyes = given_eyes::from_tensors(&conditioning.image.tensors, picture.width(), picture.height())?;
        let parts = Parts::with_eyes(&probabilities, &eyes, picture.width(), picture.height());
        let renderer = FrameRenderer::with_parts(picture.clone(), &probabilities, parts);
        let canvas = renderer.canvas_on(&self.device)?;
        let frames = motion.into_iter().zip(covers).collect::<Vec<_>>().into_iter();
        Ok(Box::new(Rendering { renderer, canvas, frames }))
    }
}

/// A decode under way.
struct Rendering {
    renderer: FrameRenderer,
    /// Where frames are drawn, unless by the CPU.
    canvas: Option<Box<dyn Canvas>>,
    /// Motion, and the zoom that keeps borders out of sight, of the frames that are left.
    frames: std::vec::IntoIter<(MotionFrame, f64)>,
}

impl DecodeState for Rendering {
    fn next(&mut self) -> Result<Option<Picture>> {
        let Some(canvas) = &mut self.canvas else {
            return Ok(self.frames.next().map(|(motion, cover)| self.renderer.render_covered(&motion, cover)));
        };
        while canvas.takes_more()
            && let Some((motion, cover)) = self.frames.next()
        {
            self.renderer.begin_on(canvas.as_mut(), &motion, cover)?;
        }
        canvas.finish()
    }
}
