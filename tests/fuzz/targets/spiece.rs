//! SentencePiece models: any bytes are a tokenizer or refused, and every tokenizer gives tokens.

use stir::models::ltx::text::tokenizer::{LIMIT, Tokenizer};

/// Runs of spaces, a letter that stands for two, one that is composed, and special tokens.
const TEXTS: [&str; 3] = ["", "a  cat \u{fb01}nds e\u{301}te\u{301} <extra_id_7></s> x ", "ab ba abba \u{1f600}"];

/// One input. A bracket at the beginning would make it the other kind of file.
pub fn run(bytes: &[u8]) {
    let Ok(tokenizer) = Tokenizer::parse("fuzzed tokenizer", bytes) else { return };
    for text in TEXTS {
        if let Ok(tokens) = tokenizer.encode(text) {
            assert!((1..=LIMIT).contains(&tokens.ids.len()));
        }
    }
}
