//! Frames into files, while the next ones are decoded.

use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::provenance::Record;
use super::provenance::sums::FrameSum;
use crate::error::Result;
use crate::media::{ClipWriter, WrittenClip};
use crate::picture::Picture;

/// Frames that wait for the encoder, at most: enough to even out what single frames cost, and few enough not to count in memory.
const WAITING: usize = 2;

/// Where the frames of one clip go.
pub(super) struct Writers {
    /// The clip.
    pub clip: Box<dyn ClipWriter>,
    /// The folder of single frames.
    pub frames: Option<Box<dyn ClipWriter>>,
    /// What the clip says of how it was made, and the sum of the frames so far.
    pub record: Option<(Record, FrameSum)>,
}

impl Writers {
    /// Writes what `decode` sends, on a thread of its own and in the same order, and completes the files once all is decoded. A decode that
    /// finds that nobody takes its frames has only to end: the writer's error is the one that is returned.
    ///
    /// # Errors
    /// What decoding or writing fails with; no file is completed then.
    pub fn write_beside(mut self, decode: impl FnOnce(&SyncSender<Picture>) -> Result<()>) -> Result<WrittenClip> {
        let (sender, receiver) = sync_channel(WAITING);
        let mut writers = thread::scope(|scope| {
            let writing = scope.spawn(move || {
                receiver.iter().try_for_each(|frame| self.write(&frame))?;
                Ok(self)
            });
            let decoded = decode(&sender);
            drop(sender);
            let written = writing.join().unwrap_or_else(|panic| resume_unwind(panic));
            decoded.and(written)
        })?;
        if let Some(frames) = writers.frames {
            frames.finish()?;
        }
        if let Some((mut record, sum)) = writers.record {
            record.sha256.frames = Some(sum.finish());
            writers.clip.describe(record.to_json());
        }
        writers.clip.finish()
    }

    fn write(&mut self, frame: &Picture) -> Result<()> {
        if let Some((_, sum)) = &mut self.record {
            sum.add(frame);
        }
        self.clip.write(frame)?;
        self.frames.as_mut().map_or(Ok(()), |frames| frames.write(frame))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::error::Error;

    /// Keeps the first byte of every frame, and refuses one of them.
    struct Recorder {
        seen: Arc<Mutex<Vec<u8>>>,
        refused: Option<u8>,
    }

    impl ClipWriter for Recorder {
        fn write(&mut self, frame: &Picture) -> Result<()> {
            if self.refused == Some(frame.pixels()[0]) {
                return Err(failure("writing"));
            }
            self.seen.lock().unwrap().push(frame.pixels()[0]);
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<WrittenClip> {
            self.seen.lock().unwrap().push(u8::MAX);
            Ok(WrittenClip { path: PathBuf::new(), bytes: 0 })
        }
    }

    fn failure(thing: &str) -> Error {
        Error::run(thing, "success", "none", "report it")
    }

    /// Sends 20 frames to a writer that may refuse one, fails before frame `broken`, and returns what came of it and what was seen.
    fn written(refused: Option<u8>, broken: Option<u8>) -> (Result<WrittenClip>, Vec<u8>) {
        let seen = Arc::default();
        let clip = Box::new(Recorder { seen: Arc::clone(&seen), refused });
        let result = Writers { clip, frames: None, record: None }.write_beside(|frames| {
            for index in 0..20 {
                if broken == Some(index) {
                    return Err(failure("decoding"));
                }
                if frames.send(Picture::new(1, 1, vec![index; 3])).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let seen = seen.lock().unwrap().clone();
        (result, seen)
    }

    #[test]
    fn frames_are_written_in_order_and_completed() {
        let (result, seen) = written(None, None);
        assert!(result.is_ok());
        assert_eq!(seen, (0..20).chain([u8::MAX]).collect::<Vec<_>>());
    }

    #[test]
    fn a_writer_that_fails_ends_the_decode_with_its_error() {
        let (result, seen) = written(Some(5), None);
        assert!(result.unwrap_err().to_string().starts_with("writing"));
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_decode_that_fails_completes_nothing() {
        let (result, seen) = written(None, Some(7));
        assert!(result.unwrap_err().to_string().starts_with("decoding"));
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    }
}
