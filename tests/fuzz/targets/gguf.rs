//! GGUF checkpoints: counts, lengths, types, shapes and places are checked against the file.

#[path = "../checkpoint.rs"]
mod checkpoint;
#[path = "../scratch.rs"]
mod scratch;

/// One input, with the file's first letters, or without: then they are put before it.
pub fn run(bytes: &[u8]) {
    let file = if bytes.starts_with(b"GGUF") { bytes.to_vec() } else { [b"GGUF", bytes].concat() };
    let scratch = scratch::Scratch::new();
    checkpoint::read(&scratch.write("model.gguf", &file));
}
