//! Versions that decide whether a GPU can be used.

use std::fmt;

/// A version of CUDA: of the compiler that built this program, or the newest one that a driver knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CudaVersion {
    /// Such as 12 of 12.8.
    pub major: u32,
    /// Such as 8 of 12.8.
    pub minor: u32,
}

impl CudaVersion {
    /// The oldest that compiles for all architectures that this program has kernels for.
    pub const OLDEST: Self = Self { major: 12, minor: 8 };

    /// The version that CUDA itself writes as one number, such as 12080 for 12.8.
    pub const fn of_number(number: u32) -> Self {
        Self { major: number / 1000, minor: number % 1000 / 10 }
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The architecture of an NVIDIA GPU: its compute capability, such as 8.9. Later ones compare as greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture {
    /// Such as 8 of 8.9.
    pub major: u32,
    /// Such as 9 of 8.9.
    pub minor: u32,
}

impl Architecture {
    /// A100: the first with bfloat16 matrix products and asynchronous copies.
    pub const AMPERE: Self = Self { major: 8, minor: 0 };
    /// GeForce 30.
    pub const AMPERE_CONSUMER: Self = Self { major: 8, minor: 6 };
    /// GeForce 40.
    pub const ADA: Self = Self { major: 8, minor: 9 };
    /// H100 and H200.
    pub const HOPPER: Self = Self { major: 9, minor: 0 };
    /// B200.
    pub const BLACKWELL: Self = Self { major: 10, minor: 0 };
    /// GeForce 50.
    pub const BLACKWELL_CONSUMER: Self = Self { major: 12, minor: 0 };
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
