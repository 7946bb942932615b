//! Verdicts for the metadata store (docs/store.md, `verdicts:batch`): what was decided about which image, for those who ask it what runs where.
//!
//! A decision never waits for it: [`Reports::tell`] is called when the answer is made, what finds no room is dropped and counted, and nothing
//! that the store does can turn into an error of a request.

use super::review::{Request, printable};
use crate::{
    cluster::events::Regarding,
    policy::{Decision, ImageDecision, Mode},
    reason::Reason,
    source::store::StoreClient,
};
use serde::Serialize;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod send; // the task that talks to the store

pub use send::Times;

/// What may wait to be sent: some megabytes.
const QUEUE_MAX: usize = 4096;
/// What the store takes of a text.
const TEXT_CHARS_MAX: usize = 512;

/// One image of one workload, as it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub cluster: Arc<str>,
    pub namespace: String,
    pub workload: Workload,
    /// As written.
    pub image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `allowed`, `denied`, `warned` or `audited`.
    pub decision: &'static str,
    /// The first cause, where it is not `allowed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The policy it is a cause for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// RFC 3339.
    pub at: String,
}

/// The owner that a Pod names, else the object itself. What does not exist yet has no uid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workload {
    pub kind: String,
    pub name: String,
    pub uid: String,
}

/// What to report of a decision. Nothing of what no policy judged; of a workload that is denied only what is wrong with it, for the rest
/// was not let in either.
pub fn of(cluster: &Arc<str>, request: &Request, regarding: Option<&Regarding>, decision: &Decision) -> Vec<Verdict> {
    let text = |text: &str| printable(text, TEXT_CHARS_MAX);
    let workload = match regarding {
        Some(it) => Workload { kind: it.kind.clone(), name: it.name.clone(), uid: it.uid.clone() },
        None => Workload { kind: text(&request.kind.kind), name: text(&request.name), uid: String::new() },
    };
    let judged = decision.images.iter().filter(|image| !image.policies.is_empty() || image.fault.is_some());
    let told = judged.filter(|image| decision.allowed || image.denied);
    let verdict = |image: &ImageDecision| {
        let (decided, reason, policy) = outcome(image);
        Verdict {
            cluster: Arc::clone(cluster),
            namespace: text(&request.namespace),
            workload: workload.clone(),
            image: text(&image.reference),
            // The store knows images by no other.
            digest: image.digest.clone().filter(|digest| digest.starts_with("sha256:")),
            decision: decided,
            reason,
            policy: policy.map(text),
            at: decision.decided_at.clone(),
        }
    };
    told.map(verdict).collect()
}

/// The word for an image, the first cause, and whose it is: of the strictest policy that is not met.
fn outcome(image: &ImageDecision) -> (&'static str, Option<Reason>, Option<&str>) {
    let unmet = |mode| image.policies.iter().filter(move |policy| !policy.met && policy.mode == mode);
    let first = [Mode::Enforce, Mode::Warn, Mode::Audit].into_iter().flat_map(unmet).next();
    let of_policy = first.and_then(|policy| {
        let causes = policy.requirements.iter().filter(|it| !it.met && !it.waived);
        causes.filter_map(|it| it.reason).min_by_key(|reason| reason.class())
    });
    let reason = of_policy.or(image.fault.as_ref().map(|fault| fault.reason));
    let decided = match (image.denied, first.map(|policy| policy.mode)) {
        (true, _) => "denied",
        (false, Some(Mode::Audit)) => "audited",
        (false, Some(_)) => "warned",
        (false, None) if image.fault.is_some() => "warned",
        (false, None) => return ("allowed", None, None),
    };
    (decided, reason, first.map(|policy| policy.policy.as_str()))
}

/// What became of verdicts.
#[derive(Debug, Default)]
pub struct Counts {
    pub sent: AtomicU64,
    /// No room in the queue.
    pub dropped: AtomicU64,
    /// The store could not be told, again and again.
    pub failed: AtomicU64,
    /// The store would not have them.
    pub refused: AtomicU64,
}
impl Counts {
    /// Each with its word for a metric's label.
    pub fn each(&self) -> [(&'static str, u64); 4] {
        [
            ("sent", self.sent.load(Relaxed)),
            ("dropped", self.dropped.load(Relaxed)),
            ("failed", self.failed.load(Relaxed)),
            ("refused", self.refused.load(Relaxed)),
        ]
    }
}

/// The way to the task that sends.
pub struct Reports {
    cluster: Arc<str>,
    queue: mpsc::Sender<Verdict>,
    counts: Arc<Counts>,
}

impl Reports {
    /// Starts the task; it ends with `stop`, after it sent what was waiting (for two seconds at most). `cluster`: our name in the store.
    pub fn start(store: Arc<StoreClient>, cluster: &str, times: Times, stop: CancellationToken) -> Self {
        let (reports, waiting) = Reports::new(cluster);
        let sender = send::Sender { store, counts: Arc::clone(&reports.counts), times };
        tokio::spawn(sender.run(waiting, stop));
        reports
    }

    fn new(cluster: &str) -> (Self, mpsc::Receiver<Verdict>) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        (Reports { cluster: cluster.into(), queue, counts: Arc::default() }, waiting)
    }

    /// Never waits, never fails. A dry run decides nothing.
    pub fn tell(&self, request: &Request, regarding: Option<&Regarding>, decision: &Decision) {
        if request.dry_run {
            return;
        }
        for verdict in of(&self.cluster, request, regarding, decision) {
            if self.queue.try_send(verdict).is_err() {
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
mod tests;
