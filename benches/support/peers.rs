//! The other verifiers of in-toto, where they are installed, and what their processes cost.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// A program that verifies a chain in a directory.
pub struct Peer {
    pub name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
}

/// A verifier written in Python, as a library: prints the CPU seconds of the call.
const PYTHON_CALL: &str = "
import sys, time
from in_toto import verifylib
from in_toto.models.metadata import Metadata
from in_toto.in_toto_verify import load_public_key_from_file
start = time.process_time()
key = load_public_key_from_file('owner.pub')
verifylib.in_toto_verify(Metadata.load('root.layout'), {key['keyid']: key}, '.')
print(time.process_time() - start)
";

/// The directory that `tests/tools/install` printed.
fn tools() -> Option<PathBuf> {
    std::env::var_os("TIDEWAITER_TOOLS_DIR").map(|dir| PathBuf::from(dir).join("bin"))
}

/// Those that are installed.
pub fn peers() -> Vec<Peer> {
    let Some(tools) = tools() else { return Vec::new() };
    let peers = [
        ("Python", "in-toto-verify", &["--layout", "root.layout", "--verification-keys", "owner.pub"][..]),
        ("Go", "in-toto-golang", &["verify", "--layout", "root.layout", "--layout-keys", "owner.pub"]),
    ];
    let peers = peers.map(|(name, file, arguments)| Peer { name, program: tools.join(file), arguments });
    peers.into_iter().filter(|peer| peer.program.exists()).collect()
}

impl Peer {
    /// Ourselves, in the same way: a program that reads the directory and verifies.
    pub fn ours() -> Self {
        let program = std::env::current_exe().expect("this program");
        Peer { name: "tidewaiter", program, arguments: &["--verify", "."] }
    }

    /// User and system time of one whole process, over so many.
    ///
    /// # Panics
    /// When it does not accept the chain: what it costs to refuse is no measure.
    pub fn cpu(&self, dir: &Path, runs: u32) -> Duration {
        // Of its children bash alone can tell without unsafe code.
        let script =
            format!("TIMEFORMAT='%U %S'; time for i in $(seq {runs}); do \"$@\" >out.log 2>&1 || exit 1; done");
        let output = Command::new("bash")
            .args(["-c", &script, "bash"])
            .arg(&self.program)
            .args(self.arguments)
            .current_dir(dir)
            .output()
            .expect("bash");
        let said = || fs::read_to_string(dir.join("out.log")).unwrap_or_default();
        assert!(output.status.success(), "{} refuses {}: {}", self.name, dir.display(), said());
        let text = String::from_utf8(output.stderr).expect("times");
        let seconds: f64 = text.split_whitespace().map(|time| time.parse::<f64>().expect("seconds")).sum();
        Duration::from_secs_f64(seconds) / runs
    }

    /// The largest resident memory of one process, MiB.
    pub fn peak_mib(&self, dir: &Path) -> f64 {
        let mut command = Command::new(&self.program);
        command.args(self.arguments).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a verifier");
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0.0_f64;
        while child.try_wait().expect("a child").is_none() {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
            peak = peak.max(kib.unwrap_or_default() / 1024.0);
            std::thread::sleep(Duration::from_micros(500));
        }
        peak
    }
}

/// CPU of the library call of Python in-toto, without starting its interpreter.
pub fn python_call(dir: &Path) -> Option<Duration> {
    let python = tools()?.join("python3");
    let output = Command::new(python).args(["-c", PYTHON_CALL]).current_dir(dir).output().ok()?;
    let seconds = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}
