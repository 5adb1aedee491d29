//! Copies beside the computation: a stream of their own, which events order with the stream of the device.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::result::{self, DriverError};
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaEvent, CudaStream, PinnedHostSlice};
use candle_core::{DType, Device, Tensor};

use super::failure::failed;
use super::tensors::{empty, pointer};
use crate::backend::carriers::Kept;
use crate::device::carrier::{Carrier, HostWeight};
use crate::error::{Error, Result};

/// What messages call it.
const THING: &str = "the stream of copies";
/// Weights of which copies may be under way while others are read from where they are.
const STAGES: usize = 2;

/// Weights to a GPU.
pub struct CopyStream {
    device: Device,
    compute: Arc<CudaStream>,
    copies: Arc<CudaStream>,
    memory: Memory,
}

/// Where copies start.
enum Memory {
    /// Weights by their names, which stay.
    Kept(RefCell<HashMap<String, PinnedHostSlice<u8>>>),
    /// Memory through which weights pass.
    Passed(RefCell<Stages>),
}

#[derive(Default)]
struct Stages {
    stages: [Option<Stage>; STAGES],
    next: usize,
}

struct Stage {
    memory: PinnedHostSlice<u8>,
    /// Of the last copy from it.
    copied: Option<CudaEvent>,
}

impl CopyStream {
    /// To a CUDA device.
    ///
    /// # Errors
    /// Another device, or a driver that fails.
    pub fn new(device: &Device, kept: Kept) -> Result<Self> {
        let compute = device.as_cuda_device()?.cuda_stream();
        let copies = compute.context().new_stream().map_err(|error| failed(THING, error))?;
        let memory = match kept {
            Kept::InPinnedMemory => Memory::Kept(RefCell::default()),
            Kept::WhereTheyAre => Memory::Passed(RefCell::default()),
        };
        Ok(Self { device: device.clone(), compute, copies, memory })
    }

    /// `bytes` is pinned and stays what it is until the stream of copies has come so far.
    fn start(&self, bytes: &[u8], weight: &HostWeight<'_>, room: &Tensor) -> Result<()> {
        let wanted = room.elem_count() * room.dtype().size_in_bytes();
        if bytes.len() != wanted {
            let (thing, found) = (format!("the weight {}", weight.name), bytes.len().to_string());
            return Err(Error::run(thing, format!("{wanted} bytes"), found, "report it with the exact command"));
        }
        // SAFETY: the room is as large as the bytes. Who asked for the copy waits for its arrival before the room is computed with or freed, and the
        // caller answers for the source.
        unsafe { result::memcpy_htod_async(pointer(room)?, bytes, self.copies.cu_stream()) }
            .map_err(|error| failed(&format!("the copy of the weight {}", weight.name), error))
    }
}

impl Carrier for CopyStream {
    fn room(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        empty(shape, dtype, &self.device)
    }

    fn mark(&self) -> Result<()> {
        self.copies.join(&self.compute).map_err(|error| failed(THING, error))
    }

    fn copy(&self, weight: &HostWeight<'_>, room: &Tensor) -> Result<()> {
        let context = self.copies.context();
        let of_memory = |error| failed(&format!("pinned memory for the weight {}", weight.name), error);
        match &self.memory {
            Memory::Kept(kept) => {
                let mut kept = kept.borrow_mut();
                if !kept.contains_key(weight.name) {
                    let memory = pinned(context, &(weight.read)()?).map_err(of_memory)?;
                    kept.insert(weight.name.to_owned(), memory);
                }
                // Nothing writes to it again, and it is given back after the stream has come to its end.
                self.start(kept[weight.name].as_slice().map_err(of_memory)?, weight, room)
            }
            Memory::Passed(stages) => {
                let bytes = (weight.read)()?;
                let mut stages = stages.borrow_mut();
                let index = stages.next;
                stages.next = (index + 1) % STAGES;
                let stage = Stage::filled(stages.stages[index].take(), &bytes, context).map_err(of_memory)?;
                let stage = stages.stages[index].insert(stage);
                self.start(&stage.memory.as_slice().map_err(of_memory)?[..bytes.len()], weight, room)?;
                stage.copied = Some(self.copies.record_event(None).map_err(|error| failed(THING, error))?);
                Ok(())
            }
        }
    }

    fn arrive(&self) -> Result<()> {
        self.compute.join(&self.copies).map_err(|error| failed(THING, error))
    }
}

impl Drop for CopyStream {
    fn drop(&mut self) {
        // Pinned memory is given back next. There is nobody to tell of a failure, after which nothing is copied anyway.
        self.copies.synchronize().ok();
    }
}

impl Stage {
    /// With these bytes at its beginning, once nothing is copied from it any more.
    fn filled(used: Option<Self>, bytes: &[u8], context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        if let Some(copied) = used.as_ref().and_then(|stage| stage.copied.as_ref()) {
            copied.synchronize()?;
        }
        match used {
            Some(mut stage) if stage.memory.len() >= bytes.len() => {
                stage.memory.as_mut_slice()?[..bytes.len()].copy_from_slice(bytes);
                Ok(stage)
            }
            _ => Ok(Self { memory: pinned(context, bytes)?, copied: None }),
        }
    }
}

/// A copy of these bytes in pinned memory that the processor only writes.
fn pinned(context: &Arc<CudaContext>, bytes: &[u8]) -> Result<PinnedHostSlice<u8>, DriverError> {
    // SAFETY: all of it is written before it is read.
    let mut memory = unsafe { context.alloc_pinned::<u8>(bytes.len())? };
    memory.as_mut_slice()?.copy_from_slice(bytes);
    Ok(memory)
}
