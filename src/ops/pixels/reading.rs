//! Frames to bytes one after the other, while the device computes the next.

use std::collections::VecDeque;

use candle_core::{Device, Tensor};

#[cfg(feature = "cuda")]
use super::cuda;
use super::of_values;
#[cfg(feature = "cuda")]
use crate::backend::cuda::pixels::PixelPlan;
use crate::backend::reader::Reader;
use crate::error::Result;

/// Frames `[3, H, W]` to what [`to_bytes`](super::to_bytes) makes of them, in order. A device that computes beside its copies goes on with what it has been
/// asked for since a frame was begun.
pub struct FrameReader {
    reader: Reader,
    coming: VecDeque<Coming>,
}

/// A frame whose tensor is on its way.
struct Coming {
    height: usize,
    width: usize,
    /// What wrote its bytes on the device; `None` where its values are coming.
    #[cfg(feature = "cuda")]
    plan: Option<PixelPlan>,
}

/// A frame.
pub struct FrameBytes {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[H, W, 3]`; `None` where a value is not finite.
    pub bytes: Option<Vec<u8>>,
}

impl FrameReader {
    /// From this device.
    ///
    /// # Errors
    /// A device that fails.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Self { reader: Reader::new(device)?, coming: VecDeque::new() })
    }

    /// Whether it is worth to begin with a further frame before the first is finished.
    pub fn takes_more(&self) -> bool {
        self.reader.takes_more()
    }

    /// Begins with a frame.
    ///
    /// # Errors
    /// Another shape, or a device that fails.
    pub fn begin(&mut self, frame: Tensor) -> Result<()> {
        let (_, height, width) = frame.dims3()?;
        #[cfg(feature = "cuda")]
        if let Some(cuda::Written { plan, bytes }) = cuda::write(&frame)? {
            self.coming.push_back(Coming { height, width, plan: Some(plan) });
            return self.reader.begin(bytes);
        }
        self.coming.push_back(Coming {
            height,
            width,
            #[cfg(feature = "cuda")]
            plan: None,
        });
        self.reader.begin(frame)
    }

    /// The frame that was begun first; `None` where there is none.
    ///
    /// # Errors
    /// A device that fails.
    pub fn finish(&mut self) -> Result<Option<FrameBytes>> {
        let Some((tensor, coming)) = self.reader.finish()?.zip(self.coming.pop_front()) else { return Ok(None) };
        let Coming { height, width, .. } = coming;
        #[cfg(feature = "cuda")]
        if let Some(plan) = coming.plan {
            return Ok(Some(FrameBytes { height, width, bytes: plan.pixels(tensor.to_vec1()?) }));
        }
        Ok(Some(FrameBytes { height, width, bytes: of_values(&tensor)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_order_as_bytes() {
        let mut reader = FrameReader::new(&Device::Cpu).unwrap();
        assert!(reader.takes_more() && reader.finish().unwrap().is_none());
        for (width, value) in [(1, 1f32), (2, f32::NAN)] {
            reader.begin(Tensor::full(value, (3, 1, width), &Device::Cpu).unwrap()).unwrap();
        }
        assert!(!reader.takes_more());
        let mut next = || reader.finish().unwrap().map(|frame| (frame.height, frame.width, frame.bytes));
        assert_eq!([next(), next(), next()], [Some((1, 1, Some(vec![255; 3]))), Some((1, 2, None)), None]);
    }
}
