//! A store that is down, refuses, or is there again.

use super::bench::{Bench, Store, TOKEN, code, image, nowhere, said};
use serde_json::Value;
use std::{fs, process::Stdio};
use tidewaiter::key::SecretKey;

/// A step whose link goes to the store at `url`.
fn step(bench: &Bench, url: &str, token: &str, run: &str, more: &[&str]) -> std::process::Output {
    let (reference, _) = image("image");
    let args = ["--store", url, "--run", run, "--store-token-env", "WRITER", "--image", &reference];
    bench.step(&[("WRITER", token)], &[&args, more, &["--", "sh", "-c", "exit 4"]].concat())
}
fn push(bench: &Bench, url: &str, token: &str, more: &[&str]) -> (i32, Value) {
    let args = [&["push", "--store", url, "--store-token-env", "WRITER", "--output", "json"], more].concat();
    let output = bench.run_in(&[("WRITER", token)], &args);
    let shown = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    (output.status.code().unwrap(), shown)
}

#[test]
fn what_could_not_be_sent_waits_and_is_sent_by_push() {
    let bench = Bench::new();
    let down = nowhere();
    let output = step(&bench, &down, TOKEN, "run-1", &[]);
    code(&output, 4);
    assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    assert!(said(&output).contains("not sent and waits in the spool"), "{}", said(&output));
    code(&step(&bench, &down, TOKEN, "run-2", &["--require-upload"]), 125);
    let (whole, other) = bench.spooled();
    assert_eq!((whole.len(), other.len()), (2, 0));
    // Signed bytes and where they belong; neither the server nor the token.
    for path in &whole {
        let text = fs::read_to_string(path).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        assert!(!text.contains(&down) && !text.contains(TOKEN));
        let digest = record["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{digest}.")), "{path:?}");
        assert!(record["belongs"]["run"].as_str().unwrap().starts_with("run-"));
    }
    let (code, shown) = push(&bench, &down, TOKEN, &["--wait", "100ms"]);
    assert_eq!((code, &shown["waiting"]), (4, &2.into()), "{shown}");

    let store = Store::start(&bench, &["build"], &[TOKEN]);
    let (code, shown) = push(&bench, &store.url(), TOKEN, &[]);
    assert_eq!((code, shown["sent"].as_array().unwrap().len(), &shown["waiting"]), (0, 2, &0.into()), "{shown}");
    assert_eq!(bench.spooled().0.len(), 0);
    let (_, digest) = image("image");
    let links = store.evidence(&digest).into_iter().filter(|(kind, _)| kind == "link").count();
    assert_eq!(links, 2);
    // Nothing to do is well, store or no store.
    assert_eq!(push(&bench, &down, TOKEN, &[]).0, 0);
    assert_eq!(bench.run(&["push"]).status.code(), Some(0));
}

