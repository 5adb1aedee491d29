//! Results that come to the CPU beside the computation of the next.

use std::collections::VecDeque;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::result::{self, DriverError};
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream, PinnedHostSlice};
use candle_core::{Device, Tensor};

use super::failure::failed;
use super::tensors::pointer;
use crate::error::Result;

/// What messages call it.
const THING: &str = "the stream of results";
/// Memory that the processor reads, unlike write-combined memory, at its full speed.
const READABLE: u32 = 0;

/// Tensors from a GPU.
pub struct ReadStream {
    compute: Arc<CudaStream>,
    copies: Arc<CudaStream>,
    coming: VecDeque<Coming>,
    /// Memory that nothing is copied to.
    free: Vec<PinnedHostSlice<u8>>,
}

struct Coming {
    /// It has to be there until it is copied.
    tensor: Tensor,
    memory: PinnedHostSlice<u8>,
    copied: CudaEvent,
}

impl ReadStream {
    /// From a CUDA device.
    ///
    /// # Errors
    /// Another device, or a driver that fails.
    pub fn new(device: &Device) -> Result<Self> {
        let compute = device.as_cuda_device()?.cuda_stream();
        let copies = compute.context().new_stream().map_err(|error| failed(THING, error))?;
        Ok(Self { compute, copies, coming: VecDeque::new(), free: Vec::new() })
    }

    /// Tensors that are coming.
    pub fn coming(&self) -> usize {
        self.coming.len()
    }

    /// Begins to read a tensor, once all is computed that the device has been asked for so far.
    ///
    /// # Errors
    /// Too little memory, or a driver that fails.
    pub fn begin(&mut self, tensor: &Tensor) -> Result<()> {
        let tensor = tensor.contiguous()?;
        let bytes = tensor.elem_count() * tensor.dtype().size_in_bytes();
        let source = pointer(&tensor)?;
        let coming = self.start(tensor, source, bytes).map_err(|error| failed(THING, error))?;
        self.coming.push_back(coming);
        Ok(())
    }

    fn start(&mut self, tensor: Tensor, source: u64, bytes: usize) -> Result<Coming, DriverError> {
        let kept = self.free.iter().position(|memory| memory.len() == bytes).map(|place| self.free.swap_remove(place));
        let mut memory = match kept {
            Some(memory) => memory,
            // SAFETY: all of it is written before it is read.
            None => unsafe { self.copies.context().alloc_pinned_with_flags(bytes, READABLE)? },
        };
        self.copies.join(&self.compute)?;
        // SAFETY: both are of this size, and `Coming` keeps both until the copy is done.
        unsafe { result::memcpy_dtoh_async(memory.as_mut_slice()?, source, self.copies.cu_stream())? };
        Ok(Coming { tensor, memory, copied: self.copies.record_event(None)? })
    }

    /// The tensor that was begun first, on the CPU; `None` where none is coming.
    ///
    /// # Errors
    /// A driver that fails.
    pub fn finish(&mut self) -> Result<Option<Tensor>> {
        let Some(Coming { tensor, memory, copied }) = self.coming.pop_front() else { return Ok(None) };
        copied.synchronize().map_err(|error| failed(THING, error))?;
        let bytes = memory.as_slice().map_err(|error| failed(THING, error))?;
        let read = Tensor::from_raw_buffer(bytes, tensor.dtype(), tensor.dims(), &Device::Cpu)?;
        self.free.push(memory);
        Ok(Some(read))
    }
}

impl Drop for ReadStream {
    fn drop(&mut self) {
        // Tensors and memory are given back next. There is nobody to tell of a failure, after which nothing is copied anyway.
        self.copies.synchronize().ok();
    }
}
