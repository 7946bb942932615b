//! What the leader does, every few seconds and when the Secret changes: certificates and registration first, then
//! the jobs it was given (status conditions). It ends with leadership at once, wherever it was: every write names the version
//! it was made for, so one that comes late is refused.
//!
//! How a program puts it together (all but `open` in tasks of its own; `stop` is the one that drains the listener):
//!
//! ```text
//! let names = certificates::names(&service, &cluster.namespace);
//! let kept = certificates::open(&cluster, &secret, names, certificates::Times::default(), stop.clone()).await?;
//! let tls = Some(serve::tls::Source::Held(kept.certificates())); // of serve::Options
//! let (leading, leads) = tokio::sync::watch::channel(false);
//! let lease = Lease::new(&cluster, &service, format!("{pod}_{random}"));
//! let leader = Leader {
//!     trust: Trust::Made(kept), // with --tls-dir: Trust::Given(tls_dir.join("ca.crt"))
//!     registration: Some(Registration::new(cluster.clone(), registration_dir)),
//!     ready: Box::new(move || webhook.is_ready()),
//!     jobs: vec![Job::new("status", move || status.clone().write())],
//!     period: leader::PERIOD,
//!     report: report.clone(), // for the metrics
//! };
//! tokio::join!(lease.hold(leading, stop.clone()), leader.run(leads, stop.clone()), bound.run(router, stop.clone()));
//! ```

use super::{
    certificates::{self, Kept, renew::Renewal, step::Step},
    complaints::Complaints,
    registration::Registration,
};
use anyhow::Context;
use futures::future::BoxFuture;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two rounds.
pub const PERIOD: Duration = Duration::from_secs(5);
/// From a write to the next round.
const AFTER_WRITE: Duration = Duration::from_millis(200);
/// Most time for one part of a round, so that a slow job delays certificates no longer than this.
const PART_MAX: Duration = Duration::from_secs(30);

/// Where the bundle comes from that webhook configurations are to trust.
pub enum Trust {
    /// From our own Secret, which the leader renews.
    Made(Kept),
    /// From a file that another program renews (cert-manager): read at every round.
    Given(PathBuf),
}

/// Something the leader does at every round.
pub struct Job {
    name: &'static str,
    run: Box<dyn FnMut() -> BoxFuture<'static, anyhow::Result<()>> + Send>,
}
impl Job {
    /// `run` makes the future of one round; it is dropped where it stands when leadership ends.
    pub fn new<F>(name: &'static str, mut run: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Job { name, run: Box::new(move || Box::pin(run())) }
    }
}

/// What the leader found, for the metrics; all false and 0 where another replica leads.
#[derive(Debug, Default)]
pub struct Report {
    pub leads: AtomicBool,
    /// The webhook configurations hold what is desired, as of the last look at them.
    pub registered: AtomicBool,
    /// Entries of the configurations that somebody changed by hand (break-glass).
    pub differences: AtomicUsize,
}

/// The leader's duties.
pub struct Leader {
    pub trust: Trust,
    pub registration: Option<Registration>,
    /// Whether we could answer a review: nothing is registered before.
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
    pub jobs: Vec<Job>,
    pub period: Duration,
    pub report: Arc<Report>,
}

impl Leader {
    /// Does them while `leading` is true, until `stop`.
    pub async fn run(mut self, mut leading: watch::Receiver<bool>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                led = leading.wait_for(|leads| *leads) => if led.is_err() { return },
            }
            self.report.leads.store(true, Relaxed);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = leading.wait_for(|leads| !*leads) => {}
                () = self.lead() => {}
            }
            self.report.leads.store(false, Relaxed);
            self.report.registered.store(false, Relaxed);
            self.report.differences.store(0, Relaxed);
        }
    }

    async fn lead(&mut self) {
        let mut renewal = match &self.trust {
            Trust::Made(kept) => Some(Renewal::new(kept.clone())),
            Trust::Given(_) => None,
        };
        let mut complaints = Complaints::default();
        loop {
            let mut wrote = false;
            let outcome = bounded(self.certificates(renewal.as_mut())).await.map(|step| wrote = step != Step::Wait);
            told(&mut complaints, "certificates and registration", outcome);
            for job in &mut self.jobs {
                let outcome = bounded((job.run)()).await;
                told(&mut complaints, job.name, outcome);
            }
            if wrote {
                // What was written has its consequences soon, but a step that leads nowhere must not spin.
                tokio::time::sleep(AFTER_WRITE.min(self.period)).await;
                continue;
            }
            match &self.trust {
                Trust::Made(kept) => tokio::select! {
                    () = tokio::time::sleep(self.period) => {}
                    () = kept.changed() => {}
                },
                Trust::Given(_) => tokio::time::sleep(self.period).await,
            }
        }
    }

    /// The bundle, the configurations that are to trust it, then the next step of a renewal: in this order nothing is served
    /// before it is trusted. Where a part fails, the next step sees "not trusted" and waits.
    async fn certificates(&mut self, mut renewal: Option<&mut Renewal>) -> anyhow::Result<Step> {
        let bundle = match (&mut renewal, &self.trust) {
            (Some(renewal), _) => renewal.look().await?,
            (None, Trust::Given(file)) => Some(certificates::given(file).context("caBundle")?),
            (None, Trust::Made(_)) => None,
        };
        let registered = match &mut self.registration {
            Some(registration) => registration.reconcile(bundle.as_deref(), (self.ready)()).await.map(Some),
            None => Ok(None),
        };
        let trusted = match &registered {
            Ok(Some(found)) => {
                self.report.registered.store(found.registered, Relaxed);
                self.report.differences.store(found.differences, Relaxed);
                found.trusted
            }
            Ok(None) => true,
            Err(_) => {
                self.report.registered.store(false, Relaxed);
                false
            }
        };
        let step = match renewal {
            Some(renewal) => renewal.step(bundle.as_deref().filter(|_| trusted)).await?,
            None => Step::Wait,
        };
        registered.map(|_| step)
    }
}

async fn bounded<T>(part: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(PART_MAX, part).await.unwrap_or_else(|_| Err(anyhow::anyhow!("not done within {PART_MAX:?}")))
}

fn told(complaints: &mut Complaints, part: &'static str, outcome: anyhow::Result<()>) {
    let error = outcome.err().map(|error| format!("{error:#}"));
    complaints
        .tell(part, error, |error| tracing::error!(part, error, "a duty of the leader failed, and is tried again"));
}
