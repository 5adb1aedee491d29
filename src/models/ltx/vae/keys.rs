//! Names in the single files of Lightricks: they number the autoencoder's layers one after another, where diffusers groups them into blocks.

use std::fmt::Write as _;

use super::config::{Config, Downsampling};
use crate::weights::keymap::Naming;

/// What a single file puts before every name of the autoencoder.
pub const PREFIX: &str = "vae.";

/// Whole names that differ.
const WHOLE: [(&str, &str); 2] =
    [("latents_mean", "per_channel_statistics.mean-of-means"), ("latents_std", "per_channel_statistics.std-of-means")];

/// Whole parts inside names that differ, wherever they stand after the block.
const PARTS: [(&str, &str); 3] =
    [("resnets", "res_blocks"), ("norm3", "norm3.norm"), ("conv_shortcut.conv", "conv_shortcut")];

/// Whole leading parts that differ, outside the blocks.
const LAST: [(&str, &str); 2] = [
    ("decoder.time_embedder", "decoder.last_time_embedder"),
    ("decoder.scale_shift_table", "decoder.last_scale_shift_table"),
];

/// From our names, which are those of diffusers, to those of a single file, for one configuration.
#[derive(Debug, Clone)]
pub struct SingleFileKeys {
    /// Put before every name.
    prefix: &'static str,
    /// Blocks, ours to theirs, the longer of two that begin alike first.
    blocks: Vec<(String, String)>,
}

impl SingleFileKeys {
    /// The names of an autoencoder of this configuration, each after `prefix`: [`PREFIX`], or nothing where a file holds only the autoencoder.
    pub fn new(config: &Config, prefix: &'static str) -> Self {
        let mut encoder = Numbered::new("encoder.down_blocks");
        for (index, stage) in config.down.iter().enumerate() {
            let ours = format!("encoder.down_blocks.{index}");
            if stage.layers > 0 {
                encoder.add(&ours);
            }
            if stage.downsampling != Downsampling::None {
                encoder.add(&format!("{ours}.downsamplers.0"));
            }
            if stage.from != stage.to && !matches!(stage.downsampling, Downsampling::Folded(_)) {
                encoder.add(&format!("{ours}.conv_out"));
            }
        }
        encoder.add("encoder.mid_block");
        let mut decoder = Numbered::new("decoder.up_blocks");
        decoder.add("decoder.mid_block");
        for (index, stage) in config.up.iter().enumerate() {
            let ours = format!("decoder.up_blocks.{index}");
            let factor = stage.upsampling.map_or(1, |upsampling| upsampling.factor);
            if stage.from != factor * stage.to {
                decoder.add(&format!("{ours}.conv_in"));
            }
            if stage.upsampling.is_some() {
                decoder.add(&format!("{ours}.upsamplers.0"));
            }
            if stage.layers > 0 {
                decoder.add(&ours);
            }
        }
        let mut blocks = [encoder.blocks, decoder.blocks].concat();
        blocks.sort_by_key(|(ours, _)| std::cmp::Reverse(ours.len()));
        Self { prefix, blocks }
    }

    /// Whether a tensor of such a file, by its name there, belongs to the autoencoder but says nothing that is used: other statistics of the
    /// channels.
    pub fn is_unused(name: &str) -> bool {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        name.starts_with("per_channel_statistics.") && WHOLE.iter().all(|(_, theirs)| *theirs != name)
    }
}

impl Naming for SingleFileKeys {
    fn to_checkpoint(&self, name: &str) -> String {
        let prefix = self.prefix;
        if let Some((_, theirs)) = WHOLE.iter().find(|(ours, _)| *ours == name) {
            return format!("{prefix}{theirs}");
        }
        let leading = |ours: &str| name.strip_prefix(ours).filter(|rest| rest.starts_with('.') || rest.is_empty());
        if let Some((theirs, rest)) = LAST.iter().find_map(|(ours, theirs)| Some((theirs, leading(ours)?))) {
            return format!("{prefix}{theirs}{rest}");
        }
        let (block, rest) =
            self.blocks.iter().find_map(|(ours, theirs)| Some((theirs.as_str(), leading(ours)?))).unwrap_or(("", name));
        let mut rest = format!("{rest}.");
        for (ours, theirs) in PARTS {
            rest = rest.replace(&format!(".{ours}."), &format!(".{theirs}."));
        }
        format!("{prefix}{block}{}", rest.trim_end_matches('.'))
    }
}

/// Blocks in the order of computation, with the numbers that a single file gives them.
struct Numbered {
    list: &'static str,
    blocks: Vec<(String, String)>,
}

impl Numbered {
    fn new(list: &'static str) -> Self {
        Self { list, blocks: Vec::new() }
    }

    fn add(&mut self, ours: &str) {
        let mut theirs = self.list.to_owned();
        write!(theirs, ".{}", self.blocks.len()).expect("a string takes everything");
        self.blocks.push((ours.to_owned(), theirs));
    }
}
