//! Ways to devices beside their computation.

use candle_core::Device;

use crate::device::carrier::Carrier;
use crate::error::Result;

/// Where weights are between one computation with them and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In memory from which the device copies without the processor's help; read once.
    InPinnedMemory,
    /// Where they are read from, each time anew.
    WhereTheyAre,
}

/// A way to this device; `None` where there is none beside its computation: for the CPU, and for Metal, whose memory is the CPU's.
///
/// # Errors
/// A device that fails.
#[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
pub fn to(device: &Device, kept: Kept) -> Result<Option<Box<dyn Carrier>>> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        return Ok(Some(Box::new(crate::backend::cuda::device::CopyStream::new(device, kept)?)));
    }
    Ok(None)
}
