//! What has come of jobs: a file of JSON lines, one where a job begins and one for each outcome, that several processes add to.
//!
//! Whoever reads or adds to it holds a lock on it, for a moment. Whoever makes a job holds a lock on a file of the job's own beside it, which comes
//! and goes under the first lock. Both locks die with their process. A line that a crash has cut is taken away by whoever comes next.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::identity::Identity;
use super::record::{self, Output, Record};
use crate::error::{Error, Result};
use crate::media;
use crate::units::Bytes;

/// Largest journal that is read: that of a million jobs.
const MOST_BYTES: u64 = 1 << 30;

/// Outcomes by job.
#[derive(Debug, Default)]
pub struct Outcomes {
    done: BTreeMap<Identity, Vec<Output>>,
    failed: BTreeSet<Identity>,
    /// How often those were begun that have not ended since.
    cut_short: BTreeMap<Identity, usize>,
}

impl Outcomes {
    /// Those of a journal; none where there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or is no journal.
    pub fn read(path: &Path) -> Result<Self> {
        let mut outcomes = Self::default();
        let mut file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(outcomes),
            other => other.map_err(|error| unusable(path, &error))?,
        };
        outcomes.add(record::parse(&rest(&mut file, path)?, &path.display().to_string(), 0)?.records);
        Ok(outcomes)
    }

    fn add(&mut self, records: Vec<Record>) {
        for Record { identity, outcome, .. } in records {
            let Some(identity) = identity else { continue };
            match outcome {
                record::Outcome::Begun => *self.cut_short.entry(identity).or_default() += 1,
                record::Outcome::Done { outputs } => {
                    self.cut_short.remove(&identity);
                    self.failed.remove(&identity);
                    self.done.insert(identity, outputs);
                }
                record::Outcome::Failed { .. } => {
                    self.cut_short.remove(&identity);
                    self.failed.insert(identity);
                }
            }
        }
    }

    /// Whether the job was done and its `outputs` are all still there, in the sizes that they had.
    pub fn is_done(&self, identity: &Identity, outputs: &[PathBuf]) -> bool {
        let Some(recorded) = self.done.get(identity) else { return false };
        let sizes: Vec<u64> = recorded.iter().map(|output| output.bytes).collect();
        let found = outputs.iter().map(|path| record::size(path)).collect::<io::Result<Vec<u64>>>();
        found.is_ok_and(|found| found == sizes)
    }
}

/// What became of the wish to make a job.
pub enum Claim {
    /// It is this process's to make.
    Free(Mine),
    /// It is done already.
    Done,
    /// Another process is making it.
    Busy,
    /// Another process has tried since this one began, and failed.
    FailedElsewhere,
}

/// A job that this process is making: nobody else does until this goes, or the process.
pub struct Mine {
    /// Locked.
    _file: File,
    path: PathBuf,
}

impl Drop for Mine {
    fn drop(&mut self) {
        media::keep_at_an_early_end(&self.path);
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("could not remove {}: {error}", self.path.display());
        }
    }
}

/// A journal that outcomes are added to.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes that have been read: whole lines.
    read: u64,
    /// How many lines.
    lines: usize,
    /// From before this process began.
    before: Outcomes,
    /// From then on.
    since: Outcomes,
    /// Lines that could not be written yet, and the jobs that they are about.
    waiting: Vec<(Vec<u8>, Option<Mine>)>,
}

