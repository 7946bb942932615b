//! The capture tool killed, without a disk, without a network (security F23).

use super::bench::{Bench, PROGRAM, TOKEN, code, nowhere, said};
use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tidewaiter::envelope::Envelope;

/// Every link and every record there is can be read.
#[track_caller]
fn nothing_half(bench: &Bench) {
    let entries = fs::read_dir(bench.directory.path()).unwrap().map(|entry| entry.unwrap().path());
    for path in entries.filter(|path| path.extension().is_some_and(|extension| extension == "link")) {
        assert!(Envelope::parse(&fs::read(&path).unwrap()).is_ok(), "{}", path.display());
    }
    for path in bench.spooled().0 {
        let record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, record["envelope"].as_str().unwrap())
                .unwrap();
        assert_eq!(Envelope::parse(&bytes).unwrap().digest().to_string(), record["digest"]);
    }
}

#[test]
fn killed_at_any_moment_leaves_nothing_half() {
    let bench = Bench::new();
    for file in 0..200 {
        bench.write(&format!("src/{file}"), &"x".repeat(10_000));
    }
    let down = nowhere();
    let args = ["run", "--step", "build", "--key", "key.pem", "-m", "src", "-p", "src", "--store", &down, "--", "true"];
    let start = Instant::now();
    code(&bench.run(&args), 0);
    let whole = start.elapsed();
    assert_eq!(bench.spooled().0.len(), 1);
    let mut killed = 0;
    for moment in 0..16_u32 {
        let mut child = bench.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(whole * moment / 14);
        let _ = child.kill();
        killed += u32::from(child.wait().unwrap().code().is_none());
        nothing_half(&bench);
    }
    assert!(killed >= 4, "only {killed} were killed before their end");
    // Whoever comes next is not held up by what the dead left.
    code(&bench.run(&args), 0);
    nothing_half(&bench);
}

#[test]
fn a_full_disk_is_125_and_leaves_nothing_half() {
    let bench = Bench::new();
    for file in 0..500 {
        bench.write(&format!("src/{file}-{}", "n".repeat(100)), "");
    }
    // A disk of its own, of 64 KiB, in a name space of its own.
    let disk = bench.path("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k tidewaiter disk || exit 99\n\
         '{PROGRAM}' run --step build --key key.pem -m src -d disk -- touch ran-1; echo \"first $?\"\n\
         '{PROGRAM}' run --step build --key key.pem -m src -o out.link --spool disk --store {} -- touch ran-2; echo \"second $?\"\n\
         ls -A disk | wc -l\n",
        nowhere()
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    bench.clean(&mut command);
    let output = command.output().unwrap();
    code(&output, 0);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    // The link does not fit: 125. The link is on another disk and the spool is full: a warning, and the command's own code.
    assert_eq!(
        told.split_whitespace().collect::<Vec<_>>(),
        ["first", "125", "second", "0", "0"],
        "{told}{}",
        said(&output)
    );
    assert!(said(&output).contains("nor is it in the spool"), "{}", said(&output));
    // The command had run, and its work is kept.
    assert!(bench.path("ran-1").exists() && bench.path("ran-2").exists() && bench.path("out.link").exists());
    nothing_half(&bench);
}

#[test]
fn without_a_network_or_a_home_the_exit_code_is_the_commands() {
    let bench = Bench::new();
    let down = nowhere();
    // Names that resolve nowhere, a token that nobody gives, no place for a spool.
    let unresolvable = bench.step(&[], &["--store", "https://store.invalid", "--", "sh", "-c", "exit 9"]);
    code(&unresolvable, 9);
    assert!(said(&unresolvable).contains("waits in the spool"), "{}", said(&unresolvable));
    let environment = [
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", down.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", TOKEN),
    ];
    let nobody = bench.step(&environment, &["--store", &down, "--", "sh", "-c", "exit 9"]);
    code(&nobody, 9);
    assert!(
        said(&nobody).contains("ask the CI system for a token") && !said(&nobody).contains(TOKEN),
        "{}",
        said(&nobody)
    );
    let args =
        ["run", "--step", "build", "--key", "key.pem", "-o", "out.link", "--store", &down, "--", "sh", "-c", "exit 9"];
    let homeless = bench.command(&args).env_remove("TIDEWAITER_SPOOL").env_remove("HOME").output().unwrap();
    code(&homeless, 9);
    assert!(said(&homeless).contains("no place for a spool"), "{}", said(&homeless));
    thread::sleep(Duration::from_millis(1));
    nothing_half(&bench);
}
