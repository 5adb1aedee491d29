//! The header of a GGUF file. Nothing in it is believed before it is checked against the file.
//!
//! candle reads such headers too, but divides by the alignment that a file states, which may be 0, and lets one of two tensors of a name go.
//!
//! # Source
//! The specification of GGUF in ggml-org/ggml, `docs/gguf.md`, versions 2 and 3.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::TensorInfo;

/// What a GGUF file begins with.
pub const MAGIC: &[u8] = b"GGUF";
const VERSIONS: [u32; 2] = [2, 3];
/// Where a file says nothing, data begins at a multiple of this.
const ALIGNMENT: u64 = 32;
const ALIGNMENT_KEY: &str = "general.alignment";
/// Axes of a tensor.
const MOST_AXES: u32 = 4;
/// How deep arrays lie in arrays: the specification allows it, and no file does it.
const MOST_DEPTH: usize = 4;
/// The kinds of values that are no numbers.
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// What a GGUF file says of itself.
#[derive(Debug)]
pub struct Header {
    /// The values that are texts, by their keys.
    pub texts: BTreeMap<String, String>,
    /// The tensors in the order of the file. All lie in it, each by itself; offsets count from `data`.
    pub tensors: Vec<(String, TensorInfo)>,
    /// Where the data of tensors begins.
    pub data: u64,
}

impl Header {
    /// Reads the header of `file`, the whole file.
    ///
    /// # Errors
    /// What was found instead of a GGUF file of which everything is there.
    pub fn read(file: &[u8]) -> Result<Self, String> {
        let mut rest = Rest { bytes: file.strip_prefix(MAGIC).ok_or("no GGUF file")? };
        let version = rest.u32()?;
        if !VERSIONS.contains(&version) {
            return Err(format!("GGUF version {version}"));
        }
        let [tensor_count, value_count] = [rest.u64()?, rest.u64()?];
        let mut texts = BTreeMap::new();
        let mut alignment = ALIGNMENT;
        for _ in 0..value_count {
            let key = rest.name()?;
            match (rest.u32()?, key) {
                (TEXT, key) => {
                    // Not all writers keep to UTF-8 in values.
                    texts.insert(key.to_owned(), String::from_utf8_lossy(rest.string()?).into_owned());
                }
                (kind, ALIGNMENT_KEY) => alignment = rest.alignment(kind)?,
                (kind, _) => rest.skip(kind, 0)?,
            }
        }
        let mut tensors = Vec::new();
        let mut names = BTreeSet::new();
        for _ in 0..tensor_count {
            let (name, info) = rest.tensor()?;
            if !names.insert(name) {
                return Err(format!("two tensors `{name}`"));
            }
            tensors.push((name.to_owned(), info));
        }
        let header = (file.len() - rest.bytes.len()) as u64;
        let data = header.next_multiple_of(alignment);
        check_places(&tensors, (file.len() as u64).saturating_sub(data))?;
        Ok(Self { texts, tensors, data })
    }
}

/// Bytes of the values of a tensor; `None` where they are no whole blocks or too many to count.
fn size(info: &TensorInfo) -> Option<u64> {
    let values = info.shape.dims().iter().try_fold(1u64, |count, length| count.checked_mul(*length as u64))?;
    let block = info.ggml_dtype.block_size() as u64;
    (values.is_multiple_of(block)).then(|| (values / block).checked_mul(info.ggml_dtype.type_size() as u64))?
}

/// Checks that every tensor lies within `room` bytes of data and that no two overlap.
fn check_places(tensors: &[(String, TensorInfo)], room: u64) -> Result<(), String> {
    let mut places = Vec::with_capacity(tensors.len());
    for (name, info) in tensors {
        let Some(end) = size(info).and_then(|size| info.offset.checked_add(size)) else {
            return Err(format!("tensor `{name}` of shape {:?} in {:?}", info.shape.dims(), info.ggml_dtype));
        };
        if end > room {
            return Err(format!("tensor `{name}` with an end at byte {end} of {room}"));
        }
        places.push((info.offset, end, name));
    }
    places.sort();
    match places.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        Some(pair) => Err(format!("tensors `{}` and `{}` at the same place", pair[0].2, pair[1].2)),
        None => Ok(()),
    }
}

