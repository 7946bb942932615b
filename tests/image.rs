//! Our container image: just what is needed, for a user without rights, the same bytes each time, and it runs.

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const BASE: [&str; 8] = [
    "etc/group",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/ssl/certs/ca-certificates.crt",
    "lib/x86_64-linux-gnu/libc.so.6",
    "lib/x86_64-linux-gnu/libgcc_s.so.1",
    "lib/x86_64-linux-gnu/libm.so.6",
    "lib64/ld-linux-x86-64.so.2",
];
const BYTES_MAX: u64 = 40_000_000;

fn ran(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn build(out: &Path) -> String {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("image/build"));
    ran(command.arg(out).env("TIDEWAITER_BINARY", env!("CARGO_BIN_EXE_tidewaiter")))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_image_holds_what_it_needs_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first.tar"), dir.path().join("second.tar"));
    assert_eq!(build(&first), build(&second));
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "two builds differ");

    let layout = dir.path().join("layout");
    fs::create_dir(&layout).unwrap();
    ran(Command::new("tar").arg("-xf").arg(&first).arg("-C").arg(&layout));
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        layout.join("blobs").join(digest.replace(':', "/"))
    };
    let manifest = json(&blob(&json(&layout.join("index.json"))["manifests"][0]));
    let config = &json(&blob(&manifest["config"]))["config"];
    let name = &json(&layout.join("index.json"))["manifests"][0]["annotations"]["io.containerd.image.name"];
    assert_eq!(
        *name,
        format!("ghcr.io/tidewaiter/tidewaiter:{}", env!("CARGO_PKG_VERSION")),
        "as the chart asks for it"
    );
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/usr/bin/tidewaiter"]));

    let layers = manifest["layers"].as_array().unwrap();
    let bytes: u64 = layers.iter().map(|layer| layer["size"].as_u64().unwrap()).sum();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let mut files = Vec::new();
    for layer in layers {
        let list = ran(Command::new("tar").arg("-tzf").arg(blob(layer)));
        files.extend(list.lines().filter(|line| !line.ends_with('/')).map(str::to_owned));
        ran(Command::new("tar").arg("-xzf").arg(blob(layer)).arg("-C").arg(&root));
    }
    let mut expected: Vec<&str> = BASE.to_vec();
    expected.push("usr/bin/tidewaiter");
    files.sort_unstable();
    assert_eq!(files, expected, "nothing to log in with, and nothing else");

    let version =
        ran(Command::new("chroot").arg("--userspec=65532:65532").arg(&root).args(["/usr/bin/tidewaiter", "version"]));
    assert!(version.starts_with("tidewaiter "), "{version}");
}

/// A machine newer than the image's C library builds programs that would not start there.
#[test]
fn a_program_for_a_newer_c_library_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = fs::read(env!("CARGO_BIN_EXE_tidewaiter")).unwrap();
    let (old, new) = (b"GLIBC_2.34\0", b"GLIBC_9.99\0");
    let places: Vec<usize> = (0..program.len() - old.len()).filter(|&at| program[at..].starts_with(old)).collect();
    assert!(!places.is_empty());
    for at in places {
        program[at..at + new.len()].copy_from_slice(new);
    }
    let (newer, out) = (dir.path().join("newer"), dir.path().join("out.tar"));
    fs::write(&newer, program).unwrap();
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("image/build"));
    let output = command.arg(&out).env("TIDEWAITER_BINARY", &newer).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("needs GLIBC_9.99"), "{told}");
    assert!(!out.exists());
}
