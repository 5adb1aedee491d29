//! Warp and light: the bytes of the CPU.

use candle_core::{DType, Device, Tensor};
use stir::backend::cuda::device::{Gpu, empty, pointer};
use stir::backend::cuda::relight::{self, Relight};
use stir::backend::cuda::warp::{self, Warp};
use stir::ops::relight::{Light, LightGains, relight_row};
use stir::ops::warp::{DisplacementGrid, SplinePicture, warp};
use stir::picture::Picture;

use crate::harness::device;

#[test]
fn a_lit_frame_has_the_bytes_of_the_cpu() {
    for [width, height] in [[1, 1], [33, 17], [1281, 67]] {
        let level = |index: usize| (index * index % 251) as u8;
        let spline = SplinePicture::new(Picture::new(width, height, (0..3 * width * height).map(level).collect()));
        let grid = DisplacementGrid::from_fn(width, height, |x, y| {
            if x < 20.0 { [0.0; 2] } else { [9.0 * (0.07 * y).sin(), 40.0 * (0.03 * x).cos()] }
        });
        let strengths: Vec<f32> = (0..width).map(|column| 0.5 + column as f32 / width as f32).collect();
        let (gain, warmth) = (0.11_f32, -0.03_f32);
        let frame = warp(&spline, &grid, |row, _, colours, bytes| {
            let gains = LightGains::new(strengths.iter().map(|strength| gain * strength).collect());
            relight_row(colours, &Light { gains: &gains, warm: warmth, row }, bytes);
        });

        let gpu = Gpu::of(device()).unwrap().expect("it is a GPU");
        let upload = |tensor: Tensor| tensor.to_device(device()).unwrap();
        let coefficients = upload(Tensor::new(spline.coefficients().as_flattened(), &Device::Cpu).unwrap());
        let pixels = upload(Tensor::new(spline.picture().pixels(), &Device::Cpu).unwrap());
        let nodes = upload(Tensor::new(grid.values.as_flattened(), &Device::Cpu).unwrap());
        let strengths = upload(Tensor::new(strengths.repeat(height), &Device::Cpu).unwrap());
        let colours = empty((3, height, width), DType::F32, device()).unwrap();
        let bytes = empty((height, width, 3), DType::U8, device()).unwrap();
        gpu.launch(&warp::plan(&Warp {
            coefficients: pointer(&coefficients).unwrap(),
            pixels: pointer(&pixels).unwrap(),
            nodes: pointer(&nodes).unwrap(),
            colours: pointer(&colours).unwrap(),
            width,
            height,
        }))
        .unwrap();
        gpu.launch(&relight::plan(&Relight {
            colours: pointer(&colours).unwrap(),
            strengths: pointer(&strengths).unwrap(),
            bytes: pointer(&bytes).unwrap(),
            width,
            height,
            gain,
            warmth,
        }))
        .unwrap();
        assert!(bytes.flatten_all().unwrap().to_vec1::<u8>().unwrap() == frame.pixels(), "{width}x{height}");
    }
}
