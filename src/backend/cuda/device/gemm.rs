//! Matrix products by cuBLASLt, with a handle and a workspace of our own for each stream.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, OnceLock};

use candle_core::DType;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasOperation_t;
use candle_core::cuda_backend::cudarc::cublaslt::result::{self, CublasError};
use candle_core::cuda_backend::cudarc::cublaslt::sys;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr};

use super::{Gpu, failed};
use crate::backend::cuda::gemm::choice::{Algorithm, CANDIDATES, Candidate, Card, MEASURED, Problem};
use crate::backend::cuda::gemm::choice::{first_sequential, measured};
use crate::backend::cuda::gemm::{Fused, Matrix, Product, Request, workspace_bytes};
use crate::error::{Error, Result};

/// Starts a product and does not wait for it; `false` where cuBLASLt has no algorithm for it whose sums run over K in one sequence. The algorithm is the
/// table's, or the first such that cuBLASLt proposes; it is looked for once for each kind of problem.
///
/// The plan answers for the addresses, as for [`Gpu::launch`].
///
/// # Errors
/// cuBLASLt fails.
pub fn multiply(gpu: &Gpu, product: &Product) -> Result<bool> {
    let request = Request::of(product);
    let multiplier = Multiplier::of(gpu)?;
    let Some(algorithm) = multiplier.algorithm(&request)? else { return Ok(false) };
    multiplier.start(&Call::new(&request)?, &request, &algorithm)?;
    Ok(true)
}

/// The same with this algorithm, one of [`candidates`].
///
/// # Errors
/// cuBLASLt fails.
pub fn multiply_by(gpu: &Gpu, product: &Product, algorithm: &Algorithm) -> Result<()> {
    let request = Request::of(product);
    Multiplier::of(gpu)?.start(&Call::new(&request)?, &request, algorithm)
}

/// What cuBLASLt proposes for a product, best first by its own estimate, of all that sum over K in one sequence.
///
/// # Errors
/// cuBLASLt fails.
pub fn candidates(gpu: &Gpu, product: &Product) -> Result<Vec<Candidate>> {
    let request = Request::of(product);
    let multiplier = Multiplier::of(gpu)?;
    let mut found = multiplier.candidates(&Call::new(&request)?, &request)?;
    found.retain(|candidate| candidate.is_sequential(multiplier.workspace.len()));
    Ok(found)
}

/// What measurements on this GPU are good for.
///
/// # Errors
/// The driver fails.
pub fn card(gpu: &Gpu) -> Result<Card> {
    Ok(Multiplier::of(gpu)?.card)
}

/// What one stream multiplies with.
struct Multiplier {
    handle: sys::cublasLtHandle_t,
    workspace: CudaSlice<u8>,
    stream: Arc<CudaStream>,
    card: Card,
    chosen: Mutex<HashMap<Problem, Option<Algorithm>>>,
}

// SAFETY: cuBLASLt allows any thread to use a handle, several at the same time too; the rest is `Send` and `Sync` by itself.
unsafe impl Send for Multiplier {}
// SAFETY: as above.
unsafe impl Sync for Multiplier {}

impl Multiplier {
    /// That of a GPU's stream, made when it is first asked for and kept for the life of the process, as is the stream: no other gets its address.
    fn of(gpu: &Gpu) -> Result<Arc<Self>> {
        static ALL: OnceLock<Mutex<HashMap<usize, Arc<Multiplier>>>> = OnceLock::new();
        let stream = gpu.device().cuda_stream();
        let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let key = Arc::as_ptr(&stream).addr();
        if let Some(multiplier) = all.get(&key) {
            return Ok(multiplier.clone());
        }
        let bound = stream.context().bind_to_thread();
        bound.map_err(|error| failed("the GPU's context", error))?;
        let handle = result::create_handle().map_err(|error| refused("a handle", error))?;
        // SAFETY: it is only written to before it is read, by cuBLASLt.
        let workspace = unsafe { stream.alloc::<u8>(workspace_bytes(gpu.architecture())) };
        let workspace = workspace.map_err(|error| failed("the workspace of matrix products", error))?;
        // SAFETY: it takes nothing.
        let version = unsafe { sys::cublasLtGetVersion() };
        let card = Card { architecture: gpu.architecture(), multiprocessors: gpu.multiprocessors()?, version };
        let multiplier = Arc::new(Self { handle, workspace, stream, card, chosen: Mutex::default() });
        all.insert(key, multiplier.clone());
        Ok(multiplier)
    }

