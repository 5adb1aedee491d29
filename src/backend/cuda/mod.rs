//! CUDA: what is launched and asked for, worked out without a device.

pub mod gemm;
