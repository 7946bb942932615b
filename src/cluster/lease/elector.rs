//! Who leads, from what was seen: pure. Time is our own monotonic clock; what another machine's clock says is never read.

use super::Times;
use std::time::Duration;
use tokio::time::Instant;

/// What of a Lease counts: its version (every write makes another one) and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub version: String,
    /// `None`: nobody; given back.
    pub holder: Option<String>,
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is free, run out, or ours: write it, naming the version that was seen.
    Write,
    /// Another one holds it.
    Wait,
}

/// One candidate.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    times: Times,
    /// The Lease as last seen (`None` within: there is none), and since when it has looked like that.
    seen: Option<(Option<Record>, Instant)>,
    /// When the last write of ours began that we know to have happened.
    renewed: Option<Instant>,
}

impl Elector {
    pub fn new(identity: String, times: Times) -> Self {
        Elector { identity, times, seen: None, renewed: None }
    }

    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The Lease was read. Another holder than us ends our leadership at once, whatever time is left.
    pub fn observe(&mut self, record: Option<Record>, now: Instant) {
        let ours = record.as_ref().is_some_and(|record| record.holder.as_deref() == Some(&self.identity));
        if !ours {
            self.renewed = None;
        }
        if self.seen.as_ref().is_none_or(|(before, _)| *before != record) {
            self.seen = Some((record, now));
        }
    }

    /// What the last observation asks for.
    pub fn wish(&self, now: Instant) -> Wish {
        let Some((record, since)) = &self.seen else { return Wish::Wait };
        let holder = record.as_ref().and_then(|record| record.holder.as_deref());
        match holder {
            Some(other) if other != self.identity && elapsed(*since, now) < self.times.duration => Wish::Wait,
            _ => Wish::Write,
        }
    }

    /// Our write, begun at `began`, has happened.
    pub fn wrote(&mut self, record: Record, began: Instant) {
        self.renewed = Some(began);
        self.seen = Some((Some(record), began));
    }

    /// How much longer we lead without another renewal; `None`: we do not.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        let left = self.times.deadline.saturating_sub(elapsed(self.renewed?, now));
        (!left.is_zero()).then_some(left)
    }

    pub fn leads(&self, now: Instant) -> bool {
        self.remaining(now).is_some()
    }
}

/// A clock that seems to run backwards has not moved.
fn elapsed(since: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(since)
}
