//! Checkpoints, embedded or on disk, in one file or several, with every tensor accounted for.
//!
//! A network takes its tensors by name and shape. What is missing or misshapen is an error at once; what nobody took is an error at
//! [`Store::finish`], so a checkpoint of another version never loads half.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;

use crate::device::carrier::{Carrier, HostWeight};
use crate::error::{Error, Result};
use crate::weights::carriage::Carriage;
use crate::weights::files::WeightFiles;
use crate::weights::keymap::Naming;
pub use crate::weights::mapped_file::MappedFile;
use crate::weights::stored::Stored;
pub use crate::weights::stored::{MappedValues, Weight};
use crate::weights::synthetic::Synthetic;

/// A parsed checkpoint that hands out its tensors and remembers which were taken.
pub struct Store<'data> {
    name: String,
    tensors: BTreeMap<String, Rc<Stored<'data>>>,
    /// Where tensors come from that are in no file.
    synthetic: Option<&'data Synthetic>,
    keys: Box<dyn Naming + 'data>,
    taken: RefCell<BTreeSet<String>>,
    /// Bytes that the taken tensors are kept in.
    kept_bytes: RefCell<BTreeMap<String, u64>>,
    placement: Placement,
    reads: bool,
    /// How weights come to the device, where they do so again and again.
    carriage: Option<Carriage>,
}

/// Where tensors go.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The type that weights are converted to.
    pub dtype: DType,
    /// The device that holds them.
    pub device: Device,
}

impl<'data> Store<'data> {
    /// Parses the safetensors file in `bytes`; `name` is what messages call it.
    ///
    /// # Errors
    /// `bytes` is not a safetensors file.
    pub fn new(
        name: impl Into<String>,
        bytes: &'data [u8],
        keys: impl Naming + 'data,
        placement: &Placement,
    ) -> Result<Self> {
        let name = name.into();
        let tensors = SafeTensors::deserialize(bytes).map_err(|problem| {
            Error::input(format!("weights `{name}`"), "a safetensors file", problem.to_string(), "fetch the file again")
        })?;
        let tensors = tensors.tensors().into_iter().map(|(name, view)| (name, Stored::Plain(view))).collect();
        Ok(Self::of(name, tensors, Box::new(keys), placement))
    }

    /// All tensors of a checkpoint on disk, whatever its format and number of files; or of one whose weights are made up.
    ///
    /// # Errors
    /// Files that are damaged, or that do not fit together: see [`WeightFiles::tensors`].
    pub fn open(files: &'data WeightFiles, keys: impl Naming + 'data, placement: &Placement) -> Result<Self> {
        let store = Self::of(files.name().to_owned(), files.tensors()?, Box::new(keys), placement);
        Ok(Self { synthetic: files.made_up(), ..store })
    }

