//! Several jobs of one model: what is built when, and what one that fails does to the rest.

use super::super::jobs::journal::{Claim, Journal};
use super::super::jobs::{Ending, Job, JobList, JobObserver, Tally, Unreadable, check_apart, generate_with};
use super::*;

impl JobObserver for Heard {
    fn job(&mut self, _job: Option<&Job>) {}

    fn started(&mut self, job: &Job) {
        self.lines.push((Level::Detail, format!("{} begins", job.name)));
    }

    fn ended(&mut self, name: &str, ending: Ending) {
        self.lines.push((Level::Detail, format!("{name} {ending:?}")));
    }
}

/// Jobs of one folder, and their model.
struct Jobs {
    folder: Folder,
    family: Coarse,
    heard: Heard,
}

impl Jobs {
    fn new(name: &str) -> Self {
        let jobs = Self { folder: Folder::new(name), family: Coarse::default(), heard: Heard::default() };
        jobs.write_picture("picture.png");
        jobs
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.0.join(name)
    }

    fn write_picture(&self, name: &str) {
        let pixels = picture().pixels().to_vec();
        image::RgbImage::from_raw(80, 60, pixels).unwrap().save(self.path(name)).unwrap();
    }

    /// A job of a model that is looked up, and not the one that is run.
    fn job(&self, name: &str, words: &str) -> Job {
        let mut request = request(self.path(&format!("{name}.y4m")));
        request.image = ImageSource::File(self.path("picture.png"));
        request.model = ModelRequest::named("sway");
        request.prompt.words = words.to_owned();
        Job { name: name.to_owned(), request }
    }

    fn run(&mut self, jobs: Vec<Job>) -> Tally {
        let mut journal = Journal::open(&self.path("journal.jsonl")).unwrap();
        let list = JobList { jobs, unreadable: Vec::new() };
        generate_with(&list, &mut journal, &mut self.heard, &|_| Ok(Box::new(self.family.clone()))).unwrap()
    }

    fn built(&self) -> Vec<String> {
        self.family.built.take()
    }

    /// What came of jobs, in order.
    fn journal(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path("journal.jsonl")).unwrap();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
        records.filter(|record: &serde_json::Value| record["outcome"] != "begun").collect()
    }
}

fn tally(done: usize, skipped: usize, failed: usize) -> Tally {
    Tally { done, skipped, failed }
}

