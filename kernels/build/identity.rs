//! Which build this is: `STIR_COMMIT` and `STIR_BUILD`, which clips carry.
//!
//! Both are of what is compiled and of nothing else, and are found when that changes, when the crate is compiled anew in any case: a commit that
//! changes none of it costs no build.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// All that is compiled, below the folder of the package.
const COMPILED: [&str; 4] = ["src", "kernels", "models", "Cargo.lock"];
/// What Cargo leaves in a package about where it came from.
const PACKAGED_FROM: &str = ".cargo_vcs_info.json";

/// Tells the compiler.
pub fn tell() {
    for path in COMPILED.into_iter().chain(["Cargo.toml"]) {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rustc-env=STIR_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo::rustc-env=STIR_BUILD={:016x}", digest());
}

/// The last commit that changed what is compiled, with `+changes` if there are some that are not in it yet.
fn commit() -> Option<String> {
    // A package lies in no repository, or, while it is tested, in one that is not its own.
    if let Ok(text) = fs::read_to_string(PACKAGED_FROM) {
        let (_, rest) = text.split_once("\"sha1\"")?;
        return rest.split('"').nth(1).filter(|commit| is_commit(commit)).map(str::to_owned);
    }
    let own = |folder: &str| Some(fs::canonicalize(folder).ok()? == env::current_dir().ok()?.canonicalize().ok()?);
    git(&["rev-parse", "--show-toplevel"]).filter(|folder| own(folder) == Some(true))?;
    let within = |command: &[&str]| git(&[command, &["--"], &COMPILED, &["Cargo.toml"]].concat());
    let commit = within(&["log", "-1", "--format=%H"]).filter(|commit| is_commit(commit))?;
    let changed = !within(&["status", "--porcelain"])?.is_empty();
    Some(if changed { commit + "+changes" } else { commit })
}

fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What git prints; `None` where there is no git, or it refuses.
fn git(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // Whoever builds from within git's own commands has them set, for another folder perhaps.
    command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE").args(arguments);
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// A number for the sources, the compiler and its settings: where it is the same, the program is.
fn digest() -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut settings: Vec<(String, String)> = env::vars().filter(|(name, _)| is_setting(name)).collect();
    settings.sort();
    settings.hash(&mut hasher);
    let compiler = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("-vV").output();
    compiler.map(|output| output.stdout).unwrap_or_default().hash(&mut hasher);
    let mut sources = Vec::new();
    COMPILED.iter().for_each(|path| collect(Path::new(path), &mut sources));
    sources.sort();
    for source in sources {
        (source.to_string_lossy().replace('\\', "/"), fs::read(&source).unwrap_or_default()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether a variable that Cargo sets changes what is compiled.
fn is_setting(name: &str) -> bool {
    name.starts_with("CARGO_FEATURE_")
        || name.starts_with("CARGO_CFG_TARGET_")
        || ["TARGET", "OPT_LEVEL", "DEBUG", "CARGO_ENCODED_RUSTFLAGS"].contains(&name)
}

/// All files at or below `path`.
fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| collect(&entry.path(), found)),
        Err(_) => found.push(path.to_owned()),
    }
}
