//! The prompt's way into LTX-Video: SentencePiece tokens, then the encoder half of T5 v1.1 XXL.

mod charsmap;
pub mod config;
mod names;
pub mod sentencepiece;
pub mod t5;
pub mod tokenizer;
mod tokenizer_json;
