//! Group norm over a clip in three launches: measure stretches of pixels, combine what was measured, apply it.

use super::launch::{Element, Launch};

/// Frames of a launch; a longer clip takes several. As in `group_norm.cu`.
pub const MOST_FRAMES: usize = 64;
/// Threads of a block. As in `group_norm.cu`.
const THREADS: u32 = 256;
/// Bytes of a stretch of pixels, about: many blocks for each multiprocessor, and little that has to be combined.
const STRETCH_BYTES: usize = 64 << 10;

/// `GroupNormParameters` of `group_norm.cu`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct GroupNormParameters {
    partials: u64,
    measured: u64,
    weight: u64,
    bias: u64,
    pixels: i64,
    pixels_each: i64,
    stretches: i32,
    channels: i32,
    groups: i32,
    clip: i32,
    first: i32,
    epsilon: f32,
    silu: i32,
    whole_vectors: i32,
    frames: [u64; MOST_FRAMES],
    residuals: [u64; MOST_FRAMES],
    results: [u64; MOST_FRAMES],
}

/// The sizes of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The frames' type.
    pub element: Element,
    /// Frames.
    pub frames: usize,
    /// Pixels of a frame.
    pub pixels: usize,
    /// Channels of a pixel, innermost.
    pub channels: usize,
    /// Groups of channels.
    pub groups: usize,
}

impl Sizes {
    fn pixels_each(&self) -> usize {
        (STRETCH_BYTES / (self.channels * self.element.bytes())).max(1)
    }

    fn stretches(&self) -> usize {
        self.pixels.div_ceil(self.pixels_each())
    }

    /// Values of the memory for [`Clip::partials`].
    pub fn partials(&self) -> usize {
        self.frames * self.stretches() * 2 * self.channels
    }

    /// Values of the memory for [`Clip::measured`].
    pub fn measured(&self) -> usize {
        3 * self.channels
    }
}

/// A clip and what is made of it. Addresses are of frames of one type, or of float32.
#[derive(Debug, Clone, Copy)]
pub struct Clip<'a> {
    /// Of all frames.
    pub sizes: Sizes,
    /// What is added to the variance.
    pub epsilon: f32,
    /// Whether `y / (1 + exp(-y))` comes last.
    pub silu: bool,
    /// `[C]`, float32.
    pub weight: u64,
    /// `[C]`, float32.
    pub bias: u64,
    /// Memory for [`Sizes::partials`] values of float32.
    pub partials: u64,
    /// Memory for [`Sizes::measured`] values of float32.
    pub measured: u64,
    /// Where the frames are.
    pub frames: &'a [u64],
    /// As many, or none.
    pub residuals: &'a [u64],
    /// As many.
    pub results: &'a [u64],
}

/// All launches, in order.
///
/// # Panics
/// If numbers of frames, residuals and results do not fit each other.
pub fn plan(clip: &Clip<'_>) -> Vec<Launch<GroupNormParameters>> {
    let sizes = clip.sizes;
    assert_eq!([clip.frames.len(), clip.results.len()], [sizes.frames; 2], "frames and results");
    assert!(clip.residuals.is_empty() || clip.residuals.len() == sizes.frames, "residuals");
    let parts: Vec<GroupNormParameters> =
        (0..sizes.frames).step_by(MOST_FRAMES).map(|first| parameters(clip, first)).collect();
    let combine = parts.first().map(|parameters| Launch {
        kernel: "group_norm_combine",
        grid: [sizes.groups as u32, 1, 1],
        block: THREADS,
        shared_bytes: THREADS * 12,
        parameters: *parameters,
    });
    let [measure, apply] = kernels(sizes.element);
    let vectors = sizes.channels.div_ceil(sizes.element.vector());
    let launch = |kernel, shared_bytes| {
        let one = move |parameters: &GroupNormParameters| {
            let frames = (sizes.frames - parameters.first as usize).min(MOST_FRAMES);
            let grid = [sizes.stretches() as u32, vectors.div_ceil(THREADS as usize) as u32, frames as u32];
            Launch { kernel, grid, block: THREADS, shared_bytes, parameters: *parameters }
        };
        parts.iter().map(one)
    };
    // A count, and a mean and a sum of squares for each value of a vector.
    let moments = THREADS * 4 * (1 + 2 * sizes.element.vector() as u32);
    launch(measure, moments).chain(combine).chain(launch(apply, 0)).collect()
}

fn kernels(element: Element) -> [&'static str; 2] {
    match element {
        Element::Float32 => ["group_norm_measure_f32", "group_norm_apply_f32"],
        Element::Bfloat16 => ["group_norm_measure_bf16", "group_norm_apply_bf16"],
        Element::Float16 => ["group_norm_measure_f16", "group_norm_apply_f16"],
    }
}

/// For the frames from `first` on.
fn parameters(clip: &Clip<'_>, first: usize) -> GroupNormParameters {
    let sizes = clip.sizes;
    let part = |addresses: &[u64]| {
        let mut part = [0; MOST_FRAMES];
        part.iter_mut().zip(&addresses[first.min(addresses.len())..]).for_each(|(part, address)| *part = *address);
        part
    };
    let mut addresses = [clip.frames, clip.residuals, clip.results].concat().into_iter();
    let whole_vectors =
        sizes.channels.is_multiple_of(sizes.element.vector()) && addresses.all(|address| address.is_multiple_of(16));
    GroupNormParameters {
        partials: clip.partials,
        measured: clip.measured,
        weight: clip.weight,
        bias: clip.bias,
        pixels: sizes.pixels as i64,
        pixels_each: sizes.pixels_each() as i64,
        stretches: sizes.stretches() as i32,
        channels: sizes.channels as i32,
        groups: sizes.groups as i32,
        clip: sizes.frames as i32,
        first: first as i32,
        epsilon: clip.epsilon,
        silu: i32::from(clip.silu),
        whole_vectors: i32::from(whole_vectors),
        frames: part(clip.frames),
        residuals: part(clip.residuals),
        results: part(clip.results),
    }
}
