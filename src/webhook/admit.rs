//! A request to its answer: the validating and the mutating half. The webhook and `tidewaiter review` share them.

use super::{Judge, images::Subject, pinned, review::Answer};
use crate::{
    policy::{Decision, Namespace, PolicySet, Workload},
    reason::{Fault, Reason},
};
use jiff::Timestamp;
use serde_json::json;
use std::{sync::Arc, time::Instant};

/// How a review came out.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing to judge.
    Nothing,
    Decided(Decision),
    /// Would be refused; but where nothing is enforced, nothing is denied (B1).
    Watched(Fault),
}
impl Outcome {
    /// The answer that follows.
    pub fn answer(&self) -> Answer {
        match self {
            Outcome::Nothing => Answer::allowed(),
            Outcome::Decided(decision) => Answer::of(decision),
            Outcome::Watched(fault) => Answer::watched(fault),
        }
    }

    /// The exit code of `tidewaiter review`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::Nothing | Outcome::Watched(_) => 0,
            Outcome::Decided(decision) => decision.exit_code(),
        }
    }
}

/// `/validate`: judges what a request in the namespace would let in.
///
/// # Errors
/// A fault of the request itself.
pub async fn validate(
    judge: &Judge,
    set: &Arc<PolicySet>,
    name: &str,
    subject: Result<Subject, Fault>,
    namespace: Option<&Namespace>,
    deadline: Instant,
    now: Timestamp,
) -> Result<Outcome, Fault> {
    match subject {
        Ok(Subject::Nothing) => Ok(Outcome::Nothing),
        Ok(Subject::Workload(workload)) => {
            Ok(Outcome::Decided(decide(judge, set, &workload, namespace, deadline, now).await?))
        }
        Err(fault)
            if matches!(fault.reason, Reason::UnsupportedField | Reason::TooManyImages) && !set.may_deny_in(name) =>
        {
            Ok(Outcome::Watched(fault))
        }
        Err(fault) => Err(fault),
    }
}

/// Judges a workload.
///
/// # Errors
/// `internal_error` where the decision does not speak of every image that was found (T-17).
pub async fn decide(
    judge: &Judge,
    set: &Arc<PolicySet>,
    workload: &Workload,
    namespace: Option<&Namespace>,
    deadline: Instant,
    now: Timestamp,
) -> Result<Decision, Fault> {
    let decision = judge.judge(set, workload, namespace, deadline, now).await;
    if decision.images.len() == workload.images.len() {
        return Ok(decision);
    }
    let why = format!("{} images found and {} decided", workload.images.len(), decision.images.len());
    Err(Fault::new(Reason::InternalError, why))
}

/// `/mutate`: pins the images of a Pod that a policy wants pinned. It never denies a review it can read: the
/// validating webhook decides on what comes out.
///
/// # Errors
/// `review_malformed` alone.
pub async fn mutate(
    judge: &Judge,
    set: &PolicySet,
    subject: Result<Subject, Fault>,
    deadline: Instant,
) -> Result<Answer, Fault> {
    let workload = match subject {
        Ok(Subject::Workload(workload)) if workload.is_pod => workload,
        Err(fault) if fault.reason == Reason::ReviewMalformed => return Err(fault),
        Ok(_) | Err(_) => return Ok(Answer::allowed()),
    };
    let mut answer = Answer::allowed();
    for (index, digest) in judge.pins(set, &workload, deadline).await {
        let Some(image) = workload.images.get(index) else { continue };
        answer
            .patch
            .push(json!({ "op": "replace", "path": pointer(&image.field), "value": pinned(&image.image, &digest) }));
    }
    if !answer.patch.is_empty() {
        answer.audit.insert("pinned", answer.patch.len().to_string());
    }
    Ok(answer)
}

/// The workload as it would be after the mutating webhook (for `verify` and `review`).
pub async fn pin(judge: &Judge, set: &PolicySet, mut workload: Workload, deadline: Instant) -> Workload {
    for (index, digest) in judge.pins(set, &workload, deadline).await {
        if let Some(image) = workload.images.get_mut(index) {
            image.image = pinned(&image.image, &digest);
        }
    }
    workload
}

/// `spec.containers[0].image` as a JSON pointer. Our field names hold neither `~` nor `/`.
fn pointer(field: &str) -> String {
    let mut pointer = String::from("/");
    for char in field.chars() {
        match char {
            '.' | '[' => pointer.push('/'),
            ']' => {}
            other => pointer.push(other),
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::pointer;

    #[test]
    fn fields_become_pointers() {
        assert_eq!(pointer("spec.containers[10].image"), "/spec/containers/10/image");
        assert_eq!(pointer("spec.volumes[0].image.reference"), "/spec/volumes/0/image/reference");
    }
}
