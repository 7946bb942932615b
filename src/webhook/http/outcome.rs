//! What became of a review: its answer, its line in the log, and what others are told of it.

use super::{
    super::{
        admit::Outcome,
        metrics::{Endpoint, Labels},
        review::{Answer, Request, printable},
        told,
    },
    Webhook,
    judge::{Judged, is_of_the_body},
};
use crate::{
    cluster::events::Regarding,
    policy::Decision,
    reason::{Fault, Reason},
};
use jiff::Timestamp;
use std::time::Duration;

/// A review that was judged, or could not be.
pub(super) struct Review {
    pub(super) uid: String,
    pub(super) request: Option<Request>,
    pub(super) regarding: Option<Regarding>,
    pub(super) outcome: Result<Judged, Fault>,
}
impl Webhook {
    /// What became of it, on the workload's owner and in the policies' counts.
    pub(super) fn tell(&self, review: &Review, answer: &Answer, now: Timestamp) {
        if let (Some(reports), Some(request), Ok(Judged::Validated(Outcome::Decided(decision)))) =
            (self.reports.get(), &review.request, &review.outcome)
        {
            reports.tell(request, review.regarding.as_ref(), decision);
        }
        let Some(tellers) = &self.tellers else { return };
        let outcome = match &review.outcome {
            Ok(Judged::Validated(outcome)) => Ok(outcome),
            Ok(Judged::Answered(_)) => return,
            Err(fault) => Err(fault),
        };
        if let Ok(Outcome::Decided(decision)) = outcome {
            let dry_run = review.request.as_ref().is_some_and(|request| request.dry_run);
            tellers.counting.decided(decision, dry_run, now);
        }
        if let Some(regarding) = &review.regarding {
            tellers.events.tell(told::of(regarding, outcome, answer.allowed));
        }
    }

    pub(super) fn answer(&self, endpoint: Endpoint, review: &Review) -> (Answer, Labels) {
        match &review.outcome {
            Ok(Judged::Answered(answer)) => (answer.clone(), Labels::of_answer(answer)),
            Ok(Judged::Validated(outcome)) => {
                let labels = match outcome {
                    Outcome::Nothing => Labels::ALLOWED,
                    Outcome::Watched(fault) => Labels::refused(fault, true),
                    Outcome::Decided(decision) => {
                        self.metrics.images(decision.images.len());
                        Labels::of(decision)
                    }
                };
                (outcome.answer(), labels)
            }
            // The mutating half never denies what it can read: the validating one decides (security §3).
            Err(fault) if endpoint == Endpoint::Mutate && !is_of_the_body(fault.reason) => {
                (Answer::allowed(), Labels::refused(fault, true))
            }
            // `--audit-only` denies nothing.
            Err(fault) if self.policies.audit_only() => (Answer::watched(fault), Labels::refused(fault, true)),
            Err(fault) => (Answer::refused(fault), Labels::refused(fault, false)),
        }
    }
}

/// One line a decision (H6). Values are printable ASCII, the body is never among them.
pub(super) fn log(endpoint: Endpoint, review: &Review, answer: &Answer, labels: Labels, took: Duration) {
    let request = review.request.as_ref();
    let text = |value: Option<&str>| printable(value.unwrap_or_default(), 256);
    let decision: Option<&Decision> = match &review.outcome {
        Ok(Judged::Validated(Outcome::Decided(decision))) => Some(decision),
        _ => None,
    };
    let message = match (&review.outcome, &answer.denial) {
        (Err(fault), _) => fault.message.clone(),
        (_, Some((_, message))) => message.clone(),
        _ => String::new(),
    };
    tracing::info!(
        target: "tidewaiter::decision",
        endpoint = endpoint.as_str(),
        uid = text(Some(&review.uid)),
        operation = text(request.map(|it| it.operation.as_str())),
        kind = text(request.map(|it| it.kind.kind.as_str())),
        namespace = text(request.map(|it| it.namespace.as_str())),
        name = text(request.map(|it| it.name.as_str())),
        user = text(request.map(|it| it.user.as_str())),
        dry_run = request.is_some_and(|it| it.dry_run),
        allowed = answer.allowed,
        reason = labels.reason.map(Reason::as_str),
        message = printable(&message, 1024),
        images = decision.map(|it| it.images.len()),
        digests = answer.audit.get("digests").map(|it| printable(it, 1024)),
        policies = answer.audit.get("policies").map(|it| printable(it, 1024)),
        exceptions = answer.audit.get("exceptions").map(|it| printable(it, 1024)),
        policy_hash = decision.map(|it| it.policy_hash.as_str()),
        pinned = answer.patch.len(),
        milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "decision"
    );
}
