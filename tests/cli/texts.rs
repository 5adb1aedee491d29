//! Help, completions and the schema: what is printed on request.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::stir;

#[test]
fn help_is_what_the_documentation_says() {
    for (name, arguments) in [
        ("help", ["--help"].as_slice()),
        ("generate-help", &["generate", "--help"]),
        ("plan-help", &["plan", "--help"]),
        ("resume-help", &["resume", "--help"]),
        ("decode-help", &["decode", "--help"]),
        ("info-help", &["info", "--help"]),
        ("verify-help", &["verify", "--help"]),
        ("models-help", &["models", "--help"]),
        ("models-inspect-help", &["models", "inspect", "--help"]),
        ("models-pull-help", &["models", "pull", "--help"]),
        ("models-verify-help", &["models", "verify", "--help"]),
        ("devices-help", &["devices", "--help"]),
        ("bench-help", &["bench", "--help"]),
        ("bench-compare-help", &["bench", "compare", "--help"]),
        ("bench-ops-help", &["bench", "ops", "--help"]),
        ("completions-help", &["completions", "--help"]),
        ("schema-help", &["schema", "--help"]),
    ] {
        let outcome = stir(arguments).expect_code(0);
        assert_eq!(outcome.stderr, "");
        insta::assert_snapshot!(name, outcome.stdout);
    }
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stir(&["completions", shell]).expect_code(0).stdout;
        assert!(script.contains("prompt-optimizer") && script.contains("generate"), "{shell}: {script}");
    }
    let outcome = stir(&["completions", "nu"]).expect_code(2);
    assert!(outcome.stderr.contains("SHELL: wanted bash, zsh, fish, powershell or elvish, found \"nu\""));
    assert_eq!(outcome.stdout, "");
}

#[test]
fn bash_understands_its_completions() {
    let script = stir(&["completions", "bash"]).expect_code(0).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash is there");
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
    assert!(script.contains("cover contain stretch"), "the names of an option's values are missing");
}

#[test]
fn wrong_use_is_exit_code_2() {
    assert!(stir(&["generate", "--stteps", "3"]).expect_code(2).stderr.contains("'--steps'"));
    assert!(stir(&["generat"]).expect_code(2).stderr.contains("'generate'"));
    assert!(stir(&["schema", "clips"]).expect_code(2).stderr.contains("wanted events, found \"clips\""));
    for arguments in
        [&["generate", "a.png"][..], &["generate", "-i", "a.png", "-p", "hair", "flowing"], &["plan", "a.png"]]
    {
        let outcome = stir(arguments).expect_code(2);
        let found = format!("found \"{}\" without one\n  next: name the picture by -i", arguments.last().unwrap());
        assert!(outcome.stderr.contains(&found), "{}", outcome.stderr);
    }
    let outcome = stir(&["generate", "--json", "a\u{1b}[31mred"]).expect_code(2);
    assert!(!outcome.stderr.contains('\u{1b}') && outcome.stdout.contains("\"exit_code\":2"), "{}", outcome.stdout);
    let outcome = stir(&["generate", "--\u{1b}[31mred"]).expect_code(2);
    assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
}
