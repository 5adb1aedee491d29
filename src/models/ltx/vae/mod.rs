//! The causal video autoencoder: pixels to latents and back, 8 frames and 32 by 32 pixels to one latent position.
//!
//! Three generations are in use: 0.9.0; 0.9.1, with another decoder; and 0.9.5, with another encoder, which all later releases keep. One code
//! runs them: [`config`] says what each stage is made of.
//!
//! Inside, a clip is a list of frames `[1, H, W, C]`: convolutions read channels that lie next to each other. At the borders it is `[1, C, T, H, W]`.
//!
//! # Source
//! HaCohen et al., "LTX-Video: Realtime Video Latent Diffusion" (2024); diffusers 0.42.1, `autoencoder_kl_ltx.py`.

pub mod blocks;
pub mod config;
pub mod convolution;
pub mod decoder;
pub mod delay;
pub mod encoder;
pub mod keys;
pub mod memory;
pub mod norm;
pub mod resample;
pub mod residual;
pub mod shapes;
pub mod statistics;
pub mod stream;
pub mod tiling;