#[test]
fn a_model_is_loaded_once_for_all_jobs() {
    let mut jobs = Jobs::new("jobs-once");
    let three = || vec![jobs.job("a", "hair"), jobs.job("b", "leaves"), jobs.job("c", "hair")];
    let list = three();
    let again = three();
    assert_eq!(jobs.run(list), tally(3, 0, 0));
    assert_eq!(jobs.built(), ["words: hair", "words: leaves", "image encoder", "denoiser", "decoder"]);
    // The bytes are those of a run of its own.
    let alone = Request { output: target(jobs.path("alone.y4m")), ..again[1].request.clone() };
    super::super::run(&alone, opened(), (Box::new(Coarse::default()), Saver::default()), &mut Heard::default())
        .unwrap();
    let bytes = |name: &str| std::fs::read(jobs.path(name)).unwrap();
    assert!(bytes("alone.y4m") == bytes("b.y4m"));

    // What is done is not made again, and nothing is loaded for it, until it is gone or has another size.
    jobs.family.built.take();
    assert_eq!(jobs.run(again.clone()), tally(0, 3, 0));
    assert_eq!(jobs.built(), [""; 0]);
    std::fs::remove_file(jobs.path("a.y4m")).unwrap();
    std::fs::write(jobs.path("c.y4m"), "cut").unwrap();
    assert_eq!(jobs.run(again), tally(2, 1, 0));
    let outcomes: Vec<_> = jobs.journal().iter().map(|record| record["job"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["a", "b", "c", "a", "c"]);
    // No lock is left.
    let mut names: Vec<_> =
        std::fs::read_dir(&jobs.folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.y4m", "alone.y4m", "b.y4m", "c.y4m", "journal.jsonl", "picture.png"]);
}

/// Networks are built anew for every group, so that no two of them are there at once; words that were read are known.
#[test]
fn many_jobs_are_made_in_groups() {
    let mut jobs = Jobs::new("jobs-groups");
    let list = (0..17).map(|number| jobs.job(&number.to_string(), "hair")).collect();
    assert_eq!(jobs.run(list), tally(17, 0, 0));
    let networks = ["image encoder", "denoiser", "decoder"];
    assert_eq!(jobs.built(), [&["words: hair"], &networks[..], &networks[..]].concat());
}

#[test]
fn another_picture_or_setting_is_another_job() {
    let mut jobs = Jobs::new("jobs-changed");
    let job = jobs.job("a", "hair");
    assert_eq!(jobs.run(vec![job.clone()]), tally(1, 0, 0));
    // What decides only whether a clip is made does not count.
    let kept = Request {
        output: Target { replace: false, ..job.request.output.clone() },
        strict: true,
        ..job.request.clone()
    };
    assert_eq!(jobs.run(vec![Job { request: kept, ..job.clone() }]), tally(0, 1, 0));
    let seeded = Job { request: Request { seed: 8, ..job.request.clone() }, ..job.clone() };
    assert_eq!(jobs.run(vec![seeded]), tally(1, 0, 0));
    image::RgbImage::new(80, 60).save(jobs.path("picture.png")).unwrap();
    assert_eq!(jobs.run(vec![job]), tally(1, 0, 0));
}

#[test]
fn one_job_that_fails_does_not_stop_the_rest() {
    let mut jobs = Jobs::new("jobs-failing");
    let mut list = ["a", "b", "c", "d"].map(|name| jobs.job(name, "hair")).to_vec();
    list[0].request.image = ImageSource::File(jobs.path("missing.png"));
    // The latents go into a folder that is a file once the jobs are checked.
    list[1].request.save_latents = Some(jobs.path("gone/latents.safetensors"));
    std::fs::create_dir(jobs.path("gone")).unwrap();
    list[2].request.size = Size::Exact { width: 81, height: 60 };
    let gone = jobs.path("gone");
    let open = |_: &Request| -> Result<Box<dyn Family>> {
        std::fs::remove_dir(&gone).ok();
        Ok(Box::new(Coarse::default()))
    };
    let mut journal = Journal::open(&jobs.path("journal.jsonl")).unwrap();
    let unreadable = vec![Unreadable { name: "e".to_owned(), error: Error::input("x", "y", "z", "w") }];
    let list = JobList { jobs: list, unreadable };
    let found = generate_with(&list, &mut journal, &mut jobs.heard, &open).unwrap();
    assert_eq!(found, tally(1, 0, 4));
    let records = jobs.journal();
    let of = |record: &serde_json::Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let outcomes: Vec<_> = records.iter().map(|record| of(record, "job") + " " + &of(record, "outcome")).collect();
    assert_eq!(outcomes, ["e failed", "a failed", "c failed", "b failed", "d done"]);
    assert!(of(&records[1], "error").contains("missing.png"), "{:?}", records[1]);
    assert!(of(&records[3], "hint").contains("stir decode "), "{:?}", records[3]);
    assert!(records[0].get("settings").is_none() && records[3].get("settings").is_some());
}

/// Whatever else they come upon: the other jobs have networks of their own after it.
#[test]
fn a_defect_is_the_end_of_one_job() {
    let mut jobs = Jobs::new("jobs-defect");
    let mut list = ["a", "b", "c", "d"].map(|name| jobs.job(name, "hair")).to_vec();
    list[1].request.prompt.words = DEFECT.to_owned();
    let white = jobs.path("white.png");
    image::RgbImage::from_pixel(80, 60, image::Rgb([255; 3])).save(&white).unwrap();
    list[2].request.image = ImageSource::File(white);
    assert_eq!(jobs.run(list), tally(2, 0, 2));
    let of = |record: &serde_json::Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let outcomes: Vec<_> =
        jobs.journal().iter().map(|record| of(record, "job") + " " + &of(record, "outcome")).collect();
    assert_eq!(outcomes, ["b failed", "a done", "c failed", "d done"]);
    assert!(of(&jobs.journal()[2], "error").contains("a defect, named above"));
    let networks = ["words: hair", "image encoder", "denoiser", "decoder", "denoiser", "decoder"];
    assert_eq!(jobs.built(), networks);
}

/// Each journal stands for a process that ended without a word while it made the job.
#[test]
fn jobs_that_ended_a_process_come_last() {
    let mut jobs = Jobs::new("jobs-cut-short");
    let list = ["a", "b", "c"].map(|name| jobs.job(name, "hair")).to_vec();
    for job in [&list[0], &list[0], &list[1]] {
        let identity = super::super::jobs::identity::Identity::of(&job.request).unwrap();
        let mut other = Journal::open(&jobs.path("journal.jsonl")).unwrap();
        assert!(matches!(other.claim(&job.name, &identity, &job.request.outputs()).unwrap(), Claim::Free(_)));
    }
    assert_eq!(jobs.run(list.clone()), tally(3, 0, 0));
    let made = |jobs: &Jobs| -> Vec<String> {
        jobs.journal().iter().map(|record| record["job"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(made(&jobs), ["c", "b", "a"]);
    // Once they are done, that is forgotten.
    list.iter().for_each(|job| std::fs::remove_file(&job.request.output.path).unwrap());
    assert_eq!(jobs.run(list), tally(3, 0, 0));
    assert_eq!(made(&jobs)[3..], ["a", "b", "c"]);
}

#[test]
fn a_picture_that_changes_meanwhile_is_noticed() {
    let mut jobs = Jobs::new("jobs-meanwhile");
    let list = JobList { jobs: vec![jobs.job("a", "hair")], unreadable: Vec::new() };
    let path = jobs.path("picture.png");
    let open = |_: &Request| -> Result<Box<dyn Family>> {
        image::RgbImage::new(80, 60).save(&path).unwrap();
        Ok(Box::new(Coarse::default()))
    };
    let mut journal = Journal::open(&jobs.path("journal.jsonl")).unwrap();
    assert_eq!(generate_with(&list, &mut journal, &mut jobs.heard, &open).unwrap(), tally(0, 0, 1));
    assert!(jobs.journal()[0]["error"].as_str().unwrap().contains("files that stay as they were"));
    assert!(!jobs.path("a.y4m").exists());
}

/// The second journal stands for another process: a lock belongs to whoever opened its file.
#[test]
fn a_job_that_somebody_else_has_is_left_alone() {
    let mut jobs = Jobs::new("jobs-two");
    let list = vec![jobs.job("a", "hair"), jobs.job("b", "hair")];
    let mut other = Journal::open(&jobs.path("journal.jsonl")).unwrap();
    let identity = super::super::jobs::identity::Identity::of(&list[0].request).unwrap();
    let Claim::Free(theirs) = other.claim("a", &identity, &list[0].request.outputs()).unwrap() else {
        panic!("not free")
    };
    assert_eq!(jobs.run(list.clone()), tally(1, 1, 0));
    assert!(!jobs.path("a.y4m").exists() && jobs.path("b.y4m").exists());
    let said = |heard: &Heard| heard.lines.iter().any(|(_, line)| line.contains("a Skipped(\"another process"));
    assert!(said(&jobs.heard), "{:?}", jobs.heard.lines);
    drop(theirs);
    assert_eq!(jobs.run(list), tally(1, 1, 0));
    assert!(matches!(other.look(&identity, &[jobs.path("a.y4m")]).unwrap(), Some(Claim::Done)));
}

#[test]
fn no_job_is_in_anothers_way() {
    let jobs = Jobs::new("jobs-apart");
    let [a, b] = ["a", "b"].map(|name| jobs.job(name, "hair"));
    check_apart(&[a.clone(), b.clone()], &[&jobs.path("jobs.jsonl")]).unwrap();
    let refused = |change: &dyn Fn(&mut Request), kept: &str| {
        let mut b = b.clone();
        change(&mut b.request);
        check_apart(&[a.clone(), b], &[&jobs.path(kept)]).unwrap_err().to_string()
    };
    let roundabout = jobs.path("../").join(jobs.folder.0.file_name().unwrap()).join("a.y4m");
    let same = refused(&|request| request.output.path.clone_from(&roundabout), "jobs.jsonl");
    assert!(
        same.starts_with("b: output ") && same.ends_with("a.y4m: wanted a name of its own, found that of a"),
        "{same}"
    );
    let read = refused(&|request| request.save_latents = Some(jobs.path("picture.png")), "jobs.jsonl");
    assert!(read.ends_with("wanted a file that no job reads, found one of a"), "{read}");
    assert!(refused(&|_| {}, "b.y4m").ends_with("found one of this run itself"));
    let within = refused(&|request| request.save_frames = Some(jobs.path(".")), "jobs.jsonl");
    assert!(within.contains("replaced as a whole"), "{within}");
}
