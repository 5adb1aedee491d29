//! Tensor maps as the driver makes them.

use candle_core::cuda_backend::cudarc::driver::result::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::{
    CUresult, CUtensorMap, CUtensorMapDataType as DataType, CUtensorMapFloatOOBfill as Fill,
    CUtensorMapInterleave as Interleave, CUtensorMapL2promotion as Promotion, CUtensorMapSwizzle as Swizzle,
    cuTensorMapEncodeTiled,
};

use super::failure::failed;
use crate::backend::cuda::launch::Element;
use crate::backend::cuda::tensor_map::{TensorMap, TensorMapDescription};
use crate::error::Result;

/// The map of what is described, for kernels on compute capability 9.0 and above.
///
/// # Errors
/// The driver refuses the description.
pub fn encode(description: &TensorMapDescription) -> Result<TensorMap> {
    let TensorMapDescription { address, element, sizes, strides, box_sizes } = description;
    let data_type = match element {
        Element::Float32 => DataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        Element::Bfloat16 => DataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
        Element::Float16 => DataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
    };
    // Every value along each axis.
    let steps = [1_u32; 4];
    let mut map = CUtensorMap { opaque: [0; 16] };
    // SAFETY: the driver reads four sizes, three strides, four box sizes and four steps, writes one map, and keeps the address without reading there.
    let result = unsafe {
        cuTensorMapEncodeTiled(
            &raw mut map,
            data_type,
            sizes.len() as u32,
            *address as *mut std::ffi::c_void,
            sizes.as_ptr(),
            strides.as_ptr(),
            box_sizes.as_ptr(),
            steps.as_ptr(),
            Interleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            Swizzle::CU_TENSOR_MAP_SWIZZLE_128B,
            Promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
            Fill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    match result {
        CUresult::CUDA_SUCCESS => Ok(TensorMap(map.opaque)),
        error => Err(failed(&format!("the tensor map of {description:?}"), DriverError(error))),
    }
}
