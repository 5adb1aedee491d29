//! What a clip is to do: the reading of a prompt, settled, and the vector that conditions the denoiser.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::group::{Mention, Reading};
use super::lexicon::Direction;
use super::motion::Motion;
use crate::error::Result;

/// Length of the plan vector.
pub const CHANNELS: usize = 20;

/// Where each entry of [`Plan`] stands in the vector.
#[allow(missing_docs)] // the fields of `Plan` say what they are
pub mod channel {
    pub const HAIR: usize = 0;
    pub const CLOTH: usize = 1;
    pub const WIND_DIRECTION: usize = 2;
    pub const TEMPO: usize = 3;
    pub const BLINK_LEFT: usize = 4;
    pub const BLINK_RIGHT: usize = 5;
    pub const BLINK_RATE: usize = 6;
    pub const BREATH: usize = 7;
    pub const HEAD_SWAY: usize = 8;
    pub const HEAD_NOD: usize = 9;
    pub const HEAD_TILT: usize = 10;
    pub const HEAD_TURN: usize = 11;
    pub const LIGHT_GAIN: usize = 12;
    pub const LIGHT_SHIFT: usize = 13;
    pub const WARMTH: usize = 14;
    pub const FLICKER: usize = 15;
    pub const GUST: usize = 16;
    /// 1 without a prompt, and nothing else.
    pub const UNCONDITIONAL: usize = 19;
}

/// The smallest and largest amounts that the denoiser has been trained on.
const SMALLEST_AMOUNT: f64 = 0.2;
const LARGEST_AMOUNT: f64 = 2.0;
/// What a resting figure does.
const IDLE: [(Motion, f64); 4] =
    [(Motion::Blink, 1.0), (Motion::Breath, 0.6), (Motion::Hair, 0.35), (Motion::HeadSway, 0.3)];

/// The plan: how much of each motion, 0 where it is not asked for. Left and right, here, are the screen's.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Plan {
    /// Hair flows, 0 to 2; 1 is normal.
    pub hair: f32,
    /// Cloth flutters, 0 to 2.
    pub cloth: f32,
    /// Wind blows to the left (-1) or right (1); 0 for none. Only with hair or cloth.
    pub wind_direction: f32,
    /// Slow (-1) to fast (1).
    pub tempo: f32,
    /// The eye on the left of the screen blinks: 0 or 1.
    pub blink_left: f32,
    /// The eye on the right of the screen blinks: 0 or 1.
    pub blink_right: f32,
    /// Rare and slow (-1) to often (1).
    pub blink_rate: f32,
    /// Breathing, 0 to 2.
    pub breath: f32,
    /// Slow motion of the head, 0 to 2.
    pub head_sway: f32,
    /// Nodding, 0 to 2.
    pub head_nod: f32,
    /// Tilt of the head, clockwise positive, -2 to 2.
    pub head_tilt: f32,
    /// Turn of the head, to the right positive, -2 to 2.
    pub head_turn: f32,
    /// Light grows or fades, -2 to 2.
    pub light_gain: f32,
    /// Light drifts, 0 to 2.
    pub light_shift: f32,
    /// Light warms or cools, -2 to 2.
    pub warmth: f32,
    /// Light flickers, 0 to 2.
    pub flicker: f32,
    /// Wind in gusts, 0 to 1. Only with hair or cloth.
    pub gust: f32,
}

impl Plan {
    /// The vector, in the channels' order.
    pub fn to_vector(self) -> [f32; CHANNELS] {
        let mut vector = [0.0; CHANNELS];
        for (entry, value) in [
            (channel::HAIR, self.hair),
            (channel::CLOTH, self.cloth),
            (channel::WIND_DIRECTION, self.wind_direction),
            (channel::TEMPO, self.tempo),
            (channel::BLINK_LEFT, self.blink_left),
            (channel::BLINK_RIGHT, self.blink_right),
            (channel::BLINK_RATE, self.blink_rate),
            (channel::BREATH, self.breath),
            (channel::HEAD_SWAY, self.head_sway),
            (channel::HEAD_NOD, self.head_nod),
            (channel::HEAD_TILT, self.head_tilt),
            (channel::HEAD_TURN, self.head_turn),
            (channel::LIGHT_GAIN, self.light_gain),
            (channel::LIGHT_SHIFT, self.light_shift),
            (channel::WARMTH, self.warmth),
            (channel::FLICKER, self.flicker),
            (channel::GUST, self.gust),
        ] {
            vector[entry] = value;
        }
        vector
    }

