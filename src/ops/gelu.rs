//! The Gaussian error linear unit, in its tanh form.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::Tensor;

use super::contents::{Contents, is_readable, written};
use crate::backend::cpu::gelu as cpu;
use crate::backend::cpu::gemm::Kernels;
use crate::error::{Error, Result};

/// `x: [...]` to `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
///
/// On the CPU float32 and bfloat16 have their own kernel, which computes in float32: candle's takes 17 ns a value on one thread, more than the layers
/// around it together, and computes in `x`'s type. On CUDA, where candle's does too, a kernel takes these and float16.
///
/// # Errors
/// A failed tensor operation.
///
/// # Source
/// Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2; PyTorch's `gelu(approximate="tanh")`.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if is_readable(x) {
        return gelu_with(x, None, Kernels::fastest());
    }
    #[cfg(feature = "cuda")]
    if let Some(y) = cuda::gelu(x, None)? {
        return Ok(y);
    }
    Ok(x.gelu()?)
}

/// `gelu(gate) * values`, of one shape and type, in one pass where [`gelu`] has its own kernel.
///
/// # Errors
/// Shapes or types that differ, or a failed tensor operation.
///
/// # Source
/// Shazeer, "GLU Variants Improve Transformer" (2020), equation 6.
pub fn gated_gelu(gate: &Tensor, values: &Tensor) -> Result<Tensor> {
    if is_readable(gate) {
        return gelu_with(gate, Some(values), Kernels::fastest());
    }
    check_alike(gate, values)?;
    #[cfg(feature = "cuda")]
    if let Some(y) = cuda::gelu(gate, Some(values))? {
        return Ok(y);
    }
    Ok((gate.gelu()? * values)?)
}

/// `gelu(x)`, times `values` where there are any, on the CPU, in float32 or bfloat16, with one of the [instruction sets](Kernels::available) of this
/// machine.
///
/// # Errors
/// Shapes or types that differ, other types, or tensors that are not on the CPU.
pub fn gelu_with(x: &Tensor, values: Option<&Tensor>, kernels: &'static Kernels) -> Result<Tensor> {
    if let Some(values) = values {
        check_alike(x, values)?;
    }
    let x = x.contiguous()?;
    let values = values.map(Tensor::contiguous).transpose()?;
    let values = values.as_ref().map(Contents::of).transpose()?;
    let values = values.as_ref().map(|values| values.values("values")).transpose()?;
    let contents = Contents::of(&x)?;
    let gate = contents.values("x")?;
    written(x.shape(), x.dtype(), |y| cpu::gelu(gate, values, kernels, y))
}

/// Whether shape and type are the same.
fn check_alike(x: &Tensor, values: &Tensor) -> Result<()> {
    if values.shape() == x.shape() && values.dtype() == x.dtype() {
        return Ok(());
    }
    let thing = "`values` of a gated GELU";
    let describe = |tensor: &Tensor| format!("{:?} {:?}", tensor.dtype(), tensor.dims());
    Err(Error::run(thing, describe(x), describe(values), "please report this: it is a defect of stir"))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn definition(x: f64) -> f64 {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
        0.5 * x * (1.0 + inner.tanh())
    }

    /// Largest error over the range, as a share of the magnitude of `x`.
    fn error(gelu: impl Fn(&Tensor) -> Tensor) -> f64 {
        let inputs: Vec<f32> = (-40_000..=40_000).map(|step| step as f32 * 5e-4).collect();
        let x = Tensor::from_slice(&inputs, inputs.len(), &Device::Cpu).unwrap();
        let found = gelu(&x).to_vec1::<f32>().unwrap();
        let share = |(&x, &y): (&f32, &f32)| (f64::from(y) - definition(x.into())).abs() / f64::from(x).abs().max(1e-3);
        inputs.iter().zip(&found).map(share).fold(0.0, f64::max)
    }

    /// At most twice the error of the plain formula in float32, plus one rounding.
    #[test]
    fn the_kernel_is_as_exact_as_the_plain_formula() {
        let (kernel, plain) = (error(|x| gelu(x).unwrap()), error(|x| x.gelu().unwrap()));
        assert!(kernel <= 2.0 * plain + f64::from(f32::EPSILON) / 2.0, "kernel {kernel:e}, plain formula {plain:e}");
    }

    #[test]
    fn the_ends_are_the_identity_and_zero() {
        let x = Tensor::new(&[f32::MAX, 1e4, -1e4, 0.0, f32::NAN], &Device::Cpu).unwrap();
        let y = gelu(&x).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(y[..2], [f32::MAX, 1e4]);
        assert!(y[2].abs() < 1e-30 && y[3] == 0.0 && y[4].is_nan(), "{y:?}");
    }

    #[test]
    fn a_part_of_a_tensor_is_read_in_its_place() {
        let x = Tensor::new(&[[9f32, 1.0], [9.0, 2.0]], &Device::Cpu).unwrap();
        let y = gelu(&x.narrow(1, 1, 1).unwrap()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!((f64::from(y[0]) - definition(1.0)).abs() < 1e-6 && (f64::from(y[1]) - definition(2.0)).abs() < 1e-6);
    }
}