    /// As [`Store::open`], but it reads no weights: whoever takes a tensor gets zeros of the right shape that cost no memory. It shows
    /// whether a network loads, in milliseconds.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn outline(files: &'data WeightFiles, keys: impl Naming + 'data) -> Result<Self> {
        Self::outline_in(files, keys, &Placement { dtype: DType::F32, device: Device::Cpu })
    }

    /// The same for another type or device.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn outline_in(files: &'data WeightFiles, keys: impl Naming + 'data, placement: &Placement) -> Result<Self> {
        Ok(Self { reads: false, ..Self::open(files, keys, placement)? })
    }

    fn of(
        name: String,
        tensors: BTreeMap<String, Stored<'data>>,
        keys: Box<dyn Naming + 'data>,
        placement: &Placement,
    ) -> Self {
        let tensors = tensors.into_iter().map(|(name, stored)| (name, Rc::new(stored))).collect();
        let (taken, kept_bytes) = (RefCell::default(), RefCell::default());
        let placement = placement.clone();
        Self { name, tensors, synthetic: None, keys, taken, kept_bytes, placement, reads: true, carriage: None }
    }

    /// The same for weights that are taken again and again, whenever they are computed with: a [`Weight::Carried`] is on its way when it is taken.
    /// Other tensors are small, and stay on the device from the first time on.
    pub fn carried_by(self, carrier: Box<dyn Carrier>) -> Self {
        Self { carriage: Some(Carriage::by(carrier)), ..self }
    }

    /// Whether weights are carried.
    pub fn is_carried(&self) -> bool {
        self.carriage.is_some()
    }

    /// Lets what has been taken since [`Store::bring`] come after all that the device has been asked for so far; see [`Carrier::mark`].
    ///
    /// # Errors
    /// A device that fails.
    pub fn mark(&self) -> Result<()> {
        self.carriage.as_ref().map_or(Ok(()), |carriage| carriage.carrier().mark())
    }

    /// Reads what has been taken and brings it to the device: what that is asked for from here on finds it there.
    ///
    /// # Errors
    /// A tensor that cannot be read, or a device that fails.
    pub fn bring(&self) -> Result<()> {
        let Some(carriage) = &self.carriage else { return Ok(()) };
        carriage.bring(|carrier, key, room| {
            let (_, stored) = self.find_key(key.to_owned(), room.dims())?;
            let read = || stored.carried(room.dtype()).map_err(|found| self.refuse(key, Stored::TYPES, found));
            carrier.copy(&HostWeight { name: key, read: &read }, room)
        })
    }

    /// Forgets what has been taken and was not brought.
    pub fn abandon(&self) {
        self.carriage.iter().for_each(Carriage::abandon);
    }

    /// The top of the name hierarchy.
    pub fn root(&self) -> Scope<'_> {
        Scope { store: self, prefix: String::new() }
    }

    /// The shape of the tensor `name` (by our name) where there is one; taking nothing.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let key = self.keys.to_checkpoint(name);
        let known = || self.synthetic.and_then(|synthetic| synthetic.known_shape(&key));
        self.tensors.get(&key).map(|stored| stored.shape().to_vec()).or_else(known)
    }

    /// The tensor `name` (by our name) of exactly this shape, converted to the store's type, on its device.
    ///
    /// # Errors
    /// The tensor is missing, has another shape, or is not a floating-point tensor.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let (key, stored) = self.find(name, shape)?;
        self.count(&key, stored.shape().iter().product::<usize>() * self.placement.dtype.size_in_bytes());
        if !self.reads {
            return self.zeros(shape);
        }
        let read = || -> Result<Tensor> {
            let tensor = stored.dense(self.placement.dtype).map_err(|found| self.refuse(&key, Stored::TYPES, found))?;
            Ok(tensor.to_device(&self.placement.device)?)
        };
        match &self.carriage {
            Some(carriage) => carriage.resident(&key, read),
            None => read(),
        }
    }

    /// As [`Store::take`], with the axes in the order `axes` and then in the shape `to`.
    ///
    /// # Errors
    /// As [`Store::take`], and axes or a shape that do not fit.
    pub fn take_permuted(&self, name: &str, shape: &[usize], axes: &[usize], to: &[usize]) -> Result<Tensor> {
        let tensor = self.take(name, shape)?;
        if self.reads { Ok(tensor.permute(axes)?.reshape(to)?) } else { self.zeros(to) }
    }

    /// As [`Store::take`], but for who packs or converts it: no copy is made where that can be avoided, and two-byte and smaller types stay what they
    /// are; see [`Weight`].
    ///
    /// # Errors
    /// As [`Store::take`].
    pub fn take_weight(&self, name: &str, shape: &[usize]) -> Result<Weight<'data>> {
        let (key, stored) = self.find(name, shape)?;
        let Placement { dtype, device } = &self.placement;
        self.count(&key, stored.compact_bytes(*dtype, device));
        if !self.reads {
            return Ok(Weight::Outline(self.zeros(shape)?));
        }
        if let Some((carriage, dtype)) = self.carriage.as_ref().zip(stored.carried_type(*dtype)) {
            let room = carriage.room(&key, shape, dtype)?;
            return Ok(if dtype == DType::F8E4M3 { Weight::Float8(room) } else { Weight::Carried(room) });
        }
        stored.compact(*dtype, device).map_err(|found| self.refuse(&key, Stored::TYPES, found))
    }

    /// The matrices of these names, each of exactly this shape, one below the other in one [`Weight::Carried`]; `None` where they are not carried, or are
    /// not all plain values of the store's type.
    ///
    /// # Errors
    /// As [`Store::take`].
    pub fn take_carried(&self, names: &[String], shape: [usize; 2]) -> Result<Option<Tensor>> {
        let Some(carriage) = &self.carriage else { return Ok(None) };
        let found = names.iter().map(|name| self.find(name, &shape)).collect::<Result<Vec<_>>>()?;
        let dtype = self.placement.dtype;
        if found.iter().any(|(_, stored)| stored.carried_type(dtype) != Some(dtype)) {
            return Ok(None);
        }
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        carriage.joined_room(&keys, shape, dtype).map(Some)
    }

    /// Rows of the matrix `name` of exactly this shape, `[rows.len(), shape[1]]`, in the store's type, on its device; only they are read.
    ///
    /// # Errors
    /// As [`Store::take`], and a row that is not there.
    pub fn take_rows(&self, name: &str, shape: [usize; 2], rows: &[u32]) -> Result<Tensor> {
        let (key, stored) = self.find(name, &shape)?;
        if let Some(row) = rows.iter().find(|row| **row as usize >= shape[0]) {
            let hint = "use the tokenizer that belongs to the text encoder";
            let thing = format!("row {row} of tensor `{key}` of weights `{}`", self.name);
            return Err(Error::input(thing, format!("less than {}", shape[0]), row.to_string(), hint));
        }
        if !self.reads {
            return self.zeros(&[rows.len(), shape[1]]);
        }
        let Placement { dtype, device } = &self.placement;
        let tensor = stored.rows(rows, *dtype).map_err(|found| self.refuse(&key, Stored::TYPES, found))?;
        Ok(tensor.to_device(device)?)
    }

    /// Checks that the tensor `name` (by our name) can be taken with this shape, without reading it, and accounts for it.
    ///
    /// # Errors
    /// As [`Store::take`].
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<()> {
        self.find(name, shape).map(|_| ())
    }

    /// Accounts for the tensor `name` (by our name) without using it; whether there is one.
    pub fn ignore(&self, name: &str) -> bool {
        let key = self.keys.to_checkpoint(name);
        let present = self.tensors.contains_key(&key);
        if present {
            self.taken.borrow_mut().insert(key);
        }
        present
    }

    /// Accounts for every tensor that nobody needs; `unused` knows them by their names in the checkpoint.
    pub fn ignore_all(&self, unused: impl Fn(&str) -> bool) {
        let keys = self.tensors.keys().filter(|key| unused(key)).cloned();
        self.taken.borrow_mut().extend(keys);
    }

    /// Where tensors go, and in which type.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Bytes of memory that all that was taken so far is kept in, apart from rows of matrices; in outline, that it would be kept in.
    pub fn kept_bytes(&self) -> u64 {
        self.kept_bytes.borrow().values().sum()
    }

    /// Who takes a tensor twice keeps it once, as it was asked for first.
    fn count(&self, key: &str, bytes: usize) {
        self.kept_bytes.borrow_mut().entry(key.to_owned()).or_insert(bytes as u64);
    }

    /// The tensor, found, checked and accounted for.
    fn find(&self, name: &str, shape: &[usize]) -> Result<(String, Rc<Stored<'data>>)> {
        self.find_key(self.keys.to_checkpoint(name), shape)
    }

    /// The same by the name in the checkpoint.
    fn find_key(&self, key: String, shape: &[usize]) -> Result<(String, Rc<Stored<'data>>)> {
        if let Some(synthetic) = self.synthetic {
            let stored = Stored::Synthetic(synthetic.tensor(&key, shape));
            return Ok((key, Rc::new(stored)));
        }
        let wanted = format!("shape {shape:?}");
        let Some(stored) = self.tensors.get(&key) else {
            return Err(self.refuse(&key, &wanted, "no such tensor".to_owned()));
        };
        if stored.shape() != shape {
            return Err(self.refuse(&key, &wanted, format!("{:?}", stored.shape())));
        }
        stored.check().map_err(|found| self.refuse(&key, Stored::TYPES, found))?;
        self.taken.borrow_mut().insert(key.clone());
        Ok((key, stored.clone()))
    }

    /// One zero, repeated without memory.
    fn zeros(&self, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::zeros((), self.placement.dtype, &self.placement.device)?.broadcast_as(shape)?)
    }

    fn refuse(&self, key: &str, wanted: &str, found: String) -> Error {
        let hint = "the file belongs to another version or model; fetch the one that the manifest names";
        Error::input(format!("tensor `{key}` of weights `{}`", self.name), wanted, found, hint)
    }

    /// Checks that every tensor of the file was taken.
    ///
    /// # Errors
    /// Names the tensors that nothing took.
    pub fn finish(self) -> Result<()> {
        let taken = self.taken.borrow();
        let unknown: Vec<&str> =
            self.tensors.keys().map(String::as_str).filter(|name| !taken.contains(*name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Error::input(
            format!("weights `{}`", self.name),
            "only tensors that the network knows",
            format!("unknown tensors: {}", unknown.join(", ")),
            "the file belongs to another version or model; fetch the one that the manifest names",
        ))
    }
}

