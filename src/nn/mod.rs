//! Layers that two families, or two networks of one family, share.
//!
//! Most are loaders of candle's own layers: they check names and shapes, which candle's builders do not all do.

pub mod convolution;
pub mod projection;
pub mod timestep;
