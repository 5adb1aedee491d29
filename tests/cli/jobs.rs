//! `--jobs` and folders of pictures: what is made, what is known of it afterwards, and what is left when a run is cut short.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::events::{events, kinds};
use crate::fixture::repository;
use crate::support::{Outcome, Scratch, command, run};

/// What small runs of `sway` share.
const SMALL: [&str; 9] = ["-p", "hair flowing", "-W", "64", "--num-frames", "5", "--steps", "2", "--allow-any-image"];

/// A folder of pictures `pictures/a.png`, `pictures/b.png`, ... and a folder `clips`.
struct Jobs {
    scratch: Scratch,
}

impl Jobs {
    fn new(name: &str, pictures: usize) -> Self {
        let scratch = Scratch::new(name);
        std::fs::create_dir(scratch.path("pictures")).unwrap();
        std::fs::create_dir(scratch.path("clips")).unwrap();
        for index in 0..pictures {
            let letter = char::from(b'a' + index as u8);
            scratch.picture(&format!("pictures/{letter}.png"), 96 + 2 * index as u32, 64);
        }
        Self { scratch }
    }

    fn write(&self, lines: &str) {
        std::fs::write(self.scratch.path("night.jsonl"), lines).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command.current_dir(self.scratch.folder()).arg("generate").args(SMALL).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.command(arguments))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.scratch.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What a journal says: a job and how it ended.
    fn journal(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8(self.bytes(name)).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let record = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            format!("{} {}", record["job"].as_str().unwrap(), record["outcome"].as_str().unwrap())
        };
        text.lines().map(record).filter(|record| !record.ends_with(" begun")).collect()
    }
}

/// What was said, without times.
fn without_times(talk: &str) -> String {
    let timeless = |line: &str| match line.rsplit_once(") in ") {
        Some((made, time)) if time.ends_with(" s") => format!("{made})\n"),
        _ => format!("{line}\n"),
    };
    talk.lines().map(timeless).collect()
}

#[test]
fn jobs_are_made_and_those_that_cannot_be_are_named() {
    let jobs = Jobs::new("jobs-file", 3);
    jobs.write(
        "{\"image\": \"pictures/a.png\", \"output\": \"first.y4m\"}\n\
         {\"image\": \"pictures/missing.png\"}\n\n\
         {\"image\": \"pictures/b.png\", \"steppes\": 4}\n\
         {\"image\": \"pictures/b.png\", \"prompt\": \"light shifting [push in]\", \"seed\": 7, \"height\": 48, \"no_metadata\": true}\n\
         {\"image\": \"pictures/c.png\", \"steps\": 0}\n\
         {\"image\": \"pictures/c.png\", \"count\": 2, \"format\": \"gif\"}\n",
    );
    let outcome = jobs.run(&["--jobs", "night.jsonl", "-o", "clips/"]).expect_code(1);
    assert_eq!(outcome.stdout, "first.y4m\nclips/b.mp4\nclips/c-42.gif\nclips/c-43.gif\n");
    insta::assert_snapshot!("jobs", without_times(&outcome.stderr));
    let journal = jobs.journal("night.journal.jsonl");
    let of = |line: usize, outcome: &str| format!("night.jsonl, line {line} {outcome}");
    let expected = [of(4, "failed"), of(6, "failed"), of(2, "failed"), of(1, "done"), of(5, "done"), of(7, "done")];
    assert_eq!(journal, expected);

    // The same bytes as of runs of their own, one of them with nothing shared.
    let single = [
        "-i",
        "pictures/b.png",
        "-p",
        "light shifting [push in]",
        "--seed",
        "7",
        "-W",
        "64",
        "-H",
        "48",
        "--no-metadata",
    ];
    jobs.run(&[&single[..], &["-o", "single.mp4"]].concat()).expect_code(0);
    jobs.run(&["-i", "pictures/c.png", "--seed", "43", "-o", "single.gif"]).expect_code(0);
    assert!(jobs.bytes("single.mp4") == jobs.bytes("clips/b.mp4"));
    assert!(jobs.bytes("single.gif") == jobs.bytes("clips/c-43.gif"));

    let again = jobs.run(&["--jobs", "night.jsonl", "-o", "clips/", "--no-clobber"]).expect_code(1);
    assert_eq!(again.stdout, "");
    assert!(again.stderr.contains("jobs      0 done, 3 skipped, 3 failed\n"), "{}", again.stderr);
}

