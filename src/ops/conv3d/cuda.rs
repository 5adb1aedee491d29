//! Convolutions on CUDA.

use candle_core::{DType, Tensor};

use super::{CONTRACT, KernelShape, Noise, Window, kernel_shape};
use crate::backend::cuda::conv3d::{CHANNELS_TOGETHER, Convolution, batch, plan};
use crate::backend::cuda::device::{Gpu, aligned, empty, pointer};
use crate::backend::cuda::launch::Element;
use crate::error::Result;

/// A weight as the kernels read it, with its bias.
pub struct PackedKernel {
    /// `[N, T, S, S, C]`, C rounded up with zeros.
    weight: Tensor,
    /// `[N]`, float32.
    bias: Option<Tensor>,
    shape: KernelShape,
}

impl PackedKernel {
    /// Packs `weight: [N, C, T, S, S]` of bfloat16 or float16 and `bias: [N]` of any type.
    ///
    /// # Errors
    /// Other types or shapes.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let shape = kernel_shape(weight.dims())?;
        if !matches!(weight.dtype(), DType::BF16 | DType::F16) || batch(shape.taps[0]) == 0 {
            let found = format!("{:?} {:?}", weight.dtype(), weight.dims());
            return Err(CONTRACT.broken("weight", "type BF16 or F16, and 96 frames at most", found));
        }
        let missing = shape.inputs.next_multiple_of(CHANNELS_TOGETHER) - shape.inputs;
        let weight = aligned(&weight.permute([0, 2, 3, 4, 1])?.pad_with_zeros(4, 0, missing)?)?;
        Ok(Self { weight, bias: bias.map(float32).transpose()?, shape })
    }

    /// The frames that the windows give, in as few launches as possible. `residuals`: one for each, or none.
    ///
    /// # Errors
    /// Windows that differ in shape or type, and tensors of another type or device than the weight's.
    pub fn convolve(
        &self,
        windows: &[Window<'_>],
        noise: Option<Noise<'_>>,
        residuals: &[&Tensor],
    ) -> Result<Vec<Tensor>> {
        let Some(first) = windows.first() else { return Ok(Vec::new()) };
        let dtype = self.weight.dtype();
        let differs = |window: &&Window<'_>| window.dtype != dtype || window.geometry != first.geometry;
        if let Some(other) = windows.iter().find(differs) {
            let wanted = format!("{dtype:?}, as the weight, {:?}", first.geometry);
            return Err(CONTRACT.broken("frames", &wanted, format!("{:?}, {:?}", other.dtype, other.geometry)));
        }
        let device = self.weight.device();
        let (Some(gpu), Some(element)) = (Gpu::of(device)?, Element::of(dtype)) else {
            return Err(CONTRACT.broken("weight", "values on a GPU", format!("{:?}", device.location())));
        };
        let multiprocessors = gpu.multiprocessors()?;
        // What is converted is kept until the launches are under way: memory is given back in the order of the stream.
        let noise = match noise {
            Some(Noise { map, scale }) => Some([float32(map)?, float32(scale)?]),
            None => None,
        };
        let residuals = residuals.iter().map(|residual| residual.contiguous()).collect::<Result<Vec<_>, _>>()?;
        let residuals = residuals.iter().map(pointer).collect::<Result<Vec<_>>>()?;
        let mut all = Vec::new();
        let most = batch(self.shape.taps[0]);
        for (index, windows) in windows.chunks(most).enumerate() {
            let residuals: Vec<u64> = residuals.iter().skip(index * most).take(windows.len()).copied().collect();
            let frames = windows.iter().flat_map(|window| window.frames);
            let frames =
                frames.map(|frame| frame.map(Tensor::contiguous).transpose()).collect::<Result<Vec<_>, _>>()?;
            let addresses = frames.iter().map(|frame| frame.as_ref().map_or(Ok(0), pointer));
            let addresses = addresses.collect::<Result<Vec<_>>>()?;
            let results = windows.iter().map(|window| empty(&window.result, dtype, device));
            let results = results.collect::<Result<Vec<_>>>()?;
            let convolution = Convolution {
                element,
                shape: self.shape,
                geometry: first.geometry,
                weight: pointer(&self.weight)?,
                bias: self.bias.as_ref().map_or(Ok(0), pointer)?,
                noise: match &noise {
                    Some([map, scale]) => [pointer(map)?, pointer(scale)?],
                    None => [0; 2],
                },
                frames: &addresses,
                results: &results.iter().map(pointer).collect::<Result<Vec<_>>>()?,
                residuals: &residuals,
            };
            gpu.launch(&plan(multiprocessors, &convolution))?;
            all.extend(results);
        }
        Ok(all)
    }
}

fn float32(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_dtype(DType::F32)?.contiguous()?)
}
