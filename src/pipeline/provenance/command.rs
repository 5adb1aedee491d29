//! From a record to the command lines that make its clip again.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::{Options, Record};
use crate::error::shell_word;
use crate::media::OutputFormat;

/// What latents are called that go from one command to the next.
const LATENTS: &str = "again.latents.safetensors";

/// The commands that make the clip at `clip` again, under another name in the current folder: one, or two where latents were decoded in another way
/// than their run would have. Pictures and models are named without their folders, which a record does not hold.
pub fn commands(record: &Record, clip: &Path) -> Vec<String> {
    let decode = record.decode.as_ref().map(|decode| &decode.options);
    let format = |options: &Options| options.get("format").and_then(Value::as_str).map(str::to_owned);
    let format = decode.and_then(format).or_else(|| record.request.as_ref().and_then(format));
    let output = again(&in_format(clip, format.as_deref()));
    match (&record.request, decode) {
        (Some(request), None) => vec![generate(request, &["-o".to_owned(), path(&output)], &output)],
        (Some(request), Some(options)) => {
            let saved = ["--save-latents".to_owned(), LATENTS.to_owned()];
            let output_options = ["image", "format", "quality", "encoder", "watermark"];
            let mut all: Options = request.clone();
            all.retain(|option, _| output_options.contains(&option.as_str()));
            all.extend(options.clone());
            vec![generate(request, &saved, &output), finish(LATENTS, &all, &output)]
        }
        (None, options) => {
            let options = options.cloned().unwrap_or_default();
            let latents = options.get("latents").and_then(Value::as_str).unwrap_or(LATENTS);
            vec![finish(latents, &options, &output)]
        }
    }
}

fn generate(request: &Options, ends: &[String], output: &Path) -> String {
    let mut words = vec!["stir generate".to_owned()];
    for (option, short) in [("image", "-i"), ("prompt", "-p")] {
        words.extend(argument(short, request.get(option)));
    }
    words.extend(rest(request, output));
    words.extend_from_slice(ends);
    words.join(" ")
}

fn finish(latents: &str, options: &Options, output: &Path) -> String {
    let mut words = vec!["stir decode".to_owned(), word(latents)];
    words.extend(argument("-i", options.get("image")));
    words.extend(rest(options, output));
    words.extend(["-o".to_owned(), path(output)]);
    words.join(" ")
}

/// The options that have no place of their own.
fn rest(options: &Options, output: &Path) -> Vec<String> {
    let mut words = Vec::new();
    for (option, value) in options {
        let implied = match option.as_str() {
            "image" | "prompt" | "latents" => true,
            "format" => OutputFormat::of(output).is_ok_and(|format| value == format.name()),
            _ => false,
        };
        if implied {
            continue;
        }
        let long = format!("--{}", option.replace('_', "-"));
        match value {
            Value::Array(values) => values.iter().for_each(|value| words.extend(argument(&long, Some(value)))),
            value => words.extend(argument(&long, Some(value))),
        }
    }
    words
}

/// An option with its value; nothing for a switch that is off.
fn argument(option: &str, value: Option<&Value>) -> Vec<String> {
    let text = match value {
        None | Some(Value::Bool(false)) => return Vec::new(),
        Some(Value::Bool(true)) => return vec![option.to_owned()],
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.starts_with('-') && text != "-" {
        // A short option takes such a value without a space.
        let joint = if option.starts_with("--") { "=" } else { "" };
        return vec![word(&format!("{option}{joint}{text}"))];
    }
    vec![option.to_owned(), word(&text)]
}

/// The clip's name, with the ending of its format where it has that of another one, under which it could not be made.
pub fn in_format(clip: &Path, format: Option<&str>) -> PathBuf {
    let format: Option<OutputFormat> = format.and_then(|format| format.parse().ok());
    let other = format.filter(|&format| OutputFormat::resolve(clip, Some(format)).is_err());
    let extension = other.and_then(OutputFormat::extension);
    extension.map_or_else(|| clip.to_owned(), |extension| clip.with_extension(extension))
}

/// The clip's name, and that it was made again.
fn again(clip: &Path) -> PathBuf {
    let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    match clip.extension() {
        Some(_) => format!("{}-again.{}", name(clip.file_stem()), name(clip.extension())).into(),
        None => format!("{}-again/", name(clip.file_name())).into(),
    }
}

fn path(path: &Path) -> String {
    word(&path.to_string_lossy())
}

/// A word as shells read it back: what does not show is written by its number, as bash, zsh and ksh know it.
fn word(text: &str) -> String {
    let hidden = |letter: char| !matches!(letter, '\'' | '"' | '\\') && letter.escape_debug().len() > 1;
    if !text.chars().any(hidden) {
        return shell_word(text);
    }
    let written = |letter: char| match letter {
        '\n' => "\\n".to_owned(),
        '\'' | '\\' => format!("\\{letter}"),
        _ if hidden(letter) => format!("\\U{:08x}", u32::from(letter)),
        _ => letter.to_string(),
    };
    format!("$'{}'", text.chars().map(written).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_under_another_formats_name_gets_that_of_its_own() {
        let named = |clip: &str, format| in_format(Path::new(clip), format);
        assert_eq!(named("some/a.mov", Some("mp4")), Path::new("some/a.mp4"));
        for (clip, format) in [("a.mp4", Some("mp4")), ("a.mkv", Some("mp4")), ("a", Some("png")), ("a.gif", None)] {
            assert_eq!(named(clip, format), Path::new(clip));
        }
    }

    #[test]
    fn words_that_do_not_show_are_written_by_number() {
        assert_eq!(word("hair flowing"), "'hair flowing'");
        assert_eq!(word("it's 髪が、é"), "'it'\\''s 髪が、é'");
        assert_eq!(word("it's\n\u{1b}[31m\u{202e}"), "$'it\\'s\\n\\U0000001b[31m\\U0000202e'");
    }

    #[test]
    fn a_clip_keeps_its_format_under_the_other_name() {
        for (clip, name) in [
            ("some/clip.mp4", "clip-again.mp4"),
            ("a.b.webm", "a.b-again.webm"),
            ("some/frames/", "frames-again/"),
            ("frames", "frames-again/"),
        ] {
            assert_eq!(again(Path::new(clip)), Path::new(name));
        }
    }

    #[test]
    fn values_that_look_like_options_are_none() {
        let text = |text: &str| Some(Value::from(text));
        assert_eq!(argument("--prompt", text("-x").as_ref()), ["--prompt=-x"]);
        assert_eq!(argument("-p", text("--x y").as_ref()), ["'-p--x y'"]);
        assert_eq!(argument("-i", text("-").as_ref()), ["-i", "-"]);
        assert_eq!(argument("--two-pass", Some(&Value::Bool(true))), ["--two-pass"]);
        assert_eq!(argument("--two-pass", Some(&Value::Bool(false))), [""; 0]);
    }
}