/// A review by two functionaries is one payload with two signatures, and a layout's threshold counts both.
#[test]
fn what_two_functionaries_signed_alike_waits_twice_and_the_store_has_both_signers() {
    let bench = Bench::new();
    code(&bench.run(&["key", "new", "-o", "other.pem"]), 0);
    let (reference, digest) = image("image");
    bench.write("sbom.json", r#"{"spdxVersion":"SPDX-2.3","packages":[]}"#);
    let down = nowhere();
    let step = |key: &str, run: &str| {
        let to = ["--key", key, "--store", &down, "--facts", "never", "--run", run, "--store-token-env", "WRITER"];
        let reviewed = [&["run", "-x", "--step", "build", "--image", &reference], &to[..]].concat();
        code(&bench.run_in(&[("WRITER", TOKEN)], &reviewed), 0);
        let attested =
            [&["attest", "sbom.json", "--type", "sbom", "--step", "build", "--subject", &reference], &to[..]];
        code(&bench.run_in(&[("WRITER", TOKEN)], &attested.concat()), 0);
    };
    // The very same twice is one; by another key, or of another run, it is another.
    for (key, run, links) in
        [("key.pem", "1", 1), ("key.pem", "1", 1), ("other.pem", "1", 2), ("other.pem", "2", 3), ("key.pem", "1", 3)]
    {
        step(key, run);
        assert_eq!(bench.spooled().0.len(), 2 * links, "{key} {run}");
    }
    let other = SecretKey::from_pem(&fs::read_to_string(bench.path("other.pem")).unwrap()).unwrap();
    let store = Store::of(&bench, &[&bench.key(), &other], &["build"], TOKEN);
    let (code, shown) = push(&bench, &store.url(), TOKEN, &[]);
    assert_eq!((code, shown["sent"].as_array().unwrap().len(), &shown["waiting"]), (0, 6, &0.into()), "{shown}");
    let (links, statements): (Vec<_>, Vec<_>) =
        store.evidence(&digest).into_iter().filter(|(kind, _)| kind != "layout").partition(|(kind, _)| kind == "link");
    assert_eq!((links.len(), statements.len()), (1, 1));
    for kind in ["link", "statement"] {
        let found = store.get(&format!("v1/search?step=build&kind={kind}"));
        let mut signers: Vec<&str> =
            found["records"][0]["signers"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        signers.sort_unstable();
        let key = bench.key();
        let mut expected = [key.public().id(), other.public().id()];
        expected.sort_unstable();
        assert_eq!(signers, expected, "{kind}: {found}");
    }
}

#[test]
fn a_later_run_sends_what_waits() {
    let bench = Bench::new();
    code(&step(&bench, &nowhere(), TOKEN, "run-1", &[]), 4);
    let store = Store::start(&bench, &["build"], &[TOKEN]);
    let output = step(&bench, &store.url(), TOKEN, "run-2", &["--require-upload"]);
    code(&output, 4);
    assert_eq!(said(&output), "");
    assert_eq!(bench.spooled().0.len(), 0);
}

#[test]
fn what_is_refused_lies_aside_with_why() {
    let bench = Bench::new();
    code(&step(&bench, &nowhere(), TOKEN, "run-1", &[]), 4);
    // A store whose layout has no such step.
    let store = Store::start(&bench, &["other"], &[TOKEN]);
    let (code_, shown) = push(&bench, &store.url(), TOKEN, &[]);
    assert_eq!((code_, shown["refused"].as_array().unwrap().len(), &shown["waiting"]), (1, 1, &0.into()), "{shown}");
    assert!(shown["refused"][0]["why"].as_str().unwrap().contains("[signature_untrusted]"), "{shown}");
    let aside: Vec<_> = fs::read_dir(bench.path("spool/refused")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let record: Value = serde_json::from_slice(&fs::read(&aside[0]).unwrap()).unwrap();
    assert_eq!(
        (&record["refused"]["status"], &record["refused"]["reason"]),
        (&422.into(), &"signature_untrusted".into())
    );
    // It holds up nothing, and may be tried again.
    assert_eq!(push(&bench, &store.url(), TOKEN, &[]).0, 0);
    assert_eq!(push(&bench, &store.url(), TOKEN, &["--retry-refused"]).0, 1);
    // A run whose own link is refused says so, and is no failure.
    let output = step(&bench, &store.url(), TOKEN, "run-2", &[]);
    code(&output, 4);
    assert!(said(&output).contains("[signature_untrusted]"), "{}", said(&output));
}

#[test]
fn a_token_that_is_nobodys_is_no_fault_of_the_record() {
    let bench = Bench::new();
    let store = Store::start(&bench, &["build"], &[TOKEN]);
    let output = step(&bench, &store.url(), "another-token", "run-1", &[]);
    code(&output, 4);
    assert!(said(&output).contains("[unauthenticated]"), "{}", said(&output));
    let (code, shown) = push(&bench, &store.url(), "another-token", &[]);
    assert_eq!((code, &shown["waiting"]), (1, &1.into()), "{shown}");
    assert_eq!(push(&bench, &store.url(), TOKEN, &[]).0, 0);
    let missing = bench.step(&[], &["--store", &store.url(), "--store-token-env", "MISSING", "--", "touch", "ran"]);
    assert_eq!((missing.status.code(), bench.path("ran").exists()), (Some(125), false));
}

#[test]
fn several_at_once_lose_nothing_and_fail_nowhere() {
    let bench = Bench::new();
    let down = nowhere();
    for run in 0..6 {
        code(&step(&bench, &down, TOKEN, &format!("run-{run}"), &[]), 4);
    }
    let store = Store::start(&bench, &["build"], &[TOKEN]);
    let url = store.url();
    let start = |_| {
        let mut command = bench.command(&["push", "--store", &url, "--store-token-env", "WRITER", "--output", "json"]);
        command.env("WRITER", TOKEN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let pushes: Vec<_> = (0..4).map(start).collect();
    let mut sent = 0;
    for child in pushes {
        let output = child.wait_with_output().unwrap();
        code(&output, 0);
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        sent += shown["sent"].as_array().unwrap().len();
    }
    assert_eq!((sent, bench.spooled().0.len()), (6, 0));
    let (_, digest) = image("image");
    assert_eq!(store.evidence(&digest).into_iter().filter(|(kind, _)| kind == "link").count(), 6);
}

#[test]
fn a_spool_that_is_full_says_so_and_the_step_goes_on() {
    let bench = Bench::new();
    let output = step(&bench, &nowhere(), TOKEN, "run-1", &["--spool-max", "100"]);
    code(&output, 4);
    assert!(
        said(&output).contains("nor is it in the spool") && said(&output).contains("of at most 100"),
        "{}",
        said(&output)
    );
    assert_eq!(bench.spooled().0.len(), 0);
}

#[test]
fn the_spool_is_no_material() {
    // In a GitLab job it lies in the checked-out tree, and a recording of the tree is in-toto-run's all the same.
    let bench = Bench::new();
    bench.write("src/a.c", "a");
    let project = bench.directory.path().to_str().unwrap();
    let gitlab = |command: &mut std::process::Command| {
        command
            .env_remove("TIDEWAITER_SPOOL")
            .envs([("GITLAB_CI", "true"), ("CI_PROJECT_DIR", project)])
            .output()
            .unwrap()
    };
    let args = [
        "run",
        "--step",
        "build",
        "--key",
        "key.pem",
        "-o",
        "out.link",
        "-m",
        ".",
        "--store",
        &nowhere(),
        "--",
        "true",
    ];
    for _ in 0..2 {
        code(&gitlab(&mut bench.command(&args)), 0);
    }
    assert_eq!(fs::read_dir(bench.path(".tidewaiter")).unwrap().count(), 2);
    assert_eq!(bench.link().materials.keys().collect::<Vec<_>>(), ["key.pem", "key.pem.pub", "src/a.c"]);
}
