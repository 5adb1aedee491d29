//! The compiled kernels, which `kernels/build.rs` puts into the program.

/// A file of `kernels/cuda`, compiled for every architecture that it is for.
#[derive(Debug)]
pub(super) struct Image {
    /// The source's name without its ending.
    pub name: &'static str,
    /// Names of its kernels.
    pub kernels: &'static [&'static str],
    /// The fat binary.
    pub binary: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/images.rs"));

/// The image that holds a kernel.
pub(super) fn holding(kernel: &str) -> Option<&'static Image> {
    IMAGES.iter().find(|image| image.kernels.contains(&kernel))
}
