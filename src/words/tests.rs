//! What is advised and rewritten, prompt by prompt, and what holds for any words.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const GOOD: &str = include_str!("../../tests/support/good_prompts.txt");

fn kinds(words: &str) -> Vec<Kind> {
    advise(words).into_iter().map(|advice| advice.kind).collect()
}

/// Every kind of advice, its wording and the prompt rewritten.
#[test]
fn prompts_that_could_be_better_are_told_how() {
    let lines = |words: &&str| {
        let advice: String = advise(words).iter().map(|advice| format!("    ! {advice}\n")).collect();
        format!("> {words}\n{advice}    = {}\n", rewrite(words))
    };
    insta::assert_snapshot!(BAD.iter().map(lines).collect::<String>());
}

const BAD: [&str; 39] = [
    "a beautiful anime girl with long blue hair, masterpiece, 4k, watercolor style",
    "A melancholy girl with long blue hair, her hair flowing gently in the wind from the left",
    "beautiful anime portrait of a girl, masterpiece, best quality",
    "1girl, solo, long hair, blue eyes, dress, looking at viewer",
    "masterpiece, best quality",
    "hair flowing, masterpiece, best quality, highly detailed",
    "a bottle of perfume on a table",
    "cat sitting on a windowsill",
    "flowing flowing hair flowing",
    "hair flowing, eyes blinking, hair flowing",
    "the castle explodes while the knight fights the dragon",
    "she punches the wall and stabs the man with a knife",
    "a huge explosion in the city, hair flowing",
    "two warriors fight to the death, blood splatter",
    "she blinks, she smiles, she waves her hand, she turns her head, she jumps",
    "hair flowing, dress fluttering, eyes blinking, head nodding, she smiles, rain falling, camera zooms in",
    "The young woman with long golden hair stands on the balcony of the old castle and looks out over the sea while the wind plays with her hair and her \
     long white dress flutters softly in the breeze as the sun sets behind the mountains",
    "still hair flowing",
    "the hair stays still, hair flowing in the wind",
    "zoom in and zoom out",
    "the camera zooms in and out",
    "the camera pans left, hair flows, the camera pans right",
    "static camera, slow zoom in",
    "eyes closed, blinking slowly",
    "the girl with closed eyes blinks",
    "no wind, hair blowing",
    "the girl stands frozen, dancing in the rain",
    "hair slowly flowing fast",
    "hair flows slowly, the hair flows fast",
    "melancholy",
    "melancholy, hope and epic energy",
    "a lonely girl full of hope and freedom",
    "hair flowing, evoking melancholy and love",
    "a sense of nostalgia fills the room",
    "masterpiece, 8k, hair hair flowing, she explodes with joy, eyes closed, blinking",
    "a cat wearing sunglasses and a hat, dancing on a table",
    "portrait of an old man with a grey beard, studio lighting",
    "epic, hair flowing",
    "yes",
];

#[test]
fn good_prompts_get_no_advice_and_rewriting_adds_nothing_to_them() {
    let words_of = |text: &str| -> BTreeSet<String> {
        let plain =
            text.to_lowercase().replace(|character: char| !character.is_alphanumeric() && character != '\'', " ");
        plain.split_whitespace().map(str::to_owned).collect()
    };
    for prompt in GOOD.lines() {
        assert_eq!(advise(prompt), [], "{prompt}");
        let (before, after) = (words_of(prompt), words_of(&rewrite(prompt)));
        let added: Vec<_> = after.difference(&before).collect();
        assert!(added.is_empty(), "\"{prompt}\" rewritten gains {added:?}");
    }
    assert!(GOOD.lines().count() > 150);
}

#[test]
fn each_kind_of_advice_has_its_cause() {
    for (words, kind) in [
        ("hair flowing, masterpiece", Kind::Content),
        ("hair flowing flowing", Kind::Repeated),
        ("she stabs the dragon", Kind::Violent),
        ("she blinks, nods, smiles, waves", Kind::ManyMotions),
        ("eyes closed, blinking", Kind::Contradiction),
        ("hair flowing, hope", Kind::Abstract),
    ] {
        assert_eq!(kinds(words), [kind], "{words}");
    }
    let long = format!("her hair flows {}", "in the long soft warm evening breeze ".repeat(5));
    assert!(kinds(&long).contains(&Kind::Long), "{long}");
}

