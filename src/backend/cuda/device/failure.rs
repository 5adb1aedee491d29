//! What the driver's failures are called.

use candle_core::cuda_backend::cudarc::driver::result::DriverError;

use crate::error::Error;

/// A failure of the driver at `thing`. Its text holds the driver's own name of it, such as `CUDA_ERROR_OUT_OF_MEMORY`.
pub fn failed(thing: &str, error: DriverError) -> Error {
    Error::run(thing, "the CUDA driver to carry it out", error.to_string(), hint(&error))
}

fn hint(error: &DriverError) -> &'static str {
    use candle_core::cuda_backend::cudarc::driver::sys::CUresult;
    match error.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => "take a smaller --resolution, or end other programs on the GPU",
        CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
            "`stir devices` says what this program was built for"
        }
        _ => "report it with the exact command and what `stir devices` prints",
    }
}
