//! Weight files: opened, checked and named.

mod carriage;
pub mod checkpoint;
pub mod digest;
pub mod files;
#[cfg(feature = "hub")]
pub mod hub;
pub mod keymap;
pub mod remote;
mod scaled;
pub mod store;
mod stored;
pub mod synthetic;
