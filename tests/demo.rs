//! `tidewaiter demo`: the main job, end to end, as a person would try it.

use std::process::{Command, Stdio};

fn demo(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
    command.arg("demo").args(args).stdin(Stdio::null());
    // A proxy of the machine's has no part in it.
    command.env("HTTPS_PROXY", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9");
    command.output().unwrap()
}

#[test]
fn the_good_image_is_allowed_and_the_tampered_ones_are_denied() {
    let output = demo(&["--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["passed"], true, "{told:#}");
    let answers = told["answers"].as_array().unwrap();
    let allowed = answers.iter().filter(|answer| answer["allowed"] == true).count();
    assert_eq!(allowed, 2, "{told:#}");
    let reasons: std::collections::BTreeSet<_> =
        answers.iter().filter_map(|answer| answer["reason"].as_str()).collect();
    assert!(reasons.len() >= 8, "{reasons:?}");
    for denied in answers.iter().filter(|answer| answer["allowed"] == false) {
        assert!(denied["message"].as_str().is_some_and(|message| !message.is_empty()), "{denied}");
    }
}