impl Journal {
    /// Opens or creates a journal.
    ///
    /// # Errors
    /// A file that cannot be written to or locked, or is no journal.
    pub fn open(path: &Path) -> Result<Self> {
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(unusable(path, &"a folder or a device"));
        }
        // Not for appending, which would not let a line be taken away on Windows: where the end is, the lock says.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| unusable(path, &error))?;
        // That there is such a file is to outlast a crash too. Only Unix opens a folder for that.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).ok();
        let (before, since) = Default::default();
        let mut journal = Self { path: path.to_owned(), file, read: 0, lines: 0, before, since, waiting: Vec::new() };
        journal.while_locked(Self::catch_up)?;
        journal.before = std::mem::take(&mut journal.since);
        Ok(journal)
    }

    /// As in [`Outcomes::is_done`].
    pub fn is_done(&self, identity: &Identity, outputs: &[PathBuf]) -> bool {
        self.since.is_done(identity, outputs) || self.before.is_done(identity, outputs)
    }

    /// How often the job was begun before this process, by some that have ended without a word since it last ended.
    pub fn cut_short(&self, identity: &Identity) -> usize {
        self.before.cut_short.get(identity).copied().unwrap_or(0)
    }

    /// Takes a job, which messages call `name`, if nobody else has it.
    ///
    /// # Errors
    /// A journal that cannot be read or locked.
    pub fn claim(&mut self, name: &str, identity: &Identity, outputs: &[PathBuf]) -> Result<Claim> {
        self.while_locked(|journal| {
            let claim = journal.claim_locked(identity, outputs)?;
            if matches!(claim, Claim::Free(_)) {
                let begun = Record::new(name, Some(identity.clone()), record::Outcome::Begun);
                // It is for whoever comes after a crash; of a disk that does not take it, the outcome tells.
                if let Err(error) = journal.append(&begun.line()) {
                    tracing::debug!("{name} is begun without a line in the journal: {error}");
                }
            }
            Ok(claim)
        })
    }

    /// What [`claim`](Self::claim) would say; `None` where it would take the job.
    ///
    /// # Errors
    /// Like [`claim`](Self::claim).
    pub fn look(&mut self, identity: &Identity, outputs: &[PathBuf]) -> Result<Option<Claim>> {
        self.while_locked(|journal| {
            let claim = journal.claim_locked(identity, outputs)?;
            Ok(Some(claim).filter(|claim| !matches!(claim, Claim::Free(_))))
        })
    }

    fn claim_locked(&mut self, identity: &Identity, outputs: &[PathBuf]) -> Result<Claim> {
        self.catch_up()?;
        let path = self.lock_path(identity);
        // Whoever is making the job holds its lock, whatever became of it before.
        let Some(file) = lock_file(&path).map_err(|error| unusable(&path, &error))? else { return Ok(Claim::Busy) };
        media::remove_at_an_early_end(&path);
        let mine = Mine { _file: file, path };
        Ok(if self.is_done(identity, outputs) {
            Claim::Done
        } else if self.since.failed.contains(identity) {
            Claim::FailedElsewhere
        } else {
            Claim::Free(mine)
        })
    }

    /// Adds what came of a job, and gives the job up. What cannot be written waits, and nobody else takes the job meanwhile.
    ///
    /// # Errors
    /// The disk does not take it: a later call tries again.
    pub fn add(&mut self, record: &Record, mine: Option<Mine>) -> Result<()> {
        self.waiting.push((record.line(), mine));
        self.write_waiting()
    }

    /// Writes what could not be written so far.
    ///
    /// # Errors
    /// The disk still does not take it.
    pub fn write_waiting(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.while_locked(|journal| {
            journal.catch_up()?;
            let lines: Vec<u8> = journal.waiting.iter().flat_map(|(line, _)| line.iter().copied()).collect();
            if let Err(source) = journal.append(&lines) {
                let hint = "free some space on its disk; clips that were named complete are complete, and the same \
                            command makes those again that the journal does not know";
                return Err(Error::io("writing the journal", &journal.path, source, hint));
            }
            // They are gone before the lock on the journal is.
            journal.waiting.clear();
            // Its own outcomes are read like those of others.
            journal.catch_up()
        })
    }

    /// Adds lines behind those that have been read, which is all.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let end = self.file.seek(SeekFrom::Start(self.read));
        let written = end.and_then(|_| self.file.write_all(lines)).and_then(|()| self.file.sync_data());
        // Half a line would not be understood; where it cannot be taken away, whoever comes next does.
        written.inspect_err(|_| _ = self.file.set_len(self.read))
    }

    /// Reads what has been added, and takes away a line that a crash has cut.
    fn catch_up(&mut self) -> Result<()> {
        self.file.seek(SeekFrom::Start(self.read)).map_err(|error| unusable(&self.path, &error))?;
        let bytes = rest(&mut self.file, &self.path)?;
        let parsed = record::parse(&bytes, &self.path.display().to_string(), self.lines)?;
        self.read += parsed.whole as u64;
        self.lines += parsed.records.len();
        if parsed.whole < bytes.len() {
            self.file.set_len(self.read).map_err(|error| unusable(&self.path, &error))?;
        }
        self.since.add(parsed.records);
        Ok(())
    }

    /// Does something while no other process reads or adds.
    fn while_locked<T>(&mut self, action: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let hint = "name a journal on a disk of this machine by --journal";
        let unlockable = |error: io::Error| {
            Error::run(thing(&self.path), "a drive that lets files be locked", error.to_string(), hint)
        };
        self.file.lock().map_err(unlockable)?;
        let result = action(self);
        let unlocked = self.file.unlock().map_err(|error| unusable(&self.path, &error));
        result.and_then(|value| unlocked.map(|()| value))
    }

    /// The file whose lock whoever makes the job holds.
    fn lock_path(&self, identity: &Identity) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.{}.lock", identity.short()))
    }
}

/// The file, locked; `None` while somebody else has it. One that a crash has left is as good as a new one.
fn lock_file(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// All that comes from here on.
fn rest(file: &mut File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unusable(path, &error))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unusable(path, &format!("more than {}", Bytes(MOST_BYTES))));
    }
    Ok(bytes)
}

fn thing(path: &Path) -> String {
    format!("journal {}", path.display())
}

