//! `sway`: the small model that ships with stir. It diffuses motion; its decoder re-samples the user's own picture.

pub mod class_map;
pub mod curve;
pub mod decoder;
mod eyes;
pub mod motion;
pub mod parts;
pub mod text;
