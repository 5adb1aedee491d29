//! LTX-Video: a diffusion transformer over all latent frames of the clip at once, on the latents of a causal video VAE.
//!
//! # Source
//! HaCohen et al., "LTX-Video: Realtime Video Latent Diffusion" (2024); the repository Lightricks/LTX-Video; diffusers 0.42.1. Tensors have
//! the names of diffusers.

pub mod block;
pub mod checkpoint;
pub mod config;
pub mod config_fields;
pub mod keys;
pub mod rope;
pub mod scheduler;
pub mod text;
pub mod timestep;
pub mod transformer;
pub mod upsampler;
pub mod vae;