#[test]
fn every_picture_of_a_folder_gets_a_clip() {
    let jobs = Jobs::new("jobs-folder", 3);
    std::fs::write(jobs.scratch.path("pictures/notes.txt"), "").unwrap();
    std::fs::write(jobs.scratch.path("pictures/.hidden.png"), "").unwrap();
    std::fs::create_dir(jobs.scratch.path("pictures/more.png")).unwrap();
    let outcome = jobs.run(&["-i", "pictures", "-o", "clips", "--format", "y4m", "--json", "-q"]).expect_code(0);
    assert_eq!(outcome.stderr, "");
    let told = events(&outcome.stdout);
    assert_eq!(told[1]["count"], 3);
    assert_eq!(told[1]["journal"], "clips/pictures.journal.jsonl");
    let of = |job: &str| told.iter().filter(|event| event["job"] == job).cloned().collect::<Vec<_>>();
    for name in ["a", "b", "c"] {
        let kinds = kinds(&of(&format!("pictures/{name}.png"))).join(" ");
        assert!(kinds.ends_with("start clip stage step stage step result job_end"), "{kinds}");
    }
    let tally = told.last().unwrap();
    assert_eq!((&tally["event"], &tally["done"], &tally["failed"]), (&"tally".into(), &3.into(), &0.into()));

    // One that is gone is made again, a new one is made, and the others are not touched.
    std::fs::remove_file(jobs.scratch.path("clips/b.y4m")).unwrap();
    jobs.scratch.picture("pictures/d.png", 96, 64);
    let again = jobs.run(&["-i", "pictures", "-o", "clips", "--format", "y4m"]).expect_code(0);
    assert_eq!(again.stdout, "clips/b.y4m\nclips/d.y4m\n");
    assert!(again.stderr.contains("skipped   pictures/a.png: it is done\n"), "{}", again.stderr);
    let journal = jobs.journal("clips/pictures.journal.jsonl");
    assert_eq!(journal, ["a", "b", "c", "b", "d"].map(|name| format!("pictures/{name}.png done")));

    for name in ["a", "c"] {
        let (picture, clip) = (format!("pictures/{name}.png"), format!("{name}.y4m"));
        jobs.run(&["-i", &picture, "-o", &clip]).expect_code(0);
        assert!(
            jobs.bytes(&clip) == jobs.bytes(&format!("clips/{clip}")),
            "{name} is not as a run of its own makes it"
        );
    }
}

