//! A rewritten prompt still moves what the prompt itself moves.

use stir::models::MotionPrompt;
use stir::models::sway::text::{Interpretation, MotionLexicon};
use stir::words;

const GOOD: &str = include_str!("../support/good_prompts.txt");

fn interpret(lexicon: &MotionLexicon, words: &str) -> Interpretation {
    lexicon.interpret(&MotionPrompt { words: words.into(), camera: vec![], intensity: 1.0, negative: None }).unwrap()
}

#[test]
fn nothing_that_is_understood_of_a_good_prompt_is_lost() {
    let lexicon = MotionLexicon::new().unwrap();
    let mut lost = Vec::new();
    for prompt in GOOD.lines() {
        let rewritten = words::rewrite(prompt);
        let (before, after) = (interpret(&lexicon, prompt), interpret(&lexicon, &rewritten));
        let slots = before.plan.to_vector().into_iter().zip(after.plan.to_vector()).enumerate();
        for (channel, (before, after)) in slots {
            if before != 0.0 && after == 0.0 {
                lost.push(format!("channel {channel} of \"{prompt}\", rewritten as \"{rewritten}\""));
            }
        }
        for camera in before.camera {
            if !after.camera.contains(&camera) {
                lost.push(format!("{camera:?} of \"{prompt}\", rewritten as \"{rewritten}\""));
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}
