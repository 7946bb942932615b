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
        // What cannot be resolved stays as it is: the validating webhook says so.
        let (Some(image), Ok(digest)) = (workload.images.get(index), digest) else { continue };
        answer
            .patch
            .push(json!({ "op": "replace", "path": pointer(&image.field), "value": pinned(&image.image, &digest) }));
    }
    if !answer.patch.is_empty() {
        answer.audit.insert("pinned", answer.patch.len().to_string());
    }
    Ok(answer)
}

/// Judges one image as in a Pod that has been through the mutating webhook (for `verify`). Where that could not have pinned
/// it, the decision says why: the tag names nothing, or could not be looked up. Its `reference` stays as it was given.
///
/// # Errors
/// As [`decide`].
pub async fn verify(
    judge: &Judge,
    set: &Arc<PolicySet>,
    mut workload: Workload,
    namespace: Option<&Namespace>,
    deadline: Instant,
    now: Timestamp,
) -> Result<Decision, Fault> {
    let given: Vec<String> = workload.images.iter().map(|image| image.image.clone()).collect();
    let mut lost: Vec<Option<Fault>> = given.iter().map(|_| None).collect();
    for (index, digest) in judge.pins(set, &workload, deadline).await {
        match (workload.images.get_mut(index), lost.get_mut(index), digest) {
            (Some(image), _, Ok(digest)) => image.image = pinned(&image.image, &digest),
            (_, Some(lost), Err(fault)) => *lost = Some(fault),
            _ => {}
        }
    }
    if lost.iter().any(Option::is_some) {
        // As a controller's, whose tags are resolved: the same policies, and the fault for an answer.
        workload.is_pod = false;
        let readings = set.read(&workload);
        return Ok(set.decide(&workload, namespace, readings, lost.into_iter().map(|it| it.map(Err)).collect(), now));
    }
    let mut decision = decide(judge, set, &workload, namespace, deadline, now).await?;
    for (image, given) in decision.images.iter_mut().zip(given) {
        if image.reference.starts_with(&given) {
            image.reference = given;
        }
    }
    Ok(decision)
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
