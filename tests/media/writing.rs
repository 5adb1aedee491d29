//! What all formats promise, and the formats that need no FFmpeg.

use std::fs;

use stir::media::{self, Target, WrittenClip};
use stir::picture::Picture;
use stir::units::{Clip, Fps};

use super::{Folder, clip, create, drawing, names_of_all_formats, open, refusal, target, write_clip};

#[test]
fn nothing_stands_under_the_final_name_before_the_end() {
    let folder = Folder::new("unfinished");
    for target in names_of_all_formats() {
        let mut writer = create(&folder.path(target), &clip(64, 64, 3), 95).unwrap();
        for index in 0..3 {
            writer.write(&drawing(64, 64, index)).unwrap();
        }
        let names = folder.names();
        let hidden = |name: &String| name.starts_with('.') && name.contains(".part-");
        assert!(!names.is_empty() && names.iter().all(hidden), "{names:?}");
        drop(writer);
        assert!(folder.names().is_empty(), "{target}: {:?}", folder.names());
    }
}

#[test]
fn a_wrong_number_or_size_of_frames_is_an_error_and_leaves_nothing() {
    let folder = Folder::new("miscounted");
    for target in names_of_all_formats() {
        let start = || create(&folder.path(target), &clip(64, 64, 2), 95).unwrap();
        let frame = drawing(64, 64, 0);

        let mut writer = start();
        writer.write(&frame).unwrap();
        assert_eq!(writer.finish().unwrap_err().to_string(), "the clip: wanted 2 frames, found its end after 1");

        let mut writer = start();
        writer.write(&frame).unwrap();
        writer.write(&frame).unwrap();
        assert_eq!(writer.write(&frame).unwrap_err().to_string(), "the clip: wanted 2 frames, found frame 3");
        drop(writer);

        let error = start().write(&drawing(64, 32, 0)).unwrap_err();
        assert_eq!(error.to_string(), "frame 0: wanted 64x64, found 64x32");
        assert!(folder.names().is_empty(), "{target}: {:?}", folder.names());
    }
}

