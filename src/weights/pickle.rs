//! Checkpoints as Python's pickle: programs, which run when they are read. stir has nothing that runs them, and says so.

use std::path::Path;

use crate::error::Error;

/// What names of such files end in. `.bin` is what transformers and diffusers call them.
const ENDINGS: [&str; 6] = ["bin", "ckpt", "pickle", "pkl", "pt", "pth"];
/// What PyTorch's files begin with since 1.6: they are ZIP archives with a pickle inside.
const ZIP: &[u8] = b"PK\x03\x04";
/// What a pickle begins with: an instruction, and the version of the protocol.
const PROTOCOLS: [&[u8]; 4] = [b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"];

/// Whether a file is called as pickles are.
pub fn is_named_so(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// Whether a file that is no safetensors file begins as pickles do; a safetensors file may begin so by chance.
pub fn begins_so(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP) || PROTOCOLS.iter().any(|protocol| bytes.starts_with(protocol))
}

/// The refusal of such a file; `thing` is what messages call it.
pub fn refusal(thing: impl Into<String>) -> Error {
    Error::input(
        thing,
        "weights in safetensors or GGUF, which are data alone",
        "a pickle file: a program that runs when it is read, and may do anything",
        "fetch the model's .safetensors file, which most repositories have beside it; stir never reads pickle files",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_known_by_name_and_by_beginning() {
        for name in ["pytorch_model.bin", "folder/old.ckpt", "a.PT", "b.pth", "c.pkl"] {
            assert!(is_named_so(Path::new(name)), "{name}");
        }
        for name in ["model.safetensors", "bin", "spiece.model", "a.bin.json"] {
            assert!(!is_named_so(Path::new(name)), "{name}");
        }
        assert!(begins_so(b"PK\x03\x04\0\0") && begins_so(b"\x80\x02}q\0."));
        assert!(!begins_so(b"GGUF") && !begins_so(b"\x80\0\0\0\0\0\0\0{") && !begins_so(b""));
    }
}
