//! Model families against their reference implementations.

mod drawn_figure;
#[path = "../support/fixture.rs"]
mod fixture;
#[cfg(feature = "hub")]
#[path = "../support/hub_server.rs"]
mod hub_server;
#[path = "../support/scratch.rs"]
mod scratch;

#[cfg(feature = "hub")]
mod hub;
mod ltx_checkpoint;
mod ltx_checkpoint_refusals;
mod ltx_inspect;
mod ltx_layouts;
mod ltx_manifest;
mod ltx_memory;
mod ltx_recipe;
mod ltx_released;
mod ltx_residency;
mod ltx_runs;
mod ltx_schedule;
mod ltx_synthetic;
mod ltx_text;
mod ltx_transformer;
mod ltx_upsampler;
mod ltx_vae;
mod ltx_vae_keys;
mod model_paths;
mod sway_codec;
mod sway_decoder;
mod sway_denoiser;
mod sway_encoder;
mod sway_family;
mod sway_features;
mod sway_gates;
mod sway_manifest;
mod sway_rewrite;
mod sway_text;
mod sway_threads;
mod weights_files;
