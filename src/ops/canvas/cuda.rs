//! Frames on CUDA: three kernels one after the other.

use candle_core::{DType, Device, Tensor};

use super::{Canvas, CanvasPicture, Drawing};
use crate::backend::cuda::device::{Gpu, empty, pointer};
use crate::backend::cuda::relight::{self, Relight};
use crate::backend::cuda::soften::{self, Soften};
use crate::backend::cuda::warp::{self, Warp};
use crate::backend::reader::Reader;
use crate::error::Result;
use crate::ops::soften::BlurredPicture;
use crate::ops::warp::{ReplacedRows, SplinePicture};
use crate::picture::Picture;

/// Values of a pixel's coefficients.
const LANES: usize = 4;

pub(super) struct CudaCanvas {
    gpu: Gpu,
    device: Device,
    width: usize,
    height: usize,
    /// `[rows, columns]` of the spline's coefficients, of four values each.
    coefficients: Tensor,
    /// `[height, width * 3]`, bytes.
    pixels: Tensor,
    /// `[height, width]`.
    strengths: Tensor,
    /// `[3, rows, columns]`, from the first frame on that needs it.
    blurred: Option<Tensor>,
    reader: Reader,
}

impl CudaCanvas {
    /// `None` for other devices.
    pub(super) fn new(device: &Device, canvas: &CanvasPicture<'_>) -> Result<Option<Self>> {
        let Some(gpu) = Gpu::of(device)? else { return Ok(None) };
        let picture = canvas.picture.picture();
        let (width, height) = (picture.width(), picture.height());
        let coefficients = canvas.picture.coefficients();
        let row = coefficients.len() / canvas.picture.rows() * LANES;
        Ok(Some(Self {
            gpu,
            device: device.clone(),
            width,
            height,
            coefficients: Tensor::from_slice(coefficients.as_flattened(), (canvas.picture.rows(), row), device)?,
            pixels: Tensor::from_slice(picture.pixels(), (height, width * 3), device)?,
            strengths: Tensor::from_slice(canvas.strengths, (height, width), device)?,
            blurred: None,
            reader: Reader::new(device)?,
        }))
    }

    fn soften(&mut self, blurred: &BlurredPicture, nodes: &Tensor, colours: &Tensor) -> Result<()> {
        let planes = match &self.blurred {
            Some(planes) => planes,
            None => {
                let shape = (3, blurred.rows(), blurred.columns());
                self.blurred.insert(Tensor::from_vec(blurred.planes.concat(), shape, &self.device)?)
            }
        };
        self.gpu.launch(&soften::plan(&Soften {
            planes: pointer(planes)?,
            nodes: pointer(nodes)?,
            colours: pointer(colours)?,
            width: self.width,
            height: self.height,
            depth: blurred.depth,
        }))
    }
}

impl Canvas for CudaCanvas {
    fn refresh(&mut self, picture: &SplinePicture, rows: &ReplacedRows) -> Result<()> {
        let row = self.coefficients.dim(1)?;
        let changed =
            &picture.coefficients().as_flattened()[rows.coefficients.start * row..rows.coefficients.end * row];
        let changed = Tensor::from_slice(changed, (rows.coefficients.len(), row), &self.device)?;
        self.coefficients.slice_set(&changed, 0, rows.coefficients.start)?;
        let row = self.pixels.dim(1)?;
        let changed = &picture.picture().pixels()[rows.pixels.start * row..rows.pixels.end * row];
        let changed = Tensor::from_slice(changed, (rows.pixels.len(), row), &self.device)?;
        Ok(self.pixels.slice_set(&changed, 0, rows.pixels.start)?)
    }

    fn begin(&mut self, drawing: &Drawing<'_>) -> Result<()> {
        let (width, height) = (self.width, self.height);
        let nodes =
            Tensor::from_slice(drawing.grid.values.as_flattened(), drawing.grid.values.len() * 2, &self.device)?;
        let colours = empty((3, height, width), DType::F32, &self.device)?;
        self.gpu.launch(&warp::plan(&Warp {
            coefficients: pointer(&self.coefficients)?,
            pixels: pointer(&self.pixels)?,
            nodes: pointer(&nodes)?,
            colours: pointer(&colours)?,
            width,
            height,
        }))?;
        if let Some(blurred) = drawing.blurred {
            self.soften(blurred, &nodes, &colours)?;
        }
        let bytes = empty((height, width, 3), DType::U8, &self.device)?;
        self.gpu.launch(&relight::plan(&Relight {
            colours: pointer(&colours)?,
            strengths: pointer(&self.strengths)?,
            bytes: pointer(&bytes)?,
            width,
            height,
            gain: drawing.gain,
            warmth: drawing.warm,
        }))?;
        self.reader.begin(bytes)
    }

    fn takes_more(&self) -> bool {
        self.reader.takes_more()
    }

    fn finish(&mut self) -> Result<Option<Picture>> {
        let Some(bytes) = self.reader.finish()? else { return Ok(None) };
        Ok(Some(Picture::new(self.width, self.height, bytes.flatten_all()?.to_vec1()?)))
    }
}
