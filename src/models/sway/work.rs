//! Operations of the networks, from their sizes alone: products of matrices and convolutions. Frames are drawn without a network.

use super::denoiser::{self, LAYERS, SIGMA_CHANNELS, TOKENS};
use super::encoder::WIDTHS;
use super::image_encoder::{TRAINED_SIDE, network_size};
use super::{CELLS, CONTROL_CHANNELS, FEATURE_CHANNELS, KEYS, LATENT_CHANNELS, PLAN_CHANNELS, class};
use crate::models::Work;
use crate::units::Clip;

/// A product of matrices multiplies and adds.
const MULTIPLY_ADD: usize = 2;
/// Colours of the four pixels that the encoder takes as one.
const COLOURS: usize = 12;

/// Operations of a clip.
pub fn of(clip: &Clip) -> Work {
    let (width, height) = network_size(clip.width, clip.height);
    // The whole picture and what is around a head, both also as their mirror images. Whether there is a head is seen only then.
    let encode = 2 * (look(width * height) + look(TRAINED_SIDE * TRAINED_SIDE));
    Work {
        tokens: KEYS * TOKENS,
        text_tokens: None,
        text: None,
        encode: encode as f64,
        prompt: prediction() as f64,
        unconditional: prediction() as f64,
        saved_by_perturbed_block: 0.0,
        decode: None,
    }
}

/// Of the image encoder over so many pixels.
fn look(pixels: usize) -> usize {
    let [finest, .., deepest] = WIDTHS;
    // Places at the resolution of each width: half of the picture's, then half of the one before.
    let places = |level: usize| pixels >> (2 * (level + 1));
    let convolution =
        |level: usize, taps: usize, from: usize, to: usize| MULTIPLY_ADD * places(level) * taps * from * to;
    let residual = |level: usize, from: usize, to: usize| {
        let shortcut = if from == to { 0 } else { convolution(level, 1, from, to) };
        convolution(level, 9, from, to) + convolution(level, 9, to, to) + shortcut
    };
    let last = WIDTHS.len() - 1;
    let down: usize = (1..=last).map(|level| residual(level, WIDTHS[level - 1], WIDTHS[level])).sum();
    let up: usize = (0..last).map(|level| residual(level, WIDTHS[level + 1] + WIDTHS[level], WIDTHS[level])).sum();
    let attention = convolution(last, 1, deepest, 4 * deepest) + attention(1, places(last), deepest);
    convolution(0, 9, COLOURS, finest)
        + residual(0, finest, finest)
        + down
        + 2 * attention
        + residual(last, deepest, deepest)
        + up
        + convolution(0, 1, finest, class::COUNT)
}

/// Scores and sums of `count` sequences of this length.
fn attention(count: usize, length: usize, width: usize) -> usize {
    MULTIPLY_ADD * count * 2 * length * length * width
}

/// Of the denoiser.
fn prediction() -> usize {
    const WIDTH: usize = denoiser::WIDTH;
    let layer = |rows: usize, from: usize, to: usize| MULTIPLY_ADD * rows * from * to;
    let condition = layer(1, SIGMA_CHANNELS + PLAN_CHANNELS + 2 * WIDTH + 9 * WIDTH + 2 * WIDTH, WIDTH);
    let cells = layer(KEYS * CELLS, WIDTH, LATENT_CHANNELS + FEATURE_CHANNELS + LATENT_CHANNELS);
    let control = layer(KEYS, WIDTH, 2 * CONTROL_CHANNELS);
    // Queries, keys, values and the output of both attentions, and an MLP that is four times as wide.
    let block = layer(KEYS * TOKENS, WIDTH, (4 + 4 + 8) * WIDTH)
        + attention(KEYS, TOKENS, WIDTH)
        + attention(TOKENS, KEYS, WIDTH);
    condition + cells + control + LAYERS * block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Fps, PixelFrames};

    /// Twice the values of every weight of a network in the list of tensors, as often as `uses` says of its name.
    fn products(network: &str, uses: impl Fn(&str) -> usize) -> usize {
        let list = include_str!("../../../models/sway/tensors.txt");
        let weights = list.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix(network)?.trim_start().split_once(' ')?;
            let shape = rest.split_once('[')?.1.trim_end_matches(']');
            let shape: Vec<usize> = shape.split(", ").map(|side| side.parse().unwrap()).collect();
            (name.ends_with(".weight") && shape.len() > 1).then(|| 2 * shape.iter().product::<usize>() * uses(name))
        });
        weights.sum()
    }

    #[test]
    fn every_weight_of_the_denoiser_is_counted_as_often_as_it_is_used() {
        let products = products("denoiser ", |name| match name.split(['.', '_']).next().unwrap() {
            "blocks" => 25 * 37,
            "latent" => 25 * 36,
            "control" => 25,
            _ => 1,
        });
        // Scores and sums, in space and in time.
        let attention = 4 * 2 * 2 * 128 * (25 * 37 * 37 + 37 * 25 * 25);
        assert_eq!(prediction(), products + attention);
    }

    #[test]
    fn every_weight_of_the_encoder_is_counted_as_often_as_it_is_used() {
        let pixels = 192 * 192;
        let products = products("encoder ", |name| {
            let parts: Vec<&str> = name.split('.').collect();
            let halvings = match (parts[0], parts[1].parse::<usize>()) {
                ("stem" | "head", _) => 1,
                ("encoder", Ok(index)) => index + 1,
                ("decoder", Ok(index)) => 3 - index,
                _ => 4,
            };
            pixels >> (2 * halvings)
        });
        let attention = 2 * 2 * 2 * 160 * (pixels / 256) * (pixels / 256);
        assert_eq!(look(pixels), products + attention);
    }

    #[test]
    fn a_wider_picture_takes_no_more_than_its_place_in_the_network() {
        let clip = |width, height| Clip { width, height, frames: PixelFrames(150), fps: Fps(25.0) };
        let [small, large, wide] = [clip(480, 480), clip(1920, 1920), clip(2500, 1000)].map(|clip| of(&clip));
        assert_eq!(small, large);
        // 304x128 for 192x192, and attention grows with the square.
        let ratio = (wide.encode - small.encode / 2.0) / (small.encode / 2.0);
        assert!((1.05..1.12).contains(&ratio), "{ratio}");
        assert_eq!(small.tokens, 925);
    }
}
