//! How much memory the stages of a clip take, from the networks' sizes.
//!
//! Tensors that live at the same time are counted where most of them do. What the allocator keeps of freed memory is not.

use super::checkpoint::Checkpoint;
use super::config::TransformerConfig;
use super::pieces::{Frames, Piece};
use super::recipe;
use super::rope::LatentGrid;
use super::text::config::Config as TextConfig;
use super::vae::config::{COLOURS, Config as VaeConfig, UpStage};
use super::vae::decoder::LatentSize;
use super::vae::memory::DecodeMemory;
use super::vae::tiling::spans;
use crate::device::available_memory;
use crate::error::Result;
use crate::models::{Memory, Offload, OffloadedWeights, StageMemory, TextTokens, VaeTiling};
use crate::units::Clip;
use crate::weights::store::Placement;

const FLOAT32: usize = 4;
/// Taps of a 3x3x3 convolution. Where it is not read from its file directly, its weight is in memory twice while it is packed, one after the other.
const TAPS: usize = 27;
/// Copies of the latents in float32 while a step is made: the noisy ones, the velocity and what it is made from, what is held and where, and the
/// step's result.
const LATENT_COPIES: usize = 8;
/// Tensors of the hidden state's size in a block's MLP, where most of them live: the state before the block and after both attentions, two norms and
/// the queries of the text, and the expanded state, which is four times as wide.
const BLOCK_TENSORS: usize = 10;

/// What a clip is made with.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The networks.
    pub checkpoint: &'a Checkpoint,
    /// Where and in which type they run.
    pub placement: &'a Placement,
    /// Whether frames are to be decoded in tiles.
    pub tiling: VaeTiling,
}

impl Given<'_> {
    /// Of a run with these clips, one a pass, each on the model's grid.
    ///
    /// # Errors
    /// None that opening the checkpoint did not find.
    pub fn memory(self, text: Option<TextTokens>, passes: &[Clip]) -> Result<Memory> {
        let weights = self.checkpoint.weight_bytes(self.placement)?;
        let (transformer, vae) = (self.checkpoint.transformer_config(), self.checkpoint.vae_config());
        let bytes = self.placement.dtype.size_in_bytes();
        let texts = text.map_or([0; 2], |text| [text.prompt, text.negative.unwrap_or_default()]);
        let all = texts[0] + texts[1];
        let stage = |weights: u64, activations: usize| StageMemory { weights, activations: activations as u64 };
        let encode = passes.iter().map(|clip| encoding(vae, clip, bytes)).max().unwrap_or_default();
        let denoise = passes
            .iter()
            .map(|clip| stage(weights.transformer, denoising(transformer, recipe::grid(clip), (all, bytes))))
            .collect();
        let held = Offload::blocks_at_a_time(self.placement.device.is_cpu()) * weights.largest_block;
        let offloaded = OffloadedWeights { held: weights.transformer - weights.blocks + held, waiting: weights.blocks };
        let mut memory = Memory {
            offloaded: Some(offloaded),
            text: stage(weights.text_layer, text_encoding(self.checkpoint.text_config(), texts)),
            encode: stage(weights.encoder, encode),
            denoise,
            ..Memory::default()
        };
        if let Some(clip) = passes.last() {
            let grid = recipe::grid(clip);
            let size = LatentSize { height: grid.height, width: grid.width };
            let count = clip.frames.0;
            let frames = Frames { config: vae, size, count, placement: self.placement, tiling: self.tiling };
            let piece = frames.largest(available_memory(&self.placement.device));
            memory.tiles = frames.tiles(piece);
            memory.decode = stage(weights.decoder, decoding(vae, clip, (piece, self.placement)));
        }
        Ok(memory)
    }
}

/// One layer over texts of so many tokens: the gate and the expanded state, scores and biases of all heads, and some tensors of the state's size, in
/// float32.
fn text_encoding(config: &TextConfig, texts: [usize; 2]) -> usize {
    let inner = config.heads * config.head_width;
    let each = (texts[0] + texts[1]) * (3 * config.feed_forward + 4 * config.width + 4 * inner);
    FLOAT32 * (each + 2 * config.heads * (texts[0] * texts[0] + texts[1] * texts[1]))
}

/// The first stage of the encoder, whose frames are largest: a block's input, what enters a convolution, its three frames and its result.
fn encoding(config: &VaeConfig, clip: &Clip, bytes: usize) -> usize {
    let area = clip.width * clip.height / (config.patch * config.patch);
    let channels = config.down.first().map_or(0, |stage| stage.from);
    let largest_weight = TAPS * config.encoder_width() * config.encoder_width() * bytes;
    largest_weight.max(area * (6 * channels * bytes + 2 * config.folded_channels() * FLOAT32))
}

/// One block, and what lives as long as the pass: positions, the text, latents. `(text, bytes)`: tokens of all texts, and the size of a value.
fn denoising(config: &TransformerConfig, grid: LatentGrid, (text, bytes): (usize, usize)) -> usize {
    let (tokens, width) = (grid.tokens(), config.width());
    let block = BLOCK_TENSORS * tokens * width * bytes;
    let positions = 2 * tokens * (width / 2) * FLOAT32;
    // What every block attends to of it.
    let text = text * (config.caption_channels + 2 * width * config.layers) * bytes;
    block + positions + text + LATENT_COPIES * tokens * config.channels * FLOAT32
}

/// The streamed decode, the latents, and a frame of pixels before and after it is rounded. In tiles, every frame is kept until the last tile
/// is decoded.
fn decoding(config: &VaeConfig, clip: &Clip, (piece, placement): (Piece, &Placement)) -> usize {
    let grid = recipe::grid(clip);
    let pixels = clip.width * clip.height;
    let side = |length: usize| match piece {
        Piece::Whole => length,
        Piece::Tiles(tiling) => spans(length, tiling)[0].length,
    };
    let size = LatentSize { height: side(grid.height), width: side(grid.width) };
    // What doubles a frame makes eight of each of its channels.
    let largest = |&UpStage { to, upsampling, .. }: &UpStage| to * upsampling.map_or(to, |by| 8 * by.factor * to);
    let stages = std::iter::once(&config.decoder_middle).chain(&config.up);
    let largest_weight = TAPS * placement.dtype.size_in_bytes() * stages.map(largest).max().unwrap_or_default();
    let stream = largest_weight.max(DecodeMemory::on(placement, config, size).peak());
    let latents = 2 * grid.tokens() * config.latent_channels * FLOAT32;
    let frames = if matches!(piece, Piece::Tiles(_)) { clip.frames.0 * pixels * COLOURS * FLOAT32 } else { 0 };
    stream + latents + frames + 2 * pixels * COLOURS * FLOAT32
}
