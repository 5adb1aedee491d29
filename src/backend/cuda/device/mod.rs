//! The GPU that launches run on. What is launched is decided without it, by the pure functions of the other files.
#![allow(unsafe_code)]

mod copies;
mod failure;
pub mod gemm;
mod images;
mod modules;
mod readings;
mod tensor_map;
mod tensors;

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute as Attribute;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::{Device, DeviceLocation};

use super::launch::Launch;
use crate::device::version::Architecture;
use crate::error::Result;
pub use copies::CopyStream;
pub use failure::failed;
use modules::Modules;
pub use readings::ReadStream;
pub use tensor_map::encode as encode_tensor_map;
pub use tensors::{aligned, empty, first_value, pointer, poison_new_tensors};

/// An open GPU. Cheap to make and to clone: what it has loaded is kept for the life of the process.
#[derive(Debug, Clone)]
pub struct Gpu {
    device: CudaDevice,
    modules: Arc<Modules>,
}

/// A kernel's parameters as the driver takes them.
#[repr(transparent)]
struct Parameters<P>(P);

// SAFETY: it is read by value, and what the addresses in it stand for is the plan's responsibility, see `Gpu::launch`.
unsafe impl<P> DeviceRepr for Parameters<P> {}

impl Gpu {
    /// The GPU of a device; `None` for any other device.
    ///
    /// # Errors
    /// The driver does not say what it is.
    pub fn of(device: &Device) -> Result<Option<Self>> {
        let (Device::Cuda(cuda), DeviceLocation::Cuda { gpu_id }) = (device, device.location()) else {
            return Ok(None);
        };
        let modules = Modules::of(gpu_id, cuda.cuda_stream().context())?;
        Ok(Some(Self { device: cuda.clone(), modules }))
    }

    /// What decides on kernels and tiles.
    pub fn architecture(&self) -> Architecture {
        self.modules.architecture()
    }

    /// The number of its multiprocessors.
    ///
    /// # Errors
    /// The driver fails.
    pub fn multiprocessors(&self) -> Result<u32> {
        let count = self.device.cuda_stream().context().attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        Ok(count.map_err(|error| failed("the GPU's number of multiprocessors", error))?.unsigned_abs())
    }

    /// candle's device, for its stream and its cuBLAS.
    pub fn device(&self) -> &CudaDevice {
        &self.device
    }

    /// Starts a kernel on the device's stream and does not wait for it. A grid without blocks starts nothing.
    ///
    /// The plan answers for the parameters: `P` is the structure that the kernel takes, and the addresses in it are of memory as large as the kernel
    /// reads and writes, which is given back on the same stream, such as that of tensors of this device.
    ///
    /// # Errors
    /// There is no such kernel in this program, or the driver refuses the launch.
    pub fn launch<P: Copy>(&self, launch: &Launch<P>) -> Result<()> {
        if launch.grid.contains(&0) {
            return Ok(());
        }
        let kernel = self.modules.kernel(launch.kernel, launch.shared_bytes)?;
        let stream = self.device.cuda_stream();
        let [x, y, z] = launch.grid;
        let config = LaunchConfig {
            grid_dim: (x, y, z),
            block_dim: (launch.block, 1, 1),
            shared_mem_bytes: launch.shared_bytes,
        };
        let parameters = Parameters(launch.parameters);
        let mut builder = stream.launch_builder(&kernel);
        builder.arg(&parameters);
        // SAFETY: every kernel takes one structure by value, which the plan answers for as said above.
        unsafe { builder.launch(config) }.map_err(|error| failed(&format!("the kernel {}", launch.kernel), error))?;
        Ok(())
    }
}
