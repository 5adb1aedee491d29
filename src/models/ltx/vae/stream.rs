//! A decode that gives one frame after another: every convolution over time is a delay line, so that nothing is computed twice and no layer
//! keeps more than a few frames.
//!
//! Frames are pulled: the last step asks the one before it for as many frames as it needs, and so on up to the latents, so that steps at a
//! lower frame rate run ahead no further than they must. The frames equal those of the whole clip at once, bit for bit.
//!
//! A GPU has too little to do with one frame: there all the frames that belong to a latent frame are computed together, eight of them in the end.

use std::collections::{HashMap, VecDeque};

use candle_core::{IndexOp, Tensor, TensorId};

use super::convolution::{Convolution, Sight, Window};
use super::decoder::{Output, Step, channels_last};
use super::delay::DelayLine;
use super::resample::Upsampler;
use super::residual::Residual;
use crate::error::Result;
use crate::ops::conv3d::ClipEpilogue;

/// Gives latent frames `[F, C, H, W]`, one or more at a time, and `None` after the last.
pub type LatentFrames = Box<dyn FnMut() -> Result<Option<Tensor>>>;

/// Bytes of each tensor that is kept, counted once however often it is kept.
type Kept = HashMap<TensorId, usize>;

/// A decode under way; its state is apart from the weights, which it shares.
pub struct Stream {
    last: Box<dyn Frames>,
    /// Frames of the last step.
    waiting: VecDeque<Tensor>,
}

impl Stream {
    /// `together`: whether all frames of a latent frame are computed at once.
    pub(super) fn new(steps: &[Step], together: bool, source: LatentFrames) -> Self {
        let first: Box<dyn Frames> = Box::new(Source { source, waiting: VecDeque::new() });
        let last = steps.iter().fold(first, |source, step| match step.clone() {
            Step::Convolution(convolution) => Box::new(Convolved::new(source, convolution)),
            Step::Residual(residual) => Box::new(ResidualFrames::new(source, *residual)),
            Step::Upsampler(upsampler) => Box::new(UpsampledFrames::new(source, upsampler, together)),
            Step::Output(output) => Box::new(Convolved::new(source, output)),
        });
        Self { last, waiting: VecDeque::new() }
    }

    /// The next frame of pixels, `[3, H, W]`, about -1 to 1, or `None` after the last.
    ///
    /// # Errors
    /// A failed tensor operation, or what the source of the latents says.
    #[allow(clippy::should_implement_trait)] // A frame can fail.
    pub fn next(&mut self) -> Result<Option<Tensor>> {
        if self.waiting.is_empty() {
            self.waiting = self.last.next()?.into();
        }
        self.waiting.pop_front().map(|frame| Ok(frame.squeeze(0)?)).transpose()
    }

    /// Bytes of frames and noise that are kept from one frame to the next.
    pub fn kept_bytes(&self) -> usize {
        let mut kept = Kept::new();
        enter(&mut kept, &self.waiting);
        self.last.keep(&mut kept);
        kept.values().sum()
    }
}

/// Frames `[1, H, W, C]`, a few after a few; the last step's are pixels, `[1, 3, H, W]`.
trait Frames {
    /// The next frame or frames, or none after the last, any number of times.
    fn next(&mut self) -> Result<Vec<Tensor>>;
    /// Enters all tensors that are kept here and further up.
    fn keep(&self, kept: &mut Kept);
}

fn enter<'a>(kept: &mut Kept, tensors: impl IntoIterator<Item = &'a Tensor>) {
    kept.extend(tensors.into_iter().map(|tensor| (tensor.id(), tensor.elem_count() * tensor.dtype().size_in_bytes())));
}

/// The latents.
struct Source {
    source: LatentFrames,
    waiting: VecDeque<Tensor>,
}

impl Frames for Source {
    fn next(&mut self) -> Result<Vec<Tensor>> {
        while self.waiting.is_empty() {
            match (self.source)()? {
                Some(frames) => {
                    self.waiting =
                        (0..frames.dim(0)?).map(|index| channels_last(&frames.i(index)?)).collect::<Result<_>>()?;
                }
                None => return Ok(Vec::new()),
            }
        }
        Ok(self.waiting.pop_front().into_iter().collect())
    }

    fn keep(&self, kept: &mut Kept) {
        enter(kept, &self.waiting);
    }
}

/// A convolution with what comes before and after it.
trait Around {
    fn sight(&self) -> Sight;
    fn before(&self, x: Tensor) -> Result<Tensor>;
    fn convolve(&self, windows: &[Window]) -> Result<Vec<Tensor>>;
}