    /// `[1, 20]`, float32, on the CPU.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn to_tensor(self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.to_vector(), (1, CHANNELS), &Device::Cpu)?)
    }

    /// The plan without a prompt, `[1, 20]`, float32, on the CPU: all 0 but the last channel.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn unconditional() -> Result<Tensor> {
        let mut vector = [0.0f32; CHANNELS];
        vector[channel::UNCONDITIONAL] = 1.0;
        Ok(Tensor::from_slice(&vector, (1, CHANNELS), &Device::Cpu)?)
    }
}

/// One motion, settled from all that was said about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// 1 is normal; motion intensity is not in it.
    pub amount: f64,
    /// How much was said about the amount, as in [`Mention::rank`].
    pub rank: u8,
    /// -1 slow to 1 fast, where said.
    pub tempo: Option<f64>,
    /// How often, -1 to 1.
    pub rate: f64,
    /// Wind in gusts, 0 to 1.
    pub gust: f64,
    /// Side of the screen.
    pub direction: Option<Direction>,
}

/// Why there is idle motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It was asked for.
    Asked,
    /// Nothing else was.
    Default,
}

/// A reading without contradictions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settled {
    /// Motions; wind has become hair and cloth.
    pub parts: BTreeMap<Motion, Part>,
    /// Idle motion, which is among the parts.
    pub idle: Option<Idle>,
    /// Light was asked to change one way and back.
    pub light_merged: bool,
    /// Asked for and ruled out at once: it stays still.
    pub contradicted: Vec<Motion>,
}

impl Settled {
    /// Settles a reading. What is ruled out by name stays still, whatever else is said; a figure that is told to be still may still do what
    /// is asked of a part of it.
    pub fn new(reading: &Reading, camera_asked: bool) -> Self {
        let mut settled = Self { parts: combine(&reading.mentions), ..Self::default() };
        let ruled_out = |motion: Motion| reading.stills.iter().any(|still| still.motion == motion && !still.weak);
        settled.contradicted = settled.parts.keys().copied().filter(|motion| ruled_out(*motion)).collect();
        settled.parts.retain(|motion, _| !ruled_out(*motion));
        settled.spread_wind(ruled_out);
        settled.share_wind();
        let asked = settled.parts.remove(&Motion::Idle);
        settled.idle = match asked {
            Some(_) => Some(Idle::Asked),
            None if settled.parts.is_empty() && !camera_asked && !reading.everything_still => Some(Idle::Default),
            None => None,
        };
        if settled.idle.is_some() {
            let stills = |motion: Motion| reading.stills.iter().any(|still| still.motion == motion);
            let carried = |motion: Motion| matches!(motion, Motion::Hair | Motion::Cloth);
            let said = |motion: Motion| stills(motion) || (carried(motion) && stills(Motion::Wind));
            settled.add_idle(asked, said);
        }
        settled.choose_eye();
        settled.merge_light();
        settled
    }

    /// Wind carries the hair or cloth that is named anywhere, or both where neither is.
    fn spread_wind(&mut self, ruled_out: impl Fn(Motion) -> bool) {
        let Some(wind) = self.parts.remove(&Motion::Wind) else { return };
        let carried = [Motion::Hair, Motion::Cloth];
        let none_named = carried.iter().all(|motion| !self.parts.contains_key(motion));
        for motion in carried.into_iter().filter(|motion| !ruled_out(*motion)) {
            match self.parts.get_mut(&motion) {
                Some(part) => {
                    if part.rank < 2 && wind.rank > 0 {
                        part.amount = wind.amount;
                    }
                    part.tempo = part.tempo.or(wind.tempo);
                    part.gust = part.gust.max(wind.gust);
                    part.direction = part.direction.or(wind.direction);
                }
                None if none_named => {
                    self.parts.insert(motion, wind);
                }
                None => {}
            }
        }
    }

