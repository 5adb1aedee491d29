//! The words of a prompt, as a user writes them, and what `sway` makes of them.

use proptest::prelude::*;
use stir::camera::{CameraCommand, split_prompt};
use stir::models::sway::text::{CHANNELS, Interpretation, MotionLexicon, Plan, names};
use stir::models::{MotionPrompt, TextEncoder};

fn prompt(text: &str) -> MotionPrompt {
    let split = split_prompt(text).unwrap();
    MotionPrompt { words: split.words, camera: split.commands, intensity: 1.0, negative: None }
}

fn interpret(text: &str) -> Interpretation {
    MotionLexicon::new().unwrap().interpret(&prompt(text)).unwrap()
}

fn plan(text: &str) -> Plan {
    interpret(text).plan
}

fn notes(text: &str) -> String {
    interpret(text).notes.join("\n")
}

const SLOTS: [&str; 17] = [
    "hair",
    "cloth",
    "wind",
    "tempo",
    "blink left",
    "blink right",
    "blink rate",
    "breath",
    "head sway",
    "head nod",
    "head tilt",
    "head turn",
    "light gain",
    "light shift",
    "warmth",
    "flicker",
    "gust",
];

/// The prompt, the plan's slots that are not 0, the camera, and the printed lines.
fn rendered(text: &str) -> String {
    let interpretation = interpret(text);
    let vector = interpretation.plan.to_vector();
    let slots = SLOTS.iter().zip(vector).filter(|(_, value)| *value != 0.0);
    let mut asked: Vec<String> =
        slots.map(|(name, value)| format!("{name} {}", (value * 100.0).round() / 100.0)).collect();
    asked.extend(interpretation.camera.iter().map(|known| format!("[{} x {}]", known.command.name(), known.strength)));
    let asked = if asked.is_empty() { "nothing".to_string() } else { asked.join(", ") };
    let notes: String = interpretation.notes.iter().map(|note| format!("\n    | {note}")).collect();
    format!("> {text}\n    {asked}{notes}\n")
}

/// One snapshot of everything that these prompts lead to; a change of the lexicon shows what it changes here.
#[test]
fn realistic_prompts_are_read_and_reported_as_they_are_meant() {
    let all: String = PROMPTS.iter().map(|text| rendered(text)).collect();
    insta::assert_snapshot!(all);
}

