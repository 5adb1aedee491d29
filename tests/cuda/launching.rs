//! Kernels that are not there, and grids that are empty.

use candle_core::{DType, Device};
use stir::backend::cuda::device::{Gpu, empty, pointer};
use stir::backend::cuda::launch::Launch;
use stir::device::{available_memory, found};

use crate::harness::device;
use crate::samples::values;

#[test]
fn an_unknown_kernel_is_refused_by_name() {
    let gpu = Gpu::of(device()).unwrap().expect("it is a GPU");
    let launch = Launch { kernel: "no_such_kernel", grid: [1, 1, 1], block: 32, shared_bytes: 0, parameters: 0_u64 };
    assert!(gpu.launch(&launch).unwrap_err().to_string().contains("the kernel no_such_kernel"));
    gpu.launch(&Launch { grid: [0, 1, 1], ..launch }).expect("an empty grid starts nothing");
    assert!(Gpu::of(&Device::Cpu).unwrap().is_none());
}

#[test]
fn new_tensors_are_poisoned_here() {
    let tensor = empty((3, 5), DType::BF16, device()).unwrap();
    assert!(values(&tensor).iter().all(|value| value.is_nan()));
    let later = tensor.narrow(0, 1, 2).unwrap();
    assert_eq!(pointer(&later).unwrap(), pointer(&tensor).unwrap() + 10);
    assert!(pointer(&tensor.t().unwrap()).is_err());
}

#[test]
fn memory_that_was_given_back_counts_as_free() {
    let before = available_memory(device()).expect("a GPU tells");
    // Other tests and programs take and give back less meanwhile.
    let bytes = before / 4;
    let tensor = empty(bytes as usize, DType::U8, device()).unwrap();
    assert!(available_memory(device()).unwrap() < before - bytes / 2);
    drop(tensor);
    assert!(available_memory(device()).unwrap() > before - bytes / 2);
}

#[test]
fn the_device_is_listed_as_usable() {
    let devices = found();
    assert!(devices[0].device == "cuda:0" && devices[0].usable, "{devices:?}");
}
