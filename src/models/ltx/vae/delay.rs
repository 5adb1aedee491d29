//! A convolution over time as a delay line: it keeps the last frames and gives the three around the one that is due.

use std::collections::VecDeque;

use candle_core::Tensor;

use super::convolution::{SPAN, Sight, Window};

/// The frames that a convolution still needs, two at most between calls.
#[derive(Debug, Clone)]
pub struct DelayLine {
    sight: Sight,
    frames: VecDeque<Tensor>,
}

impl DelayLine {
    /// An empty one.
    pub fn new(sight: Sight) -> Self {
        Self { sight, frames: VecDeque::with_capacity(SPAN) }
    }

    /// Takes the next frame, or `None` after the last one, any number of times, and gives the frames around the one that is due, if one is.
    ///
    /// Before the first frame the convolution sees that frame again, after the last one the last.
    pub fn push(&mut self, frame: Option<Tensor>) -> Option<Window> {
        let frame = match frame {
            Some(frame) => frame,
            None => match (self.sight, self.frames.pop_back()) {
                (Sight::Symmetric, Some(last)) => {
                    let before = self.frames.pop_back()?;
                    return Some([before, last.clone(), last]);
                }
                _ => {
                    self.frames.clear();
                    return None;
                }
            },
        };
        if self.frames.is_empty() {
            self.frames.extend(vec![frame.clone(); self.sight.before()]);
        }
        self.frames.push_back(frame);
        if self.frames.len() < SPAN {
            return None;
        }
        let oldest = self.frames.pop_front()?;
        Some([oldest, self.frames[0].clone(), self.frames[1].clone()])
    }

    /// As [`push`](Self::push) for several frames, one after the other, or for none after the last: all that are due.
    pub fn push_all(&mut self, frames: Vec<Tensor>) -> Vec<Window> {
        if frames.is_empty() {
            return std::iter::from_fn(|| self.push(None)).collect();
        }
        frames.into_iter().filter_map(|frame| self.push(Some(frame))).collect()
    }

    /// The frames that it keeps.
    pub fn frames(&self) -> impl Iterator<Item = &Tensor> {
        self.frames.iter()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Pushes frames 0 to `count - 1` and then the end, three times; gives what comes out.
    fn windows(sight: Sight, count: u32) -> Vec<[u32; SPAN]> {
        let mut line = DelayLine::new(sight);
        let frame = |value| Some(Tensor::new(value, &Device::Cpu).unwrap());
        let pushed = (0..count).map(frame).chain([None, None, None]);
        pushed
            .filter_map(|frame| line.push(frame))
            .map(|window| window.map(|frame| frame.to_scalar::<u32>().unwrap()))
            .collect()
    }

    #[test]
    fn several_frames_at_once_give_the_same() {
        for sight in [Sight::Symmetric, Sight::Causal] {
            for (count, at_once) in [(1, 1), (2, 2), (7, 3), (8, 4)] {
                let frames: Vec<Tensor> = (0..count).map(|value| Tensor::new(value, &Device::Cpu).unwrap()).collect();
                let mut line = DelayLine::new(sight);
                let pushed = frames.chunks(at_once).map(<[_]>::to_vec).chain([vec![], vec![]]);
                let pushed = pushed.flat_map(|frames| line.push_all(frames));
                let pushed: Vec<_> =
                    pushed.map(|window| window.map(|frame| frame.to_scalar::<u32>().unwrap())).collect();
                assert_eq!(pushed, windows(sight, count));
            }
        }
    }

    #[test]
    fn a_symmetric_line_repeats_both_ends() {
        assert_eq!(windows(Sight::Symmetric, 1), [[0, 0, 0]]);
        assert_eq!(windows(Sight::Symmetric, 2), [[0, 0, 1], [0, 1, 1]]);
        assert_eq!(windows(Sight::Symmetric, 4), [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]);
    }

    #[test]
    fn a_causal_line_repeats_the_beginning() {
        assert_eq!(windows(Sight::Causal, 1), [[0, 0, 0]]);
        assert_eq!(windows(Sight::Causal, 3), [[0, 0, 0], [0, 0, 1], [0, 1, 2]]);
    }

    #[test]
    fn an_empty_line_gives_nothing() {
        assert!(windows(Sight::Symmetric, 0).is_empty() && windows(Sight::Causal, 0).is_empty());
    }
}
