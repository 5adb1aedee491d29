//! `sway`: the small model that ships with stir. It diffuses motion; its decoder re-samples the user's own picture.

pub mod camera_path;
pub mod decoder;
pub mod text;
