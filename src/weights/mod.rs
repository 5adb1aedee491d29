//! Weight files: opened, checked and named.

pub mod checkpoint;
pub mod keymap;
pub mod store;