/// What of the header is not read yet.
struct Rest<'a> {
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).ok();
        count.and_then(|count| self.bytes.split_off(..count)).ok_or_else(|| "a header that is cut".to_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    /// A length, and so many bytes.
    fn string(&mut self) -> Result<&'a [u8], String> {
        let length = self.u64()?;
        self.take(length)
    }

    fn name(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.string()?).map_err(|_| "a name that is no UTF-8".to_owned())
    }

    /// Passes over a value; arrays hold values of one kind, which may be arrays again.
    fn skip(&mut self, kind: u32, depth: usize) -> Result<(), String> {
        match kind {
            TEXT => drop(self.string()?),
            ARRAY if depth < MOST_DEPTH => {
                let (kind, count) = (self.u32()?, self.u64()?);
                match width(kind) {
                    Some(width) => drop(self.take(count.saturating_mul(width))?),
                    None => (0..count).try_for_each(|_| self.skip(kind, depth + 1))?,
                }
            }
            _ => drop(self.take(width(kind).ok_or_else(|| format!("a value of kind {kind}"))?)?),
        }
        Ok(())
    }

    fn alignment(&mut self, kind: u32) -> Result<u64, String> {
        let alignment = if kind == 4 { self.u32()? } else { return Err(format!("an alignment of kind {kind}")) };
        if alignment.is_power_of_two() { Ok(alignment.into()) } else { Err(format!("an alignment of {alignment}")) }
    }

    fn tensor(&mut self) -> Result<(&'a str, TensorInfo), String> {
        let name = self.name()?;
        let axes = self.u32()?;
        if axes > MOST_AXES {
            return Err(format!("tensor `{name}` with {axes} axes"));
        }
        let mut shape = (0..axes).map(|_| self.length()).collect::<Result<Vec<_>, _>>()?;
        // candle makes a slice of them that begins nowhere.
        if shape.contains(&0) {
            return Err(format!("tensor `{name}` without values"));
        }
        // Files begin with the axis along which values lie side by side.
        shape.reverse();
        let kind = self.u32()?;
        let ggml_dtype = type_of(kind).ok_or_else(|| format!("tensor `{name}` of type {kind}"))?;
        Ok((name, TensorInfo { ggml_dtype, shape: shape.into(), offset: self.u64()? }))
    }

    fn length(&mut self) -> Result<usize, String> {
        let length = self.u64()?;
        usize::try_from(length).map_err(|_| format!("an axis of {length}"))
    }
}

