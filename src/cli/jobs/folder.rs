//! The pictures of a folder.

use std::path::{Path, PathBuf};

use super::job_file::MOST_JOBS;
use crate::error::{Error, Result};

/// How the names of pictures end, in small or capital letters.
const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// The pictures that lie in a folder itself, by their names, in order.
pub struct Pictures {
    /// Each with the folder's path.
    pub paths: Vec<PathBuf>,
    /// How many other files there are.
    pub others: usize,
}

impl Pictures {
    /// Looks into the folder. Names decide, and hidden files are none of them.
    ///
    /// # Errors
    /// A folder that cannot be read, or has no pictures, or too many.
    pub fn of(folder: &Path) -> Result<Self> {
        let thing = format!("--image {}", folder.display());
        let unreadable = |error: std::io::Error| {
            Error::input(&thing, "a folder that can be read", error.to_string(), "check its permissions")
        };
        let (mut paths, mut others) = (Vec::new(), 0);
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() || path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
            if extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) {
                paths.push(path);
            } else {
                others += 1;
            }
        }
        paths.sort();
        let wanted = format!("a folder of 1 to {MOST_JOBS} pictures: .jpg, .jpeg, .png or .webp");
        match paths.len() {
            0 => Err(Error::input(thing, wanted, "none in it", "name a picture, or a folder that holds some itself")),
            1..=MOST_JOBS => Ok(Self { paths, others }),
            more => Err(Error::input(thing, wanted, more.to_string(), "divide it into several folders")),
        }
    }
}
