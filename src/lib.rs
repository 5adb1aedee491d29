//! `stir` makes a still image move: latent video diffusion on the user's own machine.
//!
//! # The map
//! A layer may use any layer to its right, never one to its left (`tests/layout.rs` checks it):
//!
//! ```text
//! cli -> pipeline -> models -> nn -> ops -> backend
//!           |-> media                            pixels in, video out: the only place that knows FFmpeg
//!           |-> words                            advice on prompts, before any model reads them
//!        models also use diffusion and weights, nn uses weights
//! leaves, usable anywhere: error, units, shape, device, picture, camera, latents
//! ```
//!
//! # Invariants
//! * Randomness is drawn on the CPU from a counter-based generator ([`diffusion::noise`]): a seed means the same noise everywhere.
//! * Results do not depend on the number of threads.
//! * Weights are immutable; the state of a decode is apart from them.
//! * Nothing appears under its final name before it is complete.
//!
//! # Axis letters
//! `B` batch, `C` channels, `T` or `F` frames (of pixels, of latents), `H` height, `W` width, `N` tokens, `D` features.

pub mod backend;
pub mod camera;
pub mod cli;
pub mod device;
pub mod diffusion;
pub mod error;
pub mod latents;
pub mod media;
pub mod models;
pub mod nn;
pub mod ops;
pub mod picture;
pub mod pipeline;
pub mod shape;
pub mod units;
pub mod weights;
pub mod words;