    /// Hair and cloth stand in the same wind.
    fn share_wind(&mut self) {
        let carried = [Motion::Hair, Motion::Cloth];
        let direction = carried.iter().find_map(|motion| self.parts.get(motion)?.direction);
        let gust = carried.iter().filter_map(|motion| self.parts.get(motion)).map(|part| part.gust).fold(0.0, f64::max);
        for motion in carried {
            if let Some(part) = self.parts.get_mut(&motion) {
                (part.direction, part.gust) = (direction, gust);
            }
        }
    }

    fn add_idle(&mut self, asked: Option<Part>, ruled_out: impl Fn(Motion) -> bool) {
        let plain = Part { amount: 1.0, rank: 0, tempo: None, rate: 0.0, gust: 0.0, direction: None };
        let manner = asked.unwrap_or(plain);
        for (motion, amount) in IDLE.into_iter().filter(|(motion, _)| !ruled_out(*motion)) {
            let amount = (amount * manner.amount).max(SMALLEST_AMOUNT);
            self.parts.entry(motion).or_insert(Part { amount, direction: None, ..manner });
        }
    }

    /// One eye or both: "wink" alone is the figure's left eye, unless a side is said; together with a blink it is a blink.
    fn choose_eye(&mut self) {
        if let Some(wink) = self.parts.remove(&Motion::Wink) {
            let eye = if wink.direction == Some(Direction::Left) { Motion::WinkRight } else { Motion::WinkLeft };
            if !self.parts.contains_key(&Motion::WinkRight) && !self.parts.contains_key(&Motion::WinkLeft) {
                self.parts.insert(eye, wink);
            }
        }
    }

    /// Light that changes one way and back is light that shifts.
    fn merge_light(&mut self) {
        for (one, other) in [(Motion::Brighten, Motion::Dim), (Motion::Warm, Motion::Cool)] {
            if self.parts.contains_key(&one) && self.parts.contains_key(&other) {
                let part = self.parts.remove(&one);
                self.parts.remove(&other);
                part.into_iter().for_each(|part| _ = self.parts.entry(Motion::LightShift).or_insert(part));
                self.light_merged = true;
            }
        }
    }

    /// The plan, with motion intensity (0 to 2) multiplied in.
    pub fn plan(&self, intensity: f64) -> Plan {
        if intensity <= 0.0 {
            return Plan::default();
        }
        let amount = |motion: Motion| {
            let part = self.parts.get(&motion);
            part.map_or(0.0, |part| (part.amount.max(SMALLEST_AMOUNT) * intensity).min(LARGEST_AMOUNT)) as f32
        };
        let sided = |motion: Motion| {
            let to_left = self.parts.get(&motion).is_some_and(|part| part.direction == Some(Direction::Left));
            if to_left { -amount(motion) } else { amount(motion) }
        };
        let blinks = |eye: Motion| {
            let eyes = [Motion::Blink, Motion::CloseEyes, eye];
            f32::from(u8::from(eyes.iter().any(|motion| self.parts.contains_key(motion))))
        };
        let carried = || [Motion::Hair, Motion::Cloth].iter().filter_map(|motion| self.parts.get(motion));
        let wind = carried().find_map(|part| match part.direction {
            Some(Direction::Left) => Some(-1.0),
            Some(Direction::Right) => Some(1.0),
            _ => None,
        });
        Plan {
            hair: amount(Motion::Hair),
            cloth: amount(Motion::Cloth),
            wind_direction: wind.unwrap_or(0.0),
            tempo: self.tempo(),
            blink_left: blinks(Motion::WinkRight),
            blink_right: blinks(Motion::WinkLeft),
            blink_rate: self.blink_rate(),
            breath: amount(Motion::Breath),
            head_sway: amount(Motion::HeadSway),
            head_nod: amount(Motion::HeadNod),
            head_tilt: sided(Motion::HeadTilt),
            head_turn: sided(Motion::HeadTurn),
            light_gain: amount(Motion::Brighten) - amount(Motion::Dim),
            light_shift: amount(Motion::LightShift),
            warmth: amount(Motion::Warm) - amount(Motion::Cool),
            flicker: amount(Motion::Flicker),
            gust: carried().map(|part| part.gust).fold(0.0, f64::max) as f32,
        }
    }

