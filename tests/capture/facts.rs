//! What a link says beside its artifacts.

use super::bench::{Bench, code};
use serde_json::json;
use std::process::Command;

const GITHUB: [(&str, &str); 8] = [
    ("GITHUB_ACTIONS", "true"),
    ("GITHUB_SERVER_URL", "https://github.example.com"),
    ("GITHUB_REPOSITORY", "shop/api"),
    ("GITHUB_RUN_ID", "9001"),
    ("GITHUB_RUN_ATTEMPT", "1"),
    ("GITHUB_JOB", "build"),
    ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
    ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
];

#[test]
fn the_system_the_run_and_the_command() {
    let bench = Bench::new();
    let environment = [&GITHUB[..], &[("FLAVOUR", "strawberry"), ("OTHER", "unasked")]].concat();
    code(
        &bench.step(
            &environment,
            &["--env", "FLAVOUR", "--", "sh", "-c", "i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done; exit 3"],
        ),
        3,
    );
    let facts = bench.facts();
    for (name, value) in [
        ("cicd.system", json!("github")),
        ("cicd.pipeline.run.id", json!("9001")),
        ("cicd.pipeline.task.name", json!("build")),
        ("cicd.pipeline.task.run.result", json!("failure")),
        ("vcs.ref.head.revision", json!("0123456789abcdef0123456789abcdef01234567")),
        ("tidewaiter.run", json!("https://github.example.com/shop/api/9001/1")),
        ("process.exit.code", json!(3)),
        ("process.environment_variable.FLAVOUR", json!("strawberry")),
        ("traceparent", json!(GITHUB[7].1)),
        ("os.type", json!(std::env::consts::OS)),
        ("tidewaiter.version", json!(env!("CARGO_PKG_VERSION"))),
        ("tidewaiter.redactions", json!(0)),
    ] {
        assert_eq!(facts[name], value, "{name}: {facts:#}");
    }
    for counted in ["step.duration_ms", "process.cpu.user_ms", "process.cpu.system_ms", "process.memory.bytes_max"] {
        assert!(facts[counted].as_i64().is_some(), "{counted}: {facts:#}");
    }
    let bytes = std::fs::read(super::bench::PROGRAM).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    assert_eq!(facts["tidewaiter.digest"], format!("sha256:{}", hex::encode(digest)));
    assert!(!bench.payload().contains("unasked"));
    // Beside in-toto's own fields, none of which is other than in-toto-run's.
    let link = bench.link();
    let byproducts = serde_json::Value::from(&link.byproducts);
    assert_eq!(byproducts, json!({"return-value": 3, "stdout": "", "stderr": ""}));
}

#[test]
fn a_signal_and_codes_that_are_no_failure() {
    let bench = Bench::new();
    code(&bench.step(&[], &["--", "sh", "-c", "kill -TERM $$"]), 143);
    assert_eq!(
        (&bench.facts()["process.exit.signal"], &bench.facts()["process.exit.code"]),
        (&json!(15), &json!(null))
    );
    code(&bench.step(&[], &["--ok-codes", "0,2", "--", "sh", "-c", "exit 2"]), 2);
    assert_eq!(bench.facts()["cicd.pipeline.task.run.result"], "success");
    std::fs::remove_file(bench.path("out.link")).unwrap();
    code(&bench.step(&[], &["--no-record-failure", "--", "sh", "-c", "exit 2"]), 2);
    assert!(!bench.path("out.link").exists());
    code(&bench.step(&[], &["--no-record-failure", "--ok-codes", "2", "--", "sh", "-c", "exit 2"]), 2);
    assert!(bench.path("out.link").exists());
}

#[test]
fn none_where_none_are_wanted() {
    let bench = Bench::new();
    let facts = || serde_json::Value::from(&bench.link().environment);
    code(&bench.step(&GITHUB, &["--facts", "never", "--", "true"]), 0);
    assert_eq!(facts(), json!({}));
    // What belongs to no run and goes nowhere is as in-toto-run's.
    for nothing in [&[][..], &[("CI", "true")]] {
        let nothing = [nothing, &[("TIDEWAITER_FACTS", "auto")]].concat();
        code(&bench.step(&nothing, &["--", "true"]), 0);
        assert_eq!(facts(), json!({}));
        code(&bench.step(&nothing, &["--run", "7", "--", "true"]), 0);
        assert_eq!(facts()["facts"]["tidewaiter.run"], "7");
    }
    // The older container takes them too: no fraction is among them.
    code(&bench.step(&GITHUB, &["--metablock", "--", "true"]), 0);
    assert!(std::fs::read_to_string(bench.path("out.link")).unwrap().contains("cicd.pipeline.run.id"));
}

