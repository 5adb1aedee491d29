//! SentencePiece's normalisation: a table of replacements for runs of characters, then spaces.
//!
//! # Source
//! SentencePiece 0.2, `normalizer.cc`; the trie is a double array of darts-clone.

/// Marks a space inside pieces.
pub const SPACE: char = '\u{2581}';

/// Replacements of texts, found by the longest match.
#[derive(Debug, Default)]
pub struct Charsmap {
    units: Vec<u32>,
    /// The replacements, each ended by a zero byte.
    texts: Vec<u8>,
}

impl Charsmap {
    /// Reads the compiled form: the trie's number of bytes, the trie's units, all little-endian, and the replacements. Empty bytes are an empty
    /// map.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let cut = || "a charsmap that is cut".to_owned();
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
        let (units, texts) = rest.split_at_checked(size_of_trie(size)).ok_or_else(cut)?;
        let units: Vec<u32> =
            units.chunks_exact(4).map(|unit| u32::from_le_bytes(unit.try_into().expect("four bytes"))).collect();
        if units.is_empty()
            || !size_of_trie(size).is_multiple_of(4)
            || texts.last() != Some(&0)
            || std::str::from_utf8(texts).is_err()
        {
            return Err("a charsmap without a trie or without its texts".to_owned());
        }
        Ok(Self { units, texts: texts.to_owned() })
    }

    /// The beginning of `text`, which is not empty, as it is normalised, and how many bytes of `text` that stands for.
    fn first<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        if let Some((length, at)) = self.longest(text)
            && let Some(rest) = self.texts.get(at..)
        {
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            if let Ok(replacement) = std::str::from_utf8(&rest[..end]) {
                return (replacement, length);
            }
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        (&text[..length], length)
    }

    /// Length of the longest text in the trie that `key` begins with, and where its replacement is. What ends inside a character is no text.
    fn longest(&self, key: &str) -> Option<(usize, usize)> {
        let mut best = None;
        let mut node = offset(*self.units.first()?);
        for (index, byte) in key.bytes().enumerate() {
            node ^= u32::from(byte);
            let Some(unit) = self.units.get(node as usize).copied() else { break };
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                break;
            }
            node ^= offset(unit);
            if unit & (1 << 8) != 0 && key.is_char_boundary(index + 1) {
                let leaf = self.units.get(node as usize).copied()?;
                best = Some((index + 1, (leaf & !(1 << 31)) as usize));
            }
        }
        best
    }

    /// Whether every way through the trie stays in it and ends at a text: who follows it without looking relies on that.
    pub fn is_sound(&self) -> bool {
        let is_text = |at: u32| {
            std::str::from_utf8(&self.texts).is_ok_and(|texts| texts.is_char_boundary((at & !(1 << 31)) as usize))
        };
        self.units.iter().enumerate().all(|(at, unit)| {
            // Nothing goes on from the place of a text, except at the root.
            let is_end = at > 0 && unit & (1 << 31) != 0;
            let next = at ^ offset(*unit) as usize;
            let has_text = unit & (1 << 8) != 0;
            is_end || (next | 0xff) < self.units.len() && (!has_text || is_text(self.units[next]))
        })
    }

    /// `text` with replacements made, runs of spaces made one, spaces at the ends removed, one put before, and all of them marked. `kept`
    /// are pieces that nothing in is replaced.
    pub fn normalize(&self, text: &str, kept: &[String]) -> String {
        let first = |rest: &'_ str| -> (String, usize) {
            let piece = kept.iter().filter(|piece| rest.starts_with(piece.as_str())).max_by_key(|piece| piece.len());
            match piece {
                Some(piece) => (piece.clone(), piece.len()),
                None => {
                    let (text, length) = self.first(rest);
                    (text.to_owned(), length)
                }
            }
        };
        let mut normalized = String::new();
        let mut rest = text;
        let mut after_space = true;
        while !rest.is_empty() {
            let (part, length) = first(rest);
            rest = &rest[length..];
            let part = if after_space { part.trim_start_matches(' ') } else { &part };
            if part.is_empty() {
                continue;
            }
            if normalized.is_empty() {
                normalized.push(SPACE);
            }
            normalized.extend(part.chars().map(|letter| if letter == ' ' { SPACE } else { letter }));
            after_space = part.ends_with(' ');
        }
        normalized.truncate(normalized.trim_end_matches(SPACE).len());
        normalized
    }
}

fn size_of_trie(size: &[u8; 4]) -> usize {
    u32::from_le_bytes(*size) as usize
}

/// What the place of a unit and that of its children differ by, besides the child's letter.
fn offset(unit: u32) -> u32 {
    (unit >> 10) << ((unit & (1 << 9)) >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_collapsed_and_marked() {
        let map = Charsmap::default();
        assert_eq!(map.normalize("  a   b ", &[]), "▁a▁b");
        assert_eq!(map.normalize("   ", &[]), "");
        assert_eq!(map.normalize("", &[]), "");
    }

    #[test]
    fn what_is_no_charsmap_is_refused() {
        for bytes in [&[1, 0][..], &[8, 0, 0, 0, 1], &[0, 0, 0, 0, 0], &[4, 0, 0, 0, 1, 2, 3, 4, 65], &[0xff; 9]] {
            assert!(Charsmap::read(bytes).is_err(), "{bytes:?}");
        }
    }

    /// A trie whose every unit leads outside of it.
    #[test]
    fn a_trie_that_leads_nowhere_replaces_nothing() {
        let map = Charsmap { units: vec![u32::MAX; 3], texts: vec![0] };
        assert_eq!(map.normalize("ab", &[]), "▁ab");
        assert!(!map.is_sound());
    }

    /// A damaged trie that replaces the first byte of `ä` by nothing.
    #[test]
    fn half_a_character_is_not_replaced() {
        let first = "ä".as_bytes()[0];
        let mut map = Charsmap { units: vec![0; 256], texts: vec![0] };
        map.units[usize::from(first)] = u32::from(first) | 1 << 8 | 1 << 10;
        map.units[usize::from(first) ^ 1] = 1 << 31;
        assert_eq!(map.normalize("ä", &[]), "▁ä");
    }

    #[test]
    fn a_sound_trie_stays_in_itself_and_ends_at_texts() {
        let sound = |units: &[(usize, u32)], texts: &str| {
            let mut map = Charsmap { units: vec![0; 256], texts: texts.as_bytes().to_vec() };
            units.iter().for_each(|(at, unit)| map.units[*at] = *unit);
            map.is_sound()
        };
        // From the root by `a` to a unit whose text is at its place with the last bit changed.
        let letter = u32::from(b'a') | 1 << 8 | 1 << 10;
        let place = usize::from(b'a') ^ 1;
        assert!(sound(&[(97, letter), (place, 1 << 31 | 2)], "ab\0") && sound(&[], ""));
        assert!(!sound(&[(97, letter), (place, 1 << 31 | 4)], "ab\0"));
        assert!(!sound(&[(97, letter), (place, 1 << 31 | 1)], "ä\0"));
        assert!(!sound(&[(97, 256 << 10 | 97)], "") && !sound(&[(0, 1 << 31 | 256 << 10)], ""));
    }
}
