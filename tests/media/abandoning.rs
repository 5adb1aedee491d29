//! Clean-up at any moment, as on a signal: afterwards there are whole clips and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use stir::media;

use super::{Folder, clip, create, drawing, names_of_all_formats, run_alone};

/// Threads write clips of all formats over and over; the process cleans up and then stays for a while, as one does that exits slowly.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn writes_until_it_is_abandoned() {
    let folder = PathBuf::from(std::env::var_os("STIR_TEST_PATH").unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    for name in names_of_all_formats() {
        let (path, sender) = (folder.join(name), sender.clone());
        std::thread::spawn(move || {
            let frame = drawing(64, 64, 0);
            for _ in 0.. {
                // Errors are possible once the folder is being removed; nothing may come of them.
                let Ok(mut writer) = create(&path, &clip(64, 64, 20), 60) else { continue };
                if (0..20).all(|_| writer.write(&frame).is_ok()) {
                    _ = writer.finish();
                }
                _ = sender.send(());
            }
        });
    }
    // The latent file has no writer of its own.
    let path = folder.join("latents");
    std::thread::spawn(move || {
        loop {
            _ = media::write_atomically(&path, &[1; 10_000], true);
        }
    });
    let milliseconds: u64 = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
    receiver.recv().unwrap();
    std::thread::sleep(Duration::from_millis(milliseconds));
    media::abandon_unfinished();
    std::thread::sleep(Duration::from_millis(300));
    std::process::exit(7);
}

#[test]
fn after_clean_up_there_are_whole_clips_and_nothing_else() {
    let folder = Folder::new("abandoned");
    for milliseconds in [0, 3, 10, 25, 60, 110] {
        let name = milliseconds.to_string();
        let within = folder.path(&name);
        std::fs::create_dir(&within).unwrap();
        let output = run_alone("abandoning::writes_until_it_is_abandoned", "exec \"$@\"", &within);
        assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
        let mut found = 0;
        for entry in std::fs::read_dir(&within).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(!name.starts_with('.'), "{name} was left behind");
            found += 1;
            if name == "frames" {
                assert_eq!(std::fs::read_dir(&path).unwrap().count(), 20);
            } else {
                assert!(std::fs::metadata(&path).unwrap().len() > 0, "{name} is empty");
            }
        }
        assert!(found > 0);
    }
}