const PROMPTS: [&str; 70] = [
    "hair gently flowing, eyes blinking slowly [push in]",
    "A melancholy girl with long blue hair, her hair flowing gently in the wind from the left",
    "Her hair and dress flutter in a strong wind blowing to the left",
    "she blinks twice and smiles softly",
    "slow zoom in, she breathes calmly, light shifting",
    "the camera slowly pans to the left while her hair sways",
    "Static camera. Hair moves softly in a gentle breeze, blinking occasionally.",
    "a gentle breeze moves through her long hair and the ribbon on her dress",
    "storm, hair and cape whipping wildly",
    "nothing moves except her hair, gently swaying",
    "keep the head still, only the hair moves",
    "her head stays still while the skirt ripples",
    "She tilts her head to the left and winks",
    "candle light flickers on her face, she nods slowly",
    "sunlight flickers through the leaves and a warm sunset glow spreads over the scene",
    "cherry blossom petals falling, rain, hair blowing in the wind",
    "beautiful anime portrait of a girl, masterpiece, best quality",
    "camera pushes in slowly on her face",
    "the camera slowly orbits, hair flows",
    "the camera does not move, she breathes",
    "hair flwoing gentley in the wnid",
    "the girl waves her hand and her hair moves",
    "subtle movement, natural breathing and blinking",
    "she stays perfectly still, only blinking and breathing",
    "without blinking or breathing, the hair sways from side to side",
    "ponytail swings gently, scarf fluttering to the right",
    "girl in a flowing red dress standing on the beach, hair swaying",
    "the shot slowly zooms out, revealing the city, clouds drifting",
    "A gentle breeze blows, her hair and skirt flutter softly. She blinks and smiles.",
    "Soft wind blowing through the girl's hair, she breathes slowly and looks to the right",
    "The girl slowly blinks her eyes, her long hair drifts in the wind, camera slowly zooms in",
    "camera zoom out slowly, revealing the landscape, subtle wind in the grass and hair",
    "Her eyes blink naturally. Her chest moves gently as she breathes. Her hair sways slightly.",
    "Wind from the right blows her scarf and hair dramatically, snow falling, camera tracking shot",
    "the woman's dress billows as the camera tilts up",
    "a knight, his cape flapping in the storm, static shot",
    "hair flowing in slow motion, eyes remain open",
    "her ponytail bounces as she nods twice",
    "soft light, dramatic atmosphere, hair flowing",
    "firelight dancing on her face, hair still",
    "lightning flashes, rain pours down, her coat flaps in the strong wind",
    "hair flowing with gentle wind, not too fast",
    "opens and closes her eyes slowly, not smiling",
    "looking down, she sighs and her shoulders rise and fall",
    "the curtains billow gently in the breeze, the woman breathes softly, sunlight shifts across the room",
    "wind blowing from left to right, strong gusts",
    "the light becomes warmer and brighter",
    "light dims then brightens, camera moves",
    "Gentle breathing motion with soft hair movement and occasional blinking, camera static",
    "Her long silver hair and the hem of her white dress sway gently as the evening breeze blows from right to left, she blinks slowly and tilts her head",
    "The warrior's red cape flutters violently in the storm while he stands motionless, embers drifting upward, camera slowly pulling out",
    "A product shot of a perfume bottle, light sweeping across the glass, slow push in",
    "Mountain landscape, clouds drifting, gentle zoom in",
    "an old man breathing heavily, candlelight flickering on his face, slight head movement",
    "she turns her head slightly to her left and blinks once",
    "the girl's eyes blink rapidly, hair flutters quickly to the right",
    "eyes half closed, slow breathing, hair drifting like underwater",
    "as the sun sets, warm light grows, hair swaying",
    "the camera drifts to the right, with a slight handheld shake",
    "pan up slowly from the dress to the face",
    "there is no movement except for blinking",
    "everything frozen except the hair and the dress",
    "she doesn't blink, but her hair moves",
    "don't let her head move; hair waves gently",
    "keep her eyes open and hair moving",
    "stormy night, girl on a ship, waves",
    "a light breeze ruffles her bangs, winks with her right eye",
    "please animate only the eyes and the hair, no camera movement",
    "1girl, solo, long hair, blue eyes, dress, looking at viewer",
    "her cat's tail sways, her earrings glitter, she turns to the viewer",
];

#[test]
fn an_empty_plan_is_gentle_idle_motion_and_says_so() {
    for text in ["melancholy", "头发飘动", "a girl with long blue hair", "!!"] {
        let plan = plan(text);
        let idle = [plan.blink_left, plan.blink_right, plan.breath, plan.hair, plan.head_sway];
        assert_eq!(idle, [1.0, 1.0, 0.6, 0.35, 0.3], "{text}");
        assert!(notes(text).contains("no motion words understood: gentle idle motion"), "{text}");
    }
    assert!(notes("she smiles").contains("no motion that this model can animate: gentle idle motion"));
}

#[test]
fn camera_commands_alone_move_only_the_camera() {
    for text in ["[pan left]", "slow zoom in", "the camera pushes in", "[static shot]", "melancholy [shake]"] {
        assert_eq!(plan(text), Plan::default(), "{text}");
    }
}

#[test]
fn stillness_is_kept() {
    for text in ["everything stays still", "motionless", "no motion", "nothing moves", "completely still", "don't move"]
    {
        assert_eq!(plan(text), Plan::default(), "{text}");
        assert!(notes(text).contains("the clip stays still"), "{text}");
    }
    let rest = plan("she is still smiling, hair still flowing");
    assert_eq!(rest.hair, 1.0, "\"still\" before a verb means that it goes on");
}

