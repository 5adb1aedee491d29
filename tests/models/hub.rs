//! Downloads, against a server on this machine that behaves like the hub.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fs4::FileExt;
use stir::error::{Error, Result};
use stir::weights::hub::{Hub, Settings};
use stir::weights::remote::{Cache, RemoteFile, Role, recorded_sha256};

use crate::hub_server::{Answer, COMMIT, HubServer, Request, file_answer};
use crate::scratch::Scratch;

/// A hub at this address whose files go to `scratch`.
fn hub(endpoint: String, scratch: &Scratch) -> Hub {
    let (patience, pause) = (Duration::from_millis(500), Duration::from_millis(1));
    let settings = Settings { endpoint, token: Some("hf_secret".to_owned()), patience, pause };
    Hub::new(settings, cache(scratch))
}

fn cache(scratch: &Scratch) -> Cache {
    Cache::at(scratch.path("hub"))
}

fn file() -> RemoteFile {
    RemoteFile {
        role: Role::Tokenizer,
        repository: "owner/name".to_owned(),
        revision: "main".to_owned(),
        path: "tokenizer/spiece.model".to_owned(),
        bytes: content().len() as u64,
        sha256: None,
    }
}

/// Larger than what is read at a time.
fn content() -> Vec<u8> {
    (0..700_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn fetch(hub: &Hub) -> Result<PathBuf> {
    hub.fetch(&hub.look_up(&file())?, &mut |_| {})
}

/// Names of all files in the cache that hold content, whole or not.
fn contents(scratch: &Scratch) -> Vec<String> {
    let folder = cache(scratch).folder().join("models--owner--name/blobs");
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The `Range` headers of the requests for the content.
fn ranges(server: &HubServer) -> Vec<Option<String>> {
    let transfers = server.requests().into_iter().filter(Request::is_transfer);
    transfers.map(|request| request.header("range").map(str::to_owned)).collect()
}

#[test]
fn a_file_is_fetched_once_and_kept_as_the_hubs_own_programs_do() {
    let scratch = Scratch::new("hub-fetched");
    let server = HubServer::start(|request, _| file_answer(request, &content()));
    let hub = hub(server.endpoint(), &scratch);
    let found = hub.look_up(&file()).unwrap();
    assert_eq!((found.bytes(), hub.missing(&found)), (2_800_000, 2_800_000));
    let mut heard = Vec::new();
    let path = hub.fetch(&found, &mut |bytes| heard.push(bytes)).unwrap();
    assert_eq!(path, scratch.path(&format!("hub/models--owner--name/snapshots/{COMMIT}/tokenizer/spiece.model")));
    assert_eq!(fs::read(&path).unwrap(), content());
    assert_eq!(recorded_sha256(&path).as_deref(), Some(found.sha256()));
    assert!(heard.len() > 2 && heard.is_sorted() && heard.last() == Some(&2_800_000), "{heard:?}");
    assert_eq!((cache(&scratch).find(&file()), hub.missing(&found)), (Some(path.clone()), 0));

    let asked = server.requests();
    let lines: Vec<&str> = asked.iter().map(|request| request.line.split_at(4).0).collect();
    assert_eq!(lines, ["HEAD", "GET ", "GET "]);
    assert_eq!(asked[1].line, "GET /owner/name/resolve/main/tokenizer/spiece.model");
    let tokens: Vec<Option<&str>> = asked.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(
        tokens,
        [Some("Bearer hf_secret"), Some("Bearer hf_secret"), None],
        "only the hub gets to know the token"
    );
    assert!(asked.iter().all(|request| request.header("user-agent").unwrap().starts_with("stir/")));

    assert_eq!(fetch(&hub).unwrap(), path);
    assert_eq!(ranges(&server).len(), 1, "what is there is not fetched again");
}

#[test]
fn a_broken_transfer_goes_on_where_it_stopped() {
    let scratch = Scratch::new("hub-broken");
    let server = HubServer::start(|request, transfers| {
        let cut = (transfers < 2 && request.is_transfer()).then_some(1_000_000);
        Answer { cut, ..file_answer(request, &content()) }
    });
    let path = fetch(&hub(server.endpoint(), &scratch)).unwrap();
    assert_eq!(fs::read(path).unwrap(), content());
    assert_eq!(ranges(&server), [None, Some("bytes=1000000-".to_owned()), Some("bytes=2000000-".to_owned())]);
}

#[test]
fn a_transfer_that_was_given_up_goes_on_in_the_next_run() {
    let scratch = Scratch::new("hub-given-up");
    let server = HubServer::start(|request, transfers| match (request.is_transfer(), transfers) {
        (true, 0) => Answer { cut: Some(1_234_567), ..file_answer(request, &content()) },
        (true, _) => Answer::new(503),
        (false, _) => file_answer(request, &content()),
    });
    let error = fetch(&hub(server.endpoint(), &scratch)).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let message = "tokenizer/spiece.model of owner/name: wanted all of its 3 MB, found 1 MB, then 503";
    assert!(error.to_string().starts_with(message), "{error}");
    assert!(error.hint().contains("the same command goes on where this one stopped"));
    let left = contents(&scratch);
    assert!(left.len() == 1 && left[0].ends_with(".incomplete"), "{left:?}");
    assert_eq!(cache(&scratch).find(&file()), None);

    let server = HubServer::start(|request, _| file_answer(request, &content()));
    let hub = hub(server.endpoint(), &scratch);
    let found = hub.look_up(&file()).unwrap();
    assert_eq!(hub.missing(&found), 2_800_000 - 1_234_567);
    let mut heard = Vec::new();
    let path = hub.fetch(&found, &mut |bytes| heard.push(bytes)).unwrap();
    assert_eq!(fs::read(path).unwrap(), content());
    assert_eq!(ranges(&server), [Some("bytes=1234567-".to_owned())]);
    assert!(heard.is_sorted(), "what was there counts from the beginning: {heard:?}");
}

#[test]
fn a_server_that_knows_no_ranges_sends_all_of_it_again() {
    let scratch = Scratch::new("hub-rangeless");
    let server = HubServer::start(|request, transfers| match request.is_transfer() {
        true => Answer { body: content(), cut: (transfers == 0).then_some(1_000_000), ..Answer::new(200) },
        false => file_answer(request, &content()),
    });
    let path = fetch(&hub(server.endpoint(), &scratch)).unwrap();
    assert_eq!(fs::read(path).unwrap(), content());
}

#[test]
fn another_part_than_was_asked_for_is_refused() {
    let scratch = Scratch::new("hub-other-part");
    let server = HubServer::start(|request, transfers| match (request.is_transfer(), transfers) {
        (true, 0) => Answer { cut: Some(1_000_000), ..file_answer(request, &content()) },
        (true, _) => file_answer(request, &content()).with("Content-Range", "bytes 5-9/2800000"),
        (false, _) => file_answer(request, &content()),
    });
    let error = fetch(&hub(server.endpoint(), &scratch)).unwrap_err().to_string();
    assert!(error.ends_with("wanted bytes 1000000-, found bytes 5-9/2800000"), "{error}");
}

#[test]
fn another_content_is_refused_and_nothing_of_it_is_kept() {
    let other = || content().into_iter().rev().collect::<Vec<u8>>();
    let longer = || [content(), content()].concat();
    for (name, sent) in [("other", other()), ("longer", longer())] {
        let scratch = Scratch::new(&format!("hub-{name}"));
        let server = HubServer::start(move |request, _| match request.is_transfer() {
            true => Answer { body: sent.clone(), ..Answer::new(200) },
            false => file_answer(request, &content()),
        });
        let error = fetch(&hub(server.endpoint(), &scratch)).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("spiece.model of owner/name: wanted SHA-256 "), "{name}: {error}");
        assert!(error.hint().contains("run the same command again"), "{name}: {}", error.hint());
        assert_eq!((contents(&scratch), cache(&scratch).find(&file())), (Vec::new(), None), "{name}");
    }
}

#[test]
fn a_damaged_beginning_is_thrown_away_so_that_the_next_run_succeeds() {
    let scratch = Scratch::new("hub-damaged");
    let server = HubServer::start(|request, _| file_answer(request, &content()));
    let hub = hub(server.endpoint(), &scratch);
    let found = hub.look_up(&file()).unwrap();
    let unfinished = cache(&scratch).unfinished(&file(), found.sha256());
    fs::create_dir_all(unfinished.parent().unwrap()).unwrap();
    fs::write(&unfinished, "no beginning of it").unwrap();
    assert!(fetch(&hub).unwrap_err().to_string().contains("wanted SHA-256"));
    assert_eq!(fs::read(fetch(&hub).unwrap()).unwrap(), content());

    // Longer than the whole: certainly another file's.
    fs::remove_dir_all(cache(&scratch).folder()).unwrap();
    fs::create_dir_all(unfinished.parent().unwrap()).unwrap();
    fs::write(&unfinished, vec![0; 3_000_000]).unwrap();
    assert_eq!(fs::read(fetch(&hub).unwrap()).unwrap(), content());
}

#[test]
fn two_programs_do_not_write_the_same_file() {
    let scratch = Scratch::new("hub-locked");
    let server = HubServer::start(|request, _| file_answer(request, &content()));
    let hub = hub(server.endpoint(), &scratch);
    let found = hub.look_up(&file()).unwrap();
    let path = cache(&scratch).lock(&file(), found.sha256());
    assert!(path.starts_with(scratch.path("hub/.locks/models--owner--name")));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let lock = fs::File::create(&path).unwrap();
    FileExt::lock(&lock).unwrap();
    let error = hub.fetch(&found, &mut |_| {}).unwrap_err();
    assert!(error.to_string().ends_with("found another program at it"), "{error}");
    drop(lock);
    hub.fetch(&found, &mut |_| {}).unwrap();
}

#[test]
fn what_cannot_fit_on_the_disk_is_not_begun() {
    let scratch = Scratch::new("hub-full");
    let server =
        HubServer::start(|request, _| file_answer(request, &content()).with("X-Linked-Size", "100000000000000000"));
    let hub = hub(server.endpoint(), &scratch);
    let found = hub.look_up(&file()).unwrap();
    let error = hub.check_space(&[found.clone(), found]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("wanted 200000000.0 GB of free disk space, found "), "{error}");
}

/// How a look-up fails that is answered like this.
fn refusal(answer: Answer) -> Error {
    let scratch = Scratch::new(&format!("hub-refusal-{}", answer.status));
    let server = HubServer::start(move |_, _| answer.clone());
    let error = hub(server.endpoint(), &scratch).look_up(&file()).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(!format!("{error:?}").contains("hf_secret"));
    // The port differs from run to run.
    let cleaned = |text: &str| text.replace(&server.endpoint(), "ENDPOINT");
    Error::run(cleaned(&error.to_string()), "", "", cleaned(error.hint()))
}

fn explained(error: &Error) -> String {
    format!("{}\n  next: {}", error.to_string().trim_end_matches(": wanted , found "), error.hint())
}

#[test]
fn every_refusal_of_the_hub_is_explained() {
    let gated = Answer::new(403).with("X-Error-Code", "GatedRepo");
    let busy = Answer::new(429).with("Retry-After", "120");
    let refusals =
        [Answer::new(401), gated, Answer::new(404), Answer::new(429), busy, Answer::new(500), Answer::new(418)];
    let mut text = refusals.map(|answer| explained(&refusal(answer))).join("\n\n");

    let scratch = Scratch::new("hub-nameless");
    let settings = |endpoint| Settings {
        endpoint,
        token: None,
        patience: Duration::from_secs(5),
        pause: Duration::from_millis(1),
    };
    let (stranger, crowd) = (HubServer::start(|_, _| Answer::new(401)), HubServer::start(|_, _| Answer::new(429)));
    for server in [stranger, crowd] {
        let error = Hub::new(settings(server.endpoint()), cache(&scratch)).look_up(&file()).unwrap_err();
        text += &format!("\n\nwithout a token: {}", explained(&error).replace(&server.endpoint(), "ENDPOINT"));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let look_up = |change: fn(Answer) -> Answer| {
        let scratch = Scratch::new("hub-senseless");
        let server = HubServer::start(move |request, _| change(file_answer(request, b"abc")));
        hub(server.endpoint(), &scratch).look_up(&file()).unwrap_err().to_string()
    };
    let said = look_up(|answer| answer.with("X-Linked-Etag", "\"0123abc\""));
    assert!(said.ends_with("wanted a SHA-256 in the header x-linked-etag, found 0123abc"), "{said}");
    let said = look_up(|answer| answer.with("X-Linked-Size", "many"));
    assert!(said.ends_with("wanted a size in the header x-linked-size, found many"), "{said}");
    let said = look_up(|answer| answer.with("X-Repo-Commit", "../../elsewhere"));
    assert!(said.ends_with("wanted a commit in the header x-repo-commit, found ../../elsewhere"), "{said}");
    let said = look_up(|answer| answer.with("X-Repo-Commit", ""));
    assert!(said.ends_with("wanted a commit in the header x-repo-commit, found "), "{said}");
    let said = look_up(|answer| Answer { headers: Vec::new(), ..answer });
    assert!(said.ends_with("found 302 Found"), "{said}");
    let said = look_up(|answer| answer.with("Location", "/owner/name/resolve/main/again"));
    assert!(said.ends_with("found redirects without an end"), "{said}");
}

#[test]
fn a_repository_that_has_moved_is_followed() {
    let scratch = Scratch::new("hub-moved");
    let server = HubServer::start(|request, _| match request.line.contains("/owner/name/") {
        true => Answer::new(307).with("Location", "/new/name/resolve/main/tokenizer/spiece.model"),
        false => file_answer(request, &content()),
    });
    let path = fetch(&hub(server.endpoint(), &scratch)).unwrap();
    assert_eq!(fs::read(path).unwrap(), content());
}

#[test]
fn a_checksum_that_is_known_beforehand_counts() {
    let scratch = Scratch::new("hub-known");
    let server = HubServer::start(|request, _| file_answer(request, b"abc"));
    let hub = hub(server.endpoint(), &scratch);
    let abc = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    hub.look_up(&RemoteFile { sha256: Some(abc.to_owned()), ..file() }).unwrap();
    let error = hub.look_up(&RemoteFile { sha256: Some("0".repeat(64)), ..file() }).unwrap_err();
    assert!(error.to_string().ends_with(&format!("found {} on the hub", abc.to_lowercase())), "{error}");
    assert!(ranges(&server).is_empty());
}

#[test]
fn no_network_is_explained() {
    let scratch = Scratch::new("hub-nobody");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (endpoint, found) in
        [(format!("http://127.0.0.1:{port}"), "onnection refused"), ("https://hub.invalid".to_owned(), "")]
    {
        let error = hub(endpoint.clone(), &scratch).look_up(&file()).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().starts_with(&format!("the hub {endpoint}: wanted an answer, found ")), "{error}");
        assert!(error.to_string().contains(found), "{error}");
        assert!(error.hint().starts_with("check the network connection"));
    }
}

#[test]
fn a_silent_server_is_not_waited_for_for_ever() {
    let scratch = Scratch::new("hub-silent");
    let server = HubServer::start(|request, _| {
        let (cut, silence) = (request.is_transfer().then_some(1_000), Duration::from_secs(60));
        let silence = if request.is_transfer() { silence } else { Duration::ZERO };
        Answer { cut, silence, ..file_answer(request, &content()[..4_000]) }
    });
    let path = fetch(&hub(server.endpoint(), &scratch)).unwrap();
    assert_eq!(fs::read(path).unwrap(), &content()[..4_000]);
    assert_eq!(ranges(&server).len(), 4, "each attempt brings a part of it");

    // Connections are taken, and nobody reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let error = hub(endpoint, &scratch).look_up(&file()).unwrap_err().to_string();
    assert!(error.ends_with("found silence for too long"), "{error}");
}
