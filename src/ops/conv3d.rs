//! Convolutions over time and space, a frame of the result at a time; channels are innermost.
//!
//! A frame of the result is made of as many frames as the kernel spans. Which those are is the caller's to choose, and so are strides in time and what
//! is seen beyond the ends of a clip. In space a frame is surrounded by half a kernel of zeros.
//!
//! On the CPU, in float32 and bfloat16, sums are float32 and run over taps and channels in order, and the result is rounded once, after all that is
//! added to it; so they are on CUDA, in bfloat16 and float16, but for the order, which is a fixed one of its own there. As in [`gemm`](super::gemm) no
//! operand is rounded. A value depends on what it is defined by only: not on threads, nor on the other frames of a clip.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Device, Tensor};

use super::contents::{Contents, written};
use super::contract::Contract;
pub use crate::backend::cpu::conv::KernelShape;
use crate::backend::cpu::conv::{self as cpu, Convolution, Geometry};
use crate::backend::cpu::gemm::{Kernels, Values, WeightValues};
use crate::error::Result;

/// Of the operands.
const CONTRACT: Contract = Contract("a convolution");

/// A weight in the order in which its device reads it, with its bias.
pub struct PackedKernel {
    packed: Packed,
    shape: KernelShape,
}

enum Packed {
    Cpu {
        kernel: cpu::PackedKernel,
        bias: Option<Vec<f32>>,
    },
    #[cfg(feature = "cuda")]
    Cuda(cuda::PackedKernel),
}

/// Whether [`conv3d_clip`] takes less time than [`conv3d`] for one frame after the other.
pub fn gains_from_clips(device: &Device, dtype: DType) -> bool {
    device.is_cuda() && is_packable(device, dtype)
}

/// Whether [`PackedKernel`] takes weights of this type on this device, and [`conv3d`] frames. Elsewhere there is the [`definition`].
pub fn is_packable(device: &Device, dtype: DType) -> bool {
    match device {
        Device::Cpu => matches!(dtype, DType::F32 | DType::BF16),
        Device::Cuda(_) => cfg!(feature = "cuda") && matches!(dtype, DType::BF16 | DType::F16),
        Device::Metal(_) => false,
    }
}

impl std::fmt::Debug for PackedKernel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PackedKernel").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl PackedKernel {
    /// Packs `weight: [N, C, T, S, S]`, `S` odd, of a type that is [packable](is_packable) on its device, and `bias: [N]` of any type.
    ///
    /// # Errors
    /// Other types or shapes, or a device on which nothing is packed.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if weight.device().is_cuda() {
            let shape = kernel_shape(weight.dims())?;
            expect_bias(bias, shape)?;
            return Ok(Self { packed: Packed::Cuda(cuda::PackedKernel::new(weight, bias)?), shape });
        }
        Self::with_kernels(weight, bias, Kernels::fastest())
    }

    /// The same on the CPU for one of the [instruction sets](Kernels::available) of this machine.
    ///
    /// # Errors
    /// Other types or shapes, or a tensor that is not on the CPU.
    pub fn with_kernels(weight: &Tensor, bias: Option<&Tensor>, kernels: &'static Kernels) -> Result<Self> {
        let weight = weight.contiguous()?;
        Self::of(Contents::of(&weight)?.values("weight")?, weight.dims(), bias, kernels)
    }

    fn of(values: Values<'_>, shape: &[usize], bias: Option<&Tensor>, kernels: &'static Kernels) -> Result<Self> {
        let shape = kernel_shape(shape)?;
        expect_bias(bias, shape)?;
        let bias = bias.map(float32).transpose()?;
        let kernel = cpu::PackedKernel::new(kernels, values, shape);
        Ok(Self { packed: Packed::Cpu { kernel, bias }, shape })
    }

    /// As [`new`](Self::new) on the CPU, from `bytes` of float32 or bfloat16 values, one after the other.
    ///
    /// # Errors
    /// Other types or shapes, and another number of bytes.
    pub fn from_bytes((bytes, dtype): (&[u8], DType), shape: [usize; 5], bias: Option<&Tensor>) -> Result<Self> {
        let expected = shape.iter().product::<usize>() * dtype.size_in_bytes();
        if bytes.len() != expected {
            return Err(CONTRACT.broken("weight", &format!("{expected} bytes"), bytes.len().to_string()));
        }
        let values = match dtype {
            DType::F32 => WeightValues::float32_of(bytes),
            DType::BF16 => WeightValues::two_bytes_of(bytes).map(WeightValues::Bfloat16),
            other => return Err(CONTRACT.broken("weight", "type F32 or BF16", format!("{other:?}"))),
        };
        let values = match values {
            Some(WeightValues::Float32(values)) => Values::Float32(values),
            Some(WeightValues::Bfloat16(values)) => Values::Bfloat16(values),
            // A file may place its values at odd addresses.
            _ => return Self::new(&Tensor::from_raw_buffer(bytes, dtype, &shape, &Device::Cpu)?, bias),
        };
        Self::of(values, &shape, bias, Kernels::fastest())
    }

    /// The weight's dimensions.
    pub fn shape(&self) -> KernelShape {
        self.shape
    }
}

