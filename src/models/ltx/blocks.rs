//! The transformer's blocks from wherever they are kept: one after the other, each when its turn comes.

use super::block::Block;
use super::config::TransformerConfig;
use crate::error::Result;
use crate::weights::store::{Scope, Store};

/// All blocks of a network. Results do not depend on where they are kept.
pub(super) enum Blocks<'a> {
    /// On the device.
    Resident(Vec<Block>),
    /// In a store, from which each is taken whenever it is computed with.
    Streamed { store: Box<Store<'a>>, config: TransformerConfig },
}

impl<'a> Blocks<'a> {
    /// Takes them all, now.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn resident(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        Ok(Self::Resident((0..config.layers).map(|index| load(weights, config, index)).collect::<Result<_>>()?))
    }

    /// Takes each whenever it is computed with.
    pub fn streamed(store: Store<'a>, config: &TransformerConfig) -> Self {
        Self::Streamed { store: Box::new(store), config: config.clone() }
    }

    /// One way through all of them.
    pub fn pass(&self) -> Pass<'_, 'a> {
        Pass { blocks: self, index: 0, present: None, coming: None }
    }
}

/// Block `index` of the network whose weights these are.
pub(super) fn load(weights: &Scope, config: &TransformerConfig, index: usize) -> Result<Block> {
    Block::load(&weights.at("transformer_blocks").at(index), config)
}

/// A way through all blocks. What is streamed to a device that computes meanwhile is one block ahead: while block `n` computes, block `n + 1` is copied
/// to where block `n - 1` was.
pub(super) struct Pass<'b, 'a> {
    blocks: &'b Blocks<'a>,
    /// Of the next block.
    index: usize,
    present: Option<Block>,
    /// It has room on the device, and nothing more.
    coming: Option<Block>,
}

impl Pass<'_, '_> {
    /// The next block; there have to be further ones. With the one before nothing more may be asked of the device.
    ///
    /// # Errors
    /// Weights that cannot be read, or too little memory.
    #[allow(clippy::should_implement_trait)] // A block can fail, and lives until the next only.
    pub fn next(&mut self) -> Result<&Block> {
        let index = self.index;
        self.index += 1;
        match self.blocks {
            Blocks::Resident(blocks) => Ok(&blocks[index]),
            Blocks::Streamed { store, config } => {
                let block = |index| load(&store.root(), config, index);
                if !store.is_carried() {
                    // The one before goes first: two are never in memory.
                    self.present = None;
                    return Ok(self.present.insert(block(index)?));
                }
                if index == 0 {
                    self.coming = Some(block(0)?);
                    store.mark()?;
                }
                // The device still computes with the block before.
                store.bring()?;
                let arrived = self.coming.take().expect("a block is prepared while the one before computes");
                self.present = Some(arrived);
                if self.index < config.layers {
                    self.coming = Some(block(self.index)?);
                    // Before the block at hand computes, so that the copy need not wait for it.
                    store.mark()?;
                }
                Ok(self.present.as_ref().expect("it has arrived"))
            }
        }
    }
}

impl Drop for Pass<'_, '_> {
    fn drop(&mut self) {
        if let Blocks::Streamed { store, .. } = self.blocks {
            store.abandon();
        }
    }
}
