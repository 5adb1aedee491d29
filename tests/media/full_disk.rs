//! A disk that fills while a clip is written: an error, the earlier file as it was, and nothing else.
//!
//! A limit on the size of files stands for the disk: the system refuses to write beyond it, in the middle of a write as on a full disk. The
//! limit holds for a whole process, so each case runs in one of its own.

use std::fs;
use std::path::{Path, PathBuf};

use stir::error::Result;
use stir::picture::Picture;

use super::{Folder, clip, create, names_of_all_formats, run_alone};

const FRAMES: usize = 6;

/// Noise, which no format makes small.
fn noise(index: usize) -> Picture {
    let mut state = index as u32 + 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    Picture::new(128, 96, (0..128 * 96 * 3).map(|_| next()).collect())
}

fn write_noise(path: &Path) -> Result<u64> {
    let mut writer = create(path, &clip(128, 96, FRAMES), 60)?;
    (0..FRAMES).try_for_each(|index| writer.write(&noise(index)))?;
    Ok(writer.finish()?.bytes)
}

#[test]
#[ignore = "run by the test below, in a process with a limit"]
fn writes_within_a_limit() {
    let path = PathBuf::from(std::env::var_os("STIR_TEST_PATH").unwrap());
    match write_noise(&path) {
        Ok(_) => println!("\nresult: written"),
        Err(error) => println!("\nresult: exit code {}: {error}; {}", error.exit_code(), error.hint()),
    }
}

/// What writing to `path` comes to if no file may be larger than `kibibytes`.
fn result_within(kibibytes: u64, path: &Path) -> String {
    // Without the trap, the signal that comes with a refused write would end the process.
    let shell = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$@\"");
    let output = run_alone("full_disk::writes_within_a_limit", &shell, path);
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix("result: "));
    found.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

#[test]
fn a_full_disk_is_an_error_and_leaves_what_there_was() {
    let folder = Folder::new("full-disk");
    for name in names_of_all_formats() {
        let path = folder.path(name.trim_end_matches('/'));
        let whole = write_noise(&path).unwrap();
        // The largest file of the format: of a folder, a frame.
        let largest = if path.is_dir() { fs::metadata(path.join("000000.png")).unwrap().len() } else { whole };
        let before = contents(&path);
        let most = (largest - 1) / 1024;
        for kibibytes in [0, 1, most / 2, most] {
            let result = result_within(kibibytes, &path);
            assert!(result.starts_with("exit code 1: writing "), "{name}, {kibibytes} KiB of {largest}: {result}");
            assert!(result.contains("File too large") && result.contains("ulimit -f"), "{name}: {result}");
            assert_eq!(folder.names(), [name.trim_end_matches('/')], "{name}, {kibibytes} KiB");
            assert!(contents(&path) == before, "{name}, {kibibytes} KiB");
        }
        assert_eq!(result_within(2048, &path), "written", "{name}");
        if path.is_dir() { fs::remove_dir_all(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
    }
}

fn contents(path: &Path) -> Vec<Vec<u8>> {
    if !path.is_dir() {
        return vec![fs::read(path).unwrap()];
    }
    let mut paths: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}
