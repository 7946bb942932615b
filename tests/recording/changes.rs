//! A file that was hashed before the command is read again when it could have changed, whatever the command does to hide it.

use super::bench::Bench;
use std::{fs, thread, time::Duration};

/// Records everything before and after the script; the hash of `victim` on either side.
fn hashes(bench: &Bench, script: &str) -> (String, String) {
    bench.fresh("tree");
    // So old that its ctime is no longer that of this moment.
    fs::write(bench.tree().join("victim"), "good").unwrap();
    fs::write(bench.tree().join("other"), "evil").unwrap();
    let reference = bench.tree().join("other");
    assert!(
        std::process::Command::new("touch")
            .args(["-r"])
            .arg(bench.tree().join("victim"))
            .arg(reference)
            .status()
            .unwrap()
            .success()
    );
    thread::sleep(Duration::from_millis(250));
    let out = bench.fresh("out");
    bench
        .ours(&[
            "run",
            "-s",
            "s",
            "--key",
            "../key.pem",
            "--metablock",
            "-d",
            out.to_str().unwrap(),
            "-m",
            ".",
            "-p",
            ".",
            "--",
            "sh",
            "-ec",
            script,
        ])
        .succeeded();
    let (_, link) = bench.links(&out).remove(0);
    let hash = |side: &str| link[side]["victim"]["sha256"].as_str().unwrap().to_owned();
    (hash("materials"), hash("products"))
}

#[test]
fn the_new_content_is_recorded_whatever_is_done_to_its_times() {
    let bench = Bench::new();
    let hash = |text: &[u8]| tidewaiter::Digest::sha256(text).hex().to_owned();
    let (good, evil) = (hash(b"good"), hash(b"evil"));
    for script in [
        // Same size, and its mtime put back to the nanosecond.
        "cp -p victim ../kept; printf evil > victim; touch -r ../kept victim",
        // In place, through an open descriptor.
        "cp -p victim ../kept; printf evil 1<>victim; touch -r ../kept victim",
        // Another file under its name, as old.
        "mv other victim",
        "ln -f other victim",
        "cp -p other new; mv new victim",
        // The two names exchanged.
        "mv victim x; mv other victim; mv x other",
        // The name a link now.
        "rm victim; ln -s other victim",
    ] {
        assert_eq!(hashes(&bench, script), (good.clone(), evil.clone()), "{script}");
    }
    // What nobody touched is what it was, and so is what was written over with itself.
    for script in ["true", "printf good > victim", "touch victim", "cp victim x; mv x victim"] {
        assert_eq!(hashes(&bench, script), (good.clone(), good.clone()), "{script}");
    }
}

/// Another file mounted over it: as old, as large, on the same file system or on one whose clock is not ours.
#[test]
fn what_is_mounted_over_a_file_is_another_file() {
    let bench = Bench::new();
    fs::write(bench.tree().join("victim"), "good").unwrap();
    fs::write(bench.root().join("evil"), "evil").unwrap();
    let touch = "touch -r victim ../evil; sleep 0.3";
    // In a space of mounts of its own, which ends with it: the command and the recorder share it.
    let script = format!(
        "{touch}; exec \"$0\" run -s s --key ../key.pem --metablock -d ../out -m . -p . -- sh -ec 'mount --bind ../evil victim'"
    );
    let out = bench.fresh("out");
    // As root of a space of users where we are not root.
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-ec", &script, env!("CARGO_BIN_EXE_tidewaiter")])
        .current_dir(bench.tree())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_, link) = bench.links(&out).remove(0);
    let hash = |text: &[u8]| tidewaiter::Digest::sha256(text).hex().to_owned();
    assert_eq!(link["materials"]["victim"]["sha256"], hash(b"good"));
    assert_eq!(link["products"]["victim"]["sha256"], hash(b"evil"));
}
