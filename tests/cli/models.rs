//! `stir models`: what is known, what is on disk, and how it gets there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use stir::models::catalog::{self, Role};
use stir::weights::remote::{Cache, RemoteFile};

use crate::fixture::repository;
use crate::support::{Outcome, Scratch, command, run};

/// A command that knows no other cache than the one in the folder.
fn stir_in(scratch: &Scratch, arguments: &[&str]) -> Command {
    let mut command = command();
    for variable in ["HF_HUB_CACHE", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    command.env("HF_HOME", scratch.path("hf")).args(arguments);
    command
}

fn models(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    run(stir_in(scratch, &[&["models"], arguments].concat()).env("RUST_BACKTRACE", "0"))
}

fn cache(scratch: &Scratch) -> Cache {
    Cache::at(scratch.path("hf/hub"))
}

fn file(role: Role) -> RemoteFile {
    catalog::find("ltx-2b-distilled").unwrap().files.into_iter().find(|file| file.role == role).unwrap()
}

/// What stands for the tokenizer, whose size it has.
fn tokenizer() -> Vec<u8> {
    (0..791_656u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts a file into the cache, as another program would have fetched it.
fn put(scratch: &Scratch, role: Role, content: &[u8]) -> PathBuf {
    let (cache, file, sum) = (cache(scratch), file(role), sha256(content));
    let blob = cache.blob(&file, &sum);
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(blob, content).unwrap();
    cache.publish(&file, &sum, "c0ffee").unwrap()
}

#[test]
fn every_model_is_listed() {
    let scratch = Scratch::new("models-list");
    put(&scratch, Role::Tokenizer, &tokenizer());
    let outcome = models(&scratch, &[]).expect_code(0);
    assert_eq!(outcome.stderr, "");
    insta::assert_snapshot!("models", outcome.stdout.replace(scratch.folder().to_str().unwrap(), "FOLDER"));
}

#[test]
fn programs_read_the_list_as_json() {
    let scratch = Scratch::new("models-json");
    let path = put(&scratch, Role::Tokenizer, &tokenizer());
    let text = models(&scratch, &["--json"]).expect_code(0).stdout;
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(list[0]["name"], "sway");
    assert_eq!((&list[0]["complete"], &list[0]["bytes"]), (&true.into(), &list[0]["bytes_on_disk"]));
    let model = list.iter().find(|model| model["name"] == "ltx-2b-distilled").unwrap();
    assert_eq!((&model["complete"], &model["bytes_on_disk"]), (&false.into(), &791_656.into()));
    assert_eq!((&model["release"], &model["memory"]["half"]), (&"2b-0.9.8-distilled".into(), &6_340_744_492u64.into()));
    let file = model["files"].as_array().unwrap().iter().find(|file| file["role"] == "tokenizer").unwrap();
    assert_eq!(file["on_disk"], path.to_str().unwrap());
    assert_eq!((&file["repository"], &file["revision"]), (&"Lightricks/LTX-Video".into(), &"main".into()));
}

#[test]
fn files_are_verified_against_what_was_recorded() {
    let scratch = Scratch::new("models-verify");
    let outcome = models(&scratch, &["verify"]).expect_code(0);
    assert_eq!(outcome.stdout, "ok  sway (ships with stir)\n");
    assert!(outcome.stderr.contains("ltx-2b-dev: t5xxl_fp16.safetensors is not on disk"), "{}", outcome.stderr);
    let outcome = models(&scratch, &["verify", "ltx-2b-dev"]).expect_code(2);
    assert!(outcome.stderr.contains("next: fetch it: stir models pull ltx-2b-dev"), "{}", outcome.stderr);

    let path = put(&scratch, Role::Tokenizer, &tokenizer());
    put(&scratch, Role::Upsampler, b"not its size, but its checksum");
    let outcome = models(&scratch, &["verify"]).expect_code(0);
    let expected = "ok  sway (ships with stir)\nok  tokenizer/spiece.model (792 kB)\nok  ltxv-spatial-upscaler-0.9.8.safetensors (0 kB)\n";
    assert_eq!(outcome.stdout, expected);

    let mut content = tokenizer();
    content[400_000] ^= 1;
    fs::write(&path, content).unwrap();
    let outcome = models(&scratch, &["verify", "ltx-2b-dev"]).expect_code(1);
    assert_eq!(outcome.stdout, format!("damaged  {}\n", path.display()));
    let blob = path.canonicalize().unwrap();
    assert!(
        outcome.stderr.contains(&format!("found 1 damaged\n  next: remove {}", blob.display())),
        "{}",
        outcome.stderr
    );
}

#[test]
fn unknown_names_are_refused() {
    let scratch = Scratch::new("models-unknown");
    for action in ["pull", "verify"] {
        let outcome = models(&scratch, &[action, "ltx-2b-distiled"]).expect_code(2);
        let refused = "NAME: wanted one of: sway, ltx-2b-distilled, ltx-2b-dev, ltx-13b-distilled, ltx-13b-dev, found \
                       \"ltx-2b-distiled\"\n  next: did you mean ltx-2b-distilled?";
        assert!(outcome.stderr.contains(refused), "{}", outcome.stderr);
    }
    models(&scratch, &["--json", "pull", "sway"]).expect_code(2);
    models(&scratch, &["pull"]).expect_code(2);
}

#[test]
fn files_and_folders_say_what_they_are() {
    let scratch = Scratch::new("models-inspect");
    let mut text = String::new();
    for fixture in ["checkpoint", "checkpoint/vae", "checkpoint/text_encoder", "upsampler"] {
        let path = repository("tests/fixtures/ltx").join(fixture);
        text += &models(&scratch, &["inspect", path.to_str().unwrap()]).expect_code(0).stdout;
    }
    insta::assert_snapshot!("inspect", text.replace(repository("tests").to_str().unwrap(), "TESTS"));

    let page = scratch.path("page.safetensors");
    fs::write(&page, "<html>").unwrap();
    for (path, refusal) in [
        (page.to_str().unwrap(), "found "),
        (
            "no/such/file",
            "error: no/such/file: wanted a model's file or folder, found nothing there\n  next: check the path",
        ),
        ("", "error: PATH: wanted the name of a file or a folder, found an empty text"),
    ] {
        let outcome = models(&scratch, &["inspect", path]).expect_code(2);
        assert!(outcome.stderr.contains(refusal), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn a_part_alone_is_told_what_it_lacks() {
    let scratch = Scratch::new("models-lacking");
    let folder = scratch.path("checkpoint");
    fs::create_dir_all(folder.join("transformer")).unwrap();
    for file in ["model_index.json", "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors"] {
        fs::copy(repository("tests/fixtures/ltx/checkpoint").join(file), folder.join(file)).unwrap();
    }
    let said = models(&scratch, &["inspect", folder.to_str().unwrap()]).expect_code(0).stdout;
    for option in ["--vae", "--text-encoder", "--tokenizer"] {
        assert!(said.contains(&format!("missing; give it by {option}: ")), "{said}");
    }
}

#[cfg(not(feature = "hub"))]
#[test]
fn a_build_without_network_code_says_so() {
    let scratch = Scratch::new("models-offline");
    let outcome = models(&scratch, &["pull", "ltx-2b-dev"]).expect_code(2);
    assert!(outcome.stderr.contains("found one without the feature `hub`"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Lightricks/LTX-Video/tokenizer/spiece.model"), "{}", outcome.stderr);
}

#[cfg(feature = "hub")]
mod pull {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::hub_server::{Answer, COMMIT, HubServer, file_answer};
    use crate::small_run;

    const NAME: &str = "ltx-2b-distilled";

    /// A checksum that stands for a large file's.
    fn sum(role: Role) -> String {
        sha256(format!("{role:?}").as_bytes())
    }

    fn large_files() -> impl Iterator<Item = RemoteFile> {
        catalog::find(NAME).unwrap().files.into_iter().filter(|file| file.role != Role::Tokenizer)
    }

    /// A hub that has all files of the model; of the large ones only what it says of them.
    fn hub(change: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> HubServer {
        HubServer::start(move |request, _| match large_files().find(|file| request.line.ends_with(&file.path)) {
            Some(file) => file_answer(request, b"")
                .with("X-Linked-Etag", &sum(file.role))
                .with("X-Linked-Size", &file.bytes.to_string()),
            None if request.is_transfer() => change(file_answer(request, &tokenizer())),
            None => file_answer(request, &tokenizer()),
        })
    }

    /// The contents of the large files, all holes, which take no space.
    fn put_large_files(scratch: &Scratch) {
        for file in large_files() {
            let blob = cache(scratch).blob(&file, &sum(file.role));
            fs::create_dir_all(blob.parent().unwrap()).unwrap();
            fs::File::create(blob).unwrap().set_len(file.bytes).unwrap();
        }
    }

    fn pull(scratch: &Scratch, endpoint: &str) -> Command {
        let mut command = stir_in(scratch, &["models", "pull", NAME]);
        command.env("HF_ENDPOINT", endpoint);
        command
    }

    #[test]
    fn a_model_is_fetched_and_then_on_disk() {
        let scratch = Scratch::new("models-pull");
        put_large_files(&scratch);
        let server = hub(|answer| answer);
        let outcome = run(&mut pull(&scratch, &server.endpoint())).expect_code(0);
        let snapshots = |repository: &str| {
            format!("{}/models--{repository}/snapshots/{COMMIT}", cache(&scratch).folder().display())
        };
        let ltx = snapshots("Lightricks--LTX-Video");
        let paths = [
            format!("{ltx}/tokenizer/spiece.model"),
            format!("{ltx}/ltxv-spatial-upscaler-0.9.8.safetensors"),
            format!("{ltx}/ltxv-2b-0.9.8-distilled.safetensors"),
            format!("{}/t5xxl_fp16.safetensors", snapshots("comfyanonymous--flux_text_encoders")),
        ];
        assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), paths);
        assert_eq!(fs::read(&paths[0]).unwrap(), tokenizer());
        insta::assert_snapshot!("pull", outcome.stderr.replace(scratch.folder().to_str().unwrap(), "FOLDER"));

        let list: Vec<Value> = serde_json::from_str(&models(&scratch, &["--json"]).stdout).unwrap();
        let complete = |name: &str| list.iter().find(|model| model["name"] == name).unwrap()["complete"].clone();
        assert_eq!((complete(NAME), complete("ltx-2b-dev")), (true.into(), false.into()));
        let again = run(&mut pull(&scratch, &server.endpoint())).expect_code(0);
        assert!(again.stderr.contains("all 4 files are in "), "{}", again.stderr);
    }

    #[cfg(unix)]
    #[test]
    fn an_interrupted_download_is_kept_and_goes_on() {
        let scratch = Scratch::new("models-interrupted");
        put_large_files(&scratch);
        let silent = hub(|answer| Answer { cut: Some(500_000), silence: Duration::from_secs(120), ..answer });
        let child = pull(&scratch, &silent.endpoint()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let unfinished = cache(&scratch).unfinished(&file(Role::Tokenizer), &sha256(&tokenizer()));
        let arrived = || unfinished.metadata().map_or(0, |file| file.len());
        let began = Instant::now();
        while arrived() < 500_000 {
            assert!(began.elapsed() < Duration::from_secs(60), "only {} bytes arrived", arrived());
            sleep(Duration::from_millis(20));
        }
        let kill = format!("kill -INT {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let talk = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{talk}");
        let said = "error: the run: wanted it to finish, found SIGINT\n  next: what has arrived is kept; the same command \
                    goes on where this one stopped\n";
        assert!(talk.ends_with(said), "{talk}");
        assert_eq!((arrived(), cache(&scratch).find(&file(Role::Tokenizer))), (500_000, None));
        let list: Vec<Value> = serde_json::from_str(&models(&scratch, &["--json"]).stdout).unwrap();
        let of = |name: &str| list.iter().find(|model| model["name"] == name).unwrap();
        assert_eq!((&of("ltx-2b-dev")["bytes_on_disk"], &of(NAME)["complete"]), (&500_000.into(), &false.into()));

        let server = hub(|answer| answer);
        run(&mut pull(&scratch, &server.endpoint())).expect_code(0);
        let ranges: Vec<String> =
            server.requests().iter().filter_map(|request| Some(request.header("range")?.to_owned())).collect();
        // Asked of the hub, and of where it leads.
        assert_eq!(ranges, ["bytes=500000-", "bytes=500000-"]);
        let path = cache(&scratch).find(&file(Role::Tokenizer)).unwrap();
        assert_eq!(fs::read(path).unwrap(), tokenizer());
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let scratch = Scratch::new("models-wrong");
        put_large_files(&scratch);
        let server = hub(|answer| Answer { body: answer.body.into_iter().rev().collect(), ..answer });
        let outcome = run(&mut pull(&scratch, &server.endpoint())).expect_code(1);
        assert!(outcome.stderr.contains("error: tokenizer/spiece.model of Lightricks/LTX-Video: wanted SHA-256 "));
        assert_eq!((outcome.stdout.as_str(), cache(&scratch).find(&file(Role::Tokenizer))), ("", None));
    }

    #[test]
    fn what_does_not_fit_the_catalogue_is_said() {
        let scratch = Scratch::new("models-changed");
        put_large_files(&scratch);
        let server =
            HubServer::start(|request, _| match large_files().find(|file| request.line.ends_with(&file.path)) {
                Some(file) => {
                    file_answer(request, b"").with("X-Linked-Etag", &sum(file.role)).with("X-Linked-Size", "5")
                }
                None => Answer::new(404),
            });
        let outcome = run(&mut pull(&scratch, &server.endpoint())).expect_code(1);
        let warning =
            "warning: ltxv-2b-0.9.8-distilled.safetensors has 5 bytes on the hub, 6340744492 when this stir was made";
        assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("found 404 Not Found\n  next: look at "), "{}", outcome.stderr);
    }

    #[test]
    fn settings_that_cannot_be_used_are_refused() {
        let scratch = Scratch::new("models-settings");
        for (variable, value, refusal) in [
            ("HF_ENDPOINT", "huggingface.co", "HF_ENDPOINT: wanted a URL that begins with https:// or http://"),
            ("HF_ENDPOINT", "https://", "HF_ENDPOINT: wanted a URL"),
            ("HF_HUB_OFFLINE", "1", "HF_HUB_OFFLINE: wanted to be allowed to use the network, found 1"),
            ("HF_TOKEN", "hf_se cret", "HF_TOKEN: wanted letters and digits, found other characters"),
        ] {
            let outcome = run(pull(&scratch, "http://127.0.0.1:9").env(variable, value)).expect_code(2);
            assert!(outcome.stderr.contains(refusal) && !outcome.stderr.contains("hf_se"), "{}", outcome.stderr);
        }
    }

    #[test]
    fn tokens_come_from_the_environment_or_a_login() {
        let scratch = Scratch::new("models-token");
        fs::create_dir_all(scratch.path("hf")).unwrap();
        fs::write(scratch.path("hf/token"), "hf_login\n").unwrap();
        let server = HubServer::start(|_, _| Answer::new(401));
        run(&mut pull(&scratch, &server.endpoint())).expect_code(1);
        let outcome = run(pull(&scratch, &server.endpoint()).env("HF_TOKEN", "hf_given")).expect_code(1);
        let tokens: Vec<_> =
            server.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
        assert_eq!(tokens, ["Bearer hf_login", "Bearer hf_given"].map(|token| Some(token.to_owned())));
        assert!(!outcome.stderr.contains("hf_given"), "{}", outcome.stderr);
    }

    #[test]
    fn nothing_but_pull_uses_the_network() {
        let scratch = Scratch::new("models-network");
        let server = HubServer::start(|_, _| Answer::new(404));
        let watched = |mut command: Command| {
            command.env("HF_ENDPOINT", server.endpoint());
            for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
                command.env(proxy, server.endpoint());
            }
            for none in ["NO_PROXY", "no_proxy"] {
                command.env_remove(none);
            }
            run(&mut command)
        };
        let stir = |arguments: &[&str]| watched(stir_in(&scratch, arguments));
        let generate = |options: &[&str]| {
            let mut command = stir_in(&scratch, &[]);
            command.args(small_run(&scratch, "clip.gif", options));
            watched(command)
        };
        generate(&[]).expect_code(0);
        generate(&["--dry-run"]).expect_code(0);
        generate(&["--model", NAME]).expect_code(2);
        for arguments in [&["models"][..], &["models", "--json"], &["models", "verify"], &["models", "pull", "sway"]] {
            stir(arguments).expect_code(0);
        }
        stir(&["models", "verify", NAME]).expect_code(2);
        assert_eq!(server.requests().len(), 0, "{:?}", server.requests());
        // Had anything else been asked, it would be seen here.
        stir(&["models", "pull", NAME]).expect_code(1);
        let asked: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
        assert_eq!(asked, [format!("CONNECT {}", server.endpoint().trim_start_matches("http://"))]);
    }
}
