//! Secrets in the environment, the arguments and the output (security F23): none gets into what is signed.

use super::bench::{Bench, code, said};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fs;

const SECRET: &str = "hunter2+hunter/2";
const ENVIRONMENT: [(&str, &str); 1] = [("DEPLOY_TOKEN", SECRET)];

/// The same in every form it travels in.
fn forms() -> Vec<String> {
    let percent = "hunter2%2Bhunter%2F2".to_owned();
    vec![
        SECRET.to_owned(),
        STANDARD.encode(SECRET),
        STANDARD.encode(format!("x{SECRET}")),
        STANDARD.encode(format!("xy{SECRET}z")),
        percent,
    ]
}

#[track_caller]
fn is_clean(bench: &Bench) {
    let (raw, payload) = (fs::read_to_string(bench.path("out.link")).unwrap(), bench.payload());
    for form in forms() {
        assert!(!payload.contains(&form) && !raw.contains(&form), "{form}: {payload}");
    }
    assert!(!payload.contains(&STANDARD.encode(SECRET)[..18]), "{payload}");
}

#[test]
fn in_arguments_and_output_in_every_form() {
    let bench = Bench::new();
    for form in forms() {
        let script = format!("echo '{form}'; echo 'err {form}' >&2");
        let output = bench.step(
            &ENVIRONMENT,
            &["--log-tail", "8KiB", "--env", "DEPLOY_TOKEN", "--", "sh", "-c", &script, "x", &form],
        );
        code(&output, 0);
        // The person sees it as ever.
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), form);
        is_clean(&bench);
        let link = bench.link();
        let stdout = link.byproducts.get("stdout").and_then(|text| text.as_str()).unwrap();
        assert!(stdout.contains("[redacted:") || stdout.contains("***"), "{stdout}");
        assert!(bench.facts()["tidewaiter.redactions"].as_u64().unwrap() >= 4);
        assert!(bench.facts()["tidewaiter.redactions.rules"].as_str().unwrap().contains("env:DEPLOY_TOKEN"));
    }
}

#[test]
fn options_urls_and_well_known_tokens() {
    let bench = Bench::new();
    let token = "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9";
    let args = ["--", "true", "--password", "swordfish", "https://me:trout-fish@git.example.com/x", token];
    code(&bench.step(&[], &args), 0);
    let payload = bench.payload();
    assert!(!payload.contains("swordfish") && !payload.contains("trout-fish") && !payload.contains(token), "{payload}");
    assert_eq!(bench.facts()["tidewaiter.redactions.rules"], "github-token,option,userinfo");
    // Where nothing is secret, the command is the layout's expected command.
    code(&bench.step(&ENVIRONMENT, &["--", "true", "--jobs", "4", "CC=gcc"]), 0);
    assert_eq!(bench.link().command, ["true", "--jobs", "4", "CC=gcc"]);
}

#[test]
fn a_name_is_said_and_what_is_to_fail_runs_nothing() {
    let bench = Bench::new();
    bench.write("src/hunter22.txt", "x");
    let named = [("DEPLOY_TOKEN", "hunter22")];
    let output = bench.step(&named, &["-m", "src", "--", "true"]);
    code(&output, 0);
    assert!(said(&output).contains("\"src/[redacted:DEPLOY_TOKEN].txt\" holds a secret"), "{}", said(&output));
    assert!(bench.link().materials.get("src/hunter22.txt").is_some());
    fs::remove_file(bench.path("out.link")).unwrap();

    let output = bench.step(&named, &["-m", "src", "--on-secret", "fail", "--", "true"]);
    code(&output, 125);
    assert!(said(&output).contains("would hold 1 secrets (DEPLOY_TOKEN)"), "{}", said(&output));
    let output = bench.step(&named, &["--on-secret", "fail", "--", "sh", "-c", "touch ran; : hunter22"]);
    code(&output, 125);
    assert!(!bench.path("ran").exists() && !bench.path("out.link").exists());
    // And what holds none is signed.
    code(&bench.step(&named, &["--on-secret", "fail", "--", "touch", "ran"]), 0);
    assert!(bench.path("ran").exists());
    let output = bench.step(&[], &["--on-secret", "warn", "--", "true", "AKIAIOSFODNN7EXAMPLE"]);
    code(&output, 0);
    assert!(said(&output).contains("aws-access-key") && bench.payload().contains("AKIAIOSFODNN7EXAMPLE"));
}

/// R38: the step has no share in the key.
#[test]
fn a_key_in_the_environment_signs_and_is_kept_from_the_command() {
    let bench = Bench::new();
    let pem = fs::read_to_string(bench.path("key.pem")).unwrap();
    let run = |pem: &str, script: &str| {
        let args = ["run", "--step", "build", "-o", "out.link", "--log-tail", "8KiB", "--", "sh", "-c", script];
        bench.run_in(&[("TIDEWAITER_KEY_PEM", pem)], &args)
    };
    for written in [pem.clone(), pem.replace('\n', "\\n")] {
        code(&run(&written, "test -z \"$TIDEWAITER_KEY_PEM\" && cat key.pem"), 0);
        let line = pem.lines().nth(1).unwrap();
        assert!(!bench.payload().contains(line), "{}", bench.payload());
    }
    let output = run("nonsense", "touch ran");
    code(&output, 125);
    assert!(said(&output).contains("TIDEWAITER_KEY_PEM") && !bench.path("ran").exists(), "{}", said(&output));
}

#[test]
fn the_tail_is_whole_lines_and_the_rest_passes_through() {
    let bench = Bench::new();
    let output = bench.step(
        &[],
        &["--log-tail", "1k", "--", "sh", "-c", "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done"],
    );
    code(&output, 0);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 500);
    let link = bench.link();
    let tail = link.byproducts.get("stdout").and_then(|text| text.as_str()).unwrap();
    assert!(tail.len() <= 1024 && tail.starts_with("line ") && tail.ends_with("line 499\n"), "{tail}");
}

#[test]
fn a_tail_has_a_most_which_the_help_names() {
    let bench = Bench::new();
    code(&bench.step(&[], &["--log-tail", "1MiB", "--", "true"]), 0);
    let output = bench.step(&[], &["--log-tail", "1025KiB", "--", "touch", "ran"]);
    code(&output, 125);
    assert!(said(&output).contains("--log-tail is at most 1MiB") && !bench.path("ran").exists(), "{}", said(&output));
    let help = bench.run(&["run", "--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains("at most 1MiB"), "{help}");
}
