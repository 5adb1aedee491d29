//! Camera commands: the words that users know from hosted services, and what they ask for.

use crate::error::{Error, MOST_QUOTED, Result, quoted};

/// One camera command. Left, right, up and down are the camera's: for [`PanLeft`](Self::PanLeft) the picture's content moves to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation
pub enum CameraCommand {
    TruckLeft,
    TruckRight,
    PanLeft,
    PanRight,
    PushIn,
    PullOut,
    PedestalUp,
    PedestalDown,
    TiltUp,
    TiltDown,
    ZoomIn,
    ZoomOut,
    Shake,
    TrackingShot,
    StaticShot,
}

use CameraCommand::*;

/// Every command with its name, and further names that mean the same.
const NAMES: [(CameraCommand, &str, &[&str]); 15] = [
    (TruckLeft, "truck left", &[]),
    (TruckRight, "truck right", &[]),
    (PanLeft, "pan left", &[]),
    (PanRight, "pan right", &[]),
    (PushIn, "push in", &[]),
    (PullOut, "pull out", &[]),
    (PedestalUp, "pedestal up", &["crane up"]),
    (PedestalDown, "pedestal down", &["crane down"]),
    (TiltUp, "tilt up", &[]),
    (TiltDown, "tilt down", &[]),
    (ZoomIn, "zoom in", &[]),
    (ZoomOut, "zoom out", &[]),
    (Shake, "shake", &[]),
    (TrackingShot, "tracking shot", &[]),
    (StaticShot, "static shot", &["static"]),
];

/// What other programs and film crews call something near a command. It is suggested, never taken for the command.
const NEAR: [(CameraCommand, &str); 15] = [
    (TruckLeft, "move left, slide left, dolly left, track left, strafe left"),
    (TruckRight, "move right, slide right, dolly right, track right, strafe right"),
    (PanLeft, "rotate left, turn left, look left, swing left, swivel left, yaw left"),
    (PanRight, "rotate right, turn right, look right, swing right, swivel right, yaw right"),
    (
        PushIn,
        "dolly in, dolly forward, move in, move forward, move closer, push forward, track in, fly in, close \
         in, approach, come closer, pull in, dolly, push",
    ),
    (
        PullOut,
        "dolly out, dolly back, dolly backward, pull back, pull away, move out, move back, move away, move \
         backward, track out, fly out, push out, push back, back away, retreat, pull",
    ),
    (PedestalUp, "boom up, jib up, move up, lift up, rise, ascend, raise, pedestal, crane"),
    (PedestalDown, "boom down, jib down, move down, sink, descend, lower"),
    (TiltUp, "look up, pan up, pitch up, rotate up, turn up, tilt"),
    (TiltDown, "look down, pan down, pitch down, rotate down, turn down"),
    (ZoomIn, "zoom, zoom closer, zoom forward, close up, enlarge, magnify"),
    (ZoomOut, "zoom away, zoom back, zoom backward, wide shot, unzoom"),
    (Shake, "handheld, hand held, shaking, shaky, shaky cam, wobble, tremble, jitter, earthquake"),
    (TrackingShot, "follow, follow shot, tracking, track, chase, steadicam"),
    (StaticShot, "still, still shot, fixed, fixed shot, locked, locked off, tripod, stationary, none, no movement"),
];

/// How like a known name, from 0 to 1, a misspelt one has to be to be suggested.
const LEAST_LIKENESS: f64 = 0.65;

/// Words about a command that do not tell it from another one.
const FILLER: [&str; 12] =
    ["a", "the", "camera", "cam", "to", "slow", "slowly", "gentle", "gently", "fast", "smooth", "smoothly"];

/// At most this many commands are combined.
pub const MAX_COMMANDS: usize = 3;

