//! What recording a step costs beside `in-toto-run`: 50,000 files, 372 MB, materials and products, the command being `true`.
//!
//! Wall and CPU time of whole processes in one run, the page cache warm for both. The peer is looked for where `TIDEWAITER_TOOLS_DIR`
//! points, which `make bench` sets.

#[path = "support/tree.rs"]
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tidewaiter::key::{Scheme, SecretKey};

/// Seconds over the command's own time.
const WALL_MAX: f64 = 2.0;
/// How many times the peer takes.
const FASTER: f64 = 7.0;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let tree = scratch.path().join("tree");
    let megabytes = tree::plant(&tree) as f64 / 1e6;
    let key = SecretKey::generate(Scheme::Ed25519).expect("a key");
    fs::write(scratch.path().join("key.pem"), key.to_pem().as_bytes()).expect("a key file");
    println!("{} files, {megabytes:.0} MB; the page cache is warm; seconds", tree::FILES);
    println!("{:>44} {:>7} {:>7} {:>9}", "", "wall", "CPU", "link MB");

    let ours = Path::new(env!("CARGO_BIN_EXE_tidewaiter"));
    let flags = ["run", "-s", "bench", "--key", "../key.pem", "-o", "../ours.link"];
    let mut rows = Vec::new();
    for (what, more) in [
        ("tidewaiter run, nothing recorded", &[][..]),
        ("tidewaiter run, materials", &["-m", "."]),
        ("tidewaiter run, materials and products", &["-m", ".", "-p", "."]),
        ("the same as a Metablock", &["-m", ".", "-p", ".", "--metablock"]),
    ] {
        let arguments = [&flags, more, &["--", "true"]].concat();
        let times = median((0..5).map(|_| run(ours, &arguments, &tree)).collect());
        show(what, times, &scratch.path().join("ours.link"));
        rows.push(times.0);
    }
    let whole = rows[2];
    let mut missed = Vec::new();
    if whole > WALL_MAX {
        missed.push(format!("{whole:.2} s, more than {WALL_MAX}"));
    }
    match peer() {
        None => println!("{:>44} {:>7}", "in-toto-run", "-"),
        Some(theirs) => {
            let flags = ["-n", "bench", "--signing-key", "../key.pem", "-d", "..", "-m", ".", "-p", ".", "--", "true"];
            let times = median((0..3).map(|_| run(&theirs, &flags, &tree)).collect());
            let link = fs::read_dir(scratch.path()).expect("a directory").filter_map(Result::ok);
            let link = link.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("bench."));
            show("in-toto-run, materials and products", times, &link.expect("in-toto-run writes a link"));
            let ratio = times.0 / whole;
            println!("{ratio:.1} times as fast");
            if ratio < FASTER {
                missed.push(format!("{ratio:.1} times as fast, less than {FASTER}"));
            }
        }
    }
    match missed.is_empty() {
        true => println!("every bar is met"),
        false => println!("missed: {}", missed.join("; ")),
    }
}

fn peer() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("TIDEWAITER_TOOLS_DIR")?).join("bin/in-toto-run");
    path.exists().then_some(path)
}

/// Wall and CPU seconds of one process. Of its children bash alone can tell without unsafe code.
fn run(program: &Path, arguments: &[&str], tree: &Path) -> (f64, f64) {
    let script = "TIMEFORMAT='%R %U %S'; time \"$@\" >/dev/null 2>../out.log || exit 1";
    let output =
        Command::new("bash").args(["-c", script, "bash"]).arg(program).args(arguments).current_dir(tree).output();
    let output = output.expect("bash");
    let said = fs::read_to_string(tree.join("../out.log")).unwrap_or_default();
    assert!(output.status.success(), "{} fails: {said}", program.display());
    let text = String::from_utf8(output.stderr).expect("times");
    let times: Vec<f64> = text.split_whitespace().map(|time| time.parse().expect("seconds")).collect();
    (times[0], times[1] + times[2])
}

fn median(mut times: Vec<(f64, f64)>) -> (f64, f64) {
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times[times.len() / 2]
}

fn show(what: &str, (wall, cpu): (f64, f64), link: &Path) {
    let megabytes = fs::metadata(link).map_or(0.0, |metadata| metadata.len() as f64 / 1e6);
    println!("{what:>44} {wall:>7.2} {cpu:>7.2} {megabytes:>9.1}");
}
