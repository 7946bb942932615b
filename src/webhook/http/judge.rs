//! A review judged: within its time, and with a panic as one more way to fail.

use super::{
    super::{
        admit::{self, Outcome},
        images::Subject,
        metrics::Endpoint,
        policies::Snapshot,
        review::{Answer, Request},
    },
    Webhook,
};
use crate::{
    policy::{Namespace, PolicySet, Reading},
    reason::{Fault, Reason},
};
use futures::FutureExt;
use jiff::Timestamp;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

/// How a review came out.
pub(super) enum Judged {
    Validated(Outcome),
    Answered(Answer),
}

impl Webhook {
    /// Judges, with a panic as one more way to fail (T-62, F18).
    pub(super) async fn outcome(
        &self,
        endpoint: Endpoint,
        request: &Request,
        subject: Result<Subject, Fault>,
        deadline: Instant,
        now: Timestamp,
    ) -> Result<Judged, Fault> {
        let judged = self.caught(async {
            let snapshot: Arc<Snapshot> = self.policies.current()?;
            let Snapshot { judge, set, .. } = snapshot.as_ref();
            match endpoint {
                Endpoint::Mutate => Ok(Judged::Answered(admit::mutate(judge, set, subject, deadline).await?)),
                Endpoint::Validate | Endpoint::Resources => {
                    let name = &request.namespace;
                    if let Some(fault) = snapshot.refusal(name).filter(|_| lets_in(&subject)) {
                        return Err(fault);
                    }
                    let namespace = match self.namespace(set, &subject, deadline).await {
                        Ok(namespace) => namespace,
                        // Where nothing is enforced, nothing is denied.
                        Err(fault) if !set.may_deny_in(name) => {
                            return Ok(Judged::Validated(Outcome::Watched(fault)));
                        }
                        Err(fault) => return Err(fault),
                    };
                    let namespace = namespace.as_deref();
                    let outcome = admit::validate(judge, set, name, subject, namespace, deadline, now).await?;
                    Ok(Judged::Validated(outcome))
                }
            }
        });
        // Whatever is inside minds the deadline; this is for what does not.
        match tokio::time::timeout_at(deadline.into(), judged).await {
            Ok(judged) => judged?,
            Err(_) => Err(Fault::new(Reason::DeadlineExceeded, "the review's time ran out")),
        }
    }

    /// The namespace of a workload that some policy is about. Without a cluster none is known.
    async fn namespace(
        &self,
        set: &PolicySet,
        subject: &Result<Subject, Fault>,
        deadline: Instant,
    ) -> Result<Option<Arc<Namespace>>, Fault> {
        let (Some(watched), Ok(Subject::Workload(workload))) = (&self.watched, subject) else { return Ok(None) };
        if let Some(known) = watched.namespaces().cached(&workload.namespace) {
            return Ok(Some(known));
        }
        // Nothing that an exception could be about: no request for it.
        if set.read(workload).iter().all(|reading| *reading == Reading::Settled) {
            return Ok(None);
        }
        watched.namespaces().get(&workload.namespace, deadline).await.map(Some)
    }

    pub(super) async fn caught<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        AssertUnwindSafe(work).catch_unwind().await.map_err(|_| {
            self.metrics.panicked();
            Fault::new(Reason::InternalError, "a defect of tidewaiter; its log says where")
        })
    }
}

/// Whether a request lets in an image that was not in already, or cannot be looked at.
fn lets_in(subject: &Result<Subject, Fault>) -> bool {
    match subject {
        Ok(Subject::Nothing) => false,
        Ok(Subject::Workload(workload)) => workload.images.iter().any(|image| !image.unchanged),
        Err(fault) => !is_of_the_body(fault.reason),
    }
}

/// What is wrong with the review itself.
pub(super) fn is_of_the_body(reason: Reason) -> bool {
    matches!(reason, Reason::ReviewMalformed | Reason::ReviewTooLarge)
}
