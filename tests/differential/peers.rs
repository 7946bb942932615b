//! The verifiers: ours by the call that `tidewaiter in-toto verify` makes, Python as one long-lived process, Go as a process a case.

use super::{case::Case, tools};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};
use tidewaiter::{
    intoto::{Parameter, Parameters, Profile},
    key::{KeyRing, NamedKey, PublicKey},
    source::dir,
    verify::{ChainDemand, Piece, verify_given},
};

/// What one verifier says to one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub pass: bool,
    /// Our reason, Python's class of error, Go's `error` or `panic`.
    pub why: String,
    pub says: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pass { f.write_str("pass") } else { write!(f, "{}: {}", self.why, self.says) }
    }
}

pub struct Verdicts {
    pub strict: Verdict,
    pub compat: Verdict,
    pub python: Verdict,
    pub go: Verdict,
}

/// Ours, with the layout's owners and evidence read as the command reads them.
pub fn ours(folder: &Path, profile: Profile) -> Verdict {
    ours_at(folder, profile, jiff::Timestamp::now())
}

/// The same as of another time.
pub fn ours_at(folder: &Path, profile: Profile, now: jiff::Timestamp) -> Verdict {
    let layout = dir::read_file(&folder.join("root.layout")).unwrap();
    let links = dir::read(&folder.join("links")).unwrap();
    let links: Vec<Piece<'_>> = links.iter().map(dir::File::piece).collect();
    let owner = |path: PathBuf| NamedKey {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        key: PublicKey::from_pem(&fs::read_to_string(path).unwrap()).unwrap(),
    };
    let owners = KeyRing::new(keys(folder).into_iter().map(owner).collect());
    let demand = ChainDemand { owners, profile, parameters: parameters(folder), ..ChainDemand::default() };
    match verify_given(&demand, None, &layout, &links, now) {
        Ok(_) => Verdict { pass: true, why: String::new(), says: String::new() },
        Err(rejection) => {
            Verdict { pass: false, why: rejection.reason().as_str().to_owned(), says: rejection.to_string() }
        }
    }
}

/// Where there are none, there is nothing to put in.
fn parameters(folder: &Path) -> Parameters {
    let mut parameters = Parameters::default();
    let given = fs::read(folder.join("parameters.json")).ok().map(|text| serde_json::from_slice(&text).unwrap());
    let given: BTreeMap<String, String> = given.unwrap_or_default();
    for (name, value) in given {
        parameters.add(&name, Parameter { value, pattern: false }).unwrap();
    }
    parameters
}

fn keys(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut keys: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "pub")).collect();
    keys.sort();
    keys
}

/// `driver.py` in one of its modes.
pub struct Python {
    child: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Python {
    pub fn start(mode: &str) -> Self {
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/driver.py");
        let mut child = Command::new(tools::bin("python3"))
            .arg(driver)
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let (into, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Python { child, into, from }
    }

    pub fn ask(&mut self, line: &str) -> Value {
        writeln!(self.into, "{line}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: Python answered {answer:?}"))
    }

    pub fn verify(&mut self, folder: &Path) -> Verdict {
        let answer = self.ask(folder.to_str().unwrap());
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Verdict { pass: answer["pass"].as_bool().unwrap(), why: text("error"), says: text("says") }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn go(folder: &Path) -> Verdict {
    let mut command = Command::new(tools::bin("in-toto-golang"));
    command.current_dir(folder).args(["verify", "-l", "root.layout", "-d", "links"]).stdin(Stdio::null());
    for key in keys(folder) {
        command.arg("-k").arg(key);
    }
    let output = command.output().expect("in-toto-golang runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let why = if told.contains("panic:") { "panic" } else { "error" };
    let says = told.lines().find(|line| line.starts_with("Error") || line.contains("panic:")).unwrap_or(&told);
    Verdict { pass: output.status.success(), why: why.to_owned(), says: says.to_owned() }
}

/// Gives the case to all.
pub fn judge(case: &Case, folder: &Path, python: &mut Python) -> Verdicts {
    case.write(folder);
    Verdicts {
        strict: ours(folder, Profile::Strict),
        compat: ours(folder, Profile::Compat),
        python: python.verify(folder),
        go: go(folder),
    }
}
