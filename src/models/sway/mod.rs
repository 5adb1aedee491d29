//! `sway`: the small model that ships with stir. It diffuses motion; its decoder re-samples the user's own picture.

pub mod class_map;
pub mod codec;
pub mod constraints;
pub mod curve;
pub mod decoder;
pub mod denoiser;
pub mod encoder;
mod eyes;
pub mod features;
pub mod image_encoder;
pub mod keys;
pub mod motion;
mod named;
pub mod parts;
pub mod text;
pub mod weights;

/// Latent frames of a clip, whatever its length: the keys of its splines.
pub const KEYS: usize = 25;
/// Rows and columns of the spatial latents and of the picture's features.
pub const GRID: usize = motion::GRID;
/// Cells of the grid.
pub const CELLS: usize = GRID * GRID;
/// Spatial latents of a cell: hair x, hair y, cloth x, cloth y.
pub const LATENT_CHANNELS: usize = 4;
/// Control values of a latent frame.
pub const CONTROL_CHANNELS: usize = 26;
/// Features of a cell of the picture.
pub const FEATURE_CHANNELS: usize = 16;
/// Entries of a plan.
pub const PLAN_CHANNELS: usize = 20;

/// Tensor of the image condition: `[1, 6, 6, 16]`, float32, see [`features`].
pub const FEATURES: &str = "features";
/// Tensor of the text condition: `[1, 20]`, float32.
pub const PLAN: &str = "plan";
/// Tensor of the text condition: the plan that asks for nothing, `[1, 20]`, float32.
pub const UNCONDITIONAL_PLAN: &str = "unconditional_plan";