/// With nothing before or after it.
impl Around for Convolution {
    fn sight(&self) -> Sight {
        self.shape().sight
    }

    fn before(&self, x: Tensor) -> Result<Tensor> {
        Ok(x)
    }

    fn convolve(&self, windows: &[Window]) -> Result<Vec<Tensor>> {
        Convolution::convolve(self, windows, ClipEpilogue::default())
    }
}

impl Around for Output {
    fn sight(&self) -> Sight {
        Output::sight(self)
    }

    fn before(&self, x: Tensor) -> Result<Tensor> {
        self.enter(&x)
    }

    fn convolve(&self, windows: &[Window]) -> Result<Vec<Tensor>> {
        self.leave(windows)
    }
}

/// Frames through one convolution.
struct Convolved<A> {
    source: Box<dyn Frames>,
    around: A,
    line: DelayLine,
}

impl<A: Around> Convolved<A> {
    fn new(source: Box<dyn Frames>, around: A) -> Self {
        let line = DelayLine::new(around.sight());
        Self { source, around, line }
    }
}

impl<A: Around> Frames for Convolved<A> {
    fn next(&mut self) -> Result<Vec<Tensor>> {
        loop {
            let frames = self.source.next()?.into_iter().map(|x| self.around.before(x)).collect::<Result<Vec<_>>>()?;
            let ended = frames.is_empty();
            let windows = self.line.push_all(frames);
            if ended || !windows.is_empty() {
                return self.around.convolve(&windows);
            }
        }
    }

    fn keep(&self, kept: &mut Kept) {
        enter(kept, self.line.frames());
        self.source.keep(kept);
    }
}

/// Frames through a residual block: a frame waits in a queue until both convolutions have come to it.
struct ResidualFrames {
    source: Box<dyn Frames>,
    residual: Residual,
    first: DelayLine,
    second: DelayLine,
    waiting: VecDeque<Tensor>,
}

impl ResidualFrames {
    fn new(source: Box<dyn Frames>, residual: Residual) -> Self {
        let [first, second] = [(); 2].map(|()| DelayLine::new(residual.sight()));
        Self { source, residual, first, second, waiting: VecDeque::new() }
    }
}

impl Frames for ResidualFrames {
    fn next(&mut self) -> Result<Vec<Tensor>> {
        loop {
            let frames = self.source.next()?;
            let source_ended = frames.is_empty();
            let entered = frames.iter().map(|x| self.residual.enter(x)).collect::<Result<Vec<_>>>()?;
            self.waiting.extend(frames);
            let windows = self.first.push_all(entered);
            if windows.is_empty() && !source_ended {
                // The first line is only filling up.
                continue;
            }
            let middle = self.residual.between(&windows)?;
            let ended = middle.is_empty();
            let windows = self.second.push_all(middle);
            if ended || !windows.is_empty() {
                // As many frames enter as leave.
                let frames: Vec<Tensor> = self.waiting.drain(..windows.len()).collect();
                return self.residual.leave(&windows, &frames);
            }
        }
    }

    fn keep(&self, kept: &mut Kept) {
        enter(kept, self.first.frames().chain(self.second.frames()).chain(&self.waiting).chain(self.residual.noise()));
        self.source.keep(kept);
    }
}

/// Frames through an upsampler, which gives two for one, only one for the first.
struct UpsampledFrames {
    source: Box<dyn Frames>,
    upsampler: Upsampler,
    /// Whether both go on at once.
    together: bool,
    line: DelayLine,
    waiting: VecDeque<Tensor>,
    started: bool,
}

impl UpsampledFrames {
    fn new(source: Box<dyn Frames>, upsampler: Upsampler, together: bool) -> Self {
        let line = DelayLine::new(upsampler.sight());
        Self { source, upsampler, together, line, waiting: VecDeque::new(), started: false }
    }
}

impl Frames for UpsampledFrames {
    fn next(&mut self) -> Result<Vec<Tensor>> {
        while self.waiting.is_empty() {
            let frames = self.source.next()?;
            let ended = frames.is_empty();
            let windows = self.line.push_all(frames);
            if !windows.is_empty() {
                self.waiting = self.upsampler.double(&windows)?.into();
                if !self.started {
                    self.waiting.pop_front();
                }
                self.started = true;
            } else if ended {
                return Ok(Vec::new());
            }
        }
        let count = if self.together { self.waiting.len() } else { 1 };
        Ok(self.waiting.drain(..count).collect())
    }

    fn keep(&self, kept: &mut Kept) {
        enter(kept, self.line.frames().chain(&self.waiting));
        self.source.keep(kept);
    }
}
