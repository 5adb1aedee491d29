//! Records in clips: any text is a record that is written as it was read, or refused; and no command made of it hides anything.

use std::path::Path;

use stir::cli::config::Config;
use stir::pipeline::provenance::Record;
use stir::pipeline::provenance::command::commands;

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(record) = Record::parse(text, "fuzzed clip") else { return };
    assert_eq!(Record::parse(&record.to_json(), "the same").expect("what was read can be read again"), record);
    for command in commands(&record, Path::new("clip.mp4")) {
        assert!(command.starts_with("stir ") && !command.chars().any(char::is_control), "{command:?}");
    }
    let options = record.request.unwrap_or_default().into_iter().collect();
    if let Ok(config) = Config::of_object(&options, "fuzzed record") {
        assert!(config.arguments().all(|argument| argument.to_str().is_some_and(|text| text.starts_with("--"))));
    }
}
