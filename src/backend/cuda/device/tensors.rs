//! Tensors as kernels see them: an address, and memory that nothing has written yet.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, result};
use candle_core::cuda_backend::{CudaDevice, CudaStorageSlice as Values};
use candle_core::{DType, Device, Shape, Storage, Tensor};

use super::failure::failed;
use crate::error::{Error, Result};

/// Whether new tensors are filled with not-a-numbers.
static POISON: AtomicBool = AtomicBool::new(false);

/// From now on fills tensors that [`empty`] makes with bytes of 255, not-a-numbers in every floating-point type, so that tests see what a kernel leaves
/// out.
pub fn poison_new_tensors() {
    POISON.store(true, Ordering::Relaxed);
}

/// A tensor with any content, for a kernel that writes all of it. Tensors of no value have an address that must not be read.
///
/// # Errors
/// There is too little memory, or the driver fails.
pub fn empty(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
    // SAFETY: every bit pattern is a value of the types that there are on a GPU; what they are is undetermined until a kernel has written them.
    let tensor = unsafe { Tensor::empty(shape, dtype, device)? };
    if POISON.load(Ordering::Relaxed) && tensor.elem_count() > 0 {
        let bytes = tensor.elem_count() * dtype.size_in_bytes();
        let stream = device.as_cuda_device()?.cuda_stream();
        // SAFETY: the memory is the tensor's, on whose stream it is filled.
        unsafe { result::memset_d8_async(pointer(&tensor)?, u8::MAX, bytes, stream.cu_stream()) }
            .map_err(|error| failed("filling new memory", error))?;
    }
    Ok(tensor)
}

/// The address of the first value of a contiguous tensor on a GPU.
///
/// # Errors
/// The tensor is not contiguous, or not on a GPU.
pub fn pointer(tensor: &Tensor) -> Result<u64> {
    if !tensor.is_contiguous() {
        let found = format!("strides {:?} of {:?}", tensor.stride(), tensor.dims());
        return Err(defect("a tensor for a kernel", "a contiguous one", found));
    }
    first_value(tensor)
}

/// The address of the first value of a tensor on a GPU, whatever its strides.
///
/// # Errors
/// The tensor is not on a GPU.
pub fn first_value(tensor: &Tensor) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(defect("a tensor for a kernel", "one on a GPU", format!("{:?}", tensor.device().location())));
    };
    let start = address(&storage.slice, &storage.device);
    Ok(start + (layout.start_offset() * tensor.dtype().size_in_bytes()) as u64)
}

/// The same values one after the other, the first at a multiple of 16 bytes: a part of a tensor may begin between two.
///
/// # Errors
/// The tensor is not on a GPU, or there is too little memory for a copy.
pub fn aligned(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.contiguous()?;
    // `Tensor::copy` would copy what lies before the part too.
    Ok(if pointer(&tensor)?.is_multiple_of(16) { tensor } else { tensor.force_contiguous()? })
}

fn address(values: &Values, device: &CudaDevice) -> u64 {
    fn of<T>(values: &CudaSlice<T>, device: &CudaDevice) -> u64 {
        // Nothing is recorded when the second value is dropped: the device does not track events.
        values.device_ptr(&device.cuda_stream()).0
    }
    match values {
        Values::U8(values)
        | Values::F6E2M3(values)
        | Values::F6E3M2(values)
        | Values::F4(values)
        | Values::F8E8M0(values) => of(values, device),
        Values::U32(values) => of(values, device),
        Values::I16(values) => of(values, device),
        Values::I32(values) => of(values, device),
        Values::I64(values) => of(values, device),
        Values::BF16(values) => of(values, device),
        Values::F16(values) => of(values, device),
        Values::F32(values) => of(values, device),
        Values::F64(values) => of(values, device),
        Values::F8E4M3(values) => of(values, device),
    }
}

fn defect(thing: &str, wanted: &str, found: String) -> Error {
    Error::run(thing, wanted, found, "please report this: it is a defect of stir")
}
