//! SHA-256 of what goes into a clip and of what becomes of it.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::media;
use crate::picture::Picture;
use crate::pipeline::data_folder::data_folder;
use crate::weights::digest::{self, hexadecimal};

/// A smaller file takes so little time that its sum is not kept.
const LEAST_KEPT: u64 = 64 << 20;
/// A file that was changed so recently may be changed again within the same tick of the clock.
const SETTLED: Duration = Duration::from_secs(2);

/// Of all parts: name, shape, and values as float32.
///
/// # Errors
/// A failed tensor operation.
pub fn of_latents(latents: &Latents) -> Result<String> {
    let mut sha = Sha256::new();
    for (name, part) in &latents.parts {
        sha.update(format!("{name} {:?} ", part.dims()));
        let values = part.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        values.iter().for_each(|value| sha.update(value.to_le_bytes()));
    }
    Ok(hexadecimal(&sha.finalize()))
}

/// Of frames, one after the other: size and pixels.
#[derive(Default)]
pub struct FrameSum(Sha256);

impl FrameSum {
    /// Adds a frame.
    pub fn add(&mut self, frame: &Picture) {
        self.0.update(format!("{}x{} ", frame.width(), frame.height()));
        self.0.update(frame.pixels());
    }

    /// The sum of all.
    pub fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// Of a file, which is read only if that has not been done since it was last changed. `say` hears that it takes a while.
///
/// # Errors
/// A file that cannot be read.
pub fn of_file(path: &Path, say: &mut dyn FnMut(&str)) -> Result<String> {
    kept_or_computed(path, data_folder("sums").as_deref(), (LEAST_KEPT, say))
}

/// What is kept of a file's sum.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since the beginning of 1970.
    modified: u128,
    sha256: String,
}

/// `folder`: where sums are kept. `of`: the size from which on they are, and who hears of it.
fn kept_or_computed(path: &Path, folder: Option<&Path>, of: (u64, &mut dyn FnMut(&str))) -> Result<String> {
    let (least, say) = of;
    let failed = |error| Error::io("reading", path, error, "check the disk, and that you may read the file");
    let real = path.canonicalize().map_err(failed)?;
    let mut file = File::open(&real).map_err(failed)?;
    let before = file.metadata().map_err(failed)?;
    let folder = folder.filter(|_| before.len() >= least);
    let place =
        folder.map(|folder| folder.join(format!("{:x}.json", Sha256::digest(real.as_os_str().as_encoded_bytes()))));
    let is_of = |kept: &Kept| {
        kept.path == real
            && kept.bytes == before.len()
            && Some(kept.modified) == modified(&before).map(|time| time.as_nanos())
    };
    if let Some(kept) = place.as_deref().and_then(read).filter(is_of) {
        return Ok(kept.sha256);
    }
    if folder.is_some() {
        let name = path.file_name().unwrap_or_default().display();
        say(&format!("the SHA-256 of {name} is computed, once, for the record of the clip"));
    }
    let sha256 = digest::sha256(&mut file, &mut |_| {}).map_err(failed)?;
    let after = real.metadata().map_err(failed)?;
    let settled = modified(&before).filter(|time| modified(&after) == Some(*time) && is_settled(*time));
    if let Some((place, modified)) = place.zip(settled) {
        let kept = Kept { path: real, bytes: before.len(), modified: modified.as_nanos(), sha256: sha256.clone() };
        // Without it, the next run takes as long.
        if let Err(error) = keep(&place, &kept) {
            tracing::debug!("the sum is not kept: {error}");
        }
    }
    Ok(sha256)
}

fn read(place: &Path) -> Option<Kept> {
    serde_json::from_slice(&fs::read(place).ok()?).ok()
}

fn keep(place: &Path, kept: &Kept) -> Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::io("creating", folder, error, "check the folder"))?;
    }
    let text = serde_json::to_vec(kept).map_err(io::Error::other);
    let text = text.map_err(|error| Error::io("writing", place, error, "rename the file"))?;
    media::write_atomically(place, &text, true)
}

/// When a file was last changed.
fn modified(file: &Metadata) -> Option<Duration> {
    file.modified().ok()?.duration_since(UNIX_EPOCH).ok()
}

fn is_settled(modified: Duration) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.checked_sub(modified).is_some_and(|age| age > SETTLED)
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_sum_is_kept_until_the_file_changes() {
        let folder = std::env::temp_dir().join(format!("stir-sums-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (file, sums) = (folder.join("weights"), folder.join("sums"));
        let write = |text: &str, age: u64| {
            fs::write(&file, text).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        };
        let mut computed = 0;
        let mut sum = |least: u64| {
            let mut said = 0;
            let sum = kept_or_computed(&file, Some(&sums), (least, &mut |_| said += 1)).unwrap();
            computed += said;
            sum
        };
        write("abc", 100);
        assert_eq!([sum(1), sum(1), sum(4)], [ABC; 3]);
        // The same file, as far as can be told without reading it.
        let place = fs::read_dir(&sums).unwrap().next().unwrap().unwrap().path();
        let kept = Kept { sha256: "other".to_owned(), ..read(&place).unwrap() };
        keep(&place, &kept).unwrap();
        assert_eq!(sum(1), "other");
        write("abc", 50);
        assert_eq!([sum(1), sum(1)], [ABC; 2]);
        fs::write(&place, "damaged").unwrap();
        assert_eq!(sum(1), ABC);
        // What has just been written may change again.
        write("abc", 0);
        assert_eq!([sum(1), sum(1)], [ABC; 2]);
        assert_eq!(computed, 5);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn latents_are_told_apart_by_name_shape_and_value() {
        let sum = |name: &'static str, shape: (usize, usize), value: f64| {
            let part = (Tensor::ones(shape, DType::F64, &Device::Cpu).unwrap() * value).unwrap();
            of_latents(&Latents { parts: [(name, part)].into() }).unwrap()
        };
        let one = sum("latents", (2, 3), 0.5);
        assert_eq!(one, sum("latents", (2, 3), 0.5));
        for other in [sum("control", (2, 3), 0.5), sum("latents", (3, 2), 0.5), sum("latents", (2, 3), -0.5)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn frames_are_told_apart_by_size_and_order() {
        let sum = |frames: &[(usize, usize, u8)]| {
            let mut sum = FrameSum::default();
            frames.iter().for_each(|&(width, height, value)| {
                sum.add(&Picture::new(width, height, vec![value; width * height * 3]))
            });
            sum.finish()
        };
        assert_ne!(sum(&[(2, 1, 1)]), sum(&[(1, 2, 1)]));
        assert_ne!(sum(&[(2, 1, 1), (2, 1, 2)]), sum(&[(2, 1, 2), (2, 1, 1)]));
    }
}
