//! What a single file of LTX-Video says of itself in the entry `config` of its metadata.

use serde_json::json;

#[path = "../checkpoint.rs"]
mod checkpoint;
#[path = "../scratch.rs"]
mod scratch;

/// Tensors that tell a file of LTX-Video from others, and that its configuration is held against.
const TENSORS: [&str; 3] = [
    "model.diffusion_model.patchify_proj.weight",
    "model.diffusion_model.caption_projection.linear_1.weight",
    "vae.per_channel_statistics.mean-of-means",
];

/// One input: the text of the entry.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut header = json!({ "__metadata__": { "config": text } });
    for (index, name) in TENSORS.into_iter().enumerate() {
        header[name] = json!({ "dtype": "F32", "shape": [1, 1], "data_offsets": [4 * index, 4 * index + 4] });
    }
    let header = header.to_string();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4 * TENSORS.len()]].concat();
    let scratch = scratch::Scratch::new();
    checkpoint::read(&scratch.write("model.safetensors", &file));
}
