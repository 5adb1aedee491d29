//! The operations that are measured, at the shapes that the models use.

use candle_core::{DType, Tensor};

use crate::backend::cpu::gemm::Product;
use crate::error::Result;
use crate::ops::attention::{self, attention_with};
use crate::ops::conv3d::{self, PackedKernel, conv3d};
use crate::ops::gemm::{self, Kernels, PackedWeight, gemm};
use crate::ops::norm::{Affine, Norm, Then, norm_with};
use crate::ops::warp::{DisplacementGrid, SplinePicture, round_row, warp};
use crate::picture::Picture;
use crate::weights::synthetic::Synthetic;

/// What can be measured.
pub const NAMES: [&str; 5] = ["gemm", "attention", "conv3d", "norm", "warp"];

/// Tokens of a clip of LTX-Video of 704x480 and 153 frames.
const TOKENS: usize = 6600;
/// Latent frames of it.
const FRAMES: usize = 20;
/// Width of the 2B model.
const WIDTH: usize = 2048;
/// Heads do not share anything: some are as good as all.
const HEADS: usize = 4;

/// What an operation is limited by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    /// Multiplications and additions: so many, by this product.
    Operations(f64, Product),
    /// Memory: bytes that have to be read and written.
    Bytes(f64),
}

/// One operation on one shape.
pub(super) struct Case {
    pub name: &'static str,
    pub shape: String,
    pub dtype: DType,
    pub bound: Bound,
    pub run: Box<dyn Fn() -> Result<()>>,
}

/// The cases of the operation `name`, one of [`NAMES`], with these micro-kernels, each made when it is asked for.
pub(super) fn cases(name: &str, kernels: &'static Kernels) -> Vec<Box<dyn FnOnce() -> Result<Case>>> {
    let mut cases: Vec<Box<dyn FnOnce() -> Result<Case>>> = Vec::new();
    for dtype in [DType::BF16, DType::F32] {
        match name {
            "gemm" => {
                for features in [[WIDTH, WIDTH], [WIDTH, 4 * WIDTH], [4 * WIDTH, WIDTH]] {
                    cases.push(Box::new(move || product([TOKENS, features[0], features[1]], dtype, kernels)));
                }
            }
            "attention" => {
                for width in [64, 128] {
                    cases.push(Box::new(move || attended([TOKENS, HEADS, width], dtype, kernels)));
                }
            }
            "conv3d" => {
                // Layers of LTX-Video's autoencoder, at the sizes of the same clip.
                for size in [[128, 120, 176], [256, 60, 88], [512, 30, 44], [1024, 15, 22]] {
                    cases.push(Box::new(move || convolved(size, dtype, kernels)));
                }
            }
            "norm" => cases.push(Box::new(move || modulated([FRAMES, TOKENS, WIDTH], dtype, kernels))),
            "warp" if dtype == DType::F32 => cases.push(Box::new(|| Ok(warped(1280, 720)))),
            _ => {}
        }
        if name == "norm" {
            cases.push(Box::new(move || rotated([TOKENS, WIDTH], dtype, kernels)));
        }
    }
    cases
}

/// What multiplies values of this type fastest.
fn fastest_product(dtype: DType, kernels: &Kernels) -> Product {
    match dtype {
        DType::BF16 if kernels.has(Product::Bfloat16) => Product::Bfloat16,
        DType::BF16 => Product::WidenedBfloat16,
        _ => Product::Float32,
    }
}

/// Made-up values with the spread of activations.
pub(super) fn values(name: &str, shape: &[usize], dtype: DType) -> Result<Tensor> {
    Ok((Synthetic::new("measured", 1, &[]).tensor(name, shape).dense(DType::F32)? * 50.0)?.to_dtype(dtype)?)
}

/// A fully connected layer.
fn product([tokens, inputs, outputs]: [usize; 3], dtype: DType, kernels: &'static Kernels) -> Result<Case> {
    let x = values("x", &[tokens, inputs], dtype)?;
    let weight = PackedWeight::with_kernels(&values("w", &[outputs, inputs], dtype)?, None, kernels)?;
    Ok(Case {
        name: "gemm",
        shape: format!("{tokens}x{inputs} to {outputs}"),
        dtype,
        bound: Bound::Operations(2.0 * (tokens * inputs * outputs) as f64, fastest_product(dtype, kernels)),
        run: Box::new(move || gemm(&x, &weight, gemm::Epilogue::None, dtype).map(drop)),
    })
}

/// Self-attention.
fn attended([tokens, heads, width]: [usize; 3], dtype: DType, kernels: &'static Kernels) -> Result<Case> {
    let tensor = |name: &str| values(name, &[1, tokens, heads, width], dtype);
    let [query, key, value] = [tensor("query")?, tensor("key")?, tensor("value")?];
    let scale = 1.0 / (width as f64).sqrt();
    Ok(Case {
        name: "attention",
        shape: format!("{tokens} tokens, {heads} heads of {width}"),
        dtype,
        bound: Bound::Operations(4.0 * (tokens * tokens * heads * width) as f64, fastest_product(dtype, kernels)),
        run: Box::new(move || {
            let inputs = attention::Inputs { query: &query, key: &key, value: &value };
            attention_with(&inputs, scale, None, kernels).map(drop)
        }),
    })
}