impl CameraCommand {
    /// All commands, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(command, _, _)| *command)
    }

    /// The command's name, as it is printed.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(command, _, _)| *command == self)
            .map(|(_, name, _)| *name)
            .expect("every command is listed")
    }

    /// The command of that name, in any case, with spaces, hyphens or underscores between its words.
    ///
    /// # Errors
    /// An input error that lists the known commands and suggests the nearest one, if one is near.
    pub fn parse(text: &str) -> Result<Self> {
        let words = plain_words(text);
        let known = |name: &str, others: &[&str]| name == words || others.contains(&words.as_str());
        if let Some((command, _, _)) = NAMES.iter().find(|(_, name, others)| known(name, others)) {
            return Ok(*command);
        }
        let hint = match nearest(&words) {
            Some(command) => format!("did you mean `{}`?", command.name()),
            None => "take one of these, or say in the prompt's own words what the camera does".into(),
        };
        let all = NAMES.map(|(_, name, _)| name).join(", ");
        Err(Error::input("camera command", format!("one of {all}"), quoted(&on_a_line(text)), hint))
    }

    /// Commands separated by commas, at most [`MAX_COMMANDS`], each counted once.
    ///
    /// # Errors
    /// An unknown command, or too many.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut commands = Vec::new();
        for name in text.split([',', '，', '、']).map(str::trim).filter(|name| !name.is_empty()) {
            let command = Self::parse(name)?;
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        check_count(&commands)?;
        Ok(commands)
    }
}

/// A prompt taken apart: its words, and the camera commands that stood in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BracketedPrompt {
    /// The prompt without its brackets.
    pub words: String,
    /// The commands in the order they stood in.
    pub commands: Vec<CameraCommand>,
}

