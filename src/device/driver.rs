//! What the CUDA driver is asked for. The only file outside of the backend that calls it, and safe to use.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::result::{self, DriverError, mem_pool};
use candle_core::cuda_backend::cudarc::driver::sys::{
    self, CUdevice_attribute as Attribute, CUmemPool_attribute as Pool,
};
use candle_core::cuda_backend::kernels;

use super::found::Nvidia;
use super::nvidia::{Built, Card, Driver, Target, driver_version};
use super::version::{Architecture, CudaVersion};
use crate::error::Problem;

/// The device with this number. It has one stream, which every thread uses, and memory that stays with the process once it has been taken. Whoever opens
/// it again gets the same one.
///
/// # Errors
/// There is no such device, or the driver fails.
pub(super) fn open(index: usize) -> candle_core::Result<Device> {
    static OPENED: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = opened.get(&index) {
        return Ok(device.clone());
    }
    let device = open_anew(index)?;
    opened.insert(index, device.clone());
    Ok(device)
}

fn open_anew(index: usize) -> candle_core::Result<Device> {
    let device = Device::new_cuda_with_stream(index)?;
    let cuda = device.as_cuda_device()?;
    // SAFETY: all work on candle's tensors goes through the device's only stream, in whose order memory is also taken and given back. What copies on
    // another stream orders itself by events.
    unsafe { cuda.disable_event_tracking() };
    let context = cuda.cuda_stream().context().clone();
    if context.has_async_alloc() {
        context.bind_to_thread().map_err(candle_core::Error::wrap)?;
        set_pool(context.cu_device(), Pool::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, u64::MAX)
            .map_err(candle_core::Error::wrap)?;
    }
    Ok(device)
}

/// The device's place on the bus, such as `00000000:01:00.0`.
pub(super) fn bus_address(device: &Device) -> Option<String> {
    let context = device.as_cuda_device().ok()?.cuda_stream().context().clone();
    let domain = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID).ok()?;
    let bus = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID).ok()?;
    let slot = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID).ok()?;
    Some(format!("{domain:08x}:{bus:02x}:{slot:02x}.0"))
}

/// Bytes that could still be taken on the device: what no program holds, and what the memory pool of this one keeps unused.
pub(super) fn free_memory(device: &Device) -> Option<u64> {
    let stream = device.as_cuda_device().ok()?.cuda_stream();
    // The pool counts what was given back as unused when the stream has come that far.
    stream.synchronize().ok()?;
    let context = stream.context();
    let (free, _) = context.mem_get_info().ok()?;
    let kept = if context.has_async_alloc() { kept_by_pool(context.cu_device()).ok()? } else { 0 };
    Some(free as u64 + kept)
}

fn kept_by_pool(device: sys::CUdevice) -> Result<u64, DriverError> {
    let reserved = pool(device, Pool::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?;
    Ok(reserved.saturating_sub(pool(device, Pool::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?))
}

/// One of the attributes that are numbers of bytes, of the pool that asynchronous allocations come from.
fn pool(device: sys::CUdevice, attribute: Pool) -> Result<u64, DriverError> {
    let mut bytes = 0u64;
    // SAFETY: `device` is of an open context, and the attribute is a `cuuint64_t`, which `bytes` is.
    unsafe { mem_pool::get_attribute(result::device::get_mem_pool(device)?, attribute, (&raw mut bytes).cast())? };
    Ok(bytes)
}

fn set_pool(device: sys::CUdevice, attribute: Pool, mut bytes: u64) -> Result<(), DriverError> {
    // SAFETY: as in `pool`; the driver reads the value before it returns.
    unsafe { mem_pool::set_attribute(result::device::get_mem_pool(device)?, attribute, (&raw mut bytes).cast()) }
}

/// What the driver says of itself and its GPUs.
pub(super) fn look() -> Nvidia {
    let built = Some(built());
    let mut driver = Driver { version: driver_version(), cuda: None };
    let cards = result::init().and_then(|()| {
        driver.cuda = Some(cuda_version()?);
        (0..result::device::get_count()?.unsigned_abs())
            .map(|index| card(index as usize))
            .collect::<Result<Vec<_>, _>>()
    });
    let none = |found: String| {
        let version = driver.version.as_ref().map(|version| format!("driver {version}: ")).unwrap_or_default();
        Problem {
            thing: "--device".to_owned(),
            wanted: "an NVIDIA GPU that its driver can use".to_owned(),
            found: version + &found,
            hint: "check what `nvidia-smi` says, or use --device cpu".to_owned(),
        }
    };
    let cards = match cards {
        Ok(cards) if cards.is_empty() => Err(none("no GPU".to_owned())),
        Ok(cards) => Ok(cards),
        Err(error) => Err(none(text_of(error))),
    };
    Nvidia { driver, cards, built }
}

/// The driver's own words.
fn text_of(error: DriverError) -> String {
    match (error.error_string(), error.error_name()) {
        (Ok(text), Ok(name)) => format!("{} ({})", text.to_string_lossy(), name.to_string_lossy()),
        _ => error.to_string(),
    }
}

fn built() -> Built {
    let cuda = CudaVersion::of_number(env!("STIR_CUDA_VERSION").parse().expect("kernels/build.rs writes a number"));
    let target = Target::of_ptx(kernels::FILL.ptx()).expect("candle's kernels are PTX");
    Built { cuda, target }
}

/// The newest CUDA that the driver knows.
fn cuda_version() -> Result<CudaVersion, DriverError> {
    let mut number = 0;
    // SAFETY: the driver writes an `int` and needs nothing else, not even to be initialised.
    unsafe { sys::cuDriverGetVersion(&raw mut number) }.result()?;
    Ok(CudaVersion::of_number(number.unsigned_abs()))
}

fn card(index: usize) -> Result<Card, DriverError> {
    let device = result::device::get(index as i32)?;
    // SAFETY: `device` is what the driver has just given.
    let number = |attribute| unsafe { result::device::get_attribute(device, attribute) };
    let major = number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?.unsigned_abs();
    let minor = number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?.unsigned_abs();
    // SAFETY: as above.
    let bytes = unsafe { result::device::total_mem(device)? };
    Ok(Card {
        index,
        name: result::device::get_name(device)?,
        memory_bytes: Some(bytes as u64),
        architecture: Some(Architecture { major, minor }),
    })
}
