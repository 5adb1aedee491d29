//! From a picture to its image latents: the network looks at the whole picture, then once more at the head.
//!
//! Small faces need the second look: eyes of a few pixels in the first pass are tens of pixels in the second. Each look is the mean of the
//! picture's and its mirror image's probabilities.

use candle_core::{DType, Device, Tensor};

use super::FEATURES;
use super::class_map::ClassMap;
use super::decoder::can_close;
use super::encoder::{Encoder, MULTIPLE};
use super::features::{Figure, features};
use super::given_eyes::{self, EYES};
use super::parts::{HeadCrop, PROBABILITIES, Parts, find_heads};
use crate::error::Result;
use crate::models::{self, ImageCondition, PictureHints, Tensors};
use crate::ops::resize::{Window, resize};
use crate::picture::{Picture, PixelBox};

/// Side in pixels of the square that the network was trained on, and that the head crop is resized to.
pub(super) const TRAINED_SIDE: usize = 192;
/// No side of the resized picture is shorter.
const SHORTEST_SIDE: usize = 96;
/// The merged map is so fine that the head crop has this many cells across, where [`LONGEST_MAP_SIDE`] allows: more than the 96 of its logits, so
/// that no detail of the second look is lost.
const HEAD_CELLS: usize = 128;
/// Limit of the merged map's longer side, for memory: 16 MB at most.
const LONGEST_MAP_SIDE: usize = 640;

/// The image encoder with its network.
pub struct ImageEncoder {
    network: Encoder,
    device: Device,
}

impl ImageEncoder {
    /// `device`: where the network's weights are.
    pub fn new(network: Encoder, device: Device) -> Self {
        Self { network, device }
    }

    /// Class probabilities that cover exactly the window, at half the resolution of `width` x `height`, to which the window is resized.
    fn look(&self, picture: &Picture, window: Window, width: usize, height: usize) -> Result<ClassMap> {
        let values = resize(picture, window, width, height).into_iter().map(|value| value / 127.5 - 1.0).collect();
        let picture = Tensor::from_vec::<_, f32>(values, (1, 3, height, width), &Device::Cpu)?;
        let both = Tensor::cat(&[&picture, &picture.flip(&[3])?], 0)?.to_device(&self.device)?;
        let logits = self.network.forward(&both)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        let shares = candle_nn::ops::softmax(&logits, 1)?;
        let mirrored = shares.narrow(0, 1, 1)?.flip(&[3])?;
        let mean = ((shares.narrow(0, 0, 1)? + mirrored)? * 0.5)?.squeeze(0)?;
        ClassMap::from_tensor(&mean)
    }

    /// The merged class probabilities, with the given eyes, if any, in place of those that the network sees.
    fn class_map(&self, picture: &Picture, eyes: &[PixelBox]) -> Result<ClassMap> {
        let (width, height) = (picture.width(), picture.height());
        let (columns, rows) = network_size(width, height);
        let whole = self.look(picture, Window::whole(picture), columns, rows)?;
        let heads = find_heads(&whole, width, height);
        let head = if eyes.is_empty() {
            heads.first().copied()
        } else {
            Some(given_eyes::head_around(eyes, &heads).unwrap_or_else(|| given_eyes::assumed_head(eyes)))
        };
        let Some(head) = head else {
            return Ok(whole.resized(columns, rows));
        };
        let crop = HeadCrop::around(&head, width, height);
        let window = Window { left: crop.left, top: crop.top, width: crop.side, height: crop.side };
        let close = self.look(picture, window, TRAINED_SIDE, TRAINED_SIDE)?;
        let (columns, rows) = map_size(width, height, crop.side);
        let mut merged = whole.resized(columns, rows);
        merged.blend(&close, &crop.rectangle(), width, height);
        if !eyes.is_empty() {
            let seen = given_eyes::head_around(eyes, &find_heads(&merged, width, height));
            let assumed = seen.is_none().then(|| given_eyes::assumed_head(eyes));
            given_eyes::paint(&mut merged, eyes, assumed.as_ref(), width, height);
        }
        Ok(merged)
    }
}

impl models::ImageEncoder for ImageEncoder {
    fn encode(&self, picture: &Picture, hints: &PictureHints) -> Result<ImageCondition> {
        let (width, height) = (picture.width(), picture.height());
        let map = self.class_map(picture, &hints.eyes)?;
        let mut parts = Parts::with_eyes(&map, &hints.eyes, width, height);
        let figure = Figure { width, height, head: parts.head.as_ref(), eyes_open: parts.eyes_open() };
        if !hints.eyes.is_empty() {
            let eyes = [&parts.left_eye, &parts.right_eye].into_iter().flatten();
            let lidless = eyes.filter(|eye| !can_close(picture, &map, eye)).count();
            if lidless > 0 {
                parts.notes.push(format!("too little skin around {lidless} of them to draw a lid: no blink there"));
            }
        }
        let mut tensors: Tensors = [(PROBABILITIES, map.to_tensor()?), (FEATURES, features(&map, figure)?)].into();
        if !hints.eyes.is_empty() {
            tensors.insert(EYES, given_eyes::to_tensor(&hints.eyes, width, height)?);
        }
        Ok(ImageCondition { tensors, notes: parts.notes })
    }
}

/// Width and height that the whole picture is resized to: its aspect, about the trained area, multiples of [`MULTIPLE`].
pub(super) fn network_size(width: usize, height: usize) -> (usize, usize) {
    let scale = TRAINED_SIDE as f64 / ((width * height) as f64).sqrt();
    let side = |pixels: usize| {
        let multiples = (pixels as f64 * scale / MULTIPLE as f64).round() as usize;
        (multiples * MULTIPLE).max(SHORTEST_SIDE)
    };
    (side(width), side(height))
}

/// Columns and rows of the merged map for a head crop of this side.
fn map_size(width: usize, height: usize, crop_side: usize) -> (usize, usize) {
    let (columns, rows) = network_size(width, height);
    let wanted = HEAD_CELLS as f64 / crop_side as f64;
    let most = LONGEST_MAP_SIDE as f64 / width.max(height) as f64;
    let scale = wanted.min(most);
    let side = |pixels: usize, least: usize| ((pixels as f64 * scale).round() as usize).max(least);
    (side(width, columns), side(height, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_sees_about_the_trained_area_in_the_picture_s_aspect() {
        assert_eq!(network_size(1000, 1000), (192, 192));
        assert_eq!(network_size(1280, 720), (256, 144));
        assert_eq!(network_size(720, 1280), (144, 256));
        assert_eq!(network_size(2500, 1000), (304, 128));
        assert_eq!(network_size(4000, 500), (544, 96));
    }

    #[test]
    fn a_small_head_makes_the_map_finer() {
        assert_eq!(map_size(1280, 720, 720), (256, 144));
        assert_eq!(map_size(1280, 720, 320), (512, 288));
        assert_eq!(map_size(1280, 720, 40), (640, 360));
    }
}