#[test]
fn a_dry_run_prints_jobs_that_are_the_same() {
    let jobs = Jobs::new("jobs-dry", 2);
    let printed = jobs.run(&["-i", "pictures", "--seed", "5", "--dry-run"]).expect_code(0).stdout;
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[1]["image"], &lines[1]["seed"]), (&"pictures/b.png".into(), &5.into()));
    assert_eq!(jobs.scratch.names(), ["clips", "pictures"], "a dry run wrote something");
    jobs.write(&printed);
    assert_eq!(jobs.run(&["--jobs", "night.jsonl", "--dry-run"]).expect_code(0).stdout, printed);
    let told = jobs.run(&["--jobs", "night.jsonl", "--dry-run", "--json", "-q"]).expect_code(0);
    assert_eq!(kinds(&events(&told.stdout)), ["dry_run"]);

    jobs.run(&["--jobs", "night.jsonl", "-q"]).expect_code(0);
    jobs.write(&format!("{printed}{{\"image\": \"missing.png\"}}\n"));
    let again = jobs.run(&["--jobs", "night.jsonl", "--dry-run"]).expect_code(1);
    assert_eq!(again.stdout, "");
    assert!(again.stderr.contains("line 1: it is done") && again.stderr.contains("missing.png"), "{}", again.stderr);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_begins() {
    let jobs = Jobs::new("jobs-refusals", 1);
    std::fs::create_dir(jobs.scratch.path("empty")).unwrap();
    jobs.scratch.picture("pictures/a.webp.jpg", 96, 64);
    jobs.scratch.picture("pictures/a.jpg", 96, 64);
    let good = "{\"image\": \"pictures/a.png\", \"output\": \"a.y4m\"}\n";
    std::fs::write(jobs.scratch.path("other.txt"), "hair flowing\n").unwrap();
    let mut refusals = String::new();
    for (lines, arguments) in [
        (good, &["--jobs", "missing.jsonl"][..]),
        (good, &["--jobs", "pictures"]),
        (good, &["--jobs", "pictures/a.png"]),
        ("", &["--jobs", "night.jsonl"]),
        ("steps = 3\n", &["--jobs", "night.jsonl"]),
        ("{\"steps\": 0, \"image\": \"pictures/a.png\"}", &["--jobs", "night.jsonl"]),
        ("{\"image\": \"-\"}", &["--jobs", "night.jsonl"]),
        ("{\"threads\": 3}", &["--jobs", "night.jsonl"]),
        (&good.repeat(2), &["--jobs", "night.jsonl"]),
        (&format!("{good}{{\"image\": \"a.y4m\"}}"), &["--jobs", "night.jsonl", "--save-latents", "x.safetensors"]),
        (&good.replace("a.y4m", "night.y4m"), &["--jobs", "night.jsonl", "--save-latents", "night.jsonl"]),
        (good, &["--jobs", "night.jsonl", "-i", "pictures"]),
        (good, &["--jobs", "night.jsonl", "-o", "clip.mp4"]),
        (good, &["--jobs", "night.jsonl", "-o", "none/"]),
        (good, &["--jobs", "night.jsonl", "--journal", "other.txt"]),
        (good, &["--jobs", "night.jsonl", "--journal", "pictures"]),
        (good, &["--jobs", "night.jsonl", "--journal", "none/night.jsonl"]),
        (good, &["--jobs", "night.jsonl", "--seed", "random"]),
        (good, &["-i", "pictures"]),
        (good, &["-i", "empty"]),
        (good, &["-i", "pictures/a.png", "--journal", "night.journal.jsonl"]),
    ] {
        jobs.write(lines);
        let outcome = jobs.run(arguments).expect_code(2);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
        refusals += &format!("{lines}{}\n{}\n", arguments.join(" "), outcome.stderr);
    }
    jobs.write(good);
    let mut plan = command();
    plan.current_dir(jobs.scratch.folder()).args(["plan", "--jobs", "night.jsonl"]);
    refusals += &run(&mut plan).expect_code(2).stderr;
    assert_eq!(jobs.scratch.names(), ["clips", "empty", "night.jsonl", "other.txt", "pictures"]);
    assert_eq!(jobs.bytes("other.txt"), b"hair flowing\n");
    insta::assert_snapshot!("refusals-jobs", refusals);
}

