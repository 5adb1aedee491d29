//! A prompt in words alone, for models that read text and know nothing of camera commands or motion intensity.

use crate::camera::CameraCommand;
use crate::units::MotionLevel;

/// The prompt as a model gets it that reads text: the user's words as they are (trimmed), then a sentence on the camera, if there are
/// commands, then one on the motion, if the intensity of 0 to 2 is not medium.
///
/// The commands are one sentence, because they are one move: what comes after the first happens meanwhile. Words that end without a full stop
/// get one, and after a comma the sentence goes on.
///
/// ```
/// use stir::camera::CameraCommand::{PanLeft, PushIn};
/// use stir::words::in_words;
///
/// let prompt = in_words("hair flowing", &[PushIn, PanLeft], 1.6);
/// assert_eq!(
///     prompt,
///     "hair flowing. The camera slowly pushes in while panning left. The motion in the scene is strong and dynamic."
/// );
/// ```
pub fn in_words(words: &str, camera: &[CameraCommand], intensity: f64) -> String {
    let mut text = words.trim().to_owned();
    for sentence in [camera_sentence(camera), motion_sentence(intensity)].into_iter().flatten() {
        append(&mut text, &sentence);
    }
    text
}

/// Adds a sentence, which begins with a capital letter of ASCII, to a text.
fn append(text: &mut String, sentence: &str) {
    const CLOSING: [char; 9] = ['"', '\'', ')', '}', '»', '\u{201d}', '\u{2019}', '」', '』'];
    // What is quoted or put in parentheses may end the sentence itself.
    let last = text.trim_end_matches(CLOSING).chars().next_back();
    match last {
        None if text.is_empty() => text.push_str(sentence),
        Some('.' | '!' | '?' | '…' | '。' | '！' | '？' | '．') => *text += &format!(" {sentence}"),
        Some(',' | ';' | ':' | '-' | '–' | '—' | '，' | '；' | '：' | '、') => {
            let (first, rest) = sentence.split_at(1);
            *text += &format!(" {}{rest}", first.to_ascii_lowercase());
        }
        _ => *text += &format!(". {sentence}"),
    }
}

/// How a caption says a camera's move.
struct Move {
    /// After "The camera".
    does: &'static str,
    /// After "while", in a sentence that has begun with another move.
    doing: &'static str,
    /// Moves into the picture are slow in six seconds; unless that is said, models make a rush of them.
    slowly: bool,
}

/// What captions call each command. The terms of film crews that few captions hold ("trucks", "pedestals") are put plainly.
fn said(command: CameraCommand) -> Move {
    use CameraCommand::*;
    let (does, doing) = match command {
        TruckLeft => ("moves sideways to the left", "moving sideways to the left"),
        TruckRight => ("moves sideways to the right", "moving sideways to the right"),
        PanLeft => ("pans left", "panning left"),
        PanRight => ("pans right", "panning right"),
        PushIn => ("pushes in", "pushing in"),
        PullOut => ("pulls back", "pulling back"),
        PedestalUp => ("rises straight up", "rising straight up"),
        PedestalDown => ("descends straight down", "descending straight down"),
        TiltUp => ("tilts up", "tilting up"),
        TiltDown => ("tilts down", "tilting down"),
        ZoomIn => ("zooms in", "zooming in"),
        ZoomOut => ("zooms out", "zooming out"),
        Shake => ("shakes as if handheld", "shaking as if handheld"),
        TrackingShot => ("follows the subject in a tracking shot", "following the subject in a tracking shot"),
        StaticShot => ("remains static", "remaining static"),
    };
    Move { does, doing, slowly: matches!(command, PushIn | PullOut | ZoomIn | ZoomOut) }
}

/// One sentence for all commands, none without any.
fn camera_sentence(camera: &[CameraCommand]) -> Option<String> {
    let (first, others) = camera.split_first()?;
    let mut slowly = false;
    let mut phrase = |command: &CameraCommand, later: bool| {
        let said = said(*command);
        // Said once, it goes for all that follows.
        let adverb = if said.slowly && !slowly { "slowly " } else { "" };
        slowly |= said.slowly;
        format!("{adverb}{}", if later { said.doing } else { said.does })
    };
    let first = phrase(first, false);
    let others: Vec<String> = others.iter().map(|command| phrase(command, true)).collect();
    Some(match others.split_last() {
        None => format!("The camera {first}."),
        Some((last, [])) => format!("The camera {first} while {last}."),
        Some((last, between)) => format!("The camera {first} while {} and {last}.", between.join(", ")),
    })
}