#[test]
fn an_earlier_clip_is_replaced() {
    let folder = Folder::new("replaced");
    for target in names_of_all_formats() {
        let longer = write_clip(&folder.path(target), &clip(64, 64, 5)).unwrap();
        let shorter = write_clip(&folder.path(target), &clip(64, 64, 2)).unwrap();
        assert!(shorter.bytes < longer.bytes, "{target}");
        assert_eq!(shorter.path, folder.path(target));
    }
    assert_eq!(folder.names().len(), names_of_all_formats().len());
    let mut frames: Vec<_> =
        fs::read_dir(folder.path("frames")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    frames.sort();
    assert_eq!(frames, ["000000.png", "000001.png"]);
}

#[test]
fn impossible_clips_are_refused() {
    let folder = Folder::new("impossible");
    let target = folder.path("clip.y4m");
    let message = refusal(create(&target, &clip(63, 64, 2), 95));
    assert!(message.contains("found 63x64; choose 64x64"), "{message}");
    let fast = Clip { fps: Fps(60.0), ..clip(64, 64, 2) };
    assert!(refusal(create(&folder.path("clip.gif"), &fast, 95)).contains("to 50 frames a second for GIF"));
    let huge = clip(4096, 4096, 4_000_000_000);
    let message = refusal(media::check_clip(&super::target(&target, 95).unwrap(), &huge));
    assert!(message.contains("GB of free disk space for Y4M"), "{message}");
    assert!(refusal(create(&target, &clip(64, 64, 0), 95)).contains("found 0 frames of 64x64"));
    let endless = Clip { fps: Fps(f64::NAN), ..clip(64, 64, 2) };
    assert!(refusal(create(&target, &endless, 95)).contains("--fps: wanted 0.001 to 1000"));
    assert!(folder.names().is_empty());
    write_clip(&folder.path("odd-sizes-are-fine-for-png/"), &clip(63, 33, 1)).unwrap();
}

#[test]
fn odd_sizes_are_fine_for_pictures() {
    let folder = Folder::new("odd");
    let mut names = vec!["frames/", "clip.gif"];
    if cfg!(feature = "ffmpeg") {
        names.push("clip.webp");
    }
    for name in names {
        write_clip(&folder.path(name), &clip(63, 33, 3)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// With `--no-clobber`, what appears while the clip is made is kept too.
#[test]
fn what_came_in_meanwhile_is_kept_where_nothing_may_be_replaced() {
    let folder = Folder::new("kept");
    for name in names_of_all_formats() {
        let target = Target { replace: false, ..target(&folder.path(name), 95).unwrap() };
        let start = || {
            let mut writer = media::create(&target, &clip(64, 64, 2)).unwrap();
            (0..2).for_each(|index| writer.write(&drawing(64, 64, index)).unwrap());
            writer
        };
        let writer = start();
        fs::write(target.path.parent().unwrap().join(name.trim_end_matches('/')), b"letter").unwrap();
        let error = writer.finish().unwrap_err();
        if name != "frames/" {
            assert_eq!(error.exit_code(), 1);
            assert!(error.to_string().contains("something that has appeared there meanwhile"), "{error}");
        }
        let path = folder.path(name.trim_end_matches('/'));
        assert_eq!(fs::read(&path).unwrap(), b"letter", "{name}");
        assert!(refusal(media::create(&target, &clip(64, 64, 2))).contains("as --no-clobber asks"));
        fs::remove_file(&path).unwrap();

        // An empty folder is something, too.
        let writer = start();
        fs::create_dir(&path).unwrap();
        assert!(writer.finish().is_err(), "{name}");
        fs::remove_dir(&path).unwrap();

        start().finish().unwrap();
        assert_eq!(folder.names(), [name.trim_end_matches('/')]);
        if name == "frames/" { fs::remove_dir_all(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
    }
}

#[test]
fn unusual_names_are_names() {
    let folder = Folder::new("names");
    let mut names = vec!["-clip".to_owned(), "a name: with spaces, 'quotes' & %d".to_owned(), "%06d".to_owned()];
    names.push("x".repeat(250));
    names.push("é".repeat(125));
    for name in names {
        for extension in [".gif", ".y4m", "", ".mp4", ".webm"] {
            if !cfg!(feature = "ffmpeg") && [".mp4", ".webm"].contains(&extension) {
                continue;
            }
            let name = format!("{name}{extension}");
            let written = write_clip(&folder.path(&name), &clip(64, 64, 2)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(written.path, folder.path(&name));
            assert!(written.path.exists(), "{name}");
        }
    }
    assert!(folder.names().iter().all(|name| !name.starts_with('.')));
}

#[test]
fn png_frames_are_exactly_the_frames() {
    let folder = Folder::new("png-frames");
    let written = write_clip(&folder.path("frames"), &clip(100, 60, 12)).unwrap();
    let mut bytes = 0;
    for index in 0..12 {
        let path = folder.path(&format!("frames/{index:06}.png"));
        bytes += fs::metadata(&path).unwrap().len();
        assert_eq!(open(&path).unwrap(), drawing(100, 60, index));
    }
    assert_eq!(written, WrittenClip { path: folder.path("frames"), bytes });
}

#[test]
fn frames_never_replace_other_files_that_came_in_meanwhile() {
    let folder = Folder::new("meanwhile");
    let mut writer = create(&folder.path("frames"), &clip(64, 64, 1), 95).unwrap();
    writer.write(&drawing(64, 64, 0)).unwrap();
    fs::create_dir(folder.path("frames")).unwrap();
    folder.write("frames/letter.txt", b"dear");
    assert!(refusal(writer.finish()).contains("letter.txt"));
    assert_eq!(folder.names(), ["frames"]);
    assert_eq!(fs::read(folder.path("frames/letter.txt")).unwrap(), b"dear");
}

#[test]
fn y4m_is_the_header_and_limited_range_planes() {
    let folder = Folder::new("y4m");
    let path = folder.path("clip.y4m");
    let mut writer = create(&path, &Clip { fps: Fps(23.976), ..clip(64, 32, 2) }, 95).unwrap();
    writer.write(&Picture::new(64, 32, vec![255; 64 * 32 * 3])).unwrap();
    writer.write(&Picture::new(64, 32, [255, 0, 0].repeat(64 * 32))).unwrap();
    let written = writer.finish().unwrap();
    let wanted = [
        &b"YUV4MPEG2 W64 H32 F24000:1001 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n"[..],
        b"FRAME\n",
        &[235; 64 * 32],
        &[128; 32 * 16 * 2],
        b"FRAME\n",
        &[63; 64 * 32],
        &[102; 32 * 16],
        &[240; 32 * 16],
    ]
    .concat();
    assert_eq!(written, WrittenClip { path: path.clone(), bytes: wanted.len() as u64 });
    assert!(fs::read(&path).unwrap() == wanted);
}