/// Takes `[push in, tilt up]` out of a prompt. The full-width brackets of East Asian keyboards are brackets too.
///
/// # Errors
/// An unknown command in brackets, too many commands, brackets with nothing in them, one inside another, or one without its counterpart.
pub fn split_prompt(prompt: &str) -> Result<BracketedPrompt> {
    let bracket_error =
        |wanted: &str, found: &str, hint: &str| Err(Error::input("prompt", wanted, quoted(&on_a_line(found)), hint));
    let mut words = String::new();
    let mut commands = Vec::new();
    let mut rest = prompt;
    while let Some((at, bracket)) = rest.char_indices().find(|(_, character)| is_bracket(*character)) {
        if CLOSING.contains(&bracket) {
            let through = &rest[..at + bracket.len_utf8()];
            return bracket_error(
                "an opening bracket [ before each ]",
                last_characters(through),
                "open it, or remove the ]",
            );
        }
        words.push_str(&rest[..at]);
        words.push(' ');
        let inside = &rest[at + bracket.len_utf8()..];
        let Some((end, next)) = inside.char_indices().find(|(_, character)| is_bracket(*character)) else {
            return bracket_error("a closing bracket ] after each [", &rest[at..], "close it, or remove the [");
        };
        if OPENING.contains(&next) {
            return bracket_error(
                "one [ before each ]",
                &rest[at..],
                "close the first bracket, or remove one of the two",
            );
        }
        let found = CameraCommand::parse_list(&inside[..end])?;
        let after = end + next.len_utf8();
        if found.is_empty() {
            let through = &rest[at..at + bracket.len_utf8() + after];
            return bracket_error(
                "a camera command between [ and ]",
                through,
                "name one, for instance [push in], or remove the brackets",
            );
        }
        for command in found {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        rest = &inside[after..];
    }
    words.push_str(rest);
    check_count(&commands)?;
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(BracketedPrompt { words, commands })
}

const OPENING: [char; 2] = ['[', '［'];
const CLOSING: [char; 2] = [']', '］'];

fn is_bracket(character: char) -> bool {
    OPENING.contains(&character) || CLOSING.contains(&character)
}

/// Lower case, one space between words, whatever separated them.
fn plain_words(text: &str) -> String {
    let separates =
        |character: char| character.is_whitespace() || matches!(character, '-' | '_' | '\u{2010}'..='\u{2015}');
    let words: Vec<_> = text.split(separates).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// The command that was most likely meant: by a near name, else by spelling.
fn nearest(words: &str) -> Option<CameraCommand> {
    // Names are short: what is much longer is none, and comparing it would take its time.
    if words.chars().count() > MOST_QUOTED {
        return None;
    }
    let telling: Vec<&str> = words.split(' ').filter(|word| !FILLER.contains(word)).collect();
    let (written, reversed) = (telling.join(" "), telling.iter().rev().copied().collect::<Vec<_>>().join(" "));
    let names = NAMES.iter().flat_map(|(command, name, others)| {
        std::iter::once(*name).chain(others.iter().copied()).map(|name| (*command, name))
    });
    let near = NEAR.iter().flat_map(|(command, others)| others.split(", ").map(|name| (*command, name)));
    let likeness = |name: &str| {
        let of = |text: &str| strsim::normalized_damerau_levenshtein(text, name);
        of(&written).max(of(&reversed))
    };
    // Of equally like names the first is taken, so that a command goes before what is only near one.
    let mut best: Option<(f64, CameraCommand)> = None;
    for (command, name) in names.chain(near) {
        let likeness = likeness(name);
        if likeness >= LEAST_LIKENESS && best.is_none_or(|(known, _)| likeness > known) {
            best = Some((likeness, command));
        }
    }
    best.map(|(_, command)| command)
}

/// What the user wrote on one line, without characters that a terminal would act on.
fn on_a_line(text: &str) -> String {
    let shown = |character: &char| {
        !character.is_control()
            && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let spaced = text.chars().map(|character| if character.is_whitespace() { ' ' } else { character });
    spaced.filter(shown).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The end of a text, short enough to be quoted in full.
fn last_characters(text: &str) -> &str {
    let start = text.char_indices().rev().nth(MOST_QUOTED / 2).map_or(0, |(at, _)| at);
    &text[start..]
}

/// Refuses commands that contradict each other: opposites, and a static shot with anything else.
///
/// # Errors
/// An input error that names both commands.
pub fn check_together(commands: &[CameraCommand]) -> Result<()> {
    for (index, first) in commands.iter().enumerate() {
        for second in &commands[index + 1..] {
            if excludes(*first, *second) || excludes(*second, *first) {
                return Err(Error::input(
                    "camera commands",
                    "commands that can be combined",
                    format!("\"{}\" together with \"{}\"", first.name(), second.name()),
                    "leave one of the two out; the camera makes one combined move for the whole clip",
                ));
            }
        }
    }
    Ok(())
}

fn excludes(a: CameraCommand, b: CameraCommand) -> bool {
    use CameraCommand::*;
    let opposites = [
        (TruckLeft, TruckRight),
        (PanLeft, PanRight),
        (PushIn, PullOut),
        (PedestalUp, PedestalDown),
        (TiltUp, TiltDown),
        (ZoomIn, ZoomOut),
    ];
    opposites.contains(&(a, b)) || (a == StaticShot && b != StaticShot)
}

/// Refuses more than [`MAX_COMMANDS`] commands.
///
/// # Errors
/// An input error with the count.
pub fn check_count(commands: &[CameraCommand]) -> Result<()> {
    if commands.len() > MAX_COMMANDS {
        let found = format!("{}: {}", commands.len(), commands.iter().map(|c| c.name()).collect::<Vec<_>>().join(", "));
        return Err(Error::input(
            "camera commands",
            format!("at most {MAX_COMMANDS}"),
            found,
            "leave the least important out",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_brackets() {
        let split = split_prompt("hair flowing [Push In,  tilt up] softly [crane up]").unwrap();
        assert_eq!(split.words, "hair flowing softly");
        assert_eq!(split.commands, [PushIn, TiltUp, PedestalUp]);
    }

    #[test]
    fn unknown_open_and_too_many_are_refused() {
        assert!(split_prompt("[fly away]").unwrap_err().to_string().contains("fly away"));
        assert!(split_prompt("[push in").unwrap_err().to_string().contains("closing bracket"));
        assert!(split_prompt("[push in, tilt up, pan left, shake]").unwrap_err().to_string().contains("at most 3"));
    }

    #[test]
    fn every_name_reads_back_however_it_is_written() {
        for command in CameraCommand::all() {
            let name = command.name();
            let written = [
                name.to_string(),
                name.to_uppercase(),
                name.replace(' ', "-"),
                name.replace(' ', "_"),
                format!("  {}  ", name.replace(' ', "   ")),
            ];
            for text in written {
                assert_eq!(CameraCommand::parse(&text).unwrap(), command, "{text}");
            }
        }
        for (text, command) in [("Static_shot", StaticShot), ("crane-up", PedestalUp), ("PUSH\u{2011}in", PushIn)] {
            assert_eq!(CameraCommand::parse(text).unwrap(), command, "{text}");
        }
    }

    #[test]
    fn a_name_of_something_else_is_refused_with_the_command_that_is_nearest() {
        for (text, command) in [
            ("dolly in", PushIn),
            ("dolly out", PullOut),
            ("pull back", PullOut),
            ("pulling back", PullOut),
            ("push inn", PushIn),
            ("psuh in", PushIn),
            ("zoom inn", ZoomIn),
            ("zoomin", ZoomIn),
            ("zooms out", ZoomOut),
            ("zoom", ZoomIn),
            ("panleft", PanLeft),
            ("left pan", PanLeft),
            ("pan rigth", PanRight),
            ("panning right", PanRight),
            ("the camera slowly pans left", PanLeft),
            ("tilt upp", TiltUp),
            ("titl down", TiltDown),
            ("pan up", TiltUp),
            ("move left", TruckLeft),
            ("trucks right", TruckRight),
            ("boom down", PedestalDown),
            ("pedestral up", PedestalUp),
            ("craneup", PedestalUp),
            ("handheld", Shake),
            ("shaking", Shake),
            ("tracking", TrackingShot),
            ("traking shot", TrackingShot),
            ("statik", StaticShot),
            ("static camera", StaticShot),
            ("tripod", StaticShot),
        ] {
            let error = CameraCommand::parse(text).expect_err(text);
            assert_eq!(error.hint(), format!("did you mean `{}`?", command.name()), "{text}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn nothing_is_suggested_for_what_is_near_no_command() {
        for text in ["orbit left", "barrel roll", "xylophone", "左移", "", "roll", &"push in ".repeat(300)] {
            let error = CameraCommand::parse(text).expect_err(text);
            assert!(error.hint().contains("take one of these"), "{text}: {}", error.hint());
            assert!(error.to_string().contains("truck left, truck right"));
        }
    }

    #[test]
    fn brackets_come_in_pairs_with_a_command_between_them() {
        for (text, wanted) in [
            ("hair flowing [[push in]", "one [ before each ]"),
            ("[[push in]]", "one [ before each ]"),
            ("push in]", "an opening bracket [ before each ]"),
            ("[push in]] hair", "an opening bracket [ before each ]"),
            ("hair ] flows [push in]", "an opening bracket [ before each ]"),
            ("hair [", "a closing bracket ] after each ["),
            ("[]", "a camera command between [ and ]"),
            ("[ , ]", "a camera command between [ and ]"),
            ("［，］", "a camera command between [ and ]"),
        ] {
            let error = split_prompt(text).expect_err(text);
            assert!(error.to_string().contains(wanted), "{text}: {error}");
            assert_eq!(error.exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn full_width_brackets_and_commas_are_understood_and_others_are_words() {
        let split = split_prompt("头发飘动［push in，tilt up］").unwrap();
        assert_eq!((split.words.as_str(), split.commands.as_slice()), ("头发飘动", [PushIn, TiltUp].as_slice()));
        assert_eq!(split_prompt("【pan】 (left) {up}").unwrap().words, "【pan】 (left) {up}");
        assert_eq!(split_prompt("[push in,]").unwrap().commands, [PushIn]);
    }

    #[test]
    fn messages_quote_little_and_nothing_that_a_terminal_acts_on() {
        let long = "x".repeat(1900);
        for text in [
            format!("[{long}]"),
            format!("{long}]"),
            format!("[{long}"),
            format!("[[{long}"),
            format!("[{}]", " ,".repeat(900)),
            "[\u{1b}[2Jpush]".into(),
            "[push\u{7}\u{202e}\u{9b}2J in\nor\tout]".into(),
            "[é\u{1f600}漢\u{0}]".into(),
        ] {
            let error = split_prompt(&text).unwrap_err();
            let message = format!("{error} {}", error.hint());
            let found = message.split("found ").nth(1).unwrap();
            assert!(
                found.chars().filter(|character| "x,".contains(*character)).count() <= MOST_QUOTED + 3,
                "{message}"
            );
            assert!(!message.chars().any(|character| character.is_control() || character == '\u{202e}'), "{message:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_apart_or_refused_on_one_short_line(text in "(?s:.{0,200})|[\\[\\]［］,a-z \u{1b}\u{202e}]{0,200}") {
            match split_prompt(&text) {
                Ok(split) => assert!(!split.words.contains(is_bracket) && split.commands.len() <= MAX_COMMANDS),
                Err(error) => {
                    let message = format!("{error} {}", error.hint());
                    assert!(!message.chars().any(char::is_control) && message.chars().count() < 500, "{message:?}");
                }
            }
        }
    }
}