/// Bytes of a number of this kind; `None` for what is no number.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// The type of this number, if candle computes with it.
fn type_of(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        9 => GgmlDType::Q8_1,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        15 => GgmlDType::Q8K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    /// A tensor: its name, axes, type and offset.
    fn tensor(name: &str, axes: &[u64], kind: u32, offset: u64) -> Vec<u8> {
        let axes_bytes: Vec<u8> = axes.iter().flat_map(|axis| axis.to_le_bytes()).collect();
        let count = (axes.len() as u32).to_le_bytes();
        [text(name), count.to_vec(), axes_bytes, kind.to_le_bytes().to_vec(), offset.to_le_bytes().to_vec()].concat()
    }

    fn value(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [text(key), kind.to_le_bytes().to_vec(), value.to_vec()].concat()
    }

    /// A file of these values and tensors with `room` bytes of data.
    fn file(values: &[Vec<u8>], tensors: &[Vec<u8>], room: usize) -> Vec<u8> {
        let counts = [tensors.len() as u64, values.len() as u64].map(u64::to_le_bytes).concat();
        let mut file = [MAGIC, &3u32.to_le_bytes(), &counts].concat();
        file.extend(values.concat());
        file.extend(tensors.concat());
        file.resize(file.len().next_multiple_of(32) + room, 0);
        file
    }

    fn refusal(file: &[u8]) -> String {
        Header::read(file).unwrap_err()
    }

    #[test]
    fn values_of_every_kind_are_passed_over_and_texts_are_kept() {
        let arrays = [&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &text("one"), &text("two")].concat();
        let numbers = [&2u32.to_le_bytes()[..], &3u64.to_le_bytes(), &[0; 6]].concat();
        let values = [
            value("name", TEXT, &text("toy")),
            value("words", ARRAY, &arrays),
            value("numbers", ARRAY, &numbers),
            value("half", 11, &[0; 8]),
            value("yes", 7, &[1]),
            value(ALIGNMENT_KEY, 4, &64u32.to_le_bytes()),
        ];
        let bytes = file(&values, &[tensor("a", &[2, 3], 0, 0), tensor("b", &[32], 8, 32)], 200);
        let header = Header::read(&bytes).unwrap();
        assert_eq!(header.texts, BTreeMap::from([("name".to_owned(), "toy".to_owned())]));
        assert!(header.data.is_multiple_of(64));
        let [(a, first), (b, second)] = header.tensors.as_slice() else { panic!("two tensors") };
        assert_eq!((a.as_str(), first.shape.dims(), first.offset), ("a", &[3, 2][..], 0));
        assert_eq!((b.as_str(), second.ggml_dtype, second.offset), ("b", GgmlDType::Q8_0, 32));
    }

    #[test]
    fn what_is_cut_is_refused_wherever_it_is_cut() {
        let whole = file(&[value("name", TEXT, &text("toy"))], &[tensor("a", &[2, 3], 0, 0)], 24);
        Header::read(&whole).unwrap();
        for length in 0..whole.len() {
            refusal(&whole[..length]);
        }
    }

    /// Counts, lengths, shapes and places that would take terabytes, or lead out of the file.
    #[test]
    fn no_size_is_believed() {
        let one = |tensor| file(&[], &[tensor], 64);
        let most = u64::MAX.to_le_bytes();
        let mut many = one(tensor("a", &[2], 0, 0));
        many[8..16].copy_from_slice(&most);
        let array = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
        let nested = (0..9).fold(Vec::new(), |inner, _| [array(ARRAY, 1), inner].concat());
        let valued = |key: &str, kind: u32, bytes: &[u8]| file(&[value(key, kind, bytes)], &[], 64);
        for (file, said) in [
            // The zeros of the data are taken for tensors, until two are the same.
            (many, "two tensors ``"),
            (valued("name", TEXT, &most), "cut"),
            (valued("a", ARRAY, &array(0, u64::MAX)), "cut"),
            (valued("a", ARRAY, &array(11, u64::MAX)), "cut"),
            (valued("a", ARRAY, &array(TEXT, u64::MAX)), "cut"),
            (valued("a", ARRAY, &nested), "kind 9"),
            (valued("a", 13, &[0; 8]), "kind 13"),
            (valued(ALIGNMENT_KEY, 4, &0u32.to_le_bytes()), "alignment of 0"),
            (valued(ALIGNMENT_KEY, 4, &12u32.to_le_bytes()), "alignment of 12"),
            (valued(ALIGNMENT_KEY, 10, &most), "alignment of kind 10"),
            (one(tensor("a", &[1; 5], 0, 0)), "5 axes"),
            (one(tensor("a", &[1 << 33, 1 << 33], 0, 0)), "[8589934592, 8589934592]"),
            (one(tensor("a", &[1 << 62], 0, 0)), "[4611686018427387904]"),
            (one(tensor("a", &[33], 8, 0)), "[33]"),
            (one(tensor("a", &[17], 0, 0)), "an end at byte 68 of 64"),
            (one(tensor("a", &[1], 0, u64::MAX)), "shape [1]"),
            (one(tensor("a", &[1], 0, 61)), "an end at byte 65 of 64"),
            (one(tensor("a", &[1], 5, 0)), "type 5"),
            (one(tensor("a", &[0, 2], 0, 0)), "without values"),
            (file(&[], &[tensor("a", &[1], 0, 0), tensor("a", &[1], 0, 32)], 64), "two tensors `a`"),
            (file(&[], &[tensor("a", &[9], 0, 0), tensor("b", &[1], 0, 32)], 64), "`a` and `b` at the same place"),
        ] {
            let found = refusal(&file);
            assert!(found.contains(said), "{said}: {found}");
        }
    }
}
