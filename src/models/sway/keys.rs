//! Tensor names of the checkpoints, where they differ from ours.

use crate::weights::keymap::KeyMap;

/// The encoder's middle is a list in PyTorch, whose parts have numbers for names.
pub const ENCODER: KeyMap =
    KeyMap::leading(&[("attention_before", "middle.0"), ("middle", "middle.1"), ("attention_after", "middle.2")]);

/// The denoiser's names are ours.
pub const DENOISER: KeyMap = KeyMap::IDENTITY;
