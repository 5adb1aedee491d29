//! The index of a checkpoint in several files: it leads to files beside it, and nowhere else.

use stir::weights::files::WeightFiles;

#[path = "../scratch.rs"]
mod scratch;

/// A file of the tensors `a` and `b`, one value each.
const HEADER: &str =
    r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;

/// One input: the text of the index.
pub fn run(bytes: &[u8]) {
    let scratch = scratch::Scratch::new();
    let shard = [&(HEADER.len() as u64).to_le_bytes(), HEADER.as_bytes(), &[0; 8]].concat();
    scratch.write("one.safetensors", &shard);
    let index = scratch.write("model.safetensors.index.json", bytes);
    if let Ok(files) = WeightFiles::open(index.parent().expect("a folder"))
        && let Ok(tensors) = files.tensors()
    {
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}
