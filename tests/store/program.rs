//! `tidewaiter store serve` as a process of its own; killed when dropped.

use super::shop::Record;
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

pub struct Program {
    child: Child,
    pub url: String,
}

/// Mounts an empty disk of `$2` bytes on the directory `$1`, in a mount namespace of its own, and becomes the rest.
const SMALL_DISK: &str = r#"
set -eu
mount -t tmpfs -o size="$2" none "$1"
shift 2
exec "$@"
"#;

impl Program {
    /// Over the documents in `dir`, with these further arguments, and with this further environment.
    pub fn start(dir: &Path, database: &str, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
        serve(&mut command, dir, database, more);
        command.envs(environment.iter().copied());
        Program::listening(command)
    }

    /// With a disk of its own, of so many bytes, on the directory `disk`.
    pub fn on_small_disk(dir: &Path, database: &str, more: &[&str], disk: &Path, size: &str) -> Self {
        let mut command = Command::new("unshare");
        // Who is not root is root of a namespace of users.
        let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
        command.args(user).args(["--mount", "sh", "-c", SMALL_DISK, "small-disk"]).arg(disk).arg(size);
        command.arg(env!("CARGO_BIN_EXE_tidewaiter"));
        serve(&mut command, dir, database, more);
        Program::listening(command)
    }

    fn listening(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("store listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Program { child, url }
    }

    /// The root directory as the program sees it.
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.child.id()).into()
    }

    /// Until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// The answer's status, if there was any.
    pub async fn put(&self, http: &reqwest::Client, token: &str, record: &Record) -> Option<u16> {
        let put = http.put(format!("{}/v1/records/{}", self.url, record.name)).bearer_auth(token);
        Some(put.body(record.bytes.clone()).send().await.ok()?.status().as_u16())
    }
}

fn serve(command: &mut Command, dir: &Path, database: &str, more: &[&str]) {
    command.args(["store", "serve", "--listen", "127.0.0.1:0", "--config"]).arg(dir.join("chains.yaml"));
    command.args(["--database", database]).args(more);
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL; it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
