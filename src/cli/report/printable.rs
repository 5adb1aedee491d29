//! What users bring, made safe to print: no control character reaches a terminal or a log.

use std::borrow::Cow;
use std::ffi::OsStr;

use serde::Serialize;

/// `text` with control characters written as escapes: `\n`, `\u{1b}`. So are those that turn the direction of text around, or end a line.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut printable = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_control(character) {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    Cow::Owned(printable)
}

/// A value as JSON, where [`printable`]'s control characters are escapes too.
pub fn json_text(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("keys are text");
    // What JSON itself lets through stands in strings alone.
    let escaped = |character: char| match character {
        _ if is_control(character) => format!("\\u{:04x}", u32::from(character)),
        _ => character.to_string(),
    };
    if text.chars().any(is_control) { text.chars().map(escaped).collect() } else { text }
}

/// A path for a program to read: like [`printable`], but with bytes that are no UTF-8 as they are.
pub(super) fn printable_path(path: &OsStr) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in path.as_encoded_bytes().utf8_chunks() {
        bytes.extend_from_slice(printable(chunk.valid()).as_bytes());
        bytes.extend_from_slice(chunk.invalid());
    }
    bytes
}

fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_escapes() {
        assert_eq!(printable("hair flowing, 髪が揺れる"), "hair flowing, 髪が揺れる");
        assert_eq!(printable("a\u{1b}[31mb\nc\u{9b}d\u{202e}\r\t"), "a\\u{1b}[31mb\\nc\\u{9b}d\\u{202e}\\r\\t");
    }

    #[test]
    fn json_holds_no_control_character_and_reads_back() {
        let text = "\u{1b}[31m\n\u{7f}\u{9b} \u{202e}髪 \"\\";
        let json = json_text(&text);
        assert!(!json.chars().any(is_control), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert_eq!(toml::from_str::<toml::Table>(&format!("text = {json}")).unwrap()["text"].as_str(), Some(text));
    }

    #[cfg(unix)]
    #[test]
    fn a_path_keeps_its_bytes_but_for_control_characters() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(printable_path(OsStr::from_bytes(b"a\xe9\x1b\nb.mp4")), b"a\xe9\\u{1b}\\nb.mp4");
    }
}
