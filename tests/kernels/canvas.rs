//! Whole frames of `sway` by kernels, against the CPU's, byte for byte.

use std::collections::VecDeque;

use candle_core::{DType, Device, Tensor};
use stir::backend::cuda::relight::{self, Relight};
use stir::backend::cuda::soften::{self, Soften};
use stir::backend::cuda::warp::{self, Warp};
use stir::error::Result;
use stir::models::sway::decoder::FrameRenderer;
use stir::models::sway::motion::{ControlFrame, MotionFrame};
use stir::ops::canvas::{Canvas, Drawing};
use stir::ops::warp::{ReplacedRows, SplinePicture};
use stir::picture::Picture;

use crate::drawn_figure::{Scene, everything, gust, with};
use crate::emulated::Emulated;
use crate::memory::Memory;

/// What `ops/canvas/cuda.rs` does on a device: it holds copies, of which only the rows that it is told of are renewed.
struct EmulatedCanvas {
    coefficients: Vec<[f32; 4]>,
    pixels: Vec<u8>,
    strengths: Vec<f32>,
    width: usize,
    height: usize,
    drawn: VecDeque<Picture>,
}

impl EmulatedCanvas {
    fn of(renderer: &FrameRenderer) -> Self {
        let picture = renderer.source().picture();
        Self {
            coefficients: renderer.source().coefficients().to_vec(),
            pixels: picture.pixels().to_vec(),
            strengths: renderer.strengths(),
            width: picture.width(),
            height: picture.height(),
            drawn: VecDeque::new(),
        }
    }
}

fn memory(values: &[f32]) -> Memory {
    Memory::of(&Tensor::new(values, &Device::Cpu).unwrap())
}

impl Canvas for EmulatedCanvas {
    fn refresh(&mut self, picture: &SplinePicture, rows: &ReplacedRows) -> Result<()> {
        let row = self.coefficients.len() / picture.rows();
        let changed = rows.coefficients.start * row..rows.coefficients.end * row;
        self.coefficients[changed.clone()].copy_from_slice(&picture.coefficients()[changed]);
        let changed = rows.pixels.start * self.width * 3..rows.pixels.end * self.width * 3;
        self.pixels[changed.clone()].copy_from_slice(&picture.picture().pixels()[changed]);
        Ok(())
    }

    fn begin(&mut self, drawing: &Drawing<'_>) -> Result<()> {
        let (width, height) = (self.width, self.height);
        let coefficients = memory(self.coefficients.as_flattened());
        let pixels = Memory::of(&Tensor::new(self.pixels.as_slice(), &Device::Cpu)?);
        let nodes = memory(drawing.grid.values.as_flattened());
        let colours = Memory::poisoned(3 * width * height, DType::F32);
        Emulated::kernel("warp").run(&warp::plan(&Warp {
            coefficients: coefficients.address(),
            pixels: pixels.address(),
            nodes: nodes.address(),
            colours: colours.address(),
            width,
            height,
        }));
        if let Some(blurred) = drawing.blurred {
            let planes = memory(&blurred.planes.concat());
            Emulated::kernel("soften").run(&soften::plan(&Soften {
                planes: planes.address(),
                nodes: nodes.address(),
                colours: colours.address(),
                width,
                height,
                depth: blurred.depth,
            }));
        }
        let (strengths, bytes) = (memory(&self.strengths), Memory::poisoned(3 * width * height, DType::U8));
        Emulated::kernel("relight").run(&relight::plan(&Relight {
            colours: colours.address(),
            strengths: strengths.address(),
            bytes: bytes.address(),
            width,
            height,
            gain: drawing.gain,
            warmth: drawing.warm,
        }));
        self.drawn.push_back(Picture::new(width, height, bytes.tensor(3 * width * height).to_vec1()?));
        Ok(())
    }

    fn takes_more(&self) -> bool {
        self.drawn.is_empty()
    }

    fn finish(&mut self) -> Result<Option<Picture>> {
        Ok(self.drawn.pop_front())
    }
}

/// Lids come and go, light changes, and what lies beyond the borders comes into sight.
#[test]
fn frames_have_the_bytes_of_the_cpu() {
    let scene = Scene { width: 131, height: 99, face: (66.0, 40.0, 24.0), ..Scene::portrait() };
    let (_, mut renderer) = scene.renderer();
    let mut canvas = EmulatedCanvas::of(&renderer);
    let rest = MotionFrame::default();
    let out = with(ControlFrame { zoom: -1.0, roll: 0.8, blink_right: 0.5, warmth: 0.7, ..ControlFrame::default() });
    for motion in [rest, everything(), rest, out, MotionFrame { hair_field: gust(2.0), ..out }, everything(), rest] {
        let cover = if motion.control.zoom < 0.0 { 1.0 } else { 1.1 };
        renderer.begin_on(&mut canvas, &motion, cover).unwrap();
        let drawn = canvas.finish().unwrap().unwrap();
        assert!(drawn == renderer.render_covered(&motion, cover), "{motion:?}");
    }
    assert!(canvas.finish().unwrap().is_none());
}

/// Otherwise the test above could not see what it is about.
#[test]
fn the_scene_has_lids_to_draw() {
    let scene = Scene { width: 131, height: 99, face: (66.0, 40.0, 24.0), ..Scene::portrait() };
    let (picture, mut renderer) = scene.renderer();
    let closed = with(ControlFrame { blink_left: 1.0, blink_right: 1.0, ..ControlFrame::default() });
    assert!(renderer.render_covered(&closed, 1.0) != picture);
}
