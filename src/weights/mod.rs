//! Weight files: opened, checked and named.

pub mod keymap;
pub mod store;
