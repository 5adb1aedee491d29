//! How an operation is held to its definition.

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use stir::backend::cuda::device::poison_new_tensors;
use stir::device::DeviceChoice;
use stir::error::Result;

use crate::samples::{largest_difference, values};

/// How often an operation is run; every run has to give the same bits. Where there is no device, `scripts/cuda-emulate` asks for fewer.
pub fn runs() -> usize {
    std::env::var("STIR_CUDA_TEST_RUNS").map_or(10, |runs| runs.parse().expect("STIR_CUDA_TEST_RUNS is a number"))
}

/// Not-a-numbers on either side of an operand. A multiple of 16 bytes in every type, so that operands are aligned as whole tensors are.
const MARGIN: usize = 64;

/// The GPU. New tensors of operations hold not-a-numbers until they are written.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        poison_new_tensors();
        DeviceChoice::Cuda(0).open().unwrap_or_else(|error| panic!("{error}; {}", error.hint()))
    })
}

/// What is computed from the operands.
pub type Computation<'a> = &'a dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>;

/// An operation, and what it is to compute.
pub struct Operation<'a> {
    /// What to call it in a failure.
    pub name: &'a str,
    /// On the CPU, in the type that is tested.
    pub operands: Vec<Tensor>,
    /// The operation.
    pub run: Computation<'a>,
    /// Its definition in plain tensor operations, of which the float64 result is the expected one and that of the operands' types the naive one.
    pub definition: Computation<'a>,
}

impl Operation<'_> {
    /// Checks that every run gives the same bits, finite ones, whose largest error is at most twice that of the definition in the operands' types, and
    /// half a place of the result's type at the largest expected value.
    pub fn check(&self) {
        let wide: Vec<Tensor> = self.operands.iter().map(|operand| operand.to_dtype(DType::F64).unwrap()).collect();
        let exact: Vec<Vec<f64>> = (self.definition)(&wide).unwrap().iter().map(values).collect();
        let plain: Vec<Tensor> = self.operands.iter().map(|operand| operand.to_device(device()).unwrap()).collect();
        let naive = (self.definition)(&plain).unwrap();
        let operands: Vec<Tensor> = self.operands.iter().map(amid_poison).collect();
        let found = (self.run)(&operands).unwrap();
        assert_eq!((found.len(), naive.len()), (exact.len(), exact.len()), "{}: number of results", self.name);
        for (index, exact) in exact.iter().enumerate() {
            let largest = exact.iter().fold(0f64, |most, value| most.max(value.abs()));
            let rounding = match found[index].dtype() {
                DType::F32 => 2f64.powi(-24),
                DType::BF16 => 2f64.powi(-9),
                DType::F16 => 2f64.powi(-12),
                other => panic!("{}: no tolerance is known for {other:?}", self.name),
            };
            let [error, allowed] = [&found[index], &naive[index]].map(|result| largest_error(self.name, result, exact));
            let allowed = 2.0 * allowed + rounding * largest;
            println!("{}: error {error:.2e}, allowed {allowed:.2e}", self.name);
            assert!(error <= allowed, "{}: result {index} is off by {error:e}, allowed {allowed:e}", self.name);
        }
        let expected: Vec<Vec<u64>> = found.iter().map(bits).collect();
        for run in 1..runs() {
            let again: Vec<Vec<u64>> = (self.run)(&operands).unwrap().iter().map(bits).collect();
            assert!(again == expected, "{}: run {run} gives other bits", self.name);
        }
    }
}

fn largest_error(name: &str, result: &Tensor, exact: &[f64]) -> f64 {
    let found = values(result);
    assert_eq!(found.len(), exact.len(), "{name}: number of values");
    if let Some(index) = found.iter().position(|value| !value.is_finite()) {
        panic!("{name}: value {index} is {}, expected {}", found[index], exact[index]);
    }
    largest_difference(result, exact)
}

/// The tensor on the GPU, in the middle of not-a-numbers.
fn amid_poison(tensor: &Tensor) -> Tensor {
    let margin = Tensor::full(f32::NAN, MARGIN, tensor.device()).unwrap().to_dtype(tensor.dtype()).unwrap();
    let all = Tensor::cat(&[&margin, &tensor.flatten_all().unwrap(), &margin], 0).unwrap().to_device(device()).unwrap();
    all.narrow(0, MARGIN, tensor.elem_count()).unwrap().reshape(tensor.shape()).unwrap()
}

/// All values of a tensor, as they are stored.
pub fn bits(tensor: &Tensor) -> Vec<u64> {
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::F32 => flat.to_vec1::<f32>().unwrap().into_iter().map(|value| value.to_bits().into()).collect(),
        DType::BF16 => flat.to_vec1::<half::bf16>().unwrap().into_iter().map(|value| value.to_bits().into()).collect(),
        DType::F16 => flat.to_vec1::<half::f16>().unwrap().into_iter().map(|value| value.to_bits().into()).collect(),
        DType::U8 => flat.to_vec1::<u8>().unwrap().into_iter().map(u64::from).collect(),
        other => panic!("no result is of {other:?}"),
    }
}
