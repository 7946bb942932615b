//! How far the hashing is: a bar on a terminal, now and then a line in a CI job's log, nothing elsewhere.

use std::{
    io::IsTerminal as _,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

/// Fewer files than this are done before anybody has looked.
const FILES_MIN: usize = 1_000;
/// Between two lines of a log.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Where progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    #[default]
    Hidden,
    /// A bar that moves.
    Bar,
    /// A line every ten seconds.
    Lines,
}

/// Files that are done.
pub struct Counter {
    bar: indicatif::ProgressBar,
    done: AtomicUsize,
}

impl Counter {
    /// One more.
    pub fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(1);
    }
}

impl Progress {
    /// A bar where standard error is a terminal; lines where it is none and this is a CI job, which says so with `CI`.
    pub fn of_this_process() -> Self {
        match std::env::var_os("CI") {
            _ if std::io::stderr().is_terminal() => Progress::Bar,
            Some(ci) if !ci.is_empty() => Progress::Lines,
            _ => Progress::Hidden,
        }
    }

    /// Does the work on so many files, showing how far it is.
    pub fn during<T>(self, files: usize, work: impl FnOnce(&Counter) -> T) -> T {
        let bar = match self == Progress::Bar && files > FILES_MIN {
            true => indicatif::ProgressBar::new(files as u64).with_message("hashing"),
            false => indicatif::ProgressBar::hidden(),
        };
        let counter = Counter { bar, done: AtomicUsize::new(0) };
        let done = match self {
            Progress::Lines => every(LINE_EVERY, &counter, |done| eprintln!("hashed {done} of {files} files"), work),
            _ => work(&counter),
        };
        counter.bar.finish_and_clear();
        done
    }
}

/// Does the work, and says how far it is as often as that.
fn every<T>(period: Duration, counter: &Counter, say: impl Fn(usize) + Sync, work: impl FnOnce(&Counter) -> T) -> T {
    std::thread::scope(|scope| {
        // Hung up when the work is done, or has panicked.
        let (working, over) = mpsc::channel::<()>();
        scope.spawn(|| {
            let over = over;
            while over.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                say(counter.done.load(Ordering::Relaxed));
            }
        });
        let _working = working;
        work(counter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn lines_come_while_the_work_goes_on_and_end_with_it() {
        let counter = Counter { bar: indicatif::ProgressBar::hidden(), done: AtomicUsize::new(0) };
        let said = Mutex::new(Vec::new());
        let lines = || said.lock().unwrap().len();
        let result = every(
            Duration::from_millis(5),
            &counter,
            |done| said.lock().unwrap().push(done),
            |counter| {
                counter.step();
                while lines() < 2 {
                    std::thread::yield_now();
                }
                7
            },
        );
        assert_eq!(result, 7);
        assert_eq!(said.into_inner().unwrap()[1], 1);
    }
}
