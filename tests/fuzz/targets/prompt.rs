//! Prompts: any text is read, advised on, rewritten and interpreted, or refused.

use std::sync::LazyLock;

use stir::camera::{self, CameraCommand};
use stir::models::MotionPrompt;
use stir::models::sway::text::MotionLexicon;
use stir::pipeline::request::PROMPT_CHARACTERS;
use stir::words;

static LEXICON: LazyLock<MotionLexicon> = LazyLock::new(|| MotionLexicon::new().expect("the lexicon is built in"));

/// One input. Text that is longer than a prompt may be never gets here in the program either.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.chars().count() > *PROMPT_CHARACTERS.end() {
        return;
    }
    let _ = CameraCommand::parse_list(text);
    words::advise(text);
    assert_eq!(words::rewrite(text), words::rewrite(text), "rewriting is reproducible");
    let Ok(split) = camera::split_prompt(text) else { return };
    assert!(split.commands.len() <= camera::MAX_COMMANDS);
    let prompt = MotionPrompt { words: split.words, camera: split.commands, intensity: 1.0, negative: None };
    if let Ok(interpretation) = LEXICON.interpret(&prompt) {
        let plan = interpretation.plan.to_vector();
        assert!(plan.iter().all(|value| value.is_finite()), "{plan:?}");
    }
}
