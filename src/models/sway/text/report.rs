//! The lines that tell the user what was made of a prompt.

use super::group::Reading;
use super::lexicon::{Direction, Lexicon};
use super::motion::Motion;
use super::plan::{Idle, Part, Settled};
use crate::models::sway::camera_path::CameraMove;

/// At most this many words of a kind are printed.
const MOST_LISTED: usize = 12;
/// Longer words are cut when printed.
const LONGEST_WORD: usize = 40;

/// All lines, the summary first. `camera`: every camera move, those in brackets too.
pub fn lines(lexicon: &Lexicon, reading: &Reading, settled: &Settled, camera: &[CameraMove]) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(summary(reading, settled, camera));
    for correction in &reading.corrections {
        lines.push(format!("read \"{}\" as \"{}\"", cut(&correction.written), correction.read));
    }
    for index in &reading.unavailable {
        lines.push(format!("understood, but this model cannot animate it yet: {}", lexicon.unavailable[*index]));
    }
    lines.extend(remarks(settled));
    lines.extend(reading.remarks.iter().cloned());
    if !reading.unknown.is_empty() {
        lines.push(format!("unknown words, ignored: {}", quoted(&reading.unknown)));
    }
    match settled.idle {
        Some(Idle::Default) if reading.unavailable.is_empty() => {
            lines.push("no motion words understood: gentle idle motion".into());
        }
        Some(Idle::Default) => lines.push("no motion that this model can animate: gentle idle motion".into()),
        _ if settled.parts.is_empty() && camera.iter().all(|known| describe_camera(known).is_none()) => {
            lines.push("nothing is asked to move: the clip stays still".into());
        }
        _ => {}
    }
    lines
}

/// `understood: hair flowing (left to right, gentle), slow blink; ignored: "melancholy"`.
fn summary(reading: &Reading, settled: &Settled, camera: &[CameraMove]) -> Option<String> {
    let mut sections = Vec::new();
    let mut understood = Vec::new();
    if settled.idle == Some(Idle::Asked) {
        understood.push(Motion::Idle.label().to_string());
    }
    if settled.idle != Some(Idle::Default) {
        understood.extend(settled.parts.iter().map(|(motion, part)| describe(*motion, part)));
    }
    understood.extend(camera.iter().map(|known| describe_camera(known).unwrap_or_else(|| "static camera".into())));
    if !understood.is_empty() {
        sections.push(format!("understood: {}", understood.join(", ")));
    }
    let still = kept_still(reading, understood.is_empty());
    if !still.is_empty() {
        sections.push(format!("kept still: {}", still.join(", ")));
    }
    if !reading.ignored.is_empty() {
        sections.push(format!("ignored: {}", quoted(&reading.ignored)));
    }
    (!sections.is_empty()).then(|| sections.join("; "))
}

fn describe(motion: Motion, part: &Part) -> String {
    let tempo = part.tempo.unwrap_or(0.0);
    let pace = match tempo {
        tempo if tempo <= -0.4 => Some("slow"),
        tempo if tempo >= 0.5 => Some("fast"),
        _ => None,
    };
    if motion.is_of_eyes() {
        let manner = match (pace, part.rate) {
            _ if motion == Motion::CloseEyes => None,
            (Some("fast"), _) => Some("quick"),
            (Some(pace), _) => Some(pace),
            (None, rate) if rate <= -0.4 => Some("rare"),
            (None, rate) if rate >= 0.4 => Some("frequent"),
            _ => None,
        };
        return manner.map_or_else(|| motion.label().to_string(), |manner| format!("{manner} {}", motion.label()));
    }
    let strength = match part.amount {
        amount if amount < 0.45 => Some("very gentle"),
        amount if amount < 0.85 => Some("gentle"),
        amount if amount <= 1.3 => None,
        amount if amount <= 1.75 => Some("strong"),
        _ => Some("very strong"),
    };
    let gusts = (part.gust > 0.0).then_some("in gusts");
    let details: Vec<&str> = [side(motion, part.direction), strength, pace, gusts].into_iter().flatten().collect();
    if details.is_empty() { motion.label().to_string() } else { format!("{} ({})", motion.label(), details.join(", ")) }
}

fn side(motion: Motion, direction: Option<Direction>) -> Option<&'static str> {
    let left = direction == Some(Direction::Left);
    match motion {
        Motion::HeadTilt | Motion::HeadTurn if left => Some("towards the left of the screen"),
        Motion::HeadTilt | Motion::HeadTurn => Some("towards the right of the screen"),
        Motion::Hair | Motion::Cloth if left => Some("right to left"),
        Motion::Hair | Motion::Cloth if direction == Some(Direction::Right) => Some("left to right"),
        _ => None,
    }
}

/// `None` for a static shot.
fn describe_camera(camera: &CameraMove) -> Option<String> {
    use crate::camera::CameraCommand;
    let strength = match camera.strength {
        strength if strength < 0.95 => " (gentle)",
        strength if strength > 1.05 => " (strong)",
        _ => "",
    };
    (camera.command != CameraCommand::StaticShot).then(|| format!("camera {}{strength}", camera.command.name()))
}

fn kept_still(reading: &Reading, nothing_moves: bool) -> Vec<String> {
    let mut still: Vec<String> = Vec::new();
    for motion in reading.stills.iter().map(|still| still.motion) {
        let thing = match motion {
            Motion::Hair => "hair",
            Motion::Cloth => "cloth",
            Motion::Wind => "wind",
            Motion::Breath => "breath",
            Motion::HeadSway | Motion::HeadNod | Motion::HeadTilt | Motion::HeadTurn => "head",
            Motion::Blink | Motion::CloseEyes | Motion::Wink | Motion::WinkLeft | Motion::WinkRight => "eyes",
            _ => "light",
        };
        super::group::push_once(&mut still, thing.to_string());
    }
    still.extend(reading.camera_refused.iter().map(|command| format!("camera (no {})", command.name())));
    if reading.everything_still {
        still.push(if nothing_moves && still.is_empty() { "everything" } else { "everything else" }.into());
    }
    still
}

fn remarks(settled: &Settled) -> Vec<String> {
    let has = |motion: Motion| settled.parts.contains_key(&motion);
    let mut remarks: Vec<String> = settled
        .contradicted
        .iter()
        .map(|motion| format!("{}: both asked for and ruled out, so left out", motion.label()))
        .collect();
    if has(Motion::CloseEyes) {
        remarks.push("eyes that stay closed are not possible yet: they blink slowly instead".into());
    }
    let winks = has(Motion::WinkLeft) || has(Motion::WinkRight);
    if winks && (has(Motion::Blink) || has(Motion::CloseEyes)) {
        remarks.push("a wink and a blink in one clip are not possible yet: both eyes blink".into());
    }
    if settled.light_merged {
        remarks.push("light that changes one way and back is shown as shifting light".into());
    }
    remarks
}

fn quoted(words: &[String]) -> String {
    let mut listed: Vec<String> = words.iter().take(MOST_LISTED).map(|word| format!("\"{}\"", cut(word))).collect();
    if words.len() > MOST_LISTED {
        listed.push(format!("and {} more", words.len() - MOST_LISTED));
    }
    listed.join(", ")
}

fn cut(word: &str) -> String {
    if word.chars().count() <= LONGEST_WORD {
        return word.to_string();
    }
    word.chars().take(LONGEST_WORD).chain(['…']).collect()
}
