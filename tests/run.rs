//! `tidewaiter run`, by the program itself: exit codes, what the link says, and what is left on the disk.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tidewaiter::{
    envelope::Envelope,
    intoto::{Link, Profile},
    key::{KeyRing, NamedKey, PublicKey},
    verify::quorum,
};

/// A directory with a key in it.
struct Bench {
    directory: tempfile::TempDir,
}
impl Bench {
    fn new() -> Self {
        let bench = Bench { directory: tempfile::tempdir().unwrap() };
        assert!(bench.run(&["key", "new", "-o", "key.pem"]).status.success());
        bench
    }
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
        command.current_dir(self.directory.path()).args(args).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEWAITER_")) {
            command.env_remove(name);
        }
        command.env("TIDEWAITER_SPOOL", self.path("spool"));
        command
    }
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
    /// `run --step build --key key.pem ARGS`.
    fn step(&self, args: &[&str]) -> Output {
        self.run(&[&["run", "--step", "build", "--key", "key.pem"], args].concat())
    }
    fn links(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_string_lossy().contains(".link")).collect()
    }
    fn key(&self) -> PublicKey {
        PublicKey::from_pem(&fs::read_to_string(self.path("key.pem.pub")).unwrap()).unwrap()
    }
    /// The one link, whose signature verifies.
    #[track_caller]
    fn link(&self) -> Link {
        let links = self.links();
        assert_eq!(links.len(), 1, "{links:?}");
        self.read(&links[0])
    }
    #[track_caller]
    fn read(&self, path: &Path) -> Link {
        let envelope = Envelope::parse(&fs::read(path).unwrap()).unwrap();
        let ring = KeyRing::new(vec![NamedKey { name: "key".into(), key: self.key() }]);
        assert_eq!(
            quorum::signers(&envelope, &ring, jiff::Timestamp::now()).len(),
            1,
            "{} is not signed by the key",
            path.display()
        );
        Link::of(&envelope, Profile::Strict).unwrap().link.unwrap()
    }
}
#[track_caller]
fn code(output: &Output, expected: i32) {
    assert_eq!(output.status.code(), Some(expected), "{}", String::from_utf8_lossy(&output.stderr));
}
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_link_says_what_went_in_and_what_came_out() {
    let bench = Bench::new();
    fs::create_dir(bench.path("src")).unwrap();
    fs::write(bench.path("src/main.c"), "int main;\n").unwrap();
    let script = "cat; echo out; echo err >&2; mkdir dist; cp src/main.c dist/app";
    let mut command = bench
        .command(&["run", "--step", "build", "--key", "key.pem", "-m", "src", "-p", "dist", "--", "sh", "-c", script]);
    command.stdin(fs::File::open(bench.path("src/main.c")).unwrap());
    let output = command.output().unwrap();
    code(&output, 0);
    // The command's own input and output, and nothing of ours in them.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "int main;\nout\n");
    assert_eq!(said(&output), "err\n");

    let link = bench.link();
    assert_eq!(link.name, "build");
    assert_eq!(link.command, ["sh", "-c", script]);
    assert_eq!(link.materials.keys().collect::<Vec<_>>(), ["src/main.c"]);
    assert_eq!(link.products.keys().collect::<Vec<_>>(), ["dist/app"]);
    assert_eq!(link.materials.get("src/main.c").unwrap(), link.products.get("dist/app").unwrap());
    let byproducts = serde_json::Value::from(&link.byproducts);
    assert_eq!(byproducts, serde_json::json!({ "stdout": "", "stderr": "", "return-value": 0 }));
    assert_eq!(serde_json::Value::from(&link.environment), serde_json::json!({}));

    let path = &bench.links()[0];
    let expected = format!("build.{}.link", &bench.key().id()[..8]);
    assert_eq!(path.file_name().unwrap().to_str(), Some(expected.as_str()));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o444, 0o444);
}

#[test]
fn exit_codes_are_those_of_the_command() {
    let bench = Bench::new();
    code(&bench.step(&["--", "sh", "-c", "exit 7"]), 7);
    assert_eq!(serde_json::Value::from(&bench.link().byproducts)["return-value"], 7);
    code(&bench.step(&["--", "sh", "-c", "kill -TERM $$"]), 128 + 15);
    assert_eq!(serde_json::Value::from(&bench.link().byproducts)["return-value"], -15);
}

#[test]
fn what_can_not_be_started_leaves_no_link() {
    let bench = Bench::new();
    code(&bench.step(&["--", "/nonexistent/program"]), 127);
    fs::write(bench.path("text"), "no program").unwrap();
    code(&bench.step(&["--", "./text"]), 126);
    assert_eq!(bench.links(), Vec::<PathBuf>::new());
}

