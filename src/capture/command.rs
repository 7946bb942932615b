//! Runs the command of a step: its terminal, its input and its signals are those it would have without us (store §5.4).

use super::{
    Failure,
    facts::{Execution, Stopwatch},
    tail::Tail,
};
use crate::signer;
use anyhow::Context as _;
use std::{
    io::{ErrorKind, IsTerminal as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
};

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// As in-toto records it: the exit code, or minus the number of the signal that ended it.
    pub return_value: i32,
    /// As a shell reports it: the exit code, or 128 and the number of the signal.
    pub exit_code: u8,
}
impl Outcome {
    /// Whether it went well: 0, or one of these exit codes.
    pub fn is_ok(&self, ok_codes: &[u8]) -> bool {
        self.return_value == 0 || self.return_value > 0 && ok_codes.contains(&self.exit_code)
    }
}
impl From<ExitStatus> for Outcome {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Outcome { return_value: code, exit_code: u8::try_from(code).unwrap_or(255) },
            (None, signal) => {
                let signal = signal.unwrap_or(0);
                Outcome { return_value: -signal, exit_code: u8::try_from(128 + signal).unwrap_or(255) }
            }
        }
    }
}

/// The command's standard streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// Ours.
    #[default]
    Inherited,
    /// None (the demonstration's steps are silent).
    Silent,
    /// Its output passes through us, and the last bytes of it are kept. It sees a pipe where there was a terminal.
    Tail(usize),
}

/// How it went, and the last it said where that was asked for.
#[derive(Clone, Debug)]
pub struct Ended {
    pub execution: Execution,
    pub stdout: String,
    pub stderr: String,
}

/// Starts the command in `directory` and waits for it. Signals sent to us are passed on; those of the terminal reach it anyway, since it
/// stays in our process group, and we outlive them to record what it left. A key in our environment is not for the command.
pub async fn run(argv: &[String], directory: &Path, streams: Streams) -> Result<Ended, Failure> {
    let (program, arguments) = argv.split_first().context("there is no command to run")?;
    // Before the start, so that no signal finds us between the two.
    let mut signals = Signals::listen().context("signals")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env_remove(signer::PEM_VARIABLE);
    let mut tails = (None, None);
    match streams {
        Streams::Inherited => {}
        Streams::Silent => drop(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())),
        Streams::Tail(bytes_max) => {
            let (stdout, out) = std::io::pipe().context("a pipe")?;
            let (stderr, err) = std::io::pipe().context("a pipe")?;
            command.stdout(out).stderr(err);
            tails = (
                Some(Tail::of(stdout, std::io::stdout(), bytes_max)),
                Some(Tail::of(stderr, std::io::stderr(), bytes_max)),
            );
        }
    }
    let watch = Stopwatch::start();
    let mut child = command.spawn().map_err(|error| not_started(program, error))?;
    // Our ends of the pipes it writes to: while one is open, they never end.
    drop(command);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("wait for the command")?,
            signal = signals.next() => pass_on(&child, signal),
        }
    };
    let execution = watch.stop(status.into());
    Ok(Ended { execution, stdout: Tail::text(tails.0).await, stderr: Tail::text(tails.1).await })
}

fn not_started(program: &str, error: std::io::Error) -> Failure {
    let exit_code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    Failure::NotStarted { exit_code, error: anyhow::Error::new(error).context(format!("\"{program}\" can not be run")) }
}

fn pass_on(child: &Child, signal: i32) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, rustix::process::Signal::from_named_raw(signal)) {
        // Fails only when the command has just ended, which the wait tells.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The signals a wrapper gets in place of its command.
struct Signals {
    listening: Vec<(i32, bool, Signal)>,
}
impl Signals {
    fn listen() -> std::io::Result<Self> {
        let ignored = ignored_signals();
        // A terminal sends these to its whole foreground group; passing them on would deliver them twice.
        let terminal = std::io::stdin().is_terminal();
        let kinds = [
            (SignalKind::interrupt(), !terminal),
            (SignalKind::quit(), !terminal),
            (SignalKind::hangup(), true),
            (SignalKind::terminate(), true),
            (SignalKind::user_defined1(), true),
            (SignalKind::user_defined2(), true),
        ];
        let listening = kinds
            .into_iter()
            // What we were started to ignore (`nohup`), the command ignores too: a handler of ours would undo that for it.
            .filter(|(kind, _)| ignored & (1 << (kind.as_raw_value() - 1)) == 0)
            .map(|(kind, forward)| Ok((kind.as_raw_value(), forward, signal(kind)?)))
            .collect::<std::io::Result<_>>()?;
        Ok(Signals { listening })
    }

    /// The next signal that is to be passed on.
    async fn next(&mut self) -> i32 {
        loop {
            let waiting = self.listening.iter_mut().map(|(number, forward, signal)| {
                Box::pin(async move {
                    signal.recv().await;
                    (*number, *forward)
                })
            });
            if waiting.len() == 0 {
                return std::future::pending().await;
            }
            if let ((number, true), ..) = futures::future::select_all(waiting).await {
                return number;
            }
        }
    }
}

/// The mask of signals this process ignores, where the system tells.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<Outcome, Failure> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        run(&argv, Path::new("/"), Streams::Silent).await.map(|ended| ended.execution.outcome)
    }

    #[tokio::test]
    async fn codes_and_signals() {
        assert_eq!(shell("exit 0").await.unwrap(), Outcome { return_value: 0, exit_code: 0 });
        assert_eq!(shell("exit 42").await.unwrap(), Outcome { return_value: 42, exit_code: 42 });
        assert_eq!(shell("kill -9 $$").await.unwrap(), Outcome { return_value: -9, exit_code: 137 });
    }

    #[tokio::test]
    async fn what_can_not_be_started() {
        let missing = run(&["/nonexistent/program".to_owned()], Path::new("/"), Streams::Silent).await;
        assert!(matches!(missing, Err(Failure::NotStarted { exit_code: 127, .. })));
        let directory = run(&["/".to_owned()], Path::new("/"), Streams::Silent).await;
        assert!(matches!(directory, Err(Failure::NotStarted { exit_code: 126, .. })));
        assert!(matches!(run(&[], Path::new("/"), Streams::Silent).await, Err(Failure::NotRecorded(_))));
    }
}