/// What the intensity of 0 to 2 asks of the motion; of the camera it asks nothing.
fn motion_sentence(intensity: f64) -> Option<String> {
    let sentence = match MotionLevel::of(intensity) {
        MotionLevel::Still => "The scene is almost still.",
        MotionLevel::Low => "The motion in the scene is subtle and slow.",
        MotionLevel::Medium => return None,
        MotionLevel::High => "The motion in the scene is strong and dynamic.",
    };
    Some(sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::camera::CameraCommand::*;
    use crate::camera::MAX_COMMANDS;

    /// Every command alone and as what comes later, a few combinations, and every level of motion.
    #[test]
    fn commands_and_intensity_are_put_into_sentences() {
        let mut lines = String::new();
        let mut add = |camera: &[CameraCommand], intensity: f64| {
            let names = camera.iter().map(|command| command.name()).collect::<Vec<_>>().join(", ");
            lines += &format!("[{names}] {intensity}: {}\n", in_words("hair flowing", camera, intensity));
        };
        CameraCommand::all().for_each(|command| add(&[command], 1.0));
        let with_a_pan = |command: &CameraCommand| ![PanLeft, PanRight, StaticShot].contains(command);
        CameraCommand::all().filter(with_a_pan).for_each(|command| add(&[PanLeft, command], 1.0));
        add(&[PushIn, ZoomOut], 1.0);
        add(&[PushIn, PanLeft, TiltUp], 1.0);
        add(&[TrackingShot, Shake, ZoomIn], 1.6);
        [0.0, 0.2, 0.5, 0.74, 0.75, 1.0, 1.25, 1.26, 1.6, 2.0].into_iter().for_each(|intensity| add(&[], intensity));
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn words_and_sentences_are_joined_as_they_end() {
        let joined = |words: &str| in_words(words, &[StaticShot], 0.5);
        let rest = "camera remains static. The motion in the scene is subtle and slow.";
        for words in
            ["hair flowing.", "Hair flows!", "does it rain?", "she waits…", "头发飘动。", "she says \"go.\"", "(wind.)"]
        {
            assert_eq!(joined(words), format!("{words} The {rest}"));
        }
        for words in ["hair flowing", "头发飘动", "she says \"go\"", "wind (soft)", "100 %", "\"", "🌊"] {
            assert_eq!(joined(words), format!("{words}. The {rest}"));
        }
        for words in ["hair flowing,", "hair flowing;", "camera:", "hair flowing —"] {
            assert_eq!(joined(words), format!("{words} the {rest}"));
        }
        for words in ["", " \n"] {
            assert_eq!(joined(words), format!("The {rest}"));
        }
    }

    /// Nobody's sentence is another's, so that no two requests become one.
    #[test]
    fn different_moves_are_different_sentences() {
        let mut seen = BTreeSet::new();
        for first in CameraCommand::all() {
            assert!(seen.insert(in_words("", &[first], 1.0)));
            for second in CameraCommand::all().filter(|second| *second != first) {
                assert!(seen.insert(in_words("", &[first, second], 1.0)));
            }
        }
        assert_eq!(seen.len(), 15 * 15);
    }

    proptest! {
        #[test]
        fn without_camera_and_at_medium_motion_the_words_are_the_prompt(words in "(?s:.{0,100})", intensity in 0.75..=1.25) {
            prop_assert_eq!(in_words(&words, &[], intensity), words.trim());
        }

        #[test]
        fn the_users_words_come_first_and_whole_sentences_follow(
            words in "(?s:.{0,60})",
            camera in prop::sample::subsequence(CameraCommand::all().collect::<Vec<_>>(), 1..=MAX_COMMANDS).prop_shuffle(),
            intensity in 0.0..=2.0,
        ) {
            let text = in_words(&words, &camera, intensity);
            let sentences = text.strip_prefix(words.trim()).expect("the words are unchanged");
            prop_assert!(sentences.ends_with('.') && !sentences.contains("  "));
            prop_assert_eq!(sentences.to_lowercase().matches("the camera ").count(), 1);
            prop_assert!(sentences.matches("slowly").count() <= 1);
            for command in camera {
                prop_assert!([said(command).does, said(command).doing].iter().any(|said| sentences.contains(said)));
            }
        }
    }
}
