//! The movements that this model makes.

/// A movement, as the words ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Motion {
    /// Hair flows.
    Hair,
    /// Cloth flutters.
    Cloth,
    /// Wind that carries hair and cloth.
    Wind,
    /// Both eyes blink.
    Blink,
    /// The eyes close: shown as a slow blink.
    CloseEyes,
    /// One eye closes; which one is not said.
    Wink,
    /// The figure's left eye closes: the one on the right of the screen.
    WinkLeft,
    /// The figure's right eye closes.
    WinkRight,
    /// Breathing.
    Breath,
    /// The head moves slowly about.
    HeadSway,
    /// The head nods.
    HeadNod,
    /// The head tilts towards a shoulder.
    HeadTilt,
    /// The head turns slightly to a side.
    HeadTurn,
    /// The light grows.
    Brighten,
    /// The light fades.
    Dim,
    /// The light drifts.
    LightShift,
    /// The light warms.
    Warm,
    /// The light cools.
    Cool,
    /// The light flickers as a fire's does.
    Flicker,
    /// Gentle motion of everything that a resting figure moves.
    Idle,
}

use Motion::*;

const NAMES: [(Motion, &str, &str); 20] = [
    (Hair, "hair", "hair flowing"),
    (Cloth, "cloth", "cloth fluttering"),
    (Wind, "wind", "wind"),
    (Blink, "blink", "blink"),
    (CloseEyes, "close_eyes", "eyes closing"),
    (Wink, "wink", "wink"),
    (WinkLeft, "wink_left", "wink of the figure's left eye, on the right of the screen"),
    (WinkRight, "wink_right", "wink of the figure's right eye, on the left of the screen"),
    (Breath, "breath", "breathing"),
    (HeadSway, "head_sway", "head swaying"),
    (HeadNod, "head_nod", "nod"),
    (HeadTilt, "head_tilt", "head tilt"),
    (HeadTurn, "head_turn", "head turn"),
    (Brighten, "brighten", "light growing brighter"),
    (Dim, "dim", "light growing darker"),
    (LightShift, "light_shift", "light shifting"),
    (Warm, "warm", "light growing warmer"),
    (Cool, "cool", "light growing cooler"),
    (Flicker, "flicker", "light flickering"),
    (Idle, "idle", "gentle idle motion"),
];

impl Motion {
    /// The motion that the lexicon calls `name`.
    pub fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, key, _)| *key == name).map(|(motion, _, _)| *motion)
    }

    /// How it is printed.
    pub fn label(self) -> &'static str {
        NAMES.iter().find(|(motion, _, _)| *motion == self).map(|(_, _, label)| *label).expect("every motion is listed")
    }

    /// Whether it has a left and a right.
    pub fn has_side(self) -> bool {
        matches!(self, Hair | Cloth | Wind | HeadTilt | HeadTurn | Wink)
    }

    /// Whether it is something that eyes do.
    pub fn is_of_eyes(self) -> bool {
        matches!(self, Blink | CloseEyes | Wink | WinkLeft | WinkRight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for (motion, key, label) in NAMES {
            assert_eq!(Motion::parse(key), Some(motion));
            assert_eq!(motion.label(), label);
        }
    }
}
