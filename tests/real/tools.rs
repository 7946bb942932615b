//! The real programs the tests talk to: found in the cache that `tests/tools/install` prints, started on free loopback
//! ports, ended by pid.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// Where the tools are: `TIDEWAITER_TOOLS_DIR`, else what the installer says (a warm cache makes that instant).
pub fn bin(name: &str) -> PathBuf {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    let cache = CACHE.get_or_init(|| match std::env::var_os("TIDEWAITER_TOOLS_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/install");
            let output = Command::new(install).stderr(Stdio::inherit()).output().expect("the installer runs");
            assert!(output.status.success(), "tests/tools/install failed");
            PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
        }
    });
    cache.join("bin").join(name)
}

/// A program's end, with everything it said.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The run, where it ended with this code; a panic that shows what it said otherwise.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.stdout, self.stderr))
    }
}

/// A scratch directory with a home of its own: what every tool of a test runs in.
pub struct Bench {
    pub dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Bench { dir: tempfile::tempdir().expect("a scratch directory") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).env("HOME", self.dir.path()).env("COSIGN_PASSWORD", "");
        command.env_remove("DOCKER_CONFIG").stdin(Stdio::null());
        command
    }

    /// Runs a program of the tools' cache here.
    #[track_caller]
    pub fn tool(&self, name: &str, args: &[&str]) -> Ran {
        Ran::of(self.command(bin(name)).args(args).output().unwrap_or_else(|e| panic!("{name}: {e}")))
    }

    /// The same with more environment.
    #[track_caller]
    pub fn tool_with(&self, name: &str, env: &[(&str, &str)], args: &[&str]) -> Ran {
        Ran::of(self.command(bin(name)).envs(env.iter().copied()).args(args).output().expect(name))
    }

    /// Runs tidewaiter itself here.
    #[track_caller]
    pub fn tidewaiter(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(env!("CARGO_BIN_EXE_tidewaiter")).args(args).output().expect("tidewaiter runs"))
    }
}

/// A server that a test started; it ends with the value.
pub struct Server {
    child: Child,
    pub addr: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// The lines the server logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("no panic while logging").clone()
    }

    /// Our handler over the Go library: `127.0.0.1:port`, as the flags say.
    pub fn registry(bench: &Bench, args: &[&str]) -> Self {
        let mut child = bench
            .command(bin("registry"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the registry starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("the registry says its address");
        let addr = line.trim().parse().unwrap_or_else(|e| panic!("{e}: {line:?}"));
        let log = collect(child.stderr.take().expect("piped"));
        Server { child, addr, log }
    }

    /// Debian's docker-registry, over plain http.
    pub fn docker_registry(bench: &Bench) -> Self {
        let addr = free_port();
        let root = bench.path("docker-registry");
        let config = bench.write(
            "docker-registry.yml",
            format!(
                "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{addr}\"}}\n",
                root.display()
            ),
        );
        let mut child = bench
            .command(bin("docker-registry"))
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry starts");
        let log = collect(child.stderr.take().expect("piped"));
        wait_for(addr);
        Server { child, addr, log }
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&log);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            into.lock().expect("no panic while logging").push(line);
        }
    });
    log
}

/// A port that was free a moment ago.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}

fn wait_for(addr: SocketAddr) {
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect_timeout(&addr, Duration::from_millis(200)).is_err() {
        assert!(Instant::now() < end, "nothing listens on {addr}");
        thread::yield_now();
    }
}

/// A self-made certificate for 127.0.0.1: its files, and the PEM that clients trust.
pub fn certificate(bench: &Bench) -> (PathBuf, PathBuf, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()]).expect("a certificate");
    let pem = made.cert.pem();
    (bench.write("tls.crt", &pem), bench.write("tls.key", made.signing_key.serialize_pem()), pem)
}