    /// One tempo for all motions: the mean of those that are said. The eyes have their own, see [`Self::blink_rate`].
    fn tempo(&self) -> f32 {
        let parts = self.parts.iter().filter(|(motion, _)| !motion.is_of_eyes());
        let said: Vec<f64> = parts.filter_map(|(_, part)| part.tempo).collect();
        if said.is_empty() { 0.0 } else { (said.iter().sum::<f64>() / said.len() as f64) as f32 }
    }

    fn blink_rate(&self) -> f32 {
        let eyes = self.parts.iter().filter(|(motion, _)| motion.is_of_eyes());
        let rate = eyes.map(|(motion, part)| match motion {
            Motion::CloseEyes => -1.0,
            _ => (part.rate + part.tempo.unwrap_or(0.0)).clamp(-1.0, 1.0),
        });
        rate.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0) as f32
    }
}

/// All mentions of a motion as one part. Of amounts, those count about which the words say most; their mean is taken.
fn combine(mentions: &[Mention]) -> BTreeMap<Motion, Part> {
    let mut by_motion: BTreeMap<Motion, Vec<&Mention>> = BTreeMap::new();
    for mention in mentions {
        by_motion.entry(mention.motion).or_default().push(mention);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let one = |mentions: Vec<&Mention>| {
        let rank = mentions.iter().map(|mention| mention.rank).max().unwrap_or(0);
        let amounts: Vec<f64> = mentions.iter().filter(|m| m.rank == rank).map(|m| m.amount).collect();
        let tempos: Vec<f64> = mentions.iter().filter_map(|mention| mention.tempo).collect();
        let rates = mentions.iter().map(|mention| mention.rate);
        Part {
            amount: mean(&amounts).clamp(SMALLEST_AMOUNT, LARGEST_AMOUNT),
            rank,
            tempo: (!tempos.is_empty()).then(|| mean(&tempos)),
            rate: rates.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0),
            gust: mentions.iter().map(|mention| mention.gust).fold(0.0, f64::max),
            direction: mentions.iter().find_map(|mention| mention.direction),
        }
    };
    by_motion.into_iter().map(|(motion, mentions)| (motion, one(mentions))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mention(motion: Motion, amount: f64, rank: u8) -> Mention {
        Mention { motion, amount, rank, tempo: None, rate: 0.0, gust: 0.0, direction: None }
    }

    fn settle(mentions: Vec<Mention>) -> Settled {
        Settled::new(&Reading { mentions, ..Reading::default() }, false)
    }

    #[test]
    fn intensity_scales_amounts_and_is_clipped() {
        let settled = settle(vec![mention(Motion::Hair, 1.5, 2), mention(Motion::Blink, 1.0, 0)]);
        assert_eq!(settled.plan(1.0).hair, 1.5);
        assert_eq!(settled.plan(0.5).hair, 0.75);
        assert_eq!(settled.plan(2.0).hair, 2.0);
        assert_eq!(settled.plan(2.0).blink_left, 1.0);
        assert_eq!(settled.plan(0.0), Plan::default());
    }

    #[test]
    fn wind_moves_both_only_where_neither_is_named() {
        let both = settle(vec![mention(Motion::Wind, 1.6, 2)]).plan(1.0);
        assert_eq!((both.hair, both.cloth), (1.6, 1.6));
        let hair = settle(vec![mention(Motion::Hair, 1.0, 0), mention(Motion::Wind, 1.6, 2)]).plan(1.0);
        assert_eq!((hair.hair, hair.cloth), (1.6, 0.0));
        let gentle = settle(vec![mention(Motion::Hair, 0.6, 2), mention(Motion::Wind, 1.6, 2)]).plan(1.0);
        assert_eq!(gentle.hair, 0.6);
    }

    #[test]
    fn the_vector_has_the_documented_order() {
        let plan = Plan { hair: 0.1, tempo: 0.2, blink_rate: 0.3, head_turn: 0.4, gust: 0.5, ..Plan::default() };
        let vector = plan.to_vector();
        assert_eq!([vector[0], vector[3], vector[6], vector[11], vector[16]], [0.1, 0.2, 0.3, 0.4, 0.5]);
        assert_eq!(vector.iter().filter(|value| **value != 0.0).count(), 5);
    }

    #[test]
    fn the_unconditional_plan_is_null() {
        let values = Plan::unconditional().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values.iter().sum::<f32>(), 1.0);
        assert_eq!(values[channel::UNCONDITIONAL], 1.0);
    }
}
