//! The program itself, killed without a warning: what it acknowledged is there when it comes back.

use super::{
    databases::{On, Place, on_both},
    program::Program,
    shop::*,
};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};
use tidewaiter::digest::Digest;

on_both!(acknowledged_records_survive_a_kill, migrate_makes_the_tables_and_serve_refuses_without);

async fn acknowledged_records_survive_a_kill(on: On) {
    let (place, keys) = (Place::new(on), Keys::new());
    std::fs::write(place.dir.path().join("chains.yaml"), documents(&keys)).unwrap();
    let http = client();
    let layout = seal(&layout(&keys, FUTURE, ""), &[&keys.alice, &keys.bob]);
    let image = |round: usize, number: usize| Digest::sha256(format!("image {round} {number}").as_bytes());
    let link = |round, number| seal(&link("build", &image(round, number)), &[&keys.ci]);
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let program = Program::start(place.dir.path(), &place.url, &[], &[]);
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
    let program = Program::start(place.dir.path(), &place.url, &[], &[]);
    for (round, number) in &acknowledged {
        let url = format!("{}/v1/evidence/{}", program.url, image(*round, *number));
        let body: serde_json::Value = http.get(url).bearer_auth(CLUSTER).send().await.unwrap().json().await.unwrap();
        let name = link(*round, *number).name;
        assert!(body["records"].as_array().unwrap().iter().any(|r| r["digest"] == name), "{round} {number}: {body}");
        // And a retry of what was acknowledged finds it.
        assert_eq!(program.put(&http, CI, &link(*round, *number)).await, Some(200));
    }
}

async fn migrate_makes_the_tables_and_serve_refuses_without(on: On) {
    let place = Place::new(on);
    std::fs::write(place.dir.path().join("chains.yaml"), documents(&Keys::new())).unwrap();
    let (line, output) = serve_and_end(place.dir.path(), &["--database", &place.url, "--migrate=false"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((line.as_str(), output.status.code()), ("", Some(2)), "{stderr}");
    assert!(stderr.contains("database_behind: the database has 0 of"), "{stderr}");
    for _ in 0..2 {
        let output = migrate(&place.url);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("up to date"), "{output:?}");
    }
    let (line, output) = serve_and_end(place.dir.path(), &["--database", &place.url, "--migrate=false"]);
    assert!(line.starts_with("store listening on"), "{output:?}");
}

fn migrate(database: &str) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
    command.args(["store", "migrate", "--database", database]).output().unwrap()
}

#[test]
fn what_is_no_database_is_refused_and_a_password_not_repeated() {
    let refused = migrate("mysql://me:secret@host/db");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr.contains("expected sqlite:PATH or postgres://") && !stderr.contains("secret"), "{stderr}");
    let away = migrate("postgres://me:secret@127.0.0.1:1/db");
    let stderr = String::from_utf8_lossy(&away.stderr);
    assert_eq!(away.status.code(), Some(2));
    assert!(stderr.contains("database postgres://127.0.0.1:1/db") && !stderr.contains("secret"), "{stderr}");
}

#[test]
fn a_configuration_in_error_starts_nothing() {
    let keys = Keys::new();
    let good = documents(&keys);
    let cases = [
        (good.replace("\"trust\":\"owners\"", "\"trust\":\"nobody\""), "there is no TrustRoot \"nobody\""),
        (good.replace("\"threshold\":2", "\"threshold\":3"), "3 owners must sign, and \"owners\" has 2 keys"),
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
        let database = format!("sqlite:{}", dir.path().join("store.db").display());
        let (line, output) = serve_and_end(dir.path(), &["--database", &database]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((line.as_str(), output.status.code()), ("", Some(2)), "{stderr}");
        assert!(stderr.contains(expected), "{expected}: {stderr}");
        assert!(!dir.path().join("store.db").exists(), "nothing is made before the documents were read");
    }
}

/// Starts a server and ends it at once should it have come up: its first line and what it leaves.
fn serve_and_end(dir: &Path, arguments: &[&str]) -> (String, std::process::Output) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
        .args(["store", "serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(dir)
        .args(arguments)
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