#[test]
fn negation_rules_out_what_it_names_and_no_more() {
    for text in [
        "hair flows, no blinking",
        "hair flows without blinking",
        "hair flows and she doesn't blink",
        "never blinking, hair flows",
    ] {
        let plan = plan(text);
        assert_eq!((plan.hair, plan.blink_left, plan.blink_right), (1.0, 0.0, 0.0), "{text}");
    }
    let both = plan("hair flows, no blinking or nodding");
    assert_eq!((both.hair, both.blink_left, both.head_nod), (1.0, 0.0, 0.0));
    let idle = plan("no blinking");
    assert_eq!(idle.blink_left, 0.0, "idle motion leaves out what is ruled out");
    assert!(idle.breath > 0.0);
    assert_eq!(plan("hair never stops flowing").hair, 1.0);
    assert!(notes("her hair flows, the hair stays still").contains("both asked for and ruled out"));
}

#[test]
fn adverbs_bind_to_the_nearest_movement() {
    let first = plan("hair flowing gently, eyes blinking slowly");
    let second = plan("gently flowing hair slowly blinking eyes");
    let third = plan("hair flowing gently eyes blinking slowly");
    for plan in [first, second, third] {
        assert_eq!((plan.hair, plan.blink_rate), (0.6, -1.0));
        assert!((-0.3..0.0).contains(&plan.tempo), "the blink's pace is not the hair's");
    }
    let amounts = ["barely", "slightly", "gently", "", "strongly", "wildly"]
        .map(|adverb| plan(&format!("hair {adverb} flowing")).hair);
    assert!(amounts.is_sorted() && amounts[0] < 0.5 && amounts[5] == 2.0, "{amounts:?}");
    assert!(plan("hair flows very gently").hair < plan("hair flows gently").hair);
    assert!(plan("hair flows quickly").tempo > 0.5);
    assert_eq!(plan("a strong man nods").head_nod, 1.0, "an adjective of the man is not one of the nod");
}

#[test]
fn directions_are_the_screens_except_where_the_figures_own_side_is_named() {
    for (text, direction) in [
        ("wind from the left, hair flows", 1.0),
        ("hair flows in the wind from the right", -1.0),
        ("hair blowing left", -1.0),
        ("hair flows from left to right", 1.0),
        ("hair flows to her left", 1.0),
        ("hair sways left and right", 0.0),
        ("hair flows", 0.0),
    ] {
        assert_eq!(plan(text).wind_direction, direction, "{text}");
    }
    assert_eq!(plan("tilts her head to the left").head_tilt, -1.0);
    assert_eq!(plan("tilts her head to her left").head_tilt, 1.0);
    assert_eq!(plan("looks left").head_turn, -0.6);
    assert_eq!(plan("turns slightly right").head_turn, 0.5);
    assert_eq!(plan("hair flows, blinking, looks to the right").wind_direction, 0.0);
}

#[test]
fn one_eye_winks_and_the_line_says_which() {
    let left = plan("winks with her left eye");
    assert_eq!((left.blink_left, left.blink_right), (0.0, 1.0));
    assert!(notes("her left eye blinks").contains("the figure's left eye, on the right of the screen"));
    let right = plan("her right eye winks");
    assert_eq!((right.blink_left, right.blink_right), (1.0, 0.0));
    assert!(notes("winks and blinks").contains("both eyes blink"));
}

