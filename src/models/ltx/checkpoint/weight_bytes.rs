//! How much the networks' weights take in memory, without reading them.

use super::{Checkpoint, Residency, t5, text_dtype, vae};
use crate::error::Result;
use crate::models::ltx::blocks::load as load_block;
use crate::models::ltx::transformer::Transformer;
use crate::weights::store::Placement;

/// Bytes of weights as they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightBytes {
    /// Of the text encoder, which is read layer by layer, one layer.
    pub text_layer: u64,
    /// Of the autoencoder's encoder.
    pub encoder: u64,
    /// Of the transformer.
    pub transformer: u64,
    /// Of its blocks alone.
    pub blocks: u64,
    /// Of the largest of them.
    pub largest_block: u64,
    /// Of the autoencoder's decoder.
    pub decoder: u64,
}

impl Checkpoint {
    /// The bytes of all networks in the type of `placement` (milliseconds).
    ///
    /// # Errors
    /// None that opening the checkpoint did not find.
    pub fn weight_bytes(&self, placement: &Placement) -> Result<WeightBytes> {
        let text_placement = Placement { dtype: text_dtype(placement), device: placement.device.clone() };
        let text = self.text_encoder.outline_in(&text_placement)?;
        t5::Encoder::load(&text, self.text_encoder.config, Residency::Whole)?;
        let transformer = self.transformer.outline_in(placement)?;
        Transformer::load(&transformer.root(), &self.transformer.config)?;
        let blocks = self.transformer.outline_in(placement)?;
        let mut largest_block = 0;
        for index in 0..self.transformer.config.layers {
            let before = blocks.kept_bytes();
            load_block(&blocks.root(), &self.transformer.config, index)?;
            largest_block = largest_block.max(blocks.kept_bytes() - before);
        }
        let encoder = self.vae.outline_in(placement)?;
        vae::encoder::Encoder::load(&encoder.root().at("encoder"), &self.vae.config)?;
        let decoder = self.vae.outline_in(placement)?;
        vae::decoder::Decoder::load(&decoder.root().at("decoder"), &self.vae.config)?;
        Ok(WeightBytes {
            text_layer: text.kept_bytes() / self.text_encoder.config.layers as u64,
            encoder: encoder.kept_bytes(),
            transformer: transformer.kept_bytes(),
            blocks: blocks.kept_bytes(),
            largest_block,
            decoder: decoder.kept_bytes(),
        })
    }
}
