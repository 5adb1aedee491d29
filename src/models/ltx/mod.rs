//! LTX-Video: a latent video diffusion model whose latent frames are denoised jointly.

pub mod vae;
