//! What was told lately. A controller that is refused tries again and again: the first time is an event, the others are its count.

use super::{Regarding, Told, What};
use crate::reason::Reason;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long what was told counts as told.
const WINDOW: Duration = Duration::from_secs(600);
/// Some MiB at most.
const ENTRIES_MAX: usize = 4096;
/// New events of one namespace in a minute: nobody's workloads fill the whole queue.
const NAMESPACE_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// What makes two tellings the same.
type Key = (Regarding, What, Option<Reason>);

struct Entry {
    since: Instant,
    /// The event's name, once the API server gave it one.
    name: Option<String>,
    count: i32,
    counted: i32,
    written: Instant,
    once: bool,
}

/// What to do with something that is to be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// Write an event, and tell [`Memory::written`] or [`Memory::lost`].
    Write,
    /// It is told already; counted.
    Repeated,
    /// Its namespace had its share.
    Suppressed,
}

/// A count to write to an event that is there.
#[derive(Debug, PartialEq, Eq)]
pub struct Recount {
    pub namespace: String,
    pub name: String,
    pub count: i32,
}

/// Bounded, and a function of what it is given.
pub struct Memory {
    entries: BTreeMap<Key, Entry>,
    recount: Duration,
    minute: Instant,
    namespaces: BTreeMap<String, u32>,
}

fn key(told: &Told) -> Key {
    (told.regarding.clone(), told.what, told.reason)
}

impl Memory {
    /// `recount`: the count of one event is written anew at most so often.
    pub fn new(now: Instant, recount: Duration) -> Self {
        Memory { entries: BTreeMap::new(), recount, minute: now, namespaces: BTreeMap::new() }
    }

    pub fn take(&mut self, told: &Told, now: Instant) -> Act {
        let key = key(told);
        if let Some(entry) = self.entries.get_mut(&key)
            && now.duration_since(entry.since) < WINDOW
        {
            entry.count = entry.count.saturating_add(1);
            entry.once &= told.once;
            return Act::Repeated;
        }
        if now.duration_since(self.minute) >= MINUTE {
            (self.minute, self.namespaces) = (now, BTreeMap::new());
        }
        let share = self.namespaces.entry(told.regarding.namespace.clone()).or_default();
        if *share >= NAMESPACE_MAX {
            return Act::Suppressed;
        }
        *share += 1;
        self.make_room(now);
        let entry = Entry { since: now, name: None, count: 1, counted: 1, written: now, once: told.once };
        self.entries.insert(key, entry);
        Act::Write
    }

    /// The event is there.
    pub fn written(&mut self, told: &Told, name: String) {
        if let Some(entry) = self.entries.get_mut(&key(told)) {
            entry.name = Some(name);
        }
    }

    /// It could not be written: the next of its kind is tried again.
    pub fn lost(&mut self, told: &Told) {
        self.entries.remove(&key(told));
    }

    /// The counts that are due.
    pub fn recounts(&mut self, now: Instant) -> Vec<Recount> {
        let mut due = Vec::new();
        for ((regarding, ..), entry) in &mut self.entries {
            let Some(name) = &entry.name else { continue };
            if entry.once || entry.count == entry.counted || now.duration_since(entry.written) < self.recount {
                continue;
            }
            (entry.counted, entry.written) = (entry.count, now);
            due.push(Recount { namespace: regarding.namespace.clone(), name: name.clone(), count: entry.count });
        }
        due
    }