    fn algorithm(&self, request: &Request) -> Result<Option<Algorithm>> {
        let problem = Problem::of(request);
        let mut chosen = self.chosen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(algorithm) = chosen.get(&problem) {
            return Ok(*algorithm);
        }
        let algorithm = match measured(MEASURED, self.card, &problem) {
            Some(algorithm) => Some(algorithm),
            None => {
                let candidates = self.candidates(&Call::new(request)?, request)?;
                first_sequential(&candidates, self.workspace.len()).map(|candidate| candidate.algorithm)
            }
        };
        chosen.insert(problem, algorithm);
        Ok(algorithm)
    }

    fn candidates(&self, call: &Call, request: &Request) -> Result<Vec<Candidate>> {
        let refuse = |error| refused(&describe(request), error);
        let preference = Preference::new(self.workspace.len(), &Problem::of(request)).map_err(refuse)?;
        let mut results = [EMPTY; CANDIDATES];
        let mut count = 0;
        // SAFETY: handle and descriptors are alive, and there is room for as many results as are asked for.
        let status = unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                call.description.0,
                call.a.0,
                call.b.0,
                call.c.0,
                call.d.0,
                preference.0,
                CANDIDATES as i32,
                results.as_mut_ptr(),
                &mut count,
            )
        };
        match status {
            // It says so where it finds none.
            sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED => return Ok(Vec::new()),
            status => status.result().map_err(refuse)?,
        }
        let usable = results.iter().take(usize::try_from(count).unwrap_or_default());
        let usable = usable.filter(|found| found.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS);
        usable.map(|found| candidate(found).map_err(refuse)).collect()
    }

    fn start(&self, call: &Call, request: &Request, algorithm: &Algorithm) -> Result<()> {
        let (alpha, beta) = (1f32, request.beta);
        let algorithm = sys::cublasLtMatmulAlgo_t { data: *algorithm };
        // Nothing is recorded when the second value is dropped: the device does not track events.
        let (workspace, _used) = self.workspace.device_ptr(&self.stream);
        let Request { a, b, c, d, .. } = request;
        // SAFETY: handle, descriptors and numbers are alive until it returns, and copied by then; the plan answers for the matrices. The workspace is this
        // stream's alone, which uses it for one product after the other.
        unsafe {
            result::matmul(
                self.handle,
                call.description.0,
                std::ptr::from_ref(&alpha).cast(),
                std::ptr::from_ref(&beta).cast(),
                a.pointer as *const c_void,
                call.a.0,
                b.pointer as *const c_void,
                call.b.0,
                c.pointer as *const c_void,
                call.c.0,
                d.pointer as *mut c_void,
                call.d.0,
                &algorithm,
                workspace as *mut c_void,
                self.workspace.len(),
                self.stream.cu_stream().cast(),
            )
        }
        .map_err(|error| refused(&describe(request), error))
    }
}

/// A place for a result.
const EMPTY: sys::cublasLtMatmulHeuristicResult_t = sys::cublasLtMatmulHeuristicResult_t {
    algo: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
    workspaceSize: 0,
    state: sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED,
    wavesCount: 0.0,
    reserved: [0; 4],
};

fn candidate(found: &sys::cublasLtMatmulHeuristicResult_t) -> std::result::Result<Candidate, CublasError> {
    use sys::cublasLtMatmulAlgoConfigAttributes_t as Attribute;
    let read = |attribute: Attribute| {
        let mut value = 0u32;
        // SAFETY: both attributes that are read have 4 bytes.
        let status = unsafe {
            sys::cublasLtMatmulAlgoConfigGetAttribute(
                &found.algo,
                attribute,
                std::ptr::from_mut(&mut value).cast(),
                size_of::<u32>(),
                std::ptr::null_mut(),
            )
        };
        status.result().map(|()| value)
    };
    Ok(Candidate {
        algorithm: found.algo.data,
        splits: read(Attribute::CUBLASLT_ALGO_CONFIG_SPLITK_NUM)?.cast_signed(),
        reduction: read(Attribute::CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME)?,
        workspace: found.workspaceSize,
    })
}