#[test]
fn what_cannot_be_animated_is_named_and_replaced_by_nothing() {
    for (text, name) in [
        ("hair flows, she smiles", "smiling"),
        ("hair flows, she is talking", "talking"),
        ("hair flows, rain", "rain"),
        ("hair flows, snow falling", "snow"),
        ("hair flows, petals drift by", "petals"),
        ("hair flows, sparkles", "particles"),
        ("hair flows, waves on the sea", "water"),
        ("hair flows, clouds drift", "clouds"),
        ("hair flows, the trees sway", "trees"),
        ("hair flows, flames dance", "flames"),
        ("hair flows, she walks", "walking"),
        ("hair flows, she waves her hand", "hands"),
        ("hair flows, her gaze shifts", "gaze"),
        ("hair flows, the camera orbits her", "orbits"),
        ("hair flows, she shakes her head", "shaking the head"),
        ("hair flows, she looks up", "looking up"),
    ] {
        assert_eq!(plan(text), Plan { hair: 1.0, ..Plan::default() }, "{text}");
        let notes = notes(text);
        assert!(notes.contains("cannot animate it yet: ") && notes.contains(name), "{text}: {notes}");
    }
}

#[test]
fn camera_in_words_needs_a_camera_or_plain_terms() {
    let camera =
        |text: &str| interpret(text).camera.iter().map(|known| (known.command, known.strength)).collect::<Vec<_>>();
    for (text, command, strength) in [
        ("the camera slowly pans left", CameraCommand::PanLeft, 0.6),
        ("slow zoom in", CameraCommand::ZoomIn, 0.6),
        ("fast zoom out", CameraCommand::ZoomOut, 1.3),
        ("camera pushes in", CameraCommand::PushIn, 1.0),
        ("dolly in", CameraCommand::PushIn, 1.0),
        ("camera pulls back", CameraCommand::PullOut, 1.0),
        ("the camera moves to the right", CameraCommand::TruckRight, 1.0),
        ("tilt up", CameraCommand::TiltUp, 1.0),
        ("the camera rises", CameraCommand::PedestalUp, 1.0),
        ("handheld camera", CameraCommand::Shake, 1.0),
        ("the camera follows her", CameraCommand::TrackingShot, 1.0),
        ("camera stays still", CameraCommand::StaticShot, 1.0),
        ("no camera movement", CameraCommand::StaticShot, 1.0),
        ("[push in] slow push in", CameraCommand::PushIn, 1.0),
    ] {
        assert_eq!(camera(text), [(command, strength)], "{text}");
    }
    for text in [
        "she holds a pan",
        "she tilts her head",
        "she turns left",
        "hair moves left",
        "she pulls back her hair",
        "to the camera",
    ] {
        assert_eq!(camera(text), [], "{text}");
    }
}

#[test]
fn contradicting_or_too_many_camera_moves_are_refused() {
    let error = |text: &str| MotionLexicon::new().unwrap().interpret(&prompt(text)).unwrap_err().to_string();
    for (text, first, second) in [
        ("[pan left] the camera pans right", "pan left", "pan right"),
        ("static camera, slow zoom in", "static shot", "zoom in"),
        ("camera pans left, then right", "pan left", "pan right"),
    ] {
        let message = error(text);
        assert!(message.contains(first) && message.contains(second), "{message}");
    }
    assert!(error("[push in, tilt up, shake] camera pans left").contains("at most 3"));
}

#[test]
fn case_punctuation_and_spacing_do_not_matter() {
    let wanted = plan("hair gently flowing, eyes blinking");
    for text in [
        "HAIR GENTLY FLOWING, EYES BLINKING",
        "  hair   gently\tflowing ;;; eyes\nblinking!!! ",
        "(hair gently flowing) — “eyes blinking”…",
        "Hair gently flowing. Eyes blinking.",
    ] {
        assert_eq!(plan(text), wanted, "{text}");
    }
}

#[test]
fn misspellings_of_long_words_are_read_and_reported() {
    assert_eq!(plan("hair flwoing slolwy").tempo, -1.0);
    assert!(notes("hair flwoing").contains("read \"flwoing\" as \"flowing\""));
    assert!(notes("hair flowing, xylophone").contains("unknown words, ignored: \"xylophone\""));
}