    /// What is over goes first, then the older half: rarely, and all at once.
    fn make_room(&mut self, now: Instant) {
        if self.entries.len() < ENTRIES_MAX {
            return;
        }
        self.entries.retain(|_, entry| now.duration_since(entry.since) < WINDOW);
        if self.entries.len() < ENTRIES_MAX {
            return;
        }
        let mut ages: Vec<Instant> = self.entries.values().map(|entry| entry.since).collect();
        ages.sort_unstable();
        let middle = ages.get(ages.len() / 2).copied().unwrap_or(now);
        self.entries.retain(|_, entry| entry.since > middle);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const RECOUNT: Duration = Duration::from_secs(60);

    pub fn told(name: &str, what: What, note: &str) -> Told {
        let regarding = Regarding {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            namespace: "shop".into(),
            name: name.into(),
            uid: format!("uid-of-{name}"),
        };
        Told { regarding, what, reason: Some(Reason::NoSignature), note: note.into(), once: false }
    }

    #[test]
    fn the_same_is_told_once_and_then_counted() {
        let start = Instant::now();
        let mut memory = Memory::new(start, RECOUNT);
        let web = told("web", What::ImageDenied, "a");
        assert_eq!(memory.take(&web, start), Act::Write);
        memory.written(&web, "e-1".into());
        for _ in 0..4 {
            assert_eq!(memory.take(&Told { note: "in other words".into(), ..web.clone() }, start), Act::Repeated);
        }
        assert_eq!(memory.recounts(start + RECOUNT / 2), []);
        let recount = Recount { namespace: "shop".into(), name: "e-1".into(), count: 5 };
        assert_eq!(memory.recounts(start + RECOUNT), [recount]);
        assert_eq!(memory.recounts(start + RECOUNT * 2), [], "nothing new");
        // Another reason, another thing, another owner.
        assert_eq!(memory.take(&Told { reason: Some(Reason::NoLayout), ..web.clone() }, start), Act::Write);
        assert_eq!(memory.take(&Told { what: What::PolicyUnmet, ..web.clone() }, start), Act::Write);
        assert_eq!(memory.take(&told("db", What::ImageDenied, "a"), start), Act::Write);
        assert_eq!(memory.take(&web, start + WINDOW - Duration::from_secs(1)), Act::Repeated);
        assert_eq!(memory.take(&web, start + WINDOW), Act::Write);
    }

    #[test]
    fn what_is_told_once_is_not_counted_again() {
        let start = Instant::now();
        let mut memory = Memory::new(start, RECOUNT);
        let audit = Told { once: true, ..told("web", What::PolicyUnmet, "a") };
        assert_eq!(memory.take(&audit, start), Act::Write);
        memory.written(&audit, "e-1".into());
        for minute in 1..9 {
            assert_eq!(memory.take(&audit, start + MINUTE * minute), Act::Repeated);
            assert_eq!(memory.recounts(start + MINUTE * minute), []);
        }
    }

    #[test]
    fn what_could_not_be_written_is_tried_again() {
        let start = Instant::now();
        let mut memory = Memory::new(start, RECOUNT);
        let web = told("web", What::ImageDenied, "a");
        assert_eq!(memory.take(&web, start), Act::Write);
        memory.lost(&web);
        assert_eq!(memory.take(&web, start), Act::Write);
    }

    #[test]
    fn one_namespace_has_its_share_and_no_other_suffers() {
        let start = Instant::now();
        let mut memory = Memory::new(start, RECOUNT);
        let acts: Vec<Act> =
            (0..100).map(|at| memory.take(&told(&format!("made-up-{at}"), What::ImageDenied, ""), start)).collect();
        assert_eq!(acts.iter().filter(|act| **act == Act::Write).count(), NAMESPACE_MAX as usize);
        assert_eq!(acts.last(), Some(&Act::Suppressed));
        let mut other = told("web", What::ImageDenied, "");
        other.regarding.namespace = "bank".into();
        assert_eq!(memory.take(&other, start), Act::Write);
        assert_eq!(memory.take(&told("made-up-100", What::ImageDenied, ""), start + MINUTE), Act::Write);
    }

    #[test]
    fn it_is_bounded_and_the_latest_stay() {
        let start = Instant::now();
        let mut memory = Memory::new(start, RECOUNT);
        for at in 0..10_000u32 {
            let mut one = told(&format!("rs-{at}"), What::ImageDenied, "");
            one.regarding.namespace = format!("ns-{at}");
            assert_eq!(memory.take(&one, start + Duration::from_millis(at.into())), Act::Write);
            assert!(memory.entries.len() <= ENTRIES_MAX);
        }
        let mut last = told("rs-9999", What::ImageDenied, "");
        last.regarding.namespace = "ns-9999".into();
        assert_eq!(memory.take(&last, start + Duration::from_secs(10)), Act::Repeated);
    }
}
