//! The decoder: re-samples the user's own picture at full resolution, moved by the decoded motion.

mod beyond;
pub mod camera;
pub mod deform;
mod eye_region;
mod lids;
mod light;
mod lines;
pub mod puppet;
mod skin;

use candle_core::Device;

use super::class_map::ClassMap;
use super::motion::MotionFrame;
use super::parts::{Eye, Parts};
use crate::error::Result;
use crate::ops::canvas::{self, Canvas, CanvasPicture, Drawing};
use crate::ops::soften::{BlurredPicture, soften_row};
use crate::ops::warp::{DisplacementGrid, Replaced, SplinePicture, warp};
use crate::picture::Picture;

use beyond::out_of_focus;
use camera::{Camera, minimal_cover};
use deform::{Deformation, source_grid};
use lids::Lid;
use light::{LightChange, LightMap};
use puppet::Puppet;

/// Whether there is enough skin around `eye` to draw its lid by: without a lid it stays open.
pub fn can_close(picture: &Picture, probabilities: &ClassMap, eye: &Eye) -> bool {
    Lid::new(picture, probabilities, eye).is_some()
}

/// Draws the frames of one picture.
pub struct FrameRenderer {
    source: SplinePicture,
    parts: Parts,
    puppet: Puppet,
    light: LightMap,
    lids: [Option<Lid>; 2],
    /// Made when the camera first zooms out.
    beyond: Option<BlurredPicture>,
}

impl FrameRenderer {
    /// For a picture at the clip's size, and its class probabilities.
    pub fn new(picture: Picture, probabilities: &ClassMap) -> Self {
        let parts = Parts::find(probabilities, picture.width(), picture.height());
        Self::with_parts(picture, probabilities, parts)
    }

    /// The same where head and eyes are known already.
    pub fn with_parts(picture: Picture, probabilities: &ClassMap, parts: Parts) -> Self {
        Self {
            puppet: Puppet::new(&picture, probabilities, parts.head.as_ref()),
            light: LightMap::new(&picture),
            lids: [&parts.left_eye, &parts.right_eye]
                .map(|eye| eye.as_ref().and_then(|eye| Lid::new(&picture, probabilities, eye))),
            parts,
            source: SplinePicture::new(picture),
            beyond: None,
        }
    }

    /// What was found in the picture.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// One frame, zoomed in just so far that no border shows.
    pub fn render(&mut self, motion: &MotionFrame) -> Picture {
        let (width, height) = (self.source.picture().width(), self.source.picture().height());
        let zooms_out = motion.control.zoom + motion.control.push < 0.0;
        let cover = if zooms_out { 1.0 } else { minimal_cover(&motion.control, width, height) };
        self.render_covered(motion, cover)
    }

    /// One frame, zoomed in by at least `cover` (see [`camera::cover_zooms`]).
    pub fn render_covered(&mut self, motion: &MotionFrame, cover: f64) -> Picture {
        let grid = self.displacements(motion, cover);
        self.blur_beyond(motion, cover);
        let opened = self.close_eyes([motion.control.blink_left, motion.control.blink_right]);
        let frame = warp(&self.source, &grid, |row, displacements, colours, bytes| {
            if let Some(beyond) = &self.beyond {
                soften_row(beyond, row, displacements, colours);
            }
            self.light.finish_row(&motion.control, row, colours, bytes);
        });
        for replaced in opened.into_iter().rev() {
            self.source.restore(replaced);
        }
        frame
    }

    /// A canvas of this device for the picture; `None` where the CPU draws.
    ///
    /// # Errors
    /// Too little memory, or a device that fails.
    pub fn canvas_on(&self, device: &Device) -> Result<Option<Box<dyn Canvas>>> {
        if device.is_cpu() {
            return Ok(None);
        }
        canvas::on(device, &CanvasPicture { picture: &self.source, strengths: &self.strengths() })
    }

    /// How strongly light falls at each pixel of the picture, `[height, width]`, 1 on average.
    pub fn strengths(&self) -> Vec<f32> {
        self.light.strengths(self.source.picture().width(), self.source.picture().height())
    }

    /// The picture with its spline, eyes as they are.
    pub fn source(&self) -> &SplinePicture {
        &self.source
    }

    /// Begins to draw on a canvas of this picture what [`render_covered`](Self::render_covered) draws.
    ///
    /// # Errors
    /// Too little memory, or a device that fails.
    pub fn begin_on(&mut self, canvas: &mut dyn Canvas, motion: &MotionFrame, cover: f64) -> Result<()> {
        let grid = self.displacements(motion, cover);
        self.blur_beyond(motion, cover);
        let opened = self.close_eyes([motion.control.blink_left, motion.control.blink_right]);
        for replaced in &opened {
            canvas.refresh(&self.source, &replaced.rows())?;
        }
        let LightChange { gain, warm } = LightChange::of(&motion.control);
        canvas.begin(&Drawing { grid: &grid, blurred: self.beyond.as_ref(), gain, warm })?;
        for replaced in opened.into_iter().rev() {
            let rows = replaced.rows();
            self.source.restore(replaced);
            canvas.refresh(&self.source, &rows)?;
        }
        Ok(())
    }

    /// Blurs the picture for what lies beyond its borders, when the camera first zooms out.
    fn blur_beyond(&mut self, motion: &MotionFrame, cover: f64) {
        if self.beyond.is_none() && self.camera(motion, cover).scale() < 1.0 {
            self.beyond = Some(out_of_focus(self.source.picture()));
        }
    }

    fn camera(&self, motion: &MotionFrame, cover: f64) -> Camera {
        Camera::new(&motion.control, cover, self.source.picture().width(), self.source.picture().height())
    }

    /// From where each pixel of a frame is taken: what [`render_covered`](Self::render_covered) warps by.
    pub fn displacements(&self, motion: &MotionFrame, cover: f64) -> DisplacementGrid {
        let size = [self.source.picture().width(), self.source.picture().height()];
        let camera = self.camera(motion, cover);
        let deformation = Deformation::new(&self.puppet, motion, &camera, size);
        source_grid(deformation.as_ref(), &camera, size)
    }

    /// Draws the lids into the source; returns what undoes it.
    fn close_eyes(&mut self, closures: [f32; 2]) -> Vec<Replaced> {
        let mut replaced = Vec::new();
        for (lid, closure) in self.lids.iter().zip(closures) {
            let Some(lid) = lid else { continue };
            if closure > 0.0 {
                let pixels = lid.paint(self.source.picture(), closure);
                replaced.push(self.source.replace(lid.place(), &pixels));
            }
        }
        replaced
    }
}
