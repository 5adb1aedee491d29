//! Camera commands: the words that users know from hosted services, and what they ask for.

use crate::error::{Error, Result};

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

    /// The command of that name, in any case and spacing.
    ///
    /// # Errors
    /// An input error that lists the known commands.
    pub fn parse(text: &str) -> Result<Self> {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        NAMES
            .iter()
            .find(|(_, name, others)| *name == words || others.contains(&words.as_str()))
            .map(|(command, _, _)| *command)
            .ok_or_else(|| {
                let known = NAMES.map(|(_, name, _)| name).join(", ");
                Error::input("camera command", format!("one of {known}"), format!("\"{text}\""), "check the spelling")
            })
    }

    /// Commands separated by commas, at most [`MAX_COMMANDS`], each counted once.
    ///
    /// # Errors
    /// An unknown command, or too many.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut commands = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
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

/// Takes `[push in, tilt up]` out of a prompt.
///
/// # Errors
/// An unknown command in brackets, too many commands, or a bracket that is not closed.
pub fn split_prompt(prompt: &str) -> Result<BracketedPrompt> {
    let mut words = String::new();
    let mut commands = Vec::new();
    let mut rest = prompt;
    while let Some(open) = rest.find('[') {
        words.push_str(&rest[..open]);
        words.push(' ');
        let inside = &rest[open + 1..];
        let close = inside.find(']').ok_or_else(|| {
            Error::input(
                "prompt",
                "a closing bracket ] after each [",
                format!("\"{}\"", &rest[open..]),
                "close it, or remove the [",
            )
        })?;
        for command in CameraCommand::parse_list(&inside[..close])? {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        rest = &inside[close + 1..];
    }
    words.push_str(rest);
    check_count(&commands)?;
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(BracketedPrompt { words, commands })
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
    fn every_name_reads_back() {
        for command in CameraCommand::all() {
            assert_eq!(CameraCommand::parse(command.name()).unwrap(), command);
        }
    }
}