#[test]
fn the_commit_that_is_checked_out() {
    let bench = Bench::new();
    bench.write("main.c", "int main;\n");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(args);
        bench.clean(&mut command);
        let output = command.output().unwrap();
        code(&output, 0);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["remote", "add", "origin", "https://me:swordfish@git.example.com/shop/api.git"]);
    git(&["add", "main.c"]);
    git(&["commit", "-q", "-m", "one"]);
    code(&bench.step(&[], &["--", "true"]), 0);
    let facts = bench.facts();
    assert_eq!(facts["vcs.ref.head.revision"], git(&["rev-parse", "HEAD"]));
    assert_eq!(facts["git.tree"], git(&["rev-parse", "HEAD^{tree}"]));
    assert_eq!(
        (&facts["vcs.dirty"], &facts["commit.signed"], &facts["commit.signature"]),
        (&json!(false), &json!(false), &json!("none"))
    );
    assert_eq!(facts["vcs.repository.url.full"], "https://git.example.com/shop/api.git");
    assert_eq!(facts["vcs.ref.head.name"], "main");
    assert!(!bench.payload().contains("swordfish"));

    // Signed by a key of ssh, as developers do.
    let keygen =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(bench.path("id")).status();
    if keygen.is_ok_and(|status| status.success()) {
        let id = bench.path("id");
        let format = ["-c", "gpg.format=ssh", "-c", &format!("user.signingkey={}", id.display())].map(str::to_owned);
        let format: Vec<&str> = format.iter().map(String::as_str).collect();
        git(&[&format[..], &["commit", "-q", "-S", "--allow-empty", "-m", "two"]].concat());
        bench.write("main.c", "int other;\n");
        code(&bench.step(&[], &["--", "true"]), 0);
        let facts = bench.facts();
        assert_eq!(
            (&facts["commit.signed"], &facts["commit.signature"], &facts["vcs.dirty"]),
            (&json!(true), &json!("ssh"), &json!(true))
        );
    }
}

#[test]
fn ci_shows_what_would_be_sent_and_never_the_token() {
    let bench = Bench::new();
    let claims = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        r#"{"iss":"https://ci.example.com","sub":"repo:shop/api","aud":"tidewaiter"}"#,
    );
    let token = format!("e30.{claims}.c2lnbmF0dXJl");
    let environment = [
        &GITHUB[..],
        &[("TIDEWAITER_ID_TOKEN", token.as_str()), ("DEPLOY_TOKEN", "hunter2hunter2"), ("NOTE", "has hunter2hunter2")],
    ]
    .concat();
    let output = bench.run_in(
        &environment,
        &["ci", "--store", "https://store.example.com", "--chain", "shop", "--env", "NOTE", "--output", "json"],
    );
    code(&output, 0);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&shown["system"], &shown["chain"], &shown["store"]),
        (&json!("github"), &json!("shop"), &json!("https://store.example.com"))
    );
    assert_eq!(shown["run"], "https://github.example.com/shop/api/9001/1");
    assert_eq!(shown["identity"]["issuer"], "https://ci.example.com");
    assert_eq!(
        (&shown["identity"]["subject"], &shown["identity"]["audience"]),
        (&json!("repo:shop/api"), &json!(["tidewaiter"]))
    );
    assert_eq!(shown["facts"]["process.environment_variable.NOTE"], "has [redacted:DEPLOY_TOKEN]");
    assert_eq!(shown["redactions"], 1);
    let text = bench.run_in(&environment, &["ci"]);
    code(&text, 0);
    for output in [output, text] {
        let all = String::from_utf8(output.stdout).unwrap();
        assert!(!all.contains(&token) && !all.contains("hunter2") && all.contains("repo:shop/api"), "{all}");
    }
    let nowhere = bench.run(&["ci"]);
    code(&nowhere, 0);
    assert!(String::from_utf8(nowhere.stdout).unwrap().contains("none that is known"));
}
