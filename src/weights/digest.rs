//! SHA-256 of what may be larger than memory.

use std::fmt::Write as _;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// The checksum in hexadecimal digits.
pub fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// Takes all that `source` has into `digest`, telling `progress` after each piece how many bytes it was.
///
/// # Errors
/// The source cannot be read.
pub fn update(digest: &mut Sha256, source: &mut impl Read, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                digest.update(&piece[..read]);
                progress(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The SHA-256 of all that `source` has, in hexadecimal digits; `progress` as in [`update`].
///
/// # Errors
/// The source cannot be read.
pub fn sha256(source: &mut impl Read, progress: &mut dyn FnMut(u64)) -> io::Result<String> {
    let mut digest = Sha256::new();
    update(&mut digest, source, progress)?;
    Ok(hexadecimal(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_source_is_read_in_pieces() {
        // The standard's examples: "abc", and a million times the letter a.
        let abc = sha256(&mut "abc".as_bytes(), &mut |_| {}).unwrap();
        assert_eq!(abc, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let mut seen = 0;
        let million = sha256(&mut io::repeat(b'a').take(1_000_000), &mut |bytes| seen += bytes).unwrap();
        assert_eq!(million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
        assert_eq!(seen, 1_000_000);
    }
}
