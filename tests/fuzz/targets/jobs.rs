//! Job files and journals: any text is a list of jobs, each usable or refused, and any bytes are outcomes or refused.

use stir::cli::jobs::job_file::{self, MOST_JOBS};
use stir::pipeline::jobs::record;

/// One input.
pub fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(lines) = job_file::parse(text, "fuzzed jobs")
    {
        assert!((1..=MOST_JOBS).contains(&lines.len()));
        assert!(lines.iter().any(|line| line.settings.is_ok()));
    }
    if let Ok(parsed) = record::parse(bytes, "fuzzed journal", 0) {
        let whole = &bytes[..parsed.whole];
        assert!(whole.is_empty() || whole.ends_with(b"\n"));
        let again = record::parse(whole, "fuzzed journal", 0).expect("its whole lines are a journal");
        assert_eq!((again.whole, again.records), (parsed.whole, parsed.records));
    }
}
