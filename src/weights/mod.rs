//! Weight files: opened, checked and named.

pub mod checkpoint;
pub mod files;
pub mod keymap;
pub mod store;
mod stored;