/// What is done to a result before it is rounded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// What is added to every frame alike.
    pub noise: Option<Noise<'a>>,
    /// What is added then: of the result's shape and type.
    pub residual: Option<&'a Tensor>,
}

/// What is done to several results at once, as [`Epilogue`] says it of one.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClipEpilogue<'a> {
    /// What is added to every frame alike.
    pub noise: Option<Noise<'a>>,
    /// What is added then, one for each result.
    pub residuals: Option<&'a [Tensor]>,
}

impl<'a> ClipEpilogue<'a> {
    /// Of one of the results.
    pub fn of(self, result: usize) -> Epilogue<'a> {
        Epilogue { noise: self.noise, residual: self.residuals.and_then(|residuals| residuals.get(result)) }
    }
}

/// `map * scale`.
#[derive(Debug, Clone, Copy)]
pub struct Noise<'a> {
    /// One number for each place, `[height, width]` of the result, float32.
    pub map: &'a Tensor,
    /// One factor for each channel, `[N]`, float32.
    pub scale: &'a Tensor,
}

/// One frame `[1, ceil(H / stride), ceil(W / stride), N]` from `frames: [1, H, W, C]`, one for each that the kernel spans and zeros where there is
/// none; at least one has to be there. Their type is that of the result: float32 or bfloat16 on the CPU, the weight's on CUDA.
///
/// # Errors
/// Other types or shapes, or a tensor that is not on the weight's device.
pub fn conv3d(
    frames: &[Option<&Tensor>],
    kernel: &PackedKernel,
    stride: usize,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let window = Window::of(frames, kernel, stride)?;
    window.expect(epilogue)?;
    match &kernel.packed {
        Packed::Cpu { kernel, bias } => on_cpu(&window, (kernel, bias.as_deref()), epilogue),
        #[cfg(feature = "cuda")]
        Packed::Cuda(packed) => {
            let residuals: Vec<&Tensor> = epilogue.residual.into_iter().collect();
            let mut results = packed.convolve(&[window], epilogue.noise, &residuals)?;
            Ok(results.remove(0))
        }
    }
}

