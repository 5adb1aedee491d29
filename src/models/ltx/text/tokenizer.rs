//! Text to tokens, and what did not fit.

use std::path::{Path, PathBuf};

use super::sentencepiece::{Piece, SentencePiece};
use super::tokenizer_json;
use crate::error::{Error, Result};
use crate::weights::small_file;

/// The most tokens of a prompt, its end included.
pub const LIMIT: usize = 256;
const END: &str = "</s>";

/// T5's tokenizer.
pub struct Tokenizer {
    name: String,
    vocabulary: Vocabulary,
    end: u32,
}

enum Vocabulary {
    SentencePiece(Box<SentencePiece>),
    Json(Box<tokenizers::Tokenizer>),
}

/// A text as the encoder takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// 1 to [`LIMIT`] rows of the embedding; the last is the end.
    pub ids: Vec<u32>,
    /// The words that did not fit, whole ones; empty where all did.
    pub cut: String,
}

/// The file that [`Tokenizer::open`] reads.
pub fn file_at(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let known = ["spiece.model", "tokenizer.json"].map(|name| path.join(name));
    known.into_iter().find(|file| file.exists()).unwrap_or_else(|| path.join("spiece.model"))
}

impl Tokenizer {
    /// Reads a `spiece.model`, a `tokenizer.json`, or the one that is in a folder: the former where both are.
    ///
    /// # Errors
    /// No such file, or one that is no tokenizer of T5.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Self::file(path);
        let name = file.display().to_string();
        Self::parse(&name, &small_file::read(&file).map_err(|found| refused(&name, found))?)
    }

    /// Reads the content of a `spiece.model` or a `tokenizer.json`; `name` is what messages call it.
    ///
    /// # Errors
    /// Bytes that are no tokenizer of T5.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let refused = |found: String| refused(name, found);
        // JSON begins with a bracket, the model with a field's number.
        let vocabulary = if bytes.trim_ascii_start().starts_with(b"{") {
            Vocabulary::Json(Box::new(tokenizer_json::read(bytes).map_err(refused)?))
        } else {
            Vocabulary::SentencePiece(Box::new(SentencePiece::read(bytes).map_err(refused)?))
        };
        let end = match &vocabulary {
            Vocabulary::SentencePiece(model) => model.special(END),
            Vocabulary::Json(json) => json.token_to_id(END),
        };
        let end = end.ok_or_else(|| refused(format!("no token `{END}`")))?;
        Ok(Self { name: name.to_owned(), vocabulary, end })
    }

    /// The file that [`open`](Self::open) reads.
    pub fn file(path: &Path) -> PathBuf {
        if !path.is_dir() {
            return path.to_owned();
        }
        let known = ["spiece.model", "tokenizer.json"].map(|name| path.join(name));
        known.into_iter().find(|file| file.exists()).unwrap_or_else(|| path.join("spiece.model"))
    }

    /// The tokens of `text` without the white space at its ends, and the end.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take.
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        let mut pieces = self.pieces(text.trim()).map_err(|found| {
            Error::run(format!("tokenizer {}", self.name), "tokens", found, "write the prompt in other words")
        })?;
        // An end in the text itself is not doubled, and one that the tokenizer put is not counted twice.
        if pieces.last().is_some_and(|piece| piece.id == self.end) {
            pieces.pop();
        }
        let room = LIMIT - 1;
        let cut = cut_words(&pieces, room);
        let ids = pieces.iter().take(room).map(|piece| piece.id).chain([self.end]).collect();
        Ok(Tokens { ids, cut })
    }

    fn pieces(&self, text: &str) -> Result<Vec<Piece>, String> {
        match &self.vocabulary {
            Vocabulary::SentencePiece(model) => model.encode(text),
            Vocabulary::Json(json) => {
                let encoding = json.encode(text, false).map_err(|problem| problem.to_string())?;
                let pairs = encoding.get_ids().iter().zip(encoding.get_tokens());
                let pieces = pairs.map(|(id, text)| Piece { id: *id, text: text.clone() });
                Ok(pieces.chain([Piece { id: self.end, text: END.to_owned() }]).collect())
            }
        }
    }
}

fn refused(name: &str, found: String) -> Error {
    let wanted = "T5's SentencePiece unigram model (`spiece.model`) or `tokenizer.json`";
    Error::input(format!("tokenizer {name}"), wanted, found, "fetch the `tokenizer` folder of the model")
}

/// The words from the one that `room` pieces end in or before.
fn cut_words(pieces: &[Piece], room: usize) -> String {
    if pieces.len() <= room {
        return String::new();
    }
    let starts_word = |index: &usize| pieces[*index].text.starts_with(super::charsmap::SPACE);
    let start = (0..=room).rev().find(starts_word).unwrap_or(0);
    let text: String = pieces[start..].iter().map(|piece| piece.text.as_str()).collect();
    text.replace(super::charsmap::SPACE, " ").trim().to_owned()
}