#[test]
fn two_thousand_characters_are_read_and_the_lines_stay_short() {
    let text: String = "her hair flows gently, a zyxwv girl in a melancholy city, qwertyuiopasdf "
        .chars()
        .cycle()
        .take(2000)
        .collect();
    assert_eq!(plan(&text).hair, 0.6);
    let words: String = (0..400).map(|index| format!("q{index}z ")).collect();
    assert!(interpret(&words).notes.iter().all(|note| note.chars().count() < 400));
}

#[test]
fn intensity_scales_motion_but_not_the_camera() {
    let lexicon = MotionLexicon::new().unwrap();
    let at = |intensity: f64| {
        let prompt = MotionPrompt { intensity, ..prompt("hair flows, eyes blink, slow zoom in") };
        lexicon.interpret(&prompt).unwrap()
    };
    assert_eq!([0.0, 0.5, 1.0, 2.0].map(|intensity| at(intensity).plan.hair), [0.0, 0.5, 1.0, 2.0]);
    assert_eq!(at(0.0).plan, Plan::default());
    assert_eq!(at(0.5).plan.blink_left, 1.0);
    assert_eq!(at(0.0).camera, at(2.0).camera);
}

#[test]
fn the_encoder_gives_the_documented_tensors() {
    let condition = MotionLexicon::new().unwrap().encode(&prompt("hair flows [pan left]"), false).unwrap();
    assert_eq!(condition.tensors[names::PLAN].dims(), [1, CHANNELS]);
    assert_eq!(condition.tensors[names::UNCONDITIONAL_PLAN].dims(), [1, CHANNELS]);
    let camera = condition.tensors[names::CAMERA].squeeze(0).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!((camera.len(), camera[0].len()), (25, 7));
    assert_eq!(camera[24], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(condition.notes[0].starts_with("understood: hair flowing, camera pan left"), "{:?}", condition.notes);
}

/// Words from which prompts of every shape can be put together.
const WORDS: [&str; 44] = [
    "hair",
    "dress",
    "eyes",
    "left eye",
    "head",
    "she",
    "camera",
    "everything",
    "rest",
    "wind",
    "breeze",
    "blinks",
    "flowing",
    "sways",
    "tilts",
    "turns",
    "looks",
    "moves",
    "zoom",
    "pans",
    "still",
    "static",
    "keep",
    "no",
    "not",
    "without",
    "or",
    "and",
    "with",
    "while",
    "only",
    "except",
    ",",
    ".",
    "very",
    "gently",
    "slow",
    "to the left",
    "right",
    "up",
    "in a red",
    "wearing",
    "rain",
    "twice",
];

fn check_ranges(words: &str, intensity: f64) {
    let prompt = MotionPrompt { words: words.into(), camera: vec![], intensity, negative: None };
    let Ok(interpretation) = MotionLexicon::new().unwrap().interpret(&prompt) else { return };
    let plan = interpretation.plan;
    for (name, value) in SLOTS.iter().zip(plan.to_vector()) {
        let (low, high) = match *name {
            "wind" | "tempo" | "blink rate" => (-1.0, 1.0),
            "blink left" | "blink right" | "gust" => (0.0, 1.0),
            "head tilt" | "head turn" | "light gain" | "warmth" => (-2.0, 2.0),
            _ => (0.0, 2.0),
        };
        assert!((low..=high).contains(&value), "{words}: {name} is {value}");
    }
    if plan.hair == 0.0 && plan.cloth == 0.0 {
        assert_eq!((plan.wind_direction, plan.gust), (0.0, 0.0), "{words}: wind without anything that it carries");
    }
    assert!(!interpretation.notes.is_empty() || words.trim().is_empty() || plan != Plan::default(), "{words}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_or_leaves_the_ranges(words in "\\PC{0,2000}", intensity in 0.0..=2.0) {
        check_ranges(&words, intensity);
    }

    #[test]
    fn no_order_of_known_words_panics_or_leaves_the_ranges(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..24),
        intensity in 0.0..=2.0,
    ) {
        check_ranges(&words.join(" "), intensity);
    }
}
