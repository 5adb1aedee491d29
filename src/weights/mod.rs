//! Weight files: opened, checked and named.

mod carriage;
pub mod checkpoint;
pub mod digest;
pub mod files;
pub mod fingerprint;
pub mod gguf;
mod guard;
#[cfg(feature = "hub")]
pub mod hub;
pub mod keymap;
pub mod mapped_file;
pub mod pickle;
pub mod remote;
mod scaled;
pub mod small_file;
pub mod store;
mod stored;
pub mod synthetic;
