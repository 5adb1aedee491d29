//! Layers that two families, or two networks of one family, share.

pub mod convolution;
pub mod projection;
pub mod timestep;