#[test]
fn what_can_not_be_recorded_is_125_and_runs_nothing() {
    let bench = Bench::new();
    fs::write(bench.path("bad.pem"), "no key").unwrap();
    let loose = bench.path("loose.pem");
    fs::copy(bench.path("key.pem"), &loose).unwrap();
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o666)).unwrap();
    fs::create_dir(bench.path("loop")).unwrap();
    std::os::unix::fs::symlink("..", bench.path("loop/up")).unwrap();
    let touch = ["--", "touch", "ran"];
    for (args, why) in [
        (&["--key", "missing.pem"][..], "missing.pem"),
        (&["--key", "bad.pem"], "bad.pem"),
        (&["--key", "loose.pem"], "written by others"),
        (&[], "--key"),
        (&["--key", "key.pem", "--output-dir", "nowhere"], "nowhere"),
        (&["--key", "key.pem", "-m", "loop"], "loop/up"),
        (&["--key", "key.pem", "--image", "registry.example.com/a:1"], "no digest"),
        (&["--key", "key.pem", "--lstrip-paths", "a", "--lstrip-paths", "a/b"], "stripped"),
        (&["--key", "key.pem", "-m", "oci:loop"], "--image"),
    ] {
        let output = bench.run(&[&["run", "--step", "build"], args, &touch].concat());
        code(&output, 125);
        assert!(said(&output).contains(why), "{args:?}: {}", said(&output));
        assert!(!bench.path("ran").exists(), "{args:?}");
    }
    code(&bench.run(&[&["run", "--step", "../build", "--key", "key.pem"][..], &touch].concat()), 125);
    assert_eq!(bench.links(), Vec::<PathBuf>::new());
    // Usage errors are clap's.
    code(&bench.run(&["run", "--step", "build", "--key", "key.pem"]), 2);
}

#[test]
fn products_that_can_not_be_recorded_are_125_after_the_command() {
    let bench = Bench::new();
    let output = bench.step(&["-p", "out", "--", "sh", "-c", "mkdir out && ln -s .. out/up"]);
    code(&output, 125);
    assert!(said(&output).contains("out/up"), "{}", said(&output));
    assert_eq!(bench.links(), Vec::<PathBuf>::new());
}

#[test]
fn a_link_is_replaced_whole_and_nothing_is_left_beside_it() {
    let bench = Bench::new();
    code(&bench.step(&["-o", "out.link", "--", "true"]), 0);
    let before = fs::metadata(bench.path("out.link")).unwrap();
    // Whoever has the old file open goes on reading the old one: it is replaced, not written over.
    use std::{io::Read as _, os::unix::fs::MetadataExt as _};
    let mut open = fs::File::open(bench.path("out.link")).unwrap();
    code(&bench.step(&["-o", "out.link", "--", "sh", "-c", "exit 9"]), 9);
    assert_ne!(fs::metadata(bench.path("out.link")).unwrap().ino(), before.ino());
    let mut text = Vec::new();
    open.read_to_end(&mut text).unwrap();
    assert!(Envelope::parse(&text).is_ok());
    assert_eq!(bench.links(), [bench.path("out.link")]);
}

#[test]
fn a_killed_run_leaves_no_half_of_a_link() {
    let bench = Bench::new();
    let mut child = bench
        .command(&["run", "--step", "build", "--key", "key.pem", "--", "sh", "-c", "echo started; exec cat"])
        // It reads until we end.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_line(&mut child);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(bench.links(), Vec::<PathBuf>::new());
}

