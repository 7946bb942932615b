//! A Lease, so that one replica of many writes.
//!
//! client-go's rules, written by ourselves: what the crates offer either goes on saying "leader" when renewal fails, or
//! compares the clocks of two machines. Losing the Lease stops writing; reviews never ask who leads.

use super::{Cluster, complaints::Complaints};
use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as Object, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::api::{Api, PostParams};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

mod elector;
#[cfg(test)]
mod tests;
use elector::{Elector, Record, Wish};

/// The times of an election; the defaults are client-go's. `deadline` must be shorter than `duration`, so that we have stopped
/// before another one may start.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Who wants the Lease waits this long after the last change it saw.
    pub duration: Duration,
    /// Who has it gives it up when it could not renew for this long.
    pub deadline: Duration,
    /// Between two tries.
    pub retry: Duration,
}
impl Default for Times {
    fn default() -> Self {
        Times { duration: Duration::from_secs(15), deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// The wish to hold a Lease.
pub struct Lease {
    api: Api<Object>,
    name: String,
    times: Times,
    elector: Elector,
}

impl Lease {
    /// `identity` must be another one in every replica and after every restart: the pod's name and something random.
    pub fn new(cluster: &Cluster, name: &str, identity: impl Into<String>) -> Self {
        Self::with_times(cluster, name, identity, Times::default())
    }

    /// As `new`, with other times than the default ones.
    pub fn with_times(cluster: &Cluster, name: &str, identity: impl Into<String>, times: Times) -> Self {
        let api = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        Lease { api, name: name.to_owned(), times, elector: Elector::new(identity.into(), times) }
    }

    /// Tries to hold the Lease until `stop`, and tells by `leading` whether it does; gives it back at the end, so that
    /// another replica need not wait. Drop it without `stop` and the Lease runs out by itself.
    pub async fn hold(mut self, leading: watch::Sender<bool>, stop: CancellationToken) {
        let mut complaints = Complaints::default();
        loop {
            // While we lead, a request that hangs must not outlive the deadline.
            let patience = self.elector.remaining(Instant::now()).unwrap_or(self.times.deadline);
            let outcome = tokio::select! {
                () = stop.cancelled() => break,
                outcome = tokio::time::timeout(patience, self.attempt()) => {
                    outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {patience:?}")))
                }
            };
            let leads = self.tell(&leading);
            complaints.tell("lease", outcome.err().map(|error| format!("{error:#}")), |error| {
                tracing::warn!(lease = self.name, leads, error, "cannot take or renew the lease");
            });
            let pause =
                self.elector.remaining(Instant::now()).map_or(self.times.retry, |left| left.min(self.times.retry));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            self.tell(&leading);
        }
        let led = *leading.borrow();
        // First we stop, then the others may start.
        leading.send_replace(false);
        if led {
            match tokio::time::timeout(self.times.retry, self.release()).await {
                Ok(Ok(())) => tracing::info!(lease = self.name, "lease given back"),
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, error = format!("{error:#}"), "lease not given back")
                }
                Err(_) => tracing::warn!(lease = self.name, "lease not given back: no answer"),
            }
        }
    }

    fn tell(&self, leading: &watch::Sender<bool>) -> bool {
        let now = self.elector.leads(Instant::now());
        if leading.send_if_modified(|before| std::mem::replace(before, now) != now) {
            tracing::info!(lease = self.name, leads = now, "leadership changed");
        }
        now
    }

    /// One look at the Lease, and what follows from it. The write names the version that was read: of two, one wins.
    async fn attempt(&mut self) -> anyhow::Result<()> {
        let object = self.api.get_opt(&self.name).await.context("read the lease")?;
        // The time before the request: others count from when they see the write, which is later.
        let now = Instant::now();
        self.elector.observe(object.as_ref().map(record), now);
        let wish = self.elector.wish(now);
        let parameters = PostParams::default();
        let written = match (wish, object) {
            (Wish::Wait, _) => return Ok(()),
            (Wish::Write, None) => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                self.api.create(&parameters, &self.filled(Object { metadata, spec: None })).await
            }
            (Wish::Write, Some(object)) => self.api.replace(&self.name, &parameters, &self.filled(object)).await,
        };
        match written {
            Ok(object) => self.elector.wrote(record(&object), now),
            // Somebody was faster: we look again the next time.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).context("write the lease"),
        }
        Ok(())
    }

    async fn release(&mut self) -> anyhow::Result<()> {
        let Some(mut object) = self.api.get_opt(&self.name).await.context("read the lease")? else { return Ok(()) };
        if record(&object).holder.as_deref() != Some(self.elector.identity()) {
            return Ok(());
        }
        let spec = object.spec.get_or_insert_default();
        (spec.holder_identity, spec.lease_duration_seconds) = (Some(String::new()), Some(1));
        self.api.replace(&self.name, &PostParams::default(), &object).await.context("write the lease")?;
        Ok(())
    }

    /// The Lease as ours, renewed now. Its times are for people: nobody's clock is compared with them.
    fn filled(&self, mut object: Object) -> Object {
        let before = object.spec.take().unwrap_or_default();
        let now = Some(MicroTime(Timestamp::now()));
        let ours = before.holder_identity.as_deref() == Some(self.elector.identity());
        let transitions = before.lease_transitions.unwrap_or(0);
        let seconds = i32::try_from(self.times.duration.as_secs()).unwrap_or(i32::MAX).max(1);
        object.spec = Some(LeaseSpec {
            holder_identity: Some(self.elector.identity().to_owned()),
            lease_duration_seconds: Some(seconds),
            acquire_time: if ours { before.acquire_time } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(if ours { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        });
        object
    }
}

fn record(object: &Object) -> Record {
    let spec = object.spec.clone().unwrap_or_default();
    Record {
        version: object.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
    }
}
