//! The program itself, killed without a warning: what it acknowledged is there when it comes back.

use super::shop::*;
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};
use tidewaiter::digest::Digest;

/// `tidewaiter store serve` as a process of its own; killed when dropped.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args(["store", "serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(dir.join("chains.yaml"))
            .arg("--database")
            .arg(format!("sqlite:{}", dir.join("store.db").display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("store listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Program { child, url }
    }

    async fn put(&self, http: &reqwest::Client, token: &str, record: &Record) -> Option<u16> {
        let put = http.put(format!("{}/v1/records/{}", self.url, record.name)).bearer_auth(token);
        Some(put.body(record.bytes.clone()).send().await.ok()?.status().as_u16())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL; it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_records_survive_a_kill() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), Keys::new());
    std::fs::write(dir.path().join("chains.yaml"), documents(&keys)).unwrap();
    let http = client();
    let layout = seal(&layout(&keys, FUTURE, ""), &[&keys.alice, &keys.bob]);
    let image = |round: usize, number: usize| Digest::sha256(format!("image {round} {number}").as_bytes());
    let link = |round, number| seal(&link("build", &image(round, number)), &[&keys.ci]);
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let program = Program::start(dir.path());
        let status = program.put(&http, LAPTOP, &layout).await;
        assert_eq!(status, Some(if round == 0 { 201 } else { 200 }));
        // Eight at a time; the kill comes while others are being written.
        let mut writes = futures::stream::FuturesUnordered::new();
        let (mut next, mut answered) = (0, 0);
        while answered < 8 + 5 * round {
            while writes.len() < 8 {
                let (record, number) = (link(round, next), next);
                let (program, http) = (&program, &http);
                writes.push(async move { (number, program.put(http, CI, &record).await) });
                next += 1;
            }
            let (number, status) = futures::StreamExt::next(&mut writes).await.unwrap();
            assert_eq!(status, Some(201));
            acknowledged.push((round, number));
            answered += 1;
        }
        drop(writes);
        drop(program);
    }
    let program = Program::start(dir.path());
    for (round, number) in &acknowledged {
        let url = format!("{}/v1/evidence/{}", program.url, image(*round, *number));
        let body: serde_json::Value = http.get(url).bearer_auth(CLUSTER).send().await.unwrap().json().await.unwrap();
        let name = link(*round, *number).name;
        assert!(body["records"].as_array().unwrap().iter().any(|r| r["digest"] == name), "{round} {number}: {body}");
        // And a retry of what was acknowledged finds it.
        assert_eq!(program.put(&http, CI, &link(*round, *number)).await, Some(200));
    }
}

#[test]
fn migrate_makes_the_tables_and_says_so_again() {
    let dir = tempfile::tempdir().unwrap();
    let migrate = |database: &str| {
        Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args(["store", "migrate", "--database", database])
            .output()
            .unwrap()
    };
    let database = format!("sqlite:{}", dir.path().join("store.db").display());
    for _ in 0..2 {
        let output = migrate(&database);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("up to date"), "{output:?}");
    }
    let refused = migrate("postgres://host/db");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("expected sqlite:PATH"), "{refused:?}");
}

#[test]
fn a_configuration_in_error_starts_nothing() {
    let keys = Keys::new();
    let good = documents(&keys);
    let cases = [
        (good.replace("\"trust\":\"owners\"", "\"trust\":\"nobody\""), "there is no TrustRoot \"nobody\""),
        (good.replace("\"threshold\":2", "\"threshold\":3"), "3 owners must sign, and \"owners\" has 2 keys"),
        (good.replace("\"readers\"", "\"quarantine\":true,\"readers\""), "spec.quarantine: is not supported yet"),
        (good.replace("\"images\"", "\"image\""), "image"),
        (
            good.replacen("\"tokenHash\"", "\"mtls\":{\"spiffe\":\"spiffe://*/a\"},\"tokenHash\"", 1),
            "has several of tokenHash",
        ),
        (owners(&keys).to_string(), "the configuration has no Chain"),
    ];
    for (documents, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("chains.yaml"), documents).unwrap();
        let (line, output) = serve_and_end(dir.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((line.as_str(), output.status.code()), ("", Some(2)), "{stderr}");
        assert!(stderr.contains(expected), "{expected}: {stderr}");
        assert!(!dir.path().join("store.db").exists(), "nothing is made before the documents were read");
    }
}

/// Starts a server and ends it at once should it have come up: its first line and what it leaves.
fn serve_and_end(dir: &Path) -> (String, std::process::Output) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
        .args(["store", "serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(dir)
        .arg("--database")
        .arg(format!("sqlite:{}", dir.join("store.db").display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.is_empty() {
        child.kill().unwrap();
    }
    (line, child.wait_with_output().unwrap())
}
