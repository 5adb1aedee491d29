//! What makes operations fast, by backend; each operation has the same name here as in `ops`.

pub mod carriers;
pub mod cpu;
pub mod cuda;
pub mod metal;
pub mod reader;
