//! in-toto 1.4, the last before signatures and key ids were made anew: its ids cover the hash algorithms (K1), and what it signs and verifies
//! is what its model writes of a file, not the file (R1). What it made verifies with us; what only its model hides does not.

use super::tools::{Bench, Ran};
use serde_json::Value;
use std::fs;

/// An owner, a functionary, and a link of `build` by `in-toto-run` of old.
fn recorded() -> Bench {
    let bench = Bench::new();
    for key in ["owner.pem", "ci.pem"] {
        // It reads RSA in the container of its time alone.
        openssl(&bench, &["genrsa", "-traditional", "-out", key, "2048"]);
        openssl(&bench, &["rsa", "-in", key, "-pubout", "-out", &format!("{key}.pub")]);
    }
    bench.write("src", "source");
    fs::create_dir(bench.path("links")).expect("a folder");
    let run = ["-n", "build", "-k", "ci.pem", "-m", "src", "-p", "api", "-d", "links", "--", "cp", "src", "api"];
    bench.tool("in-toto-run-1.4", &run).expect(0);
    bench.write("old.py", include_str!("old.py"));
    bench.tool("python3-in-toto-1.4", &["old.py"]).expect(0);
    bench
}

fn openssl(bench: &Bench, args: &[&str]) {
    let output = bench.command("openssl").args(args).output().expect("openssl runs");
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn ours(bench: &Bench, more: &[&str]) -> Ran {
    let given = ["in-toto", "verify", "--layout", "root.layout", "--key", "owner.pem.pub", "--links", "links"];
    bench.tidewaiter(&[&given[..], &["--output", "json"], more].concat())
}

fn theirs(bench: &Bench) -> Ran {
    let given = ["--layout", "root.layout", "--layout-keys", "owner.pem.pub", "--link-dir", "links"];
    bench.tool("in-toto-verify-1.4", &given)
}

/// Changes the one link, under the signature it has.
fn change(bench: &Bench, change: impl FnOnce(&mut Value)) {
    let mut files = fs::read_dir(bench.path("links")).expect("a folder");
    let path = files.next().expect("a link").expect("an entry").path();
    let mut link: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    change(&mut link["signed"]);
    fs::write(&path, link.to_string()).expect("a file");
}

#[test]
fn what_it_recorded_and_signed_is_verified() {
    let bench = recorded();
    theirs(&bench).expect(0);
    let verdict = ours(&bench, &[]).expect(0).json();
    assert_eq!(verdict["steps"][0]["name"], "build", "{verdict}");
    // Its ids cover the hash algorithms: none that we would write.
    let id = verdict["steps"][0]["signers"][0].as_str().expect("an id").to_owned();
    let key = fs::read_to_string(bench.path("ci.pem.pub")).expect("a key");
    let key = tidewaiter::PublicKey::from_pem(&key).expect("a key");
    assert!(key.id() != id && key.ids().contains(&id), "{id}");
    change(&bench, |link| link["products"]["api"]["sha256"] = "00".repeat(32).into());
    theirs(&bench).expect(1);
    let verdict = ours(&bench, &[]).expect(3).json();
    assert_eq!(verdict["reason"], "threshold_not_met", "{verdict}");
}

#[test]
fn what_its_model_leaves_out_is_seen() {
    let bench = recorded();
    change(&bench, |link| link["approved"] = true.into());
    theirs(&bench).expect(0);
    let verdict = ours(&bench, &[]).expect(3).json();
    assert_eq!(verdict["reason"], "threshold_not_met", "{verdict}");
    ours(&bench, &["--profile", "compat"]).expect(0);
}
