//! A tree on the disk, recorded by both.

use super::{
    tools,
    trees::{Case, Node},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub says: String,
}

impl Ended {
    #[track_caller]
    pub fn succeeded(self) {
        assert_eq!(self.code, 0, "{}", self.says);
    }
}

/// What both made of one tree: the link, by the name of its file, or why there is none.
pub struct Both {
    pub ours: Result<(String, Value), Ended>,
    pub theirs: Result<(String, Value), Ended>,
}

/// in-toto's programs, in one process.
pub struct Python {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    pub fn start() -> Self {
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recording/driver.py");
        let mut child = Command::new(tools::bin("python3"))
            .arg(driver)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        let (orders, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Python { child, orders, answers }
    }

    pub fn ask(&mut self, order: &Value) -> Ended {
        writeln!(self.orders, "{order}").expect("the driver listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{order}: {error}: {line:?}"));
        let code = answer["code"].as_i64().unwrap_or(1) as i32;
        Ended { code, says: answer["says"].as_str().unwrap_or_default().to_owned() }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with a key, and the tree in it.
pub struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Bench { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.tree()).unwrap();
        bench.ours(&["key", "new", "-o", "../key.pem"]).succeeded();
        bench
    }
    pub fn root(&self) -> &Path {
        self.directory.path()
    }
    pub fn tree(&self) -> PathBuf {
        self.root().join("tree")
    }
    /// An empty directory beside the tree.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let path = self.root().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    /// The case's tree, and nothing else; beside it something that it may link to.
    pub fn plant(&self, case: &Case) {
        let (tree, outside) = (self.fresh("tree"), self.fresh("outside"));
        fs::create_dir(outside.join("deep")).unwrap();
        fs::write(outside.join("deep/file"), "outside").unwrap();
        for node in &case.nodes {
            let place = |path: &str| {
                let path = tree.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                path
            };
            match node {
                Node::File(path, content) => fs::write(place(path), content).unwrap(),
                Node::Directory(path) => fs::create_dir_all(tree.join(path)).unwrap(),
                Node::Link(path, target) => {
                    symlink(target.replace("{root}", self.root().to_str().unwrap()), place(path)).unwrap()
                }
                Node::Pipe(path) => assert!(Command::new("mkfifo").arg(place(path)).status().unwrap().success()),
                Node::NotUtf8 => {
                    use std::os::unix::ffi::OsStrExt as _;
                    fs::write(tree.join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
                }
            }
        }
    }

    /// Our program, in the tree.
    pub fn ours(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEWAITER_")) {
            command.env_remove(name);
        }
        let output = command.current_dir(self.tree()).args(args).stdin(Stdio::null()).output().unwrap();
        let says = [output.stdout, output.stderr].concat();
        Ended { code: output.status.code().unwrap_or(-1), says: String::from_utf8_lossy(&says).into_owned() }
    }

    /// Records the planted tree as the step of that name, into a directory beside it.
    pub fn record(&self, case: &Case, step: &str, ours: bool, out: &Path, python: &mut Python) -> Ended {
        let tree = self.tree();
        let mut args = vec!["-n", step, "--signing-key", "../key.pem", "-d", out.to_str().unwrap()];
        let flags: Vec<String> = case.flags.iter().map(|flag| flag.replace("{tree}", tree.to_str().unwrap())).collect();
        args.extend(flags.iter().map(String::as_str));
        args.extend(["--", "sh", "-c", &case.command]);
        if !ours {
            let order = json!({"program": "run", "folder": tree, "args": args, "normalise": case.normalise});
            return python.ask(&order);
        }
        let extra: &[&str] = if case.normalise { &["--normalize-line-endings"] } else { &[] };
        self.ours(&[&["run", "--metablock"], extra, &args].concat())
    }

    /// The same tree, twice.
    pub fn both(&self, case: &Case, python: &mut Python) -> Both {
        let mut one = |ours: bool| {
            self.plant(case);
            let out = self.fresh("out");
            let ended = self.record(case, "step", ours, &out, python);
            self.links(&out).pop().ok_or(ended)
        };
        Both { ours: one(true), theirs: one(false) }
    }

    /// The links in a directory: the name of the file, and what is signed.
    pub fn links(&self, directory: &Path) -> Vec<(String, Value)> {
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut links: Vec<(String, Value)> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "link"))
            .map(|path| {
                let link: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                (path.file_name().unwrap().to_str().unwrap().to_owned(), link["signed"].clone())
            })
            .collect();
        links.sort_by(|a, b| a.0.cmp(&b.0));
        links
    }

    /// Files in the tree whose names begin with a dot.
    pub fn hidden(&self) -> Vec<String> {
        let names = fs::read_dir(self.tree()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }
}
