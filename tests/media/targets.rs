//! What can be said about an output before anything runs.

use std::fs;

use stir::media::{self, Target};

use super::{Folder, check_target, names_of_all_formats, refusal, target};

#[test]
fn good_targets_pass_and_nothing_is_left_behind() {
    let folder = Folder::new("good-targets");
    let input = folder.write("picture.png", b"picture");
    let mut targets = names_of_all_formats();
    targets.extend(["CLIP.Y4M", "frames", "frames.v2/"]);
    for target in targets {
        check_target(&folder.path(target), &input).unwrap_or_else(|error| panic!("{target}: {error}"));
    }
    assert_eq!(folder.names(), ["picture.png"]);
}

#[test]
fn bad_targets_are_refused_with_the_reason() {
    let folder = Folder::new("bad-targets");
    let input = folder.write("picture.png", b"picture");
    fs::create_dir_all(folder.path("full.frames")).unwrap();
    folder.write("full.frames/000000.png", b"");
    folder.write("full.frames/notes.txt", b"");
    fs::create_dir_all(folder.path("folder.y4m")).unwrap();
    folder.write("plain", b"");
    for (target, found) in [
        ("clip.m4v", "found .m4v"),
        ("clip.mp4v", "found .mp4v"),
        ("missing/clip.y4m", "missing; create it: mkdir -p"),
        ("missing/frames/", "missing; create it: mkdir -p"),
        ("is missing/clip.y4m", "is missing; create it: mkdir -p '"),
        ("plain/clip.y4m", "plain, which is not a folder"),
        ("full.frames", "found a folder that also holds notes.txt"),
        ("folder.y4m", "found an existing folder"),
        ("plain", "found something else than a folder of that name"),
        ("plain/", "found something else than a folder of that name"),
    ] {
        let message = refusal(check_target(&folder.path(target), &input));
        assert!(message.starts_with("output ") && message.contains(found), "{target}: {message}");
    }
    assert!(refusal(check_target("/".as_ref(), "/missing.png".as_ref())).contains("also holds"));
    assert!(refusal(check_target(&folder.path("missing/.."), "/missing.png".as_ref())).contains("ends in none"));
    assert_eq!(folder.names(), ["folder.y4m", "full.frames", "picture.png", "plain"]);
}

#[test]
fn the_input_is_never_replaced() {
    let folder = Folder::new("input-as-target");
    let input = folder.write("picture.y4m", b"a picture by a misleading name");
    let roundabout = folder.path("..").join(folder.0.file_name().unwrap()).join("picture.y4m");
    assert!(refusal(check_target(&roundabout, &input)).contains("would replace the input"));
    fs::create_dir_all(folder.path("frames")).unwrap();
    let frame = folder.write("frames/000000.png", b"");
    assert!(refusal(check_target(&folder.path("frames"), &frame)).contains("would replace the input"));
}

#[test]
fn nothing_is_replaced_where_that_is_not_wanted() {
    let folder = Folder::new("no-clobber");
    let input = folder.write("picture.png", b"picture");
    for name in names_of_all_formats() {
        let target = Target { replace: false, ..target(&folder.path(name), 95).unwrap() };
        media::check_target(&target, &[&input]).unwrap();
        folder.write(name.trim_end_matches('/'), b"");
        assert!(refusal(media::check_target(&target, &[&input])).contains("found an existing file; choose another"));
    }
    fs::create_dir(folder.path("empty")).unwrap();
    let target = Target { replace: false, ..target(&folder.path("empty"), 95).unwrap() };
    assert!(refusal(media::check_target(&target, &[])).contains("found an existing folder"));
}

#[cfg(unix)]
#[test]
fn the_input_by_another_name_is_not_replaced_either() {
    let folder = Folder::new("linked-input");
    let input = folder.write("picture.png", b"picture");
    fs::hard_link(&input, folder.path("hard.y4m")).unwrap();
    std::os::unix::fs::symlink(&input, folder.path("soft.y4m")).unwrap();
    for name in ["hard.y4m", "soft.y4m"] {
        assert!(refusal(check_target(&folder.path(name), &input)).contains("would replace the input"), "{name}");
        assert!(refusal(check_target(&input.with_file_name(name), &folder.path("soft.y4m"))).contains("would replace"));
    }
}

#[test]
fn names_that_no_file_can_have_are_refused_at_once() {
    let folder = Folder::new("too-long");
    let input = folder.write("picture.png", b"picture");
    let long = format!("{}.y4m", "x".repeat(300));
    assert!(refusal(check_target(&folder.path(&long), &input)).contains("found one that cannot be used"));
    assert_eq!(folder.names(), ["picture.png"]);
}

#[cfg(target_os = "linux")]
#[test]
fn folders_of_the_system_take_no_files() {
    for target in ["/proc/clip.y4m", "/proc/frames/"] {
        let message = refusal(check_target(target.as_ref(), "/missing.png".as_ref()));
        assert!(message.contains("wanted a folder that can be written to"), "{message}");
        assert!(!message.contains("mkdir"), "{message}");
    }
    let message = refusal(check_target("/proc/".as_ref(), "/missing.png".as_ref()));
    assert!(message.contains("also holds") || message.contains("mounted"), "{message}");
    for target in ["/dev/full", "/dev/null"] {
        let target = Target {
            path: target.into(),
            format: media::OutputFormat::Y4m,
            encoder: media::VideoEncoder::Auto,
            quality: 95,
            replace: true,
        };
        assert!(refusal(media::check_target(&target, &[])).contains("a device or a pipe"));
    }
}

#[cfg(unix)]
#[test]
fn devices_and_links_are_no_folders() {
    let folder = Folder::new("devices");
    let input = folder.write("picture.png", b"picture");
    std::os::unix::fs::symlink("nowhere", folder.path("dangling")).unwrap();
    for target in ["/dev/null".into(), folder.path("dangling")] {
        let message = refusal(check_target(&target, &input));
        assert!(message.contains("something else than a folder"), "{message}");
    }
}

#[cfg(not(feature = "ffmpeg"))]
#[test]
fn without_ffmpeg_mp4_is_refused_with_the_build_command() {
    let folder = Folder::new("no-ffmpeg");
    let input = folder.write("picture.png", b"picture");
    for message in [
        refusal(check_target(&folder.path("clip.mp4"), &input)),
        refusal(super::create(&folder.path("clip.mp4"), &super::clip(64, 64, 2), 95)),
    ] {
        assert!(message.contains("cargo build --release --features ffmpeg"), "{message}");
    }
    assert_eq!(folder.names(), ["picture.png"]);
}
