//! Operations against their definitions.

mod warp;