#[test]
fn words_are_not_taken_for_what_they_only_resemble() {
    for words in [
        "hair sways left and right",
        "she is still smiling, her hair still flowing",
        "light dims, then brightens",
        "no explosion, no fighting, hair flowing",
        "everything frozen except her blinking eyes",
        "the red dress flutters",
        "the sad girl lowers her head",
        "hair flowing slowly, clouds moving fast",
        "hair flowing, not too fast",
        "hair gently flowing, eyes gently blinking, dress gently swaying",
        "eyes opening and closing slowly",
        "the camera follows her from left to right",
        "the camera pans left to right",
        "slow zoom in on a fast car",
        "waves slap the shore, the wind dies down",
        "a battle flag waves in the wind",
        "shattered glass glitters in the moving light",
        "watercolor paint drips slowly, colors flowing",
        "the oil painting comes to life",
        "hair flowing, moving in the wind",
        "a steady breeze moves her hair, her hair swaying",
        "her hair moves when she moves",
        "she fights back tears, lips trembling",
        "power lines swaying in the storm",
        "dying flames flicker",
        "the camera zooms out in the rain",
        "camera pans left, following her right hand",
        "the camera moves up, her left eye blinking",
        "Hair: flowing. Eyes: blinking. Camera: static.",
    ] {
        assert_eq!(advise(words), [], "{words}");
    }
}

#[test]
fn other_languages_are_left_alone() {
    for words in [
        "头发飘动，眼睛眨动",
        "髪がそよ風に揺れる、まばたき",
        "cheveux au vent, la fille cligne des yeux",
        "die Haare wehen im Wind, die Frau blinzelt langsam",
        "el pelo flota en el viento, masterpiece",
        "волосы развеваются на ветру",
        "!!!",
    ] {
        assert_eq!(advise(words), [], "{words}");
        assert_eq!(rewrite(&format!("  {words} \n")), words);
    }
    assert_eq!(rewrite(" \t\n"), "");
}

#[test]
fn two_thousand_characters_are_read() {
    let english: String =
        "her hair flows gently and the melancholy knight fights the dragon, masterpiece, camera zooms in and out, "
            .chars()
            .cycle()
            .take(2000)
            .collect();
    let unbroken = "the and of still flowing hair ".repeat(66);
    let odd: String = "漢字\u{1f600}é\u{301}, [\u{0}] ".chars().cycle().take(2000).collect();
    for words in [english, unbroken, odd, "a".repeat(2000), "a-".repeat(1000)] {
        check(&words);
    }
}

/// Whatever the words are.
fn check(words: &str) {
    let rewritten = rewrite(words);
    assert_eq!(rewrite(&rewritten), rewritten, "not a fixed point, from {words:?}");
    let blank = words.chars().all(|character| character.is_whitespace() || character.is_control());
    assert_eq!(rewritten.is_empty(), blank, "{words:?}");
    assert!(!rewritten.contains(char::is_control), "{rewritten:?}");
    if clause::read(words).is_some() {
        assert!(rewritten.split(' ').count() <= 30, "\"{rewritten}\"");
    }
    let advice = advise(words);
    let kinds: BTreeSet<Kind> = advice.iter().map(|advice| advice.kind).collect();
    assert_eq!(kinds.len(), advice.len(), "{advice:?}");
    for advice in &advice {
        let line = advice.to_string();
        assert!(!line.chars().any(char::is_control) && !advice.better.is_empty(), "{line:?}");
        assert!(advice.about.chars().count() < 300, "{line}");
    }
}

/// Words of every list, and what stands between words.
fn vocabulary() -> Vec<String> {
    let between = [
        ",",
        ".",
        "and",
        "while",
        "as",
        "then",
        "with",
        "of",
        "the",
        "a",
        "her",
        "not",
        "no",
        "xyzzy",
        "Pikachu",
        "-",
        "'s",
        "漢",
        "360",
        "in and out",
    ];
    let phrases = lexicon::Lexicon::built_in().words();
    let weighted = between.iter().cycle().take(between.len() * 12).map(|word| (*word).to_owned());
    phrases.chain(weighted).collect()
}

proptest! {
    #[test]
    fn any_text_is_rewritten_once_and_for_all(words in "\\PC{0,200}|(?s:.{0,60})") {
        check(&words);
    }

    #[test]
    fn any_order_of_known_words_is_rewritten_once_and_for_all(
        words in prop::collection::vec(prop::sample::select(vocabulary()), 1..60),
        capitals in any::<bool>(),
    ) {
        let words = words.join(" ");
        check(&if capitals { words.to_uppercase() } else { words });
    }
}
