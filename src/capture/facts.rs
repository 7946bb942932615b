//! What is known of a step beside its artifacts (store §5.3), as `environment.facts` of its link: names of OpenTelemetry where it has
//! one, values that are text, integers or truth, so that every container can hold them.

use super::{
    command::Outcome,
    redact::{Findings, Redactor},
};
use crate::json::Value;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use std::{
    collections::BTreeMap,
    io::Read as _,
    time::{Duration, Instant},
};

/// Most bytes of one fact's text; what is longer is cut.
const TEXT_BYTES_MAX: usize = 1 << 10;
/// A span that the step is part of (W3C Trace Context).
const TRACEPARENT: &str = "TRACEPARENT";

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Text(String),
    Number(i64),
    Truth(bool),
}
impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Fact::Text(text.to_owned())
    }
}
impl From<String> for Fact {
    fn from(text: String) -> Self {
        Fact::Text(text)
    }
}
impl From<bool> for Fact {
    fn from(truth: bool) -> Self {
        Fact::Truth(truth)
    }
}
impl From<Duration> for Fact {
    /// Milliseconds.
    fn from(duration: Duration) -> Self {
        Fact::Number(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Facts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    facts: BTreeMap<String, Fact>,
}

impl Facts {
    /// Adds one, or replaces it.
    pub fn set(&mut self, name: impl Into<String>, fact: impl Into<Fact>) {
        self.facts.insert(name.into(), fact.into());
    }

    /// Adds one that is not there yet.
    pub fn set_default(&mut self, name: &str, fact: impl Into<Fact>) {
        if !self.facts.contains_key(name) {
            self.set(name, fact);
        }
    }

    /// One by its name.
    pub fn get(&self, name: &str) -> Option<&Fact> {
        self.facts.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.facts.iter().map(|(name, fact)| (name.as_str(), fact))
    }

    /// The variables that were asked for by name, and the span this is part of.
    pub fn of_environment(&mut self, names: &[String], environment: &BTreeMap<String, String>) {
        for name in names {
            if let Some(value) = environment.get(name) {
                self.set(format!("process.environment_variable.{name}"), value.as_str());
            }
        }
        if let Some(span) = environment.get(TRACEPARENT).filter(|span| !span.is_empty()) {
            self.set("traceparent", span.as_str());
        }
    }

    /// This program and the machine.
    pub fn of_machine(&mut self) {
        self.set("os.type", std::env::consts::OS);
        self.set("host.arch", std::env::consts::ARCH);
        self.set("tidewaiter.version", env!("CARGO_PKG_VERSION"));
    }

    /// How the command went.
    ///
    /// `ok_codes` are exit codes that are no failure, such as those by which a scanner says that it found something.
    pub fn of_execution(&mut self, execution: &Execution, ok_codes: &[u8]) {
        let outcome = &execution.outcome;
        match outcome.return_value {
            code @ 0.. => self.set("process.exit.code", Fact::Number(code.into())),
            signal => self.set("process.exit.signal", Fact::Number(i64::from(signal).saturating_neg())),
        }
        let result = if outcome.is_ok(ok_codes) { "success" } else { "failure" };
        self.set("cicd.pipeline.task.run.result", result);
        self.set("step.started_at", execution.started_at.to_string());
        self.set("step.ended_at", execution.ended_at.to_string());
        self.set("step.duration_ms", execution.duration);
        self.set("process.cpu.user_ms", execution.user);
        self.set("process.cpu.system_ms", execution.system);
        if let Some(bytes) = execution.memory_bytes_max {
            self.set("process.memory.bytes_max", Fact::Number(bytes));
        }
    }

    /// Without what is secret in their values.
    pub fn redacted(&self, redactor: &Redactor, found: &mut Findings) -> Facts {
        let clean = |name: &str, fact: &Fact, found: &mut Findings| match fact {
            Fact::Text(text) => {
                Fact::Text(redactor.member(name, text, found).unwrap_or_else(|| cut(&redactor.text(text, found))))
            }
            other => other.clone(),
        };
        Facts { facts: self.facts.iter().map(|(name, fact)| (name.clone(), clean(name, fact, found))).collect() }
    }

    /// As a link's `environment` holds them.
    pub fn to_value(&self) -> Value {
        let value = |fact: &Fact| match fact {
            Fact::Text(text) => Value::String(text.clone()),
            Fact::Number(number) => Value::Number(number.to_string()),
            Fact::Truth(truth) => Value::Bool(*truth),
        };
        let facts = self.facts.iter().map(|(name, fact)| (name.clone(), value(fact))).collect();
        Value::Object(vec![("facts".to_owned(), Value::Object(facts))])
    }
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

/// What a command took.
#[derive(Clone, Debug)]
pub struct Execution {
    pub outcome: Outcome,
    pub started_at: jiff::Timestamp,
    pub ended_at: jiff::Timestamp,
    /// By the clock that only goes forward.
    pub duration: Duration,
    pub user: Duration,
    pub system: Duration,
    /// The largest resident set of the command and what it waited for; `None` where something that ran before it was larger.
    pub memory_bytes_max: Option<i64>,
}

/// From before a command to after it.
pub struct Stopwatch {
    started_at: jiff::Timestamp,
    started: Instant,
    before: Option<Usage>,
}
impl Stopwatch {
    pub fn start() -> Self {
        Stopwatch { started_at: now(), started: Instant::now(), before: getrusage(UsageWho::RUSAGE_CHILDREN).ok() }
    }

    pub fn stop(self, outcome: Outcome) -> Execution {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
        let spent = |time: fn(&Usage) -> Duration| match (&usage, &self.before) {
            (Some(after), Some(before)) => time(after).saturating_sub(time(before)),
            _ => Duration::ZERO,
        };
        let before = self.before.as_ref().map_or(0, Usage::max_rss);
        Execution {
            outcome,
            started_at: self.started_at,
            ended_at: now(),
            duration: self.started.elapsed(),
            user: spent(|usage| duration(usage.user_time())),
            system: spent(|usage| duration(usage.system_time())),
            // Linux counts in kibibytes.
            memory_bytes_max: usage
                .map(|usage| usage.max_rss())
                .filter(|rss| *rss > before)
                .map(|rss| rss.saturating_mul(1024)),
        }
    }
}

fn duration(time: nix::sys::time::TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or_default())
}

/// To the millisecond: more is not known of a step.
fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// The SHA-256 of this very program, as `sha256:…`.
pub fn own_digest() -> Option<String> {
    let mut file =
        std::fs::File::open("/proc/self/exe").or_else(|_| std::fs::File::open(std::env::current_exe()?)).ok()?;
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(format!("sha256:{}", hex::encode(context.finish()))),
            read => context.update(buffer.get(..read)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::redact::OnSecret;

    #[test]
    fn values_keep_their_kind_and_secrets_leave_them() {
        let mut facts = Facts::default();
        facts.set("a.text", "with hunter2hunter2");
        facts.set("a.number", Fact::Number(-3));
        facts.set("a.truth", true);
        facts.set("a.long", "x".repeat(5_000));
        let secrets = [("TOKEN".to_owned(), "hunter2hunter2".to_owned())];
        let redactor = Redactor::new(secrets, OnSecret::Redact).unwrap();
        let value = serde_json::Value::from(&facts.redacted(&redactor, &mut Findings::default()).to_value());
        assert_eq!(value["facts"]["a.text"], "with [redacted:TOKEN]");
        assert_eq!((&value["facts"]["a.number"], &value["facts"]["a.truth"]), (&(-3).into(), &true.into()));
        assert_eq!(value["facts"]["a.long"].as_str().unwrap().len(), TEXT_BYTES_MAX);
    }

    #[test]
    fn the_environment_is_an_allow_list() {
        let environment: BTreeMap<String, String> = [("A", "1"), ("B", "2"), (TRACEPARENT, "00-x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let mut facts = Facts::default();
        facts.of_environment(&["A".to_owned(), "MISSING".to_owned()], &environment);
        let names: Vec<&str> = facts.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["process.environment_variable.A", "traceparent"]);
    }

    #[test]
    fn a_command_is_timed() {
        let watch = Stopwatch::start();
        let status = std::process::Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3"])
            .status();
        let execution = watch.stop(status.unwrap().into());
        let mut facts = Facts::default();
        facts.of_execution(&execution, &[]);
        assert_eq!(facts.get("process.exit.code"), Some(&Fact::Number(3)));
        assert_eq!(facts.get("cicd.pipeline.task.run.result"), Some(&"failure".into()));
        facts.of_execution(&execution, &[0, 3]);
        assert_eq!(facts.get("cicd.pipeline.task.run.result"), Some(&"success".into()));
        assert!(execution.user > Duration::ZERO && execution.duration >= execution.user / 2, "{execution:?}");
        assert!(execution.ended_at >= execution.started_at);
        assert!(own_digest().unwrap().len() == 71);
    }
}
