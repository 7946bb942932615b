//! What an answer is worth telling the workload's owner ([`crate::cluster::events`]): pure.
//!
//! In [`super::http`]: [`regarding`] while the object is still there, [`of`] after the answer was made; then `Events::tell`.

use super::{
    admit::Outcome,
    review::{Operation, Request, printable},
};
use crate::{
    cluster::events::{Regarding, Told, What},
    json::Value,
    policy::{Decision, Mode, Unenforced},
    reason::{Fault, Reason},
};

/// T-66: what the API server takes, and what anybody reads.
const NOTE_CHARS_MAX: usize = 1024;
/// Things told of one review, most.
const TOLD_MAX: usize = 8;

/// The object that an event about the request can lie on: the controller that the request's object names, else, on UPDATE, the object itself.
/// `None` where no object exists yet, and for a dry run (security §2.B11).
///
/// What the object says of its owner is anybody's text. It is taken only where it looks as the API server writes it.
pub fn regarding(request: &Request) -> Option<Regarding> {
    if request.dry_run || request.namespace.is_empty() || request.operation == Operation::Delete {
        return None;
    }
    let object = request.object.as_ref()?;
    let metadata = object.get("metadata")?;
    let owners = metadata.get("ownerReferences").and_then(Value::as_array).unwrap_or_default();
    let controller = owners.iter().find(|owner| matches!(owner.get("controller"), Some(Value::Bool(true))));
    let (place, named) = match (controller, &request.operation) {
        (Some(owner), _) if request.kind.kind == "Pod" || request.operation == Operation::Create => (owner, owner),
        (_, Operation::Update) => (object, metadata),
        _ => return None,
    };
    let text = |value: &Value, key: &str, max: usize| {
        let text = value.get(key).and_then(Value::as_str)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
        (!text.is_empty() && text.len() <= max && text.bytes().all(plain)).then(|| text.to_owned())
    };
    Some(Regarding {
        api_version: text(place, "apiVersion", 317)?,
        kind: text(place, "kind", 63)?,
        namespace: request.namespace.clone(),
        name: text(named, "name", 253)?,
        uid: text(named, "uid", 128)?,
    })
}

/// What to tell of a review: `allowed` is what was answered.
pub fn of(regarding: &Regarding, outcome: Result<&Outcome, &Fault>, allowed: bool) -> Vec<Told> {
    let told = |what, reason, note: String, once| Told {
        regarding: regarding.clone(),
        what,
        reason,
        note: printable(&note, NOTE_CHARS_MAX),
        once,
    };
    let decision = match outcome {
        Ok(Outcome::Nothing) => return Vec::new(),
        Ok(Outcome::Decided(decision)) => decision,
        Ok(Outcome::Watched(fault)) | Err(fault) => {
            let (what, word) =
                if allowed { (What::PolicyUnmet, "not enforced") } else { (What::ImageDenied, "denied by tidewaiter") };
            return vec![told(what, Some(fault.reason), format!("{word}: {fault}"), allowed)];
        }
    };
    let mut all = Vec::new();
    if !allowed {
        all.push(told(What::ImageDenied, decision.reason(), first_cause(decision), false));
    }
    for group in by_reason(&decision.unenforced()) {
        let once = group.iter().all(|it| it.mode != Some(Mode::Warn));
        all.extend(group.first().map(|it| told(What::PolicyUnmet, Some(it.reason), unmet(it, group.len()), once)));
    }
    for used in &decision.exceptions {
        let policy = quoted(&used.policy);
        let (what, note) = match used.honoured {
            true => (What::ExceptionUsed, format!("admitted by an exception from {policy}: {}", used.message)),
            false => (What::ExceptionIgnored, format!("exception from policy {policy} ignored: {}", used.message)),
        };
        if !all.iter().any(|it| it.what == what) {
            all.push(told(what, None, note, false));
        }
    }
    all.truncate(TOLD_MAX);
    all
}

/// The denial's first lines as one: who denies, which image, why, and the reason.
fn first_cause(decision: &Decision) -> String {
    let message = decision.message();
    let lines = message.lines().take(3).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut note = lines.collect::<Vec<_>>().join(": ");
    if let Some(reason) = decision.reason().filter(|reason| !note.ends_with(&format!("[{}]", reason.as_str()))) {
        note.push_str(&format!(" [{}]", reason.as_str()));
    }
    note
}

fn by_reason<'u, 'd>(all: &'u [Unenforced<'d>]) -> Vec<Vec<&'u Unenforced<'d>>> {
    let mut groups: Vec<(Reason, Vec<&Unenforced<'_>>)> = Vec::new();
    for one in all {
        match groups.iter_mut().find(|(reason, _)| *reason == one.reason) {
            Some((_, group)) => group.push(one),
            None => groups.push((one.reason, vec![one])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn unmet(first: &Unenforced<'_>, count: usize) -> String {
    let who = match (first.policy, first.mode) {
        (Some(policy), Some(mode)) => format!("{} ({mode:?}) would deny", quoted(policy)),
        _ => "not enforced:".to_owned(),
    };
    let more = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
    let (image, reason) = (first.image, first.reason.as_str());
    format!("{who} {} {}: {} [{reason}]{more}", image.field, image.reference, first.message)
}

/// `ClusterImagePolicy "shop"`, from `ClusterImagePolicy/shop`.
fn quoted(label: &str) -> String {
    match label.split_once('/') {
        Some((kind, name)) => format!("{kind} \"{name}\""),
        None => format!("\"{label}\""),
    }
}

#[cfg(test)]
mod tests;
