//! Operations and memory of the networks, from their sizes alone. What is not a product of matrices or a convolution is not counted: it is a
//! percent at most.

use super::checkpoint::Checkpoint;
use super::config::TransformerConfig;
use super::recipe;
use super::text::config::Config as TextConfig;
use super::vae::config::{Config as VaeConfig, Downsampling, UpStage};
use crate::device::available_memory;
use crate::error::{Error, Result};
use crate::models::{TextTokens, Work};
use crate::units::{Bytes, Clip};
use crate::weights::store::Placement;

/// A product of matrices multiplies and adds.
const MULTIPLY_ADD: f64 = 2.0;
/// Taps of a 3x3x3 convolution.
const TAPS: usize = 27;

/// Operations of one prediction by the transformer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forward {
    /// All projections of the clip's tokens.
    pub linear: f64,
    /// Scores and sums of self-attention.
    pub attention: f64,
    /// Scores and sums of attention to the text.
    pub cross_attention: f64,
    /// Projections of the text's tokens, in every block.
    pub text: f64,
}

impl Forward {
    /// For `tokens` positions of the latents and `text` tokens.
    pub fn of(config: &TransformerConfig, tokens: usize, text: usize) -> Self {
        let [width, tokens, text] = [config.width(), tokens, text].map(|count| count as f64);
        let layers = config.layers as f64;
        // Self-attention has four projections; cross-attention has two of the clip and two of the text; the MLP is four times as wide.
        let ends = 2.0 * config.channels as f64 * width;
        Self {
            linear: MULTIPLY_ADD * tokens * (layers * (4.0 + 2.0 + 8.0) * width * width + ends),
            attention: MULTIPLY_ADD * layers * 2.0 * tokens * tokens * width,
            cross_attention: MULTIPLY_ADD * layers * 2.0 * tokens * text * width,
            text: MULTIPLY_ADD * layers * 2.0 * text * width * width,
        }
    }

    /// All of them.
    pub fn total(self) -> f64 {
        self.linear + self.attention + self.cross_attention + self.text
    }
}

/// Operations of a clip on the model's grid.
pub fn of(checkpoint: &Checkpoint, text: TextTokens, clip: &Clip) -> Work {
    let (config, vae) = (checkpoint.transformer_config(), checkpoint.vae_config());
    let grid = recipe::grid(clip);
    let tokens = grid.tokens();
    let forward = |text| Forward::of(config, tokens, text);
    let (prompt, negative) = (forward(text.prompt), forward(text.negative.unwrap_or(text.prompt)));
    let width = config.width() as f64;
    // Without queries and keys nothing is compared: of four projections two are left, and nothing of attention.
    let saved = MULTIPLY_ADD * tokens as f64 * 2.0 * width * width + prompt.attention / config.layers as f64;
    let texts = [Some(text.prompt), text.negative];
    Work {
        tokens,
        text_tokens: Some(text.prompt),
        text: Some(texts.into_iter().flatten().map(|tokens| encode_text(checkpoint.text_config(), tokens)).sum()),
        encode: encode(vae, Volume { frames: 1, area: clip.width * clip.height }),
        prompt: prompt.total(),
        unconditional: negative.total(),
        saved_by_perturbed_block: saved,
        decode: Some(decode(vae, Volume { frames: grid.frames, area: grid.height * grid.width })),
    }
}

/// Operations of the text encoder over `tokens` tokens.
pub fn encode_text(config: &TextConfig, tokens: usize) -> f64 {
    let [width, tokens, feed_forward] = [config.width, tokens, config.feed_forward].map(|count| count as f64);
    let inner = (config.heads * config.head_width) as f64;
    let linear = tokens * width * (4.0 * inner + 3.0 * feed_forward);
    MULTIPLY_ADD * config.layers as f64 * (linear + 2.0 * tokens * tokens * inner)
}

/// Places that a convolution computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Frames.
    pub frames: usize,
    /// Rows times columns of a frame.
    pub area: usize,
}

impl Volume {
    fn convolution(self, taps: usize, from: usize, to: usize) -> f64 {
        MULTIPLY_ADD * (self.frames * self.area) as f64 * (taps * from * to) as f64
    }

    /// Two convolutions, and a shortcut where the channels change.
    fn residual(self, from: usize, to: usize) -> f64 {
        let shortcut = if from == to { 0.0 } else { self.convolution(1, from, to) };
        self.convolution(TAPS, from, to) + self.convolution(TAPS, to, to) + shortcut
    }

    fn residuals(self, count: usize, channels: usize) -> f64 {
        count as f64 * self.residual(channels, channels)
    }
}

/// Operations of the encoder. `pixels`: frames, one more than a multiple of 8, and their pixels.
pub fn encode(config: &VaeConfig, pixels: Volume) -> f64 {
    let mut at = Volume { area: pixels.area / (config.patch * config.patch), ..pixels };
    let mut sum = at.convolution(TAPS, config.folded_channels(), config.down[0].from);
    for stage in &config.down {
        sum += at.residuals(stage.layers, stage.from);
        match stage.downsampling {
            Downsampling::None => {}
            Downsampling::Strided => {
                at = Volume { frames: at.frames.div_ceil(2), area: at.area / 4 };
                sum += at.convolution(TAPS, stage.from, stage.from);
            }
            Downsampling::Folded(stride) => {
                // The first frame is doubled before it is folded.
                let frames = (at.frames + stride.time - 1).next_multiple_of(stride.time);
                sum += Volume { frames, ..at }.convolution(TAPS, stage.from, stage.to / stride.volume());
                at = Volume { frames: frames / stride.time, area: at.area / (stride.height * stride.width) };
            }
        }
        if stage.from != stage.to && !matches!(stage.downsampling, Downsampling::Folded(_)) {
            sum += at.residual(stage.from, stage.to);
        }
    }
    let width = config.encoder_width();
    sum + at.residuals(config.encoder_middle, width) + at.convolution(TAPS, width, config.latent_channels + 1)
}

