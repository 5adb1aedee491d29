//! Weights on their way to a device that computes with others meanwhile.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{DType, Tensor};

use crate::device::carrier::Carrier;
use crate::error::Result;

/// What has been taken and is not there yet, and what stays.
pub(super) struct Carriage {
    carrier: Box<dyn Carrier>,
    waiting: RefCell<Vec<Waiting>>,
    resident: RefCell<HashMap<String, Tensor>>,
}

/// A weight that has nothing but room.
struct Waiting {
    key: String,
    room: Tensor,
}

impl Carriage {
    pub fn by(carrier: Box<dyn Carrier>) -> Self {
        Self { carrier, waiting: RefCell::default(), resident: RefCell::default() }
    }

    pub fn carrier(&self) -> &dyn Carrier {
        self.carrier.as_ref()
    }

    /// Room for the weight `key`, which the next [`bring`](Self::bring) fills.
    pub fn room(&self, key: &str, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let room = self.carrier.room(shape, dtype)?;
        self.waiting.borrow_mut().push(Waiting { key: key.to_owned(), room: room.clone() });
        Ok(room)
    }

    /// Room for several matrices of the same shape, one below the other.
    pub fn joined_room(&self, keys: &[&str], [rows, columns]: [usize; 2], dtype: DType) -> Result<Tensor> {
        let room = self.carrier.room(&[keys.len() * rows, columns], dtype)?;
        for (index, key) in keys.iter().enumerate() {
            let part = room.narrow(0, index * rows, rows)?;
            self.waiting.borrow_mut().push(Waiting { key: (*key).to_owned(), room: part });
        }
        Ok(room)
    }

    /// Hands what waits to `copy`, in the order in which it was taken.
    pub fn bring(&self, copy: impl Fn(&dyn Carrier, &str, &Tensor) -> Result<()>) -> Result<()> {
        let waiting = self.waiting.take();
        let copied = waiting.iter().try_for_each(|Waiting { key, room }| copy(self.carrier(), key, room));
        // Even after a failure: room is not to be freed while something is still copied into it.
        self.carrier.arrive().and(copied)
    }

    pub fn abandon(&self) {
        self.waiting.borrow_mut().clear();
    }

    /// The tensor `key`, which `read` reads the first time.
    pub fn resident(&self, key: &str, read: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        if let Some(known) = self.resident.borrow().get(key) {
            return Ok(known.clone());
        }
        let tensor = read()?;
        self.resident.borrow_mut().insert(key.to_owned(), tensor.clone());
        Ok(tensor)
    }
}