/// A place in the hierarchy of names, where the names of the parts are joined with dots.
#[derive(Clone)]
pub struct Scope<'store> {
    store: &'store Store<'store>,
    prefix: String,
}

impl<'store> Scope<'store> {
    /// The part `name` of this one.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { store: self.store, prefix: format!("{}{name}.", self.prefix) }
    }

    /// See [`Store::take`]; `name` is relative to this place.
    ///
    /// # Errors
    /// As [`Store::take`].
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.store.take(&format!("{}{name}", self.prefix), shape)
    }

    /// See [`Store::take_permuted`]; `name` is relative to this place.
    ///
    /// # Errors
    /// As [`Store::take_permuted`].
    pub fn take_permuted(&self, name: &str, shape: &[usize], axes: &[usize], to: &[usize]) -> Result<Tensor> {
        self.store.take_permuted(&format!("{}{name}", self.prefix), shape, axes, to)
    }

    /// See [`Store::take_weight`]; `name` is relative to this place.
    ///
    /// # Errors
    /// As [`Store::take`].
    pub fn take_weight(&self, name: &str, shape: &[usize]) -> Result<Weight<'store>> {
        self.store.take_weight(&format!("{}{name}", self.prefix), shape)
    }

    /// See [`Store::take_carried`]; `names` are relative to this place.
    ///
    /// # Errors
    /// As [`Store::take_carried`].
    pub fn take_carried(&self, names: &[String], shape: [usize; 2]) -> Result<Option<Tensor>> {
        let names: Vec<String> = names.iter().map(|name| format!("{}{name}", self.prefix)).collect();
        self.store.take_carried(&names, shape)
    }

    /// See [`Store::take_rows`]; `name` is relative to this place.
    ///
    /// # Errors
    /// As [`Store::take_rows`].
    pub fn take_rows(&self, name: &str, shape: [usize; 2], rows: &[u32]) -> Result<Tensor> {
        self.store.take_rows(&format!("{}{name}", self.prefix), shape, rows)
    }

    /// See [`Store::expect`]; `name` is relative to this place.
    ///
    /// # Errors
    /// As [`Store::expect`].
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<()> {
        self.store.expect(&format!("{}{name}", self.prefix), shape)
    }

    /// See [`Store::placement`].
    pub fn placement(&self) -> &Placement {
        self.store.placement()
    }

    /// See [`Store::ignore`]; `name` is relative to this place.
    pub fn ignore(&self, name: &str) -> bool {
        self.store.ignore(&format!("{}{name}", self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::weights::keymap::KeyMap;

    fn file(tensors: &[(&str, Tensor)]) -> Vec<u8> {
        let tensors: HashMap<String, Tensor> =
            tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
        safetensors::serialize(&tensors, None).unwrap()
    }

    fn store(bytes: &[u8]) -> Store<'_> {
        let placement = Placement { dtype: DType::F32, device: Device::Cpu };
        Store::new("toy", bytes, KeyMap::IDENTITY, &placement).unwrap()
    }

    fn two_halves() -> Tensor {
        Tensor::new(&[0.5f32, -0.25], &Device::Cpu).unwrap()
    }

    #[test]
    fn every_stored_type_becomes_the_wanted_type() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let bytes = file(&[("layer.bias", two_halves().to_dtype(dtype).unwrap())]);
            // An odd address: embedded bytes are not aligned for their type.
            let mut shifted = vec![0];
            shifted.extend_from_slice(&bytes);
            let store = store(&shifted[1..]);
            let bias = store.root().at("layer").take("bias", &[2]).unwrap();
            assert_eq!(bias.to_vec1::<f32>().unwrap(), [0.5, -0.25]);
            store.finish().unwrap();
        }
    }

    /// Rows are as many as a text has; everything else stays.
    #[test]
    fn what_is_kept_is_counted() {
        let eighths = Tensor::zeros((4, 2), DType::F8E4M3, &Device::Cpu).unwrap();
        let halves = Tensor::zeros((3, 2), DType::BF16, &Device::Cpu).unwrap();
        let bytes = file(&[("a", two_halves()), ("b", eighths), ("c", halves)]);
        let store = store(&bytes);
        store.take("a", &[2]).unwrap();
        store.take_weight("b", &[4, 2]).unwrap();
        store.take_rows("c", [3, 2], &[1]).unwrap();
        assert_eq!(store.kept_bytes(), 2 * 4 + 8);
        store.take_weight("c", &[3, 2]).unwrap();
        store.take("c", &[3, 2]).unwrap();
        assert_eq!(store.kept_bytes(), 2 * 4 + 8 + 6 * 2);
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let bytes = file(&[]);
        let message = store(&bytes).take("layer.weight", &[2]).unwrap_err().to_string();
        assert!(message.contains("`layer.weight`") && message.contains("toy"), "{message}");
    }

    #[test]
    fn a_misshapen_tensor_is_named_with_both_shapes() {
        let bytes = file(&[("layer.weight", two_halves())]);
        let message = store(&bytes).take("layer.weight", &[1, 2]).unwrap_err().to_string();
        assert!(message.contains("[1, 2]") && message.contains("found [2]"), "{message}");
    }

    #[test]
    fn integers_are_no_weights() {
        let bytes = file(&[("count", Tensor::new(&[1u32], &Device::Cpu).unwrap())]);
        assert!(store(&bytes).take("count", &[1]).unwrap_err().to_string().contains("U32"));
    }

    #[test]
    fn tensors_that_nobody_took_are_named() {
        let bytes = file(&[("known", two_halves()), ("extra.b", two_halves()), ("extra.a", two_halves())]);
        let store = store(&bytes);
        store.take("known", &[2]).unwrap();
        assert!(store.finish().unwrap_err().to_string().ends_with("unknown tensors: extra.a, extra.b"));
    }

    #[test]
    fn what_nobody_needs_is_accounted_for_by_its_name_in_the_file() {
        let bytes = file(&[("known", two_halves()), ("other.a", two_halves()), ("other.b", two_halves())]);
        let store = store(&bytes);
        store.expect("known", &[2]).unwrap();
        assert!(store.expect("known", &[3]).is_err() && store.expect("unknown", &[2]).is_err());
        store.ignore_all(|name| name.starts_with("other."));
        store.finish().unwrap();
    }

    #[test]
    fn an_outline_checks_as_much_and_reads_nothing() {
        let path = std::env::temp_dir().join(format!("stir-outline-{}.safetensors", std::process::id()));
        let matrix = Tensor::new(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu).unwrap();
        std::fs::write(&path, file(&[("matrix", matrix), ("count", Tensor::new(&[1u32], &Device::Cpu).unwrap())]))
            .unwrap();
        let files = WeightFiles::open(&path).unwrap();
        let placement = Placement { dtype: DType::F32, device: Device::Cpu };
        let whole = Store::open(&files, KeyMap::IDENTITY, &placement).unwrap();
        let outline = Store::outline(&files, KeyMap::IDENTITY).unwrap();
        let permuted = |store: &Store| store.take_permuted("matrix", &[2, 3], &[1, 0], &[6]).unwrap();
        assert_eq!(permuted(&whole).to_vec1::<f32>().unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(permuted(&outline).to_vec1::<f32>().unwrap(), [0.0; 6]);
        assert_eq!(outline.take_rows("matrix", [2, 3], &[1, 1, 0]).unwrap().dims(), [3, 3]);
        for store in [&whole, &outline] {
            assert!(store.take("matrix", &[3, 2]).unwrap_err().to_string().contains("found [2, 3]"));
            assert!(store.take_weight("count", &[1]).unwrap_err().to_string().contains("U32"));
            assert!(store.take_rows("matrix", [2, 3], &[2]).unwrap_err().to_string().contains("row 2"));
        }
        assert!(outline.finish().unwrap_err().to_string().ends_with("unknown tensors: count"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_no_safetensors_file_is_refused() {
        let placement = Placement { dtype: DType::F32, device: Device::Cpu };
        let error = Store::new("toy", b"not a checkpoint", KeyMap::IDENTITY, &placement).err().unwrap();
        assert_eq!(error.exit_code(), 2);
    }
}