/// A model whose denoiser stays from job to job: the clips are those of single runs.
#[test]
fn jobs_of_a_checkpoint_are_what_single_runs_make() {
    let jobs = Jobs::new("jobs-ltx", 2);
    let model = repository("tests/fixtures/ltx/checkpoint").display().to_string();
    let shared = ["--model", &model, "--device", "cpu", "--guidance-scale", "3", "--num-frames", "9", "-W", "96"];
    jobs.write(
        "{\"image\": \"pictures/a.png\", \"output\": \"a.y4m\", \"save_latents\": \"a.safetensors\"}\n\
         {\"image\": \"pictures/b.png\", \"output\": \"b.y4m\", \"prompt\": \"light shifting\", \"num_frames\": 17, \"seed\": 3}\n",
    );
    jobs.run(&[&shared[..], &["--jobs", "night.jsonl"]].concat()).expect_code(0);
    let single =
        ["-i", "pictures/b.png", "-p", "light shifting", "--num-frames", "17", "--seed", "3", "-o", "single.y4m"];
    jobs.run(&[&shared[..], &single].concat()).expect_code(0);
    assert!(jobs.bytes("single.y4m") == jobs.bytes("b.y4m"));
    let first = ["-i", "pictures/a.png", "-o", "single.y4m", "--save-latents", "single.safetensors"];
    jobs.run(&[&shared[..], &first].concat()).expect_code(0);
    assert!(jobs.bytes("single.y4m") == jobs.bytes("a.y4m"));
    assert!(jobs.bytes("single.safetensors") == jobs.bytes("a.safetensors"));
}

