//! What it takes to read an envelope, in memory that is held at once. A process of its own reads each, since a process is what is measured.
#![cfg(target_os = "linux")]

use serde_json::json;
use std::{env, fs, hint::black_box, path::Path, process::Command};
use tidewaiter::{
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    json::{self, Limits},
    key::{Scheme, SecretKey},
};

/// The resident set, now (`VmRSS`) or at its largest (`VmHWM`), in bytes.
fn resident(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// The most that was held at once, beyond what was held before.
fn most<T>(work: impl FnOnce() -> T) -> (usize, T) {
    // The largest begins anew (proc(5)).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = resident("VmRSS");
    let made = black_box(work());
    (resident("VmHWM").saturating_sub(before), made)
}

/// The file that the process reads, and whether as a tree.
const FILE: &str = "TIDEWAITER_MEMORY_FILE";
const TREE: &str = "TIDEWAITER_MEMORY_TREE";

/// What a process of its own needs for the file, beside its bytes.
fn needed(file: &Path, tree: bool) -> usize {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "an_envelope_is_read_without_a_tree", "--nocapture"]).env(FILE, file);
    if tree {
        command.env(TREE, "1");
    }
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let found = output.lines().find_map(|line| line.split_once("needed ")?.1.parse().ok());
    found.unwrap_or_else(|| panic!("{output}"))
}

/// In the process of its own: says what it needed.
fn read_it(file: &Path) {
    let bytes = fs::read(file).unwrap();
    let bytes_needed = match env::var_os(TREE) {
        Some(_) => most(|| json::parse(&bytes, &Limits::METADATA).unwrap()).0,
        None => most(|| Envelope::parse(&bytes).unwrap()).0,
    };
    println!("needed {bytes_needed}");
}

/// R12: the canonical form of a Metablock is written while it is read, and of a DSSE envelope the payload is decoded and no more. Either takes
/// little more than the text, where a tree of it takes more than twice as much.
#[test]
fn an_envelope_is_read_without_a_tree() {
    if let Some(file) = env::var_os(FILE) {
        return read_it(Path::new(&file));
    }
    let artifact = |n: usize| (format!("src/module-{n:06}/file.c"), json!({"sha256": format!("{n:064x}")}));
    let artifacts: serde_json::Map<_, _> = (0..30_000).map(artifact).collect();
    let link = json!({"_type": "link", "name": "build", "command": [], "byproducts": {}, "environment": {},
        "materials": artifacts, "products": {}});
    let key = SecretKey::generate(Scheme::Ed25519).unwrap();
    let metablock = Envelope::sign_metablock((&link).into(), &[&key]).unwrap().to_bytes();
    let dsse = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, link.to_string().into_bytes(), &[&key]).unwrap().to_bytes();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("envelope");
    fs::write(&file, &metablock).unwrap();
    let tree = needed(&file, true);
    assert!(tree > 2 * metablock.len(), "a tree of {} bytes takes {tree}: nothing would be seen", metablock.len());
    for bytes in [metablock, dsse] {
        fs::write(&file, &bytes).unwrap();
        let found = needed(&file, false);
        println!("{} bytes need {found}, a tree {tree}", bytes.len());
        assert!(found < 2 * bytes.len(), "{} bytes need {found}", bytes.len());
    }
}
