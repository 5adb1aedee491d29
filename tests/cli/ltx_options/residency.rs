//! Where the denoiser's blocks wait: it changes no byte.

use super::Runs;

#[test]
fn a_clip_is_the_same_wherever_the_denoiser_waits() {
    let runs = Runs::new("offload");
    let guided = ["--guidance-scale", "3", "--stg-scale", "1"];
    let [plain, none, cpu, disk] = [&[][..], &["--offload", "none"], &["--offload", "cpu"], &["--offload", "disk"]]
        .map(|offload| runs.make(&[&guided[..], offload].concat()));
    for made in [&none, &cpu, &disk] {
        assert!(made.clip == plain.clip && made.file == plain.file, "{}", made.stderr);
    }
    let said = |text: &str| [&plain, &none, &cpu, &disk].map(|made| made.stderr.contains(text));
    assert_eq!(
        said("the denoiser's blocks are read from disk at every step: --offload is disk"),
        [false, false, false, true]
    );
    assert_eq!(said("--offload cpu changes nothing on the CPU"), [false, false, true, false]);
}