fn spawn(mut command: Command) -> Child {
    command.args(["--json", "-q"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn two_processes_never_do_a_job_twice() {
    let jobs = Jobs::new("jobs-two", 6);
    let both = [0; 2].map(|_| spawn(jobs.command(&["-i", "pictures", "-o", "clips/"])));
    let mut made: Vec<String> = Vec::new();
    for process in both {
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let told = events(&String::from_utf8(output.stdout).unwrap());
        let tally = told.last().unwrap();
        assert_eq!(tally["done"].as_u64().unwrap() + tally["skipped"].as_u64().unwrap(), 6, "{tally}");
        let results = told.iter().filter(|event| event["event"] == "result");
        made.extend(results.map(|result| result["path"].as_str().unwrap().to_owned()));
    }
    made.sort();
    assert_eq!(made, ["a", "b", "c", "d", "e", "f"].map(|name| format!("clips/{name}.mp4")));
    assert_eq!(jobs.journal("clips/pictures.journal.jsonl").len(), 6);
    assert_eq!(std::fs::read_dir(jobs.scratch.path("clips")).unwrap().count(), 7, "something was left behind");
}

#[cfg(unix)]
mod cut_short {
    use std::io::{BufRead, BufReader};

    use super::*;

    /// Starts the jobs, and sends the signal as soon as the job of this number begins to denoise. Returns the exit code.
    fn signal_in(jobs: &Jobs, number: usize, signal: &str) -> Option<i32> {
        let mut child = spawn(jobs.command(&["-i", "pictures", "-o", "clips/", "--format", "y4m"]));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let begins = |line: &String| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["event"] == "stage" && event["stage"] == "denoise"
        };
        lines.by_ref().filter(begins).nth(number - 1).unwrap_or_else(|| panic!("job {number} never began"));
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        lines.for_each(drop);
        child.wait().unwrap().code()
    }

    fn go_on(jobs: &Jobs) -> Outcome {
        jobs.run(&["-i", "pictures", "-o", "clips/", "--format", "y4m"]).expect_code(0)
    }

    /// Everything in `clips` but the records beside each clip, without what a killed process may leave of an output.
    fn clips(jobs: &Jobs) -> Vec<String> {
        let entries = std::fs::read_dir(jobs.scratch.path("clips")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.contains(".part-"));
        names.sort();
        for clip in names.clone().iter().filter(|name| name.ends_with(".y4m")) {
            let record = format!("{clip}.json");
            names.remove(names.binary_search(&record).unwrap_or_else(|_| panic!("{record} is missing")));
        }
        names
    }

    #[test]
    fn an_interrupted_run_goes_on_where_it_ended() {
        let jobs = Jobs::new("jobs-interrupt", 3);
        assert_eq!(signal_in(&jobs, 2, "INT"), Some(130));
        assert_eq!(clips(&jobs), ["a.y4m", "pictures.journal.jsonl"]);
        assert_eq!(jobs.journal("clips/pictures.journal.jsonl"), ["pictures/a.png done"]);
        // What was begun comes last.
        assert_eq!(go_on(&jobs).stdout, "clips/c.y4m\nclips/b.y4m\n");
        assert_eq!(clips(&jobs), ["a.y4m", "b.y4m", "c.y4m", "pictures.journal.jsonl"]);
    }

    #[test]
    fn a_killed_run_goes_on_where_it_ended_again_and_again() {
        let jobs = Jobs::new("jobs-kill", 4);
        for killed in 0..3 {
            // Each time one is done, and the next is cut: a; b and c; d and a.
            let number = if killed == 0 { 1 } else { 2 };
            assert_eq!(signal_in(&jobs, number, "KILL"), None);
            assert_eq!(
                clips(&jobs).iter().filter(|name| name.ends_with(".y4m") && !name.starts_with('.')).count(),
                killed
            );
        }
        // A crash in the middle of a line.
        let journal = jobs.scratch.path("clips/pictures.journal.jsonl");
        let mut text = std::fs::read_to_string(&journal).unwrap();
        text.push_str("{\"version\":1,\"job\":\"pictures/c.p");
        std::fs::write(&journal, text).unwrap();

        assert_eq!(go_on(&jobs).stdout, "clips/c.y4m\nclips/a.y4m\n");
        assert_eq!(clips(&jobs), ["a.y4m", "b.y4m", "c.y4m", "d.y4m", "pictures.journal.jsonl"], "a lock was left");
        let names = ["b", "d", "c", "a"];
        assert_eq!(jobs.journal("clips/pictures.journal.jsonl"), names.map(|name| format!("pictures/{name}.png done")));
        for name in names {
            jobs.run(&["-i", &format!("pictures/{name}.png"), "-o", "single.y4m"]).expect_code(0);
            assert!(jobs.bytes("single.y4m") == jobs.bytes(&format!("clips/{name}.y4m")), "{name}");
        }
    }

    /// A limit on the size of files stands for the disk: the journal is longer already, and the clips are not.
    #[test]
    fn a_disk_that_has_no_room_for_the_journal_loses_nothing() {
        let jobs = Jobs::new("jobs-full", 2);
        let earlier =
            "{\"version\":1,\"job\":\"earlier\",\"outcome\":\"failed\",\"error\":\"x\",\"hint\":\"y\"}\n".repeat(2000);
        std::fs::write(jobs.scratch.path("clips/pictures.journal.jsonl"), &earlier).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -f 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_stir"), "generate"]).args(SMALL);
        shell.args(["-i", "pictures", "-o", "clips/", "--format", "y4m"]).current_dir(jobs.scratch.folder());
        let outcome = run(&mut shell).expect_code(1);
        assert_eq!(outcome.stdout, "clips/a.y4m\nclips/b.y4m\n", "one that is not written down stops no other");
        let warned = "warning: pictures/a.png: writing the journal clips/pictures.journal.jsonl: File too large";
        assert!(outcome.stderr.contains(warned), "{}", outcome.stderr);
        let error = "error: writing the journal clips/pictures.journal.jsonl: File too large";
        assert!(outcome.stderr.contains(error) && outcome.stderr.contains("free some space"), "{}", outcome.stderr);
        assert_eq!(String::from_utf8(jobs.bytes("clips/pictures.journal.jsonl")).unwrap(), earlier);
        assert_eq!(clips(&jobs), ["a.y4m", "b.y4m", "pictures.journal.jsonl"]);

        assert_eq!(go_on(&jobs).stdout, "clips/a.y4m\nclips/b.y4m\n");
        assert_eq!(jobs.journal("clips/pictures.journal.jsonl").len(), 2002);
    }
}