/// The descriptors of a call.
struct Call {
    description: Description,
    a: Layout,
    b: Layout,
    c: Layout,
    d: Layout,
}

impl Call {
    fn new(request: &Request) -> Result<Self> {
        let Request { dtype, a, b, c, d, .. } = request;
        let dtype = match dtype {
            DType::BF16 => sys::cudaDataType_t::CUDA_R_16BF,
            DType::F16 => sys::cudaDataType_t::CUDA_R_16F,
            DType::F32 => sys::cudaDataType_t::CUDA_R_32F,
            other => {
                let hint = "please report this: it is a defect of stir";
                return Err(Error::run(describe(request), "F32, BF16 or F16", format!("{other:?}"), hint));
            }
        };
        let layout = |matrix: &Matrix| Layout::new(matrix, dtype).map_err(|error| refused(&describe(request), error));
        let description = Description::new(request).map_err(|error| refused(&describe(request), error))?;
        Ok(Self { description, a: layout(a)?, b: layout(b)?, c: layout(c)?, d: layout(d)? })
    }
}

/// What is multiplied how.
struct Description(sys::cublasLtMatmulDesc_t);

impl Description {
    fn new(request: &Request) -> std::result::Result<Self, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        // This compute type neither rounds float32 to TF32 nor sums in anything narrower.
        let made =
            result::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cudaDataType_t::CUDA_R_32F)?;
        let description = Self(made);
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, cublasOperation_t::CUBLAS_OP_T)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, cublasOperation_t::CUBLAS_OP_N)?;
        let epilogue = match request.fused {
            Fused::Nothing => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT,
            Fused::Bias => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            Fused::Gelu => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_GELU,
            Fused::GeluBias => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_GELU_BIAS,
        };
        description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue)?;
        if let Some(bias) = request.bias {
            description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)?;
        }
        Ok(description)
    }

    fn set<T: Copy>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: T,
    ) -> std::result::Result<(), CublasError> {
        // SAFETY: the description is alive, and the value is copied from where it is.
        unsafe {
            result::set_matmul_desc_attribute(self.0, attribute, std::ptr::from_ref(&value).cast(), size_of::<T>())
        }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: it was made, and nothing uses it any more. It is a piece of host memory, whose release has nothing to report.
        unsafe { result::destroy_matmul_desc(self.0) }.ok();
    }
}

/// How a matrix lies in memory.
struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    fn new(matrix: &Matrix, dtype: sys::cudaDataType_t) -> std::result::Result<Self, CublasError> {
        result::create_matrix_layout(dtype, matrix.rows, matrix.columns, matrix.leading).map(Self)
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: as for a description.
        unsafe { result::destroy_matrix_layout(self.0) }.ok();
    }
}

/// Which algorithms are wanted.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    /// Those that need no more workspace than this, put no parts of sums together, and take these addresses.
    fn new(workspace: usize, problem: &Problem) -> std::result::Result<Self, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Self(result::create_matmul_pref()?);
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace as u64)?;
        let none = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE as u32;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, none)?;
        let attributes = [
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ];
        for (attribute, bytes) in attributes.into_iter().zip(problem.alignment) {
            preference.set(attribute, bytes)?;
        }
        Ok(preference)
    }

    fn set<T: Copy>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: T,
    ) -> std::result::Result<(), CublasError> {
        // SAFETY: the preference is alive, and the value is copied from where it is.
        unsafe {
            result::set_matmul_pref_attribute(self.0, attribute, std::ptr::from_ref(&value).cast(), size_of::<T>())
        }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: as for a description.
        unsafe { result::destroy_matmul_pref(self.0) }.ok();
    }
}

fn describe(request: &Request) -> String {
    let Request { dtype, a, d, fused, .. } = request;
    format!("the product of [{}, {}] and [{}, {}] in {dtype:?} ({fused:?})", d.columns, a.rows, a.rows, d.rows)
}

fn refused(thing: &str, error: CublasError) -> Error {
    let hint = "report it with the exact command and what `stir devices` prints";
    Error::run(thing, "cuBLASLt to carry it out", error.to_string(), hint)
}
