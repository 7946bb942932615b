//! Events on the workload a decision is about: what became of it, told where its owner looks (`kubectl describe replicaset …`).
//!
//! A ReplicaSet's Pod that is denied does not exist, and nobody reads the log of the controller that tried to create it. So the event lies on
//! the owner that the Pod names. That name is the request's own text: it is used for nothing but the event's `regarding`, and the event lies
//! in the request's namespace, so whoever makes up an owner writes on nobody else's wall.
//!
//! Where it is called: in the webhook, after the answer was made, with what `webhook::told::of` made of it. [`Events::tell`] never waits; what
//! finds no room is dropped and counted. Nothing here can turn into an error of the request.

use super::{Cluster, MANAGER};
use crate::reason::Reason;
use k8s_openapi::api::core::v1::ObjectReference;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod memory; // what was told lately: once, then counted
mod send; // the task that talks to the API server

/// What may wait to be told. Beyond it we are telling more than anybody reads.
const QUEUE_MAX: usize = 1024;

/// The object an event is about, in the request's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Regarding {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}
impl From<&Regarding> for ObjectReference {
    fn from(it: &Regarding) -> Self {
        ObjectReference {
            api_version: Some(it.api_version.clone()),
            kind: Some(it.kind.clone()),
            namespace: Some(it.namespace.clone()),
            name: Some(it.name.clone()),
            uid: Some(it.uid.clone()),
            ..ObjectReference::default()
        }
    }
}

/// What an event says, by the word in its `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Refused.
    ImageDenied,
    /// Admitted, though a policy that is not enforced says no.
    PolicyUnmet,
    /// Admitted by an exception.
    ExceptionUsed,
    /// An exception does not count.
    ExceptionIgnored,
}
impl What {
    /// The event's `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            What::ImageDenied => "ImageDenied",
            What::PolicyUnmet => "PolicyUnmet",
            What::ExceptionUsed => "ExceptionUsed",
            What::ExceptionIgnored => "ExceptionIgnored",
        }
    }

    /// The event's `type`.
    pub fn kind(self) -> &'static str {
        match self {
            What::ExceptionUsed => "Normal",
            What::ImageDenied | What::PolicyUnmet | What::ExceptionIgnored => "Warning",
        }
    }

    /// The event's `action`: what was being done when it came up.
    pub fn action(self) -> &'static str {
        match self {
            What::ImageDenied => "Denying",
            What::PolicyUnmet | What::ExceptionUsed | What::ExceptionIgnored => "Admitting",
        }
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub regarding: Regarding,
    pub what: What,
    /// Our own reason, where there is one: with `what` and `regarding` it says what counts as told already.
    pub reason: Option<Reason>,
    /// At most 1 KiB of printable ASCII.
    pub note: String,
    /// Not even counted again while it is remembered: mode Audit must not be a flood.
    pub once: bool,
}

/// What became of what was to be told.
#[derive(Debug, Default)]
pub struct Counts {
    pub sent: AtomicU64,
    /// Told already within ten minutes: in the count of the event that is there.
    pub repeated: AtomicU64,
    /// No room in the queue.
    pub dropped: AtomicU64,
    /// One namespace had more to tell than its share.
    pub suppressed: AtomicU64,
    /// The API server would not have it.
    pub failed: AtomicU64,
}
impl Counts {
    /// Each with its word for a metric's label.
    pub fn each(&self) -> [(&'static str, u64); 5] {
        [
            ("sent", self.sent.load(Relaxed)),
            ("repeated", self.repeated.load(Relaxed)),
            ("dropped", self.dropped.load(Relaxed)),
            ("suppressed", self.suppressed.load(Relaxed)),
            ("failed", self.failed.load(Relaxed)),
        ]
    }
}

/// How often a count is written anew; the tests shorten it.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Of one event, at most so often.
    pub recount: Duration,
    /// How often counts are looked through.
    pub round: Duration,
}
impl Default for Times {
    fn default() -> Self {
        Times { recount: Duration::from_secs(60), round: Duration::from_secs(10) }
    }
}

/// The way to the task that tells.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Told>,
    counts: Arc<Counts>,
}

impl Events {
    /// Starts the task; it ends with `stop`, after it told what was waiting (for two seconds at most).
    pub fn start(cluster: &Cluster, stop: CancellationToken) -> Self {
        Events::start_with(cluster, Times::default(), stop)
    }

    /// As `start`, with other times than the default ones.
    pub fn start_with(cluster: &Cluster, times: Times, stop: CancellationToken) -> Self {
        let (events, waiting) = Events::new();
        let instance = std::env::var("HOSTNAME").ok().filter(|it| !it.is_empty() && it.len() <= 128);
        let sender = send::Sender {
            client: cluster.client.clone(),
            instance: instance.unwrap_or_else(|| MANAGER.to_owned()),
            counts: Arc::clone(&events.counts),
            times,
        };
        tokio::spawn(sender.run(waiting, stop));
        events
    }

    fn new() -> (Self, mpsc::Receiver<Told>) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        (Events { queue, counts: Arc::default() }, waiting)
    }

    /// Never waits, never fails.
    pub fn tell(&self, told: Vec<Told>) {
        for told in told {
            if self.queue.try_send(told).is_err() {
                self.counts.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    /// For the metrics.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_and_counts_and_nobody_waits() {
        let (events, mut waiting) = Events::new();
        let told = |at: usize| memory::tests::told("web", What::ImageDenied, &format!("note {at}"));
        events.tell((0..QUEUE_MAX + 7).map(told).collect());
        assert_eq!(events.counts().dropped.load(Relaxed), 7);
        assert_eq!(waiting.recv().await.map(|it| it.note).as_deref(), Some("note 0"));
        events.tell(vec![told(1)]);
        assert_eq!(events.counts().dropped.load(Relaxed), 7, "there was room again");
        // The task is gone: still no error.
        drop(waiting);
        events.tell(vec![told(2)]);
        assert_eq!(events.counts().dropped.load(Relaxed), 8);
    }
}