#[test]
fn a_signal_reaches_the_command_and_the_link_is_written_all_the_same() {
    let bench = Bench::new();
    let script = "trap 'exit 33' TERM; echo started; while :; do sleep 0.05; done";
    let mut child = bench
        .command(&["run", "--step", "build", "--key", "key.pem", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_line(&mut child);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(33));
    assert_eq!(serde_json::Value::from(&bench.link().byproducts)["return-value"], 33);
}

/// Until the command has said something: then it runs.
fn wait_for_line(child: &mut std::process::Child) {
    use std::io::{BufRead as _, BufReader};
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
}

#[test]
fn images_are_products() {
    let bench = Bench::new();
    let digest = format!("sha256:{}", "ab".repeat(32));
    code(&bench.step(&["--image", &format!("registry.example.com/shop/api:1@{digest}"), "--", "true"]), 0);
    let products = bench.link().products;
    let image = products.get("oci:registry.example.com/shop/api").unwrap();
    assert_eq!(image.get("sha256").unwrap(), "ab".repeat(32));

    // The file is read after the command, which writes it.
    let metadata =
        format!(r#"{{"containerimage.digest":"{digest}","image.name":"registry.example.com/shop/web:1,busybox"}}"#);
    let script = format!("printf '%s' '{metadata}' > meta.json");
    code(&bench.step(&["--image-from-file", "meta.json", "--", "sh", "-c", &script]), 0);
    let products = bench.link().products;
    assert_eq!(
        products.keys().collect::<Vec<_>>(),
        ["oci:docker.io/library/busybox", "oci:registry.example.com/shop/web"]
    );

    code(&bench.step(&["--image", "registry.example.com/a", "--image-from-file", "nothing", "--", "true"]), 125);
}

#[test]
fn containers_and_configuration_by_environment() {
    let bench = Bench::new();
    code(&bench.step(&["--metablock", "--", "true"]), 0);
    let text = fs::read_to_string(&bench.links()[0]).unwrap();
    assert!(text.contains("\"signed\"") && !text.contains("payloadType"), "{text}");
    bench.link();
    let mut command = bench.command(&["run", "--step", "test", "-o", "env.link", "--", "true"]);
    assert!(command.env("TIDEWAITER_KEY", "key.pem").status().unwrap().success());
    assert_eq!(bench.read(&bench.path("env.link")).name, "test");
}

#[test]
fn a_store_that_is_down_does_not_fail_the_step_unless_it_must() {
    let bench = Bench::new();
    // A port that was free a moment ago, and that nobody serves.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let output = bench.step(&["--store", &url, "--", "sh", "-c", "exit 4"]);
    code(&output, 4);
    assert!(said(&output).contains("warning") && said(&output).contains("not sent"), "{}", said(&output));
    code(&bench.step(&["--store", &url, "--require-upload", "--", "true"]), 125);
    bench.link();
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let bench = Bench::new();
    let mode = fs::metadata(bench.path("key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(bench.path("key.pem")).unwrap();
    code(&bench.run(&["key", "new", "-o", "key.pem"]), 2);
    assert_eq!(fs::read(bench.path("key.pem")).unwrap(), before);
    for scheme in ["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-3072"] {
        let name = format!("{scheme}.pem");
        code(&bench.run(&["key", "new", "--scheme", scheme, "-o", &name]), 0);
        let public = bench.run(&["key", "public", &name]);
        assert_eq!(public.stdout, fs::read(bench.path(&format!("{name}.pub"))).unwrap());
        let ids = bench.run(&["key", "id", &format!("{name}.pub")]);
        assert_eq!(ids.stdout, bench.run(&["key", "id", &name]).stdout);
        let id = PublicKey::from_pem(&String::from_utf8(public.stdout).unwrap()).unwrap().id().to_owned();
        assert_eq!(String::from_utf8(ids.stdout).unwrap().lines().next(), Some(id.as_str()));
    }
}

#[test]
fn a_layout_from_template_to_two_owners() {
    let bench = Bench::new();
    code(&bench.run(&["key", "new", "-o", "bob.pem"]), 0);
    let init = [
        "layout",
        "init",
        "--step",
        "build",
        "--image",
        "registry.example.com/shop/api",
        "--functionary",
        "key.pem.pub",
    ];
    code(&bench.run(&[&init[..], &["-o", "shop.yaml"]].concat()), 0);
    code(&bench.run(&["layout", "lint", "shop.yaml"]), 0);
    code(&bench.run(&["layout", "sign", "shop.yaml", "--key", "key.pem", "-o", "shop.layout"]), 0);
    code(&bench.run(&["layout", "sign", "shop.layout", "--key", "bob.pem", "-o", "shop.layout"]), 0);
    let show = bench.run(&[
        "layout",
        "show",
        "shop.layout",
        "--key",
        "key.pem.pub",
        "--key",
        "bob.pem.pub",
        "--output",
        "json",
    ]);
    let shown: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(shown["signedBy"], serde_json::json!(["key.pem.pub", "bob.pem.pub"]));

    let text = fs::read_to_string(bench.path("shop.yaml")).unwrap();
    fs::write(bench.path("bad.yaml"), text.replace("[tidewaiter, inspect, image]", "[sh, check.sh]")).unwrap();
    let lint = bench.run(&["layout", "lint", "bad.yaml"]);
    code(&lint, 1);
    assert!(String::from_utf8_lossy(&lint.stdout).contains("nothing is executed"));
    code(&bench.run(&["layout", "sign", "bad.yaml", "--key", "key.pem", "-o", "bad.layout"]), 1);
    assert!(!bench.path("bad.layout").exists());
}
