//! `stir devices`: what networks can run on.

use serde_json::Value;

use crate::support::stir;

#[test]
fn the_processor_is_the_last_and_always_usable() {
    let outcome = stir(&["devices", "--json"]).expect_code(0);
    assert_eq!(outcome.stderr, "");
    let devices: Vec<Value> = serde_json::from_str(&outcome.stdout).unwrap();
    let processor = devices.last().unwrap();
    assert_eq!((&processor["device"], &processor["usable"]), (&"cpu".into(), &true.into()));
    assert!(processor["name"].is_string() && processor["why_not"].is_null() && processor["hint"].is_null());
    for device in &devices {
        let refused = device["why_not"].is_string() && device["hint"].is_string();
        assert_ne!(device["usable"].as_bool().unwrap(), refused, "{device}");
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_build_without_cuda_says_so() {
    let printed = stir(&["devices"]).expect_code(0).stdout;
    let reason = "cannot be used: wanted a program that was built with CUDA, found one without\n  next: build it with";
    assert!(printed.starts_with("DEVICE  USABLE  NAME") && printed.contains(reason), "{printed}");
    let refused = stir(&["bench", "--device", "cuda"]).expect_code(2).stderr;
    assert!(refused.contains("--device: wanted a program that was built with CUDA, found one without"), "{refused}");
}
