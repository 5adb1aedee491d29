//! Where a clip comes from: the record that it carries, and what the record is good for.
//!
//! A record holds only what request, build and result determine: no timings, no folders, no names of users or machines, and nothing that changes
//! neither picture nor file. Whoever makes the clip again gets the same record.

pub(super) mod beside;
pub mod command;
pub(super) mod gather;
pub mod record;
pub mod sums;
pub mod verify;

pub use record::Record;
