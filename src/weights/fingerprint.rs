//! What tells large files apart within milliseconds: whether weights are still those that a run began with.
//!
//! It finds another file, another header, another length, and weights that were trained further, which differ everywhere. What it cannot find is a
//! few values that somebody changed by hand.

use sha2::{Digest, Sha256};

/// Bytes from the beginning, where headers are, that are all looked at.
const HEAD: usize = 1 << 20;
/// Pages beyond, evenly spread, and their size.
const PAGES: usize = 256;
const PAGE: usize = 4096;

/// Takes a file's name, length, beginning, and pages from all over it into `digest`; a small file whole.
pub fn update(digest: &mut Sha256, name: &str, bytes: &[u8]) {
    digest.update(format!("{name} {} ", bytes.len()));
    let Some((head, rest)) = bytes.split_at_checked(HEAD).filter(|(_, rest)| rest.len() > PAGES * PAGE) else {
        digest.update(bytes);
        return;
    };
    digest.update(head);
    for page in 0..PAGES {
        let start = (rest.len() - PAGE) / (PAGES - 1) * page;
        digest.update(&rest[start..start + PAGE]);
    }
    digest.update(&rest[rest.len() - PAGE..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut digest = Sha256::new();
        update(&mut digest, name, bytes);
        digest.finalize().to_vec()
    }

    #[test]
    fn small_files_differ_in_any_byte() {
        let plain = of("a", &[7; 5000]);
        assert_eq!(plain, of("a", &[7; 5000]));
        assert_ne!(plain, of("b", &[7; 5000]));
        assert_ne!(plain, of("a", &[7; 5001]));
        for place in [0, 2500, 4999] {
            let mut other = [7; 5000];
            other[place] = 8;
            assert_ne!(plain, of("a", &other), "byte {place}");
        }
    }

    #[test]
    fn large_files_differ_by_header_length_and_every_hundredth_part() {
        let large = vec![7; HEAD + 3 * PAGES * PAGE + 17];
        let plain = of("a", &large);
        assert_ne!(plain, of("a", &large[1..]));
        let part = large.len() / 100;
        for start in (0..large.len() - part).step_by(part) {
            let mut other = large.clone();
            other[start..start + part].fill(8);
            assert_ne!(plain, of("a", &other), "from byte {start}");
        }
        let mut last = large.clone();
        *last.last_mut().unwrap() = 8;
        assert_ne!(plain, of("a", &last));
        let mut first = large;
        first[HEAD - 1] = 8;
        assert_ne!(plain, of("a", &first));
    }
}