/// As many frames at once as there are `windows`, of what each sees: the frames that [`conv3d`] gives one after the other.
///
/// # Errors
/// As [`conv3d`], windows that differ in shape or type, and another number of residuals.
pub fn conv3d_clip(
    windows: &[&[Option<&Tensor>]],
    kernel: &PackedKernel,
    stride: usize,
    epilogue: ClipEpilogue<'_>,
) -> Result<Vec<Tensor>> {
    if let Some(residuals) = epilogue.residuals.filter(|residuals| residuals.len() != windows.len()) {
        return Err(CONTRACT.broken("residuals", &windows.len().to_string(), residuals.len().to_string()));
    }
    match &kernel.packed {
        Packed::Cpu { .. } => {
            let one = |(index, frames): (usize, &&[_])| conv3d(frames, kernel, stride, epilogue.of(index));
            windows.iter().enumerate().map(one).collect()
        }
        #[cfg(feature = "cuda")]
        Packed::Cuda(packed) => {
            let windows =
                windows.iter().map(|frames| Window::of(frames, kernel, stride)).collect::<Result<Vec<_>>>()?;
            windows.iter().enumerate().try_for_each(|(index, window)| window.expect(epilogue.of(index)))?;
            packed.convolve(&windows, epilogue.noise, &epilogue.residuals.into_iter().flatten().collect::<Vec<_>>())
        }
    }
}

fn on_cpu(
    window: &Window<'_>,
    (kernel, bias): (&cpu::PackedKernel, Option<&[f32]>),
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let frames: Vec<Option<Tensor>> =
        window.frames.iter().map(|frame| frame.map(Tensor::contiguous).transpose()).collect::<Result<_, _>>()?;
    let frames: Vec<Option<Contents<'_>>> =
        frames.iter().map(|frame| frame.as_ref().map(Contents::of).transpose()).collect::<Result<_>>()?;
    let values: Vec<Option<Values<'_>>> = frames
        .iter()
        .map(|frame| frame.as_ref().map(|frame| frame.values("frame")).transpose())
        .collect::<Result<_>>()?;
    let residual = epilogue.residual.map(Tensor::contiguous).transpose()?;
    let residual = residual.as_ref().map(Contents::of).transpose()?;
    let noise = epilogue.noise.map(|noise| -> Result<_> { Ok((float32(noise.map)?, float32(noise.scale)?)) });
    let noise = noise.transpose()?;
    let convolution = Convolution {
        frames: &values,
        geometry: window.geometry,
        kernel,
        bias,
        noise: noise.as_ref().map(|(map, scale)| cpu::Noise { map, scale }),
        residual: residual.as_ref().map(|residual| residual.values("residual")).transpose()?,
    };
    written(&window.result, window.dtype, |y| cpu::convolve(&convolution, y))
}

/// The weight as [`definition`] takes it: `[N, C, T, S, S]` to `[N, T C, S, S]`.
///
/// # Errors
/// Another shape, or a failed tensor operation.
pub fn planes(weight: &Tensor) -> Result<Tensor> {
    let KernelShape { outputs, inputs, taps: [depth, side, _] } = kernel_shape(weight.dims())?;
    Ok(weight.transpose(1, 2)?.reshape((outputs, depth * inputs, side, side))?)
}

/// What [`conv3d`] computes, in plain tensor operations in the type of `frames`: as a 2-D convolution of frames whose channels are put side by side.
/// `planes`: the weight, see [`planes`]; `bias: [N]`.
///
/// # Errors
/// Shapes that do not fit, or a failed tensor operation.
pub fn definition(
    frames: &[Option<&Tensor>],
    (planes, bias): (&Tensor, Option<&Tensor>),
    stride: usize,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let (_, channels, side, _) = planes.dims4()?;
    let (first, _) = size(frames, channels / frames.len().max(1), frames.len())?;
    let zeros = first.zeros_like()?;
    let frames: Vec<&Tensor> = frames.iter().map(|frame| frame.unwrap_or(&zeros)).collect();
    let x = Tensor::cat(&frames, 3)?.permute((0, 3, 1, 2))?.contiguous()?;
    let y = x.conv2d(planes, side / 2, stride, 1, 1)?.permute((0, 2, 3, 1))?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y.contiguous()?,
    };
    let y = match epilogue.noise {
        Some(Noise { map, scale }) => {
            let noise = map.unsqueeze(2)?.broadcast_mul(scale)?.to_dtype(y.dtype())?;
            y.broadcast_add(&noise)?
        }
        None => y,
    };
    Ok(match epilogue.residual {
        Some(residual) => (y + residual)?,
        None => y,
    })
}

