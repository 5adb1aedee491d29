//! Kernels that have been loaded, by GPU.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute_enum as Attribute;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaFunction, CudaModule};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;

use super::failure::failed;
use super::images;
use crate::device::version::Architecture;
use crate::error::{Error, Result};

/// Dynamic shared memory that a block may have without being asked for, in bytes.
const SHARED_BYTES: u32 = 48 << 10;

/// What one GPU has loaded.
#[derive(Debug)]
pub(super) struct Modules {
    context: Arc<CudaContext>,
    architecture: Architecture,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    modules: HashMap<&'static str, Arc<CudaModule>>,
    kernels: HashMap<&'static str, Kernel>,
}

#[derive(Debug)]
struct Kernel {
    function: CudaFunction,
    /// Dynamic shared memory that its blocks may have.
    shared_bytes: u32,
}

impl Modules {
    /// Those of the GPU with this number. A process has one primary context for each, so they serve every device that is opened on it.
    pub(super) fn of(index: usize, context: &Arc<CudaContext>) -> Result<Arc<Self>> {
        static ALL: OnceLock<Mutex<HashMap<usize, Arc<Modules>>>> = OnceLock::new();
        let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(modules) = all.get(&index) {
            return Ok(modules.clone());
        }
        let capability = context.compute_capability().map_err(|error| failed("the GPU's compute capability", error))?;
        let architecture = Architecture { major: capability.0.unsigned_abs(), minor: capability.1.unsigned_abs() };
        let modules = Arc::new(Self { context: context.clone(), architecture, loaded: Mutex::default() });
        all.insert(index, modules.clone());
        Ok(modules)
    }

    pub(super) fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// A kernel whose blocks may have `shared_bytes` of dynamic shared memory.
    pub(super) fn kernel(&self, name: &'static str, shared_bytes: u32) -> Result<CudaFunction> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if !loaded.kernels.contains_key(name) {
            let function = self.load(name, &mut loaded.modules)?;
            loaded.kernels.insert(name, Kernel { function, shared_bytes: SHARED_BYTES });
        }
        let kernel = loaded.kernels.get_mut(name).expect("it has just been loaded");
        if shared_bytes > kernel.shared_bytes {
            let bytes = i32::try_from(shared_bytes).unwrap_or(i32::MAX);
            let raised =
                kernel.function.set_attribute(Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
            raised.map_err(|error| {
                failed(&format!("{shared_bytes} bytes of shared memory for the kernel {name}"), error)
            })?;
            kernel.shared_bytes = shared_bytes;
        }
        Ok(kernel.function.clone())
    }

    fn load(&self, name: &str, modules: &mut HashMap<&'static str, Arc<CudaModule>>) -> Result<CudaFunction> {
        let Some(image) = images::holding(name) else {
            let hint = "please report this: it is a defect of stir";
            return Err(Error::run(format!("the kernel {name}"), "one that was compiled", "none of this name", hint));
        };
        let module = match modules.get(image.name) {
            Some(module) => module.clone(),
            None => {
                let module = self.context.load_module(Ptx::from_binary(image.binary.to_vec()));
                let thing = format!("the kernels of {} for compute capability {}", image.name, self.architecture);
                let module = module.map_err(|error| failed(&thing, error))?;
                modules.insert(image.name, module.clone());
                module
            }
        };
        module.load_function(name).map_err(|error| failed(&format!("the kernel {name}"), error))
    }
}