/// A 3x3x3 convolution that keeps the channels: one frame of the result.
fn convolved([channels, height, width]: [usize; 3], dtype: DType, kernels: &'static Kernels) -> Result<Case> {
    let frame = |name: &str| values(name, &[1, height, width, channels], dtype);
    let frames = [frame("before")?, frame("now")?, frame("after")?];
    let weight = values("kernel", &[channels, channels, 3, 3, 3], dtype)?;
    let kernel = PackedKernel::with_kernels(&weight, None, kernels)?;
    Ok(Case {
        name: "conv3d",
        shape: format!("3x3x3, {height}x{width}, {channels} channels"),
        dtype,
        bound: Bound::Operations(
            2.0 * (27 * height * width * channels * channels) as f64,
            fastest_product(dtype, kernels),
        ),
        run: Box::new(move || conv3d(&frames.each_ref().map(Some), &kernel, 1, conv3d::Epilogue::default()).map(drop)),
    })
}

/// The norm before attention and MLP.
fn modulated([frames, tokens, width]: [usize; 3], dtype: DType, kernels: &'static Kernels) -> Result<Case> {
    let x = values("x", &[1, tokens, width], dtype)?;
    let rows = values("rows", &[frames, 6, width], DType::F32)?;
    Ok(Case {
        name: "norm",
        shape: format!("{tokens}x{width}, modulated by frame"),
        dtype,
        bound: bytes_once(&x),
        run: Box::new(move || {
            let affine = Affine::Modulation { rows: &rows, first: 0 };
            norm_with(&x, &Norm { affine, ..Norm::root_mean_square(1e-6) }, kernels).map(drop)
        }),
    })
}

/// The norm of queries and keys with their rotary positions.
fn rotated([tokens, width]: [usize; 2], dtype: DType, kernels: &'static Kernels) -> Result<Case> {
    let x = values("x", &[1, tokens, width], dtype)?;
    let weight = values("weight", &[width], DType::F32)?;
    let table = values("table", &[tokens, width / 2], DType::F32)?;
    Ok(Case {
        name: "norm",
        shape: format!("{tokens}x{width}, rotated"),
        dtype,
        bound: bytes_once(&x),
        run: Box::new(move || {
            let then = Then::Rotation { cosines: &table, sines: &table };
            let norm = Norm { affine: Affine::Weight(&weight), then, ..Norm::root_mean_square(1e-6) };
            norm_with(&x, &norm, kernels).map(drop)
        }),
    })
}

/// Every value is read once and written once.
fn bytes_once(x: &Tensor) -> Bound {
    Bound::Bytes(2.0 * (x.elem_count() * x.dtype().size_in_bytes()) as f64)
}

/// A frame of `sway`, every pixel displaced: 16 taps of 4 lanes a pixel.
fn warped(width: usize, height: usize) -> Case {
    let pixels = (0..width * height * 3).map(|index| (index * 7919 / 64) as u8).collect();
    let picture = SplinePicture::new(Picture::new(width, height, pixels));
    let grid = DisplacementGrid::from_fn(width, height, |x, y| [8.0 * (0.01 * y).sin(), 6.0 * (0.013 * x).cos()]);
    Case {
        name: "warp",
        shape: format!("{width}x{height}"),
        dtype: DType::F32,
        bound: Bound::Operations(2.0 * (16 * 4 * width * height) as f64, Product::Float32),
        run: Box::new(move || {
            warp(&picture, &grid, |_, _, values, bytes| round_row(values, bytes));
            Ok(())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_run_and_count_what_they_do() {
        for kernels in Kernels::available() {
            for dtype in [DType::F32, DType::BF16] {
                let small = [
                    product([3, 16, 24], dtype, kernels).unwrap(),
                    attended([5, 2, 8], dtype, kernels).unwrap(),
                    modulated([2, 4, 16], dtype, kernels).unwrap(),
                    convolved([8, 3, 5], dtype, kernels).unwrap(),
                    rotated([4, 16], dtype, kernels).unwrap(),
                ];
                small.iter().for_each(|case| (case.run)().unwrap());
                assert!(matches!(small[0].bound, Bound::Operations(2304.0, _)), "{:?}", small[0].bound);
                assert!(matches!(small[1].bound, Bound::Operations(1600.0, _)), "{:?}", small[1].bound);
                assert!(matches!(small[3].bound, Bound::Operations(51840.0, _)), "{:?}", small[3].bound);
                assert_eq!(small[2].bound, Bound::Bytes((2 * 4 * 16 * dtype.size_in_bytes()) as f64));
            }
        }
        (warped(64, 32).run)().unwrap();
    }

    #[test]
    fn every_name_has_cases() {
        let counts = NAMES.map(|name| cases(name, Kernels::fastest()).len());
        assert_eq!(counts, [6, 4, 8, 4, 1]);
    }
}
