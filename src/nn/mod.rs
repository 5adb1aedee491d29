//! Layers that two families, or two networks of one family, share.

pub mod convolution;
pub mod joined_projection;
pub mod projection;
pub mod timestep;
