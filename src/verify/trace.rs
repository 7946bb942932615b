//! What a verification did, in its order and as far as it came: for `--explain`, for people and as data.

use super::{rejection::names, rules::Run};
use crate::intoto::{layout::Place, rule::Side};
use serde::Serialize;
use std::fmt;

/// How many artifacts an event names.
const NAMED_MAX: usize = 3;

/// How many rules a line tells of.
const SHOWN_MAX: usize = 6;

/// Everything that was done, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Trace {
    events: Vec<Event>,
    /// Nobody will read it.
    #[serde(skip)]
    silent: bool,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "did", rename_all = "camelCase")]
pub enum Event {
    /// Who answered a step (in-toto 5.2.4 to 5.2.6).
    Step {
        /// The step, with the steps that its layout is the sublayout of before it.
        at: String,
        threshold: u32,
        answers: Vec<Answer>,
        /// What is there and does not count, and why.
        ignored: Vec<String>,
    },
    /// One list of rules, applied to one list of artifacts (in-toto 5.2.7 and 5.2.9).
    Rules { at: String, side: &'static str, artifacts: usize, rules: Vec<RuleRun> },
}

/// One answer to a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Who signed it: key ids as the layout writes them.
    pub by: Vec<String>,
    /// `link`, `sublayout`, or the predicate type of a statement.
    pub kind: String,
}

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRun {
    /// As written.
    pub rule: String,
    /// How many artifacts it consumed; of a rule that failed: over how many.
    pub count: usize,
    /// The first few of them.
    pub artifacts: Vec<String>,
    /// How many were left in the queue.
    pub left: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl Trace {
    /// One that keeps no rules, for when nobody will read it: to write down what each rule did can cost as much as doing it.
    pub(super) fn silent() -> Self {
        Trace { silent: true, ..Trace::default() }
    }

    /// An empty one of the same kind.
    pub(super) fn fresh(&self) -> Self {
        Trace { silent: self.silent, ..Trace::default() }
    }

    pub(super) fn step(&mut self, at: String, threshold: u32, answers: Vec<Answer>, ignored: Vec<String>) {
        self.events.push(Event::Step { at, threshold, answers, ignored });
    }

    pub(super) fn rules(&mut self, path: &str, at: &Place, side: Side, artifacts: usize, runs: &[Run<'_>]) {
        if runs.is_empty() || self.silent {
            return;
        }
        let mut left = artifacts;
        let rules = runs.iter().map(|run| {
            left -= if run.failed { 0 } else { run.artifacts.len().min(left) };
            RuleRun {
                rule: run.rule.to_string(),
                count: run.artifacts.len(),
                artifacts: run.artifacts.iter().take(NAMED_MAX).map(|name| (*name).to_owned()).collect(),
                left,
                failed: run.failed,
            }
        });
        let event = Event::Rules { at: format!("{path}{at}"), side: side.as_str(), artifacts, rules: rules.collect() };
        self.events.push(event);
    }

    /// What was done, in its order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

impl Event {
    /// A list of rules in one line: how many artifacts each rule took, and what was left.
    pub fn in_short(&self) -> Option<String> {
        let Event::Rules { at, side, artifacts, rules } = self else { return None };
        let took: Vec<_> = rules.iter().filter(|run| run.count > 0).collect();
        let mut said: Vec<String> =
            took.iter().take(SHOWN_MAX).map(|run| format!("{} took {}", run.rule, run.count)).collect();
        if took.len() > said.len() {
            said.push(format!("and {} more rules took theirs", took.len() - said.len()));
        }
        said.push(format!("{} left", rules.last().map_or(*artifacts, |run| run.left)));
        Some(format!("{at}, {artifacts} {side}: {}", said.join("; ")))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Step { at, threshold, answers, ignored } => {
                write!(f, "{at}, threshold {threshold}:")?;
                if answers.is_empty() {
                    f.write_str(" no answer")?;
                }
                for Answer { by, kind } in answers {
                    write!(f, "\n    {kind} by {}", names(by))?;
                }
                ignored.iter().try_for_each(|ignored| write!(f, "\n    ignored {ignored}"))
            }
            Event::Rules { at, side, artifacts, rules } => {
                write!(f, "{at}, {side} ({artifacts}):")?;
                rules.iter().try_for_each(|run| write!(f, "\n    {run}"))
            }
        }
    }
}

impl fmt::Display for RuleRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.rule)?;
        match (self.failed, self.count) {
            (true, 0) => f.write_str("FAILS, no such name is left")?,
            (true, count) => write!(f, "FAILS over {count}")?,
            (false, 0) => f.write_str("nothing")?,
            (false, count) => write!(f, "consumes {count}")?,
        }
        if !self.artifacts.is_empty() {
            let more = if self.count > self.artifacts.len() { ", …" } else { "" };
            write!(f, " ({}{more})", names(&self.artifacts))?;
        }
        write!(f, "; {} left", self.left)
    }
}