fn kernel_shape(shape: &[usize]) -> Result<KernelShape> {
    match *shape {
        [outputs, inputs, depth, height, width] if height == width && height % 2 == 1 && inputs * depth > 0 => {
            Ok(KernelShape { outputs, inputs, taps: [depth, height, width] })
        }
        ref other => Err(CONTRACT.broken("weight", "shape [N, C, T, S, S] with an odd S", format!("{other:?}"))),
    }
}

fn expect_bias(bias: Option<&Tensor>, shape: KernelShape) -> Result<()> {
    match bias.filter(|bias| bias.dims() != [shape.outputs]) {
        Some(bias) => Err(CONTRACT.broken("bias", &format!("shape [{}]", shape.outputs), format!("{:?}", bias.dims()))),
        None => Ok(()),
    }
}

/// What a frame of the result is made of, checked.
struct Window<'a> {
    frames: &'a [Option<&'a Tensor>],
    dtype: DType,
    geometry: Geometry,
    /// The shape of the result.
    result: [usize; 4],
}

impl<'a> Window<'a> {
    fn of(frames: &'a [Option<&'a Tensor>], kernel: &PackedKernel, stride: usize) -> Result<Self> {
        let KernelShape { outputs, inputs, taps: [depth, side, _] } = kernel.shape;
        let (first, [height, width]) = size(frames, inputs, depth)?;
        if stride == 0 {
            return Err(CONTRACT.broken("stride", "1 or more", "0".to_owned()));
        }
        let geometry = Geometry { height, width, kernel: [side, side], stride };
        let [height, width] = geometry.result();
        Ok(Self { frames, dtype: first.dtype(), geometry, result: [1, height, width, outputs] })
    }

    /// Checks that this can be added to the result.
    fn expect(&self, epilogue: Epilogue<'_>) -> Result<()> {
        let Self { dtype, geometry, result, .. } = self;
        if let Some(residual) = epilogue.residual
            && (residual.dims() != result || residual.dtype() != *dtype)
        {
            let found = format!("{:?} {:?}", residual.dtype(), residual.dims());
            return Err(CONTRACT.broken("residual", &format!("{dtype:?} {result:?}, as the result"), found));
        }
        if let Some(Noise { map, scale }) = epilogue.noise
            && [map.elem_count(), scale.elem_count()] != [geometry.pixels(), result[3]]
        {
            let wanted = format!("{} places and {} channels", geometry.pixels(), result[3]);
            return Err(CONTRACT.broken("noise", &wanted, format!("{} and {}", map.elem_count(), scale.elem_count())));
        }
        Ok(())
    }
}

/// The first frame that is there, and the rows and columns of all.
fn size<'a>(frames: &[Option<&'a Tensor>], inputs: usize, depth: usize) -> Result<(&'a Tensor, [usize; 2])> {
    let wanted = format!("{depth} of one shape [1, H, W, {inputs}] and one type");
    let Some(first) = frames.iter().flatten().next().filter(|_| frames.len() == depth) else {
        return Err(CONTRACT.broken("frames", &wanted, format!("{} frames", frames.iter().flatten().count())));
    };
    let matches = |frame: &Tensor| frame.dims() == first.dims() && frame.dtype() == first.dtype();
    match *first.dims() {
        [1, height, width, channels] if channels == inputs && frames.iter().flatten().all(|frame| matches(frame)) => {
            Ok((first, [height, width]))
        }
        _ => {
            let found: Vec<_> = frames.iter().flatten().map(|frame| (frame.dtype(), frame.dims())).collect();
            Err(CONTRACT.broken("frames", &wanted, format!("{found:?}")))
        }
    }
}

fn float32(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