fn unusable(path: &Path, found: &dyn std::fmt::Display) -> Error {
    let hint = "name another by --journal";
    Error::input(thing(path), "a file that can be read and written", found.to_string(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of a test's own, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("stir-journal-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn journal(&self) -> PathBuf {
            self.0.join("night.journal.jsonl")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn identity(name: &str) -> Identity {
        serde_json::from_value(serde_json::json!({"settings": name, "inputs": {}})).unwrap()
    }

    fn failed(name: &str) -> Record {
        let outcome = record::Outcome::Failed { error: "x".to_owned(), hint: "y".to_owned() };
        Record::new(name, Some(identity(name)), outcome)
    }

    fn claimed(journal: &mut Journal, name: &str) -> Option<Mine> {
        match journal.claim(name, &identity(name), &[]).unwrap() {
            Claim::Free(mine) => Some(mine),
            _ => None,
        }
    }

    #[test]
    fn a_line_that_was_cut_is_taken_away_before_the_next() {
        let folder = Folder::new("cut");
        Journal::open(&folder.journal()).unwrap().add(&failed("a"), None).unwrap();
        let mut other = Journal::open(&folder.journal()).unwrap();
        for cut in ["{\"version\":1,\"job\":\"b", "{", "\0\0"] {
            let whole = fs::read(folder.journal()).unwrap();
            fs::write(folder.journal(), [&whole, cut.as_bytes()].concat()).unwrap();
            // One that is open sees it, and one that opens.
            assert!(other.look(&identity("c"), &[]).unwrap().is_none());
            assert_eq!(fs::read(folder.journal()).unwrap(), whole);
            fs::write(folder.journal(), [&whole, cut.as_bytes()].concat()).unwrap();
            Journal::open(&folder.journal()).unwrap().add(&failed("b"), None).unwrap();
            assert_eq!(fs::read(folder.journal()).unwrap(), [whole, failed("b").line()].concat());
        }
    }

    #[test]
    fn another_file_is_left_as_it_is() {
        let folder = Folder::new("other");
        for contents in ["hair flowing", "{\"image\": \"a.png\"}\n"] {
            fs::write(folder.journal(), contents).unwrap();
            let error = Journal::open(&folder.journal()).err().expect("it is refused");
            assert!(error.hint().contains("--journal"), "{error}");
            assert!(Outcomes::read(&folder.journal()).is_err());
            assert_eq!(fs::read_to_string(folder.journal()).unwrap(), contents);
        }
        assert!(Journal::open(&folder.0).err().unwrap().to_string().contains("a folder or a device"));
        let missing = folder.0.join("missing/night.jsonl");
        assert_eq!(Journal::open(&missing).err().unwrap().exit_code(), 2);
        assert!(Outcomes::read(&missing).unwrap().done.is_empty());
    }

    #[test]
    fn a_job_is_one_processs_until_its_outcome_is_written() {
        let folder = Folder::new("two");
        let [mut one, mut other] = [0; 2].map(|_| Journal::open(&folder.journal()).unwrap());
        let mine = claimed(&mut one, "a").unwrap();
        assert!(matches!(other.claim("a", &identity("a"), &[]).unwrap(), Claim::Busy));
        assert!(claimed(&mut other, "b").is_some());
        one.add(&failed("a"), Some(mine)).unwrap();
        assert!(matches!(other.claim("a", &identity("a"), &[]).unwrap(), Claim::FailedElsewhere));
        // Who comes later may try again; and the lock that a crash has left is nobody's.
        fs::write(one.lock_path(&identity("a")), "").unwrap();
        assert!(claimed(&mut Journal::open(&folder.journal()).unwrap(), "a").is_some());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn what_the_disk_does_not_take_waits_and_its_job_with_it() {
        let folder = Folder::new("waiting");
        let [mut one, mut other] = [0; 2].map(|_| Journal::open(&folder.journal()).unwrap());
        let mine = claimed(&mut one, "a").unwrap();
        let begun = fs::read(folder.journal()).unwrap();
        // A file that is open for reading alone stands for a disk that is full.
        let writable = std::mem::replace(&mut one.file, File::open(folder.journal()).unwrap());
        for attempt in [one.add(&failed("a"), Some(mine)), one.write_waiting()] {
            let error = attempt.unwrap_err();
            assert!(error.to_string().starts_with("writing the journal ") && error.exit_code() == 1, "{error}");
        }
        assert!(matches!(other.claim("a", &identity("a"), &[]).unwrap(), Claim::Busy));
        one.file = writable;
        one.add(&failed("b"), None).unwrap();
        assert_eq!(fs::read(folder.journal()).unwrap(), [begun, failed("a").line(), failed("b").line()].concat());
        assert!(matches!(other.claim("a", &identity("a"), &[]).unwrap(), Claim::FailedElsewhere));
    }
}
