//! Safetensors checkpoints: whatever a header says of names, types, shapes and places is checked against the file.

#[path = "../checkpoint.rs"]
mod checkpoint;
#[path = "../scratch.rs"]
mod scratch;

/// One input.
pub fn run(bytes: &[u8]) {
    let scratch = scratch::Scratch::new();
    checkpoint::read(&scratch.write("model.safetensors", bytes));
}
