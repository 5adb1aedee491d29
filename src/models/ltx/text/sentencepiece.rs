//! SentencePiece unigram models, read from their own file `spiece.model`.
//!
//! # Source
//! SentencePiece 0.2, `sentencepiece_model.proto` and `unigram_model.cc`; T5's special tokens as in transformers 4.57, `tokenization_t5.py`
//! (legacy behaviour, which is the one that the encoder was trained with).

use tokenizers::models::unigram::Unigram;

use super::charsmap::Charsmap;

/// Sentinels of T5's pre-training: behind the model's own pieces, the first one last.
const EXTRA_TOKENS: u32 = 100;

/// Kinds of pieces that T5's models have.
mod kind {
    pub const NORMAL: u64 = 1;
    pub const UNKNOWN: u64 = 2;
    pub const CONTROL: u64 = 3;
    pub const USER: u64 = 4;
}

/// A unigram model with its normalisation.
pub struct SentencePiece {
    model: Unigram,
    charsmap: Charsmap,
    /// Texts that stand for a token wherever they are.
    special: Vec<(String, u32)>,
    /// Pieces that are always whole.
    user: Vec<String>,
    unknown: u32,
}

/// A token and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The row of the embedding.
    pub id: u32,
    /// Its text; a space is marked as `▁`.
    pub text: String,
}

struct Entry {
    text: String,
    score: f64,
    kind: u64,
}

impl SentencePiece {
    /// Reads the model; what cannot be used is said in words.
    ///
    /// # Errors
    /// What was found instead of a unigram model with T5's options.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut entries = Vec::new();
        let mut charsmap = Charsmap::default();
        for field in fields(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => entries.push(Entry::read(piece)?),
                (2, Value::Bytes(trainer)) => check_trainer(trainer)?,
                (3, Value::Bytes(normalizer)) => charsmap = read_normalizer(normalizer)?,
                _ => {}
            }
        }
        Self::new(&entries, charsmap)
    }

    fn new(entries: &[Entry], charsmap: Charsmap) -> Result<Self, String> {
        let normal = || entries.iter().filter(|entry| entry.kind == kind::NORMAL).map(|entry| entry.score);
        let (least, most) = (normal().fold(f64::INFINITY, f64::min), normal().fold(f64::NEG_INFINITY, f64::max));
        if !(least.is_finite() && most.is_finite()) {
            return Err("no pieces with finite scores".to_owned());
        }
        let unknown =
            entries.iter().position(|entry| entry.kind == kind::UNKNOWN).ok_or("no piece for what is unknown")?;
        // User-defined pieces win over anything that they could be split into.
        let score = |entry: &Entry| match entry.kind {
            kind::USER => entry.text.len() as f64 * most - 0.1,
            _ => entry.score,
        };
        let vocabulary = entries.iter().map(|entry| (entry.text.clone(), score(entry))).collect();
        let mut model = Unigram::from(vocabulary, Some(unknown), false).map_err(|problem| problem.to_string())?;
        // Of all scores the library would count those of special pieces too.
        model.min_score = least;
        let all = || (0u32..).zip(entries);
        let special = |kind: u64| matches!(kind, kind::UNKNOWN | kind::CONTROL);
        let mut specials: Vec<(String, u32)> =
            all().filter(|(_, entry)| special(entry.kind)).map(|(id, entry)| (entry.text.clone(), id)).collect();
        let last = entries.len() as u32 + EXTRA_TOKENS - 1;
        specials.extend((0..EXTRA_TOKENS).map(|index| (format!("<extra_id_{index}>"), last - index)));
        let user = entries.iter().filter(|entry| entry.kind == kind::USER).map(|entry| entry.text.clone()).collect();
        Ok(Self { model, charsmap, special: specials, user, unknown: unknown as u32 })
    }

    /// The row of a special token.
    pub fn special(&self, text: &str) -> Option<u32> {
        self.special.iter().find(|(special, _)| special == text).map(|(_, id)| *id)
    }

    /// The pieces of `text`, without an end. Special tokens in the text are themselves.
    ///
    /// # Errors
    /// What the library refused.
    pub fn encode(&self, text: &str) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let found =
                self.special.iter().filter_map(|(special, id)| Some((rest.find(special.as_str())?, special, id)));
            let next = found.min_by_key(|(at, special, _)| (*at, std::cmp::Reverse(special.len())));
            let (before, after) = match next {
                Some((at, special, _)) => (&rest[..at], &rest[at + special.len()..]),
                None => (rest, ""),
            };
            self.encode_plain(before, &mut pieces)?;
            pieces.extend(next.map(|(_, special, id)| Piece { id: *id, text: special.clone() }));
            rest = after;
        }
        Ok(pieces)
    }

    fn encode_plain(&self, text: &str, pieces: &mut Vec<Piece>) -> Result<(), String> {
        use tokenizers::Model;
        let normalized = self.charsmap.normalize(text, &self.user);
        for text in self.model.encode(&normalized).map_err(|problem| problem.to_string())? {
            let id = self.model.token_to_id(&text).unwrap_or(self.unknown);
            pieces.push(Piece { id, text });
        }
        Ok(())
    }
}

impl Entry {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut entry = Self { text: String::new(), score: 0.0, kind: kind::NORMAL };
        for field in fields(bytes) {
            match field? {
                (1, Value::Bytes(text)) => {
                    entry.text = String::from_utf8(text.to_owned()).map_err(|_| "a piece that is no UTF-8")?;
                }
                (2, Value::Four(score)) => entry.score = f32::from_le_bytes(score).into(),
                (3, Value::Number(kind)) => entry.kind = kind,
                _ => {}
            }
        }
        match entry.kind {
            _ if entry.text.is_empty() => Err("an empty piece".to_owned()),
            kind::NORMAL..=kind::USER => Ok(entry),
            other => Err(format!("piece `{}` of kind {other}", entry.text)),
        }
    }
}

fn check_trainer(bytes: &[u8]) -> Result<(), String> {
    for field in fields(bytes) {
        match field? {
            (3, Value::Number(kind)) if kind != 1 => return Err(format!("model type {kind}, where unigram is 1")),
            (24, Value::Number(1)) => return Err("spaces at the ends of pieces".to_owned()),
            (35, Value::Number(1)) => return Err("a fallback to bytes".to_owned()),
            _ => {}
        }
    }
    Ok(())
}

fn read_normalizer(bytes: &[u8]) -> Result<Charsmap, String> {
    let mut charsmap = Charsmap::default();
    for field in fields(bytes) {
        match field? {
            (2, Value::Bytes(map)) => charsmap = Charsmap::read(map)?,
            (3..=5, Value::Number(0)) => return Err("spaces that are not put before, made one or marked".to_owned()),
            _ => {}
        }
    }
    Ok(charsmap)
}

/// A field of a protocol buffer.
enum Value<'a> {
    Number(u64),
    Four([u8; 4]),
    Eight,
    Bytes(&'a [u8]),
}

/// The fields of a protocol buffer with their numbers, up to the first that cannot be read.
fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Value<'_>), String>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next_field(&mut rest).ok_or_else(|| "no SentencePiece model, or a damaged one".to_owned());
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = number(rest)?;
    let value = match key & 7 {
        0 => Value::Number(number(rest)?),
        1 => {
            rest.split_off(..8)?;
            Value::Eight
        }
        2 => {
            let length = usize::try_from(number(rest)?).ok()?;
            Value::Bytes(rest.split_off(..length)?)
        }
        5 => Value::Four(rest.split_off(..4)?.try_into().ok()?),
        _ => return None,
    };
    Some((key >> 3, value))
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
