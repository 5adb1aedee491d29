//! Configurations, indices and tokenizers: files that are read whole, because none of them is large.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes that such a file has at most: tokenizers have some millions, the rest some thousands.
pub const MOST: u64 = 32 << 20;

/// The content of the file at `path`.
///
/// # Errors
/// What was found instead of a regular file of at most [`MOST`] bytes that can be read.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| error.to_string();
    // Before opening: to open a pipe waits for whoever writes to it.
    let kind = path.metadata().map_err(said)?;
    if !kind.is_file() {
        return Err(if kind.is_dir() { "a folder" } else { "no regular file" }.to_owned());
    }
    let mut bytes = Vec::new();
    // One that grows meanwhile is no longer than this either.
    File::open(path).map_err(said)?.take(MOST + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > MOST { Err(format!("more than {MOST} bytes")) } else { Ok(bytes) }
}

/// The same as text.
///
/// # Errors
/// As [`read`], and what is no UTF-8.
pub fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read(path)?).map_err(|_| "no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_small_file_is_not_read() {
        let path = std::env::temp_dir().join(format!("stir-small-file-{}", std::process::id()));
        std::fs::write(&path, "{}").unwrap();
        assert_eq!((read(&path).unwrap(), read_text(&path).unwrap()), (b"{}".to_vec(), "{}".to_owned()));
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path).unwrap_err(), "no UTF-8");
        // A hole of a terabyte takes no place on the disk; whoever reads it runs out of memory.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&path).unwrap_err(), "more than 33554432 bytes");
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().contains("No such file"));
        assert_eq!(read(&std::env::temp_dir()).unwrap_err(), "a folder");
        if cfg!(unix) {
            assert_eq!(read(Path::new("/dev/zero")).unwrap_err(), "no regular file");
        }
    }
}