/// Operations of a decode without tiles, which compute their borders twice. `latents`: latent frames and their places.
pub fn decode(config: &VaeConfig, latents: Volume) -> f64 {
    let mut at = latents;
    let mut sum = at.convolution(TAPS, config.latent_channels, config.decoder_middle.from);
    for &UpStage { from, to, layers, upsampling, .. } in std::iter::once(&config.decoder_middle).chain(&config.up) {
        let before = upsampling.map_or(to, |upsampling| upsampling.factor * to);
        if from != before {
            sum += at.residual(from, before);
        }
        if upsampling.is_some() {
            sum += at.convolution(TAPS, before, 8 * to);
            at = Volume { frames: 2 * at.frames - 1, area: 4 * at.area };
        }
        sum += at.residuals(layers, to);
    }
    sum + at.convolution(TAPS, config.decoder_width(), config.folded_channels())
}

/// Refuses a transformer whose weights alone do not fit into memory, where that can be known.
///
/// # Errors
/// Too little memory.
pub fn check_memory(name: &str, config: &TransformerConfig, placement: &Placement) -> Result<()> {
    let Some(available) = available_memory(&placement.device) else { return Ok(()) };
    let parameters = config.layers * 16 * config.width() * config.width();
    let needed = (parameters * placement.dtype.size_in_bytes()) as u64;
    if needed <= available {
        return Ok(());
    }
    let wanted = format!("{} of free memory for the weights alone", Bytes(needed));
    let hint = "close other programs, use --dtype bf16, which takes half as much, --offload disk, or a smaller model";
    Err(Error::input(format!("--model {name}"), wanted, Bytes(available).to_string(), hint))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::models::ltx::synthetic::Sizes;

    /// The texts that these figures are for are as long as texts can be.
    const LONGEST_TEXT: usize = 256;

    fn forward(name: &str, tokens: usize) -> Forward {
        Forward::of(&Sizes::of(name).unwrap().transformer, tokens, LONGEST_TEXT)
    }

    /// In TFLOP, with one decimal.
    fn rounded(operations: f64) -> f64 {
        (operations / 1e11).round() / 10.0
    }

    #[test]
    fn forwards_are_what_is_known_of_the_models() {
        for (name, tokens, parts, sum) in [
            ("ltx-2b", 6_600, [21.7, 10.0, 0.4], 32.1),
            ("ltx-2b", 16_720, [55.0, 64.1, 1.0], 120.1),
            ("ltx-13b", 16_720, [377.0, 219.9, 3.4], 600.3),
        ] {
            let Forward { linear, attention, cross_attention, text } = forward(name, tokens);
            assert_eq!([linear, attention, cross_attention].map(rounded), parts, "{name}, {tokens} tokens");
            assert_eq!(rounded(linear + attention + cross_attention), sum, "{name}, {tokens} tokens");
            assert!(text < 0.01 * linear, "{name}: {text}");
        }
    }

    /// 153 frames of 1216x704, 1280x704 and 832x480; and a picture.
    #[test]
    fn the_autoencoder_is_what_is_known_of_it() {
        let vae = Sizes::of("ltx-2b").unwrap().vae;
        let decoded = |width: usize, height: usize| {
            let volume = Volume { frames: 20, area: width / 32 * (height / 32) };
            (decode(&vae, volume) / 1e12).round()
        };
        assert_eq!([decoded(1216, 704), decoded(1280, 704), decoded(832, 480)], [165.0, 174.0, 77.0]);
        assert_eq!(rounded(encode(&vae, Volume { frames: 1, area: 1280 * 704 })), 5.3);
    }

    /// Every weight of a layer is used once a token.
    #[test]
    fn a_short_text_takes_twice_its_parameters() {
        let text = Sizes::of("ltx-2b").unwrap().text;
        let parameters = 24.0 * (4.0 * 4096.0 * 4096.0 + 3.0 * 4096.0 * 10_240.0);
        let scores = 24.0 * 2.0 * 2.0 * 4096.0;
        assert_eq!(encode_text(&text, 1), 2.0 * parameters + scores);
    }

    #[test]
    fn a_perturbed_block_compares_nothing() {
        let checkpoint = Checkpoint::synthetic(Sizes::of("ltx-2b").unwrap()).unwrap();
        let clip =
            Clip { width: 704, height: 480, frames: crate::units::PixelFrames(153), fps: crate::units::Fps(25.0) };
        let work = of(&checkpoint, TextTokens { prompt: LONGEST_TEXT, negative: None }, &clip);
        assert_eq!(work.tokens, 6_600);
        let all: Vec<usize> = (0..28).collect();
        let saved = work.prompt - work.prediction(crate::models::Branch::Perturbed(&all));
        let expected = forward("ltx-2b", 6_600).attention + 28.0 * 2.0 * 2.0 * 6_600.0 * 2048.0 * 2048.0;
        assert!((saved / expected - 1.0).abs() < 1e-9, "{saved} and {expected}");
        assert_eq!(work.unconditional, work.prompt);
    }

    #[test]
    fn what_cannot_fit_is_refused_with_both_sizes() {
        let huge = TransformerConfig { layers: 1_000_000, ..TransformerConfig::RELEASED };
        let placement = Placement { dtype: DType::F32, device: Device::Cpu };
        if available_memory(&Device::Cpu).is_some() {
            let error = check_memory("huge", &huge, &placement).unwrap_err();
            assert!(error.to_string().contains("free memory"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        check_memory("tiny", &TransformerConfig { layers: 0, ..huge }, &placement).unwrap();
    }
}
