//! Results of a device in the CPU's memory.

use std::collections::VecDeque;

use candle_core::{Device, Tensor};

#[cfg(feature = "cuda")]
use crate::backend::cuda::device::ReadStream;
use crate::error::Result;

/// Tensors that are being read where the device computes beside it: the one that is waited for, and the next.
#[cfg(feature = "cuda")]
const AHEAD: usize = 2;

/// Brings tensors to the CPU in the order in which they are begun. A device that computes beside its copies goes on with what it has been asked for
/// after that.
pub struct Reader(Way);

enum Way {
    /// There is none beside the computation: tensors are brought when they are wanted.
    Plain(VecDeque<Tensor>),
    #[cfg(feature = "cuda")]
    Stream(ReadStream),
}

impl Reader {
    /// From this device.
    ///
    /// # Errors
    /// A device that fails.
    pub fn new(device: &Device) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if device.is_cuda() {
            return Ok(Self(Way::Stream(ReadStream::new(device)?)));
        }
        let _ = device;
        Ok(Self(Way::Plain(VecDeque::new())))
    }

    /// Whether it is worth to begin with a further tensor before the first is finished.
    pub fn takes_more(&self) -> bool {
        match &self.0 {
            Way::Plain(tensors) => tensors.is_empty(),
            #[cfg(feature = "cuda")]
            Way::Stream(stream) => stream.coming() < AHEAD,
        }
    }

    /// Begins to bring a tensor.
    ///
    /// # Errors
    /// A device that fails.
    pub fn begin(&mut self, tensor: Tensor) -> Result<()> {
        match &mut self.0 {
            Way::Plain(tensors) => tensors.push_back(tensor),
            #[cfg(feature = "cuda")]
            Way::Stream(stream) => stream.begin(&tensor)?,
        }
        Ok(())
    }

    /// The tensor that was begun first, on the CPU; `None` where there is none.
    ///
    /// # Errors
    /// A device that fails.
    pub fn finish(&mut self) -> Result<Option<Tensor>> {
        match &mut self.0 {
            Way::Plain(tensors) => Ok(tensors.pop_front().map(|tensor| tensor.to_device(&Device::Cpu)).transpose()?),
            #[cfg(feature = "cuda")]
            Way::Stream(stream) => stream.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_in_order() {
        let mut reader = Reader::new(&Device::Cpu).unwrap();
        assert!(reader.takes_more() && reader.finish().unwrap().is_none());
        for value in [1f32, 2.0] {
            reader.begin(Tensor::new(value, &Device::Cpu).unwrap()).unwrap();
        }
        assert!(!reader.takes_more());
        let mut next = || reader.finish().unwrap().map(|tensor| tensor.to_scalar::<f32>().unwrap());
        assert_eq!([next(), next(), next()], [Some(1.0), Some(2.0), None]);
    }
}
