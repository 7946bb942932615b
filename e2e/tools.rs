//! Programs: where they are, how they are run, how one waits for what they do.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// A file of the checkout.
pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// tidewaiter, as cargo built it for this test.
pub const TIDEWAITER: &str = env!("CARGO_BIN_EXE_tidewaiter");

/// A program of `tests/tools/install`: registries, cosign, in-toto. `TIDEWAITER_TOOLS_DIR` spares the question.
pub fn signing_tool(name: &str) -> PathBuf {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| installed("TIDEWAITER_TOOLS_DIR", "tests/tools/install").join("bin")).join(name)
}

/// A program of `e2e/tools/install`: kubectl, helm, busybox. `TIDEWAITER_CLUSTER_TOOLS_DIR` spares the question.
pub fn cluster_tool(name: &str) -> PathBuf {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| installed("TIDEWAITER_CLUSTER_TOOLS_DIR", "e2e/tools/install")).join(name)
}

fn installed(variable: &str, installer: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os(variable) {
        return directory.into();
    }
    let output = Command::new(checkout(installer)).stderr(Stdio::inherit()).output().expect("the installer runs");
    assert!(output.status.success(), "{installer} failed");
    PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
}

/// A program's end, with everything it said.
#[derive(Debug)]
pub struct Ran {
    pub what: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{what}: {e}"));
        Ran::from_output(what, output)
    }

    /// The same, with something on stdin.
    #[track_caller]
    pub fn with_input(command: &mut Command, input: &str) -> Self {
        let what = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{what}: {e}"));
        // Who does not read it has said why on stderr.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        Ran::from_output(what, child.wait_with_output().expect("it ends"))
    }

    fn from_output(what: String, output: Output) -> Self {
        Ran {
            what,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The run, where it ended with this code; a panic that shows what it said otherwise.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// The run, where what it said on stderr holds all of these.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "nothing of {word:?} in\n{self}");
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\ncode {}\n--- stdout\n{}\n--- stderr\n{}", self.what, self.code, self.stdout, self.stderr)
    }
}

/// A directory to work in, with a home of its own for what runs there.
#[derive(Clone)]
pub struct Workshop(PathBuf);

impl Workshop {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        fs::create_dir_all(&path).expect("a directory");
        Workshop(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// A command that would run here, untouched by what the caller's environment says of registries.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.0).env("HOME", &self.0).env("COSIGN_PASSWORD", "").env_remove("DOCKER_CONFIG");
        command
    }

    /// Runs a signing tool here; it must succeed.
    #[track_caller]
    pub fn tool(&self, name: &str, args: &[&str]) -> Ran {
        Ran::of(self.command(signing_tool(name)).args(args)).expect(0)
    }

    /// Runs tidewaiter here.
    #[track_caller]
    pub fn tidewaiter(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(TIDEWAITER).args(args))
    }
}

/// A port of that address that was free a moment ago.
pub fn free_port(ip: IpAddr) -> SocketAddr {
    TcpListener::bind((ip, 0)).and_then(|it| it.local_addr()).expect("a free port")
}

/// Waits until somebody listens.
#[track_caller]
pub fn listens(addr: SocketAddr) {
    eventually(20, &format!("somebody listens on {addr}"), || {
        TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok()
    });
}

/// Asks again and again until there is an answer; a panic that says what was waited for when the time is over.
#[track_caller]
pub fn eventually<T>(seconds: u64, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{seconds} s passed, and not yet: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}
