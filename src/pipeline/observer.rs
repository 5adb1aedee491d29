//! What a run tells whoever watches it.

use std::time::{Duration, Instant};

/// The stages of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Checking the request, reading and resizing the picture, opening the model.
    Prepare,
    /// Reading the prompt.
    Text,
    /// Encoding the picture.
    Encode,
    /// Denoising the latents of the whole clip.
    Denoise,
    /// Decoding frames and writing them.
    Decode,
}

impl Stage {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Text => "text",
            Self::Encode => "encode",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
        }
    }
}

/// Watches a run.
pub trait Observer {
    /// A stage of `total` steps begins; the one before has ended.
    fn begin(&mut self, stage: Stage, total: usize);
    /// `done` steps of the stage are complete.
    fn advance(&mut self, done: usize);
    /// A line for the user.
    fn note(&mut self, line: &str);
}

/// Measures the time of each stage, and passes everything on.
pub struct StageTimes<'a> {
    inner: &'a mut dyn Observer,
    finished: Vec<(Stage, Duration)>,
    current: Option<(Stage, Instant)>,
}

impl<'a> StageTimes<'a> {
    /// A stopwatch in front of `inner`.
    pub fn new(inner: &'a mut dyn Observer) -> Self {
        Self { inner, finished: Vec::new(), current: None }
    }

    /// Ends the last stage and gives all times, in order.
    pub fn finish(mut self) -> Vec<(Stage, Duration)> {
        self.end_current();
        self.finished
    }

    fn end_current(&mut self) {
        if let Some((stage, start)) = self.current.take() {
            self.finished.push((stage, start.elapsed()));
        }
    }
}

impl Observer for StageTimes<'_> {
    fn begin(&mut self, stage: Stage, total: usize) {
        self.end_current();
        self.current = Some((stage, Instant::now()));
        self.inner.begin(stage, total);
    }

    fn advance(&mut self, done: usize) {
        self.inner.advance(done);
    }

    fn note(&mut self, line: &str) {
        self.inner.note(line);
    }
}
