//! Matrix products by cuBLASLt: what it is asked for, worked out without a device.
//!
//! cuBLASLt's matrices are columns one after the other, ours are rows. Rows of `x: [M, K]` are the columns of a `K` by `M` matrix, and those of `y: [M, N]`
//! the columns of an `N` by `M` one: it is asked for `D = A^T B` with `A` the weight, `B` the activations and `D` the result, and nothing is moved.
//! Its bias has one value for each row of `D`, which is each column of `y`.

pub mod choice;

use candle_core::DType;

use crate::device::version::Architecture;

/// Rows on a device, which need not follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// The address of the first value.
    pub pointer: u64,
    /// Values from the beginning of a row to that of the next.
    pub stride: usize,
}

/// `y = gelu(x w^T + bias + addend)`, what is not there left out; all of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// float32, bfloat16 or float16.
    pub dtype: DType,
    /// `M`, `N` and `K`, at least 1 each.
    pub sizes: Sizes,
    /// `[M, K]`.
    pub x: Rows,
    /// The address of `[N, K]`, rows one after the other.
    pub weight: u64,
    /// The address of `[N]`.
    pub bias: Option<u64>,
    /// `[M, N]`; may be `y` itself.
    pub addend: Option<Rows>,
    /// Whether the tanh form of GELU is applied, after all sums.
    pub gelu: bool,
    /// `[M, N]`.
    pub y: Rows,
}

/// How large a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sizes {
    /// `M`.
    pub rows: usize,
    /// `N`.
    pub outputs: usize,
    /// `K`.
    pub inputs: usize,
}

/// A matrix as cuBLASLt takes it: value `(row, column)` lies at `row + column * leading`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// Values of a column.
    pub rows: u64,
    /// How many columns.
    pub columns: u64,
    /// Values from the beginning of a column to that of the next.
    pub leading: i64,
    /// The address of the first value.
    pub pointer: u64,
}

/// What is done to the sums before they are rounded: a type of cuBLASLt's epilogues.
///
/// Its GELU is the tanh form. Its documentation does not say so; the kernels of libcublasLt 13 for sm_90 that were looked at hold that form's constant
/// 0.044715, and `tests/cuda` compares the product with that form on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fused {
    /// Nothing.
    Nothing,
    /// The bias.
    Bias,
    /// GELU in its tanh form.
    Gelu,
    /// The bias, then GELU.
    GeluBias,
}

/// A call of `cublasLtMatmul`: `D = fused(A^T B + beta C)`, A transposed and B not, in float32 inside, and `alpha` 1.
///
/// # Source
/// NVIDIA, "cuBLAS" 13.0, `cublasLtMatmul` and `cublasLtEpilogue_t`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// The type of all matrices and of the bias.
    pub dtype: DType,
    /// The weight, `K` by `N`.
    pub a: Matrix,
    /// The activations, `K` by `M`.
    pub b: Matrix,
    /// What is added, `N` by `M`; `D`, which is not read, where nothing is.
    pub c: Matrix,
    /// The result, `N` by `M`.
    pub d: Matrix,
    /// 0 or 1.
    pub beta: f32,
    /// What is done to the sums.
    pub fused: Fused,
    /// The address of a value for each row of `D`.
    pub bias: Option<u64>,
}

impl Request {
    /// How cuBLASLt is asked for this product.
    pub fn of(product: &Product) -> Self {
        let Product { dtype, sizes, x, weight, bias, addend, gelu, y } = *product;
        let matrix = |rows: usize, columns: usize, values: Rows| Matrix {
            rows: rows as u64,
            columns: columns as u64,
            leading: values.stride as i64,
            pointer: values.pointer,
        };
        let Sizes { rows, outputs, inputs } = sizes;
        Self {
            dtype,
            a: matrix(inputs, outputs, Rows { pointer: weight, stride: inputs }),
            b: matrix(inputs, rows, x),
            c: matrix(outputs, rows, addend.unwrap_or(y)),
            d: matrix(outputs, rows, y),
            beta: if addend.is_some() { 1.0 } else { 0.0 },
            fused: match (bias.is_some(), gelu) {
                (false, false) => Fused::Nothing,
                (true, false) => Fused::Bias,
                (false, true) => Fused::Gelu,
                (true, true) => Fused::GeluBias,
            },
            bias,
        }
    }
}

/// Bytes of the workspace that every product gets, whether it needs it or not: what NVIDIA recommends for the architecture.
///
/// # Source
/// NVIDIA, "cuBLAS" 13.0, `cublasSetWorkspace`.
pub fn workspace_bytes(architecture: Architecture) -> usize {
    if architecture >= Architecture::HOPPER { 32 << 20 } else { 4 << 20 }
}

#[cfg(test)]
mod tests;
