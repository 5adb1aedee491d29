//! Values on their way from the CPU's memory, or a file, to a device that computes meanwhile.

use std::borrow::Cow;

use candle_core::{DType, Tensor};

use crate::error::Result;

/// A way to a device beside its computation. A device computes what it is asked for one after the other, but after the asking; a carrier's copies are
/// asked for in the same manner, and [`mark`](Self::mark) and [`arrive`](Self::arrive) say what comes after what.
pub trait Carrier {
    /// Memory on the device, for values that are still to come: it holds anything until they have arrived, and nothing may be computed with it. It is
    /// freed like any tensor.
    ///
    /// # Errors
    /// Too little memory, or a type that the device does not have.
    fn room(&self, shape: &[usize], dtype: DType) -> Result<Tensor>;

    /// What is copied from here on comes after all that the device has been asked for so far, the making of room above all, and beside all that it is
    /// asked for later.
    ///
    /// # Errors
    /// A device that fails.
    fn mark(&self) -> Result<()>;

    /// Begins to copy a weight into its room.
    ///
    /// # Errors
    /// What reading fails with, another number of bytes than there is room for, or a device that fails.
    fn copy(&self, weight: &HostWeight<'_>, room: &Tensor) -> Result<()>;

    /// What the device is asked for from here on finds all that has been copied so far.
    ///
    /// # Errors
    /// A device that fails.
    fn arrive(&self) -> Result<()>;
}

/// A weight that is not on the device.
pub struct HostWeight<'a> {
    /// Its name, the same each time and of no other weight.
    pub name: &'a str,
    /// Reads its values, in the type and order of the room.
    pub read: &'a dyn Fn() -> Result<Cow<'a, [u8]>>,
}
