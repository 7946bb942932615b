//! Which links count: selected by verified key and signed name, never by file name (R22), and how many functionaries each step has
//! (R24). A link that does not count never blocks (R8); it is said why it did not when its step falls short.

use super::{
    Evidence, Held, Rejection,
    budget::Budget,
    quorum,
    rejection::{Ignored, short},
};
use crate::{
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    intoto::{Artifacts, Layout, Link, Step, rule::Side},
    json::{JsonError, Value},
    key::{KeyRing, NamedKey, PublicKey},
};
use std::{borrow::Cow, collections::BTreeMap};

/// How many ignored envelopes a message tells of.
const IGNORED_MAX: usize = 5;
/// How many artifacts a message names.
const NAMED_MAX: usize = 3;

/// A valid link and the functionaries who signed it, by key id as the layout writes it.
pub(super) struct Report {
    /// Container and name of the record. Anybody can write the same link down in as many ways as he likes, or put signatures of his own
    /// beside a functionary's: however often it comes, it is one.
    record: (bool, Digest),
    pub(super) signers: Vec<String>,
    pub(super) link: Link,
}

/// What was reported for one step.
#[derive(Default)]
pub(super) struct Reports {
    pub(super) links: Vec<Report>,
    /// Functionaries who answered the step with a layout.
    sublayouts: Vec<String>,
    /// What bears a functionary's signature and still does not count.
    pub(super) ignored: Vec<Ignored>,
}

/// Finds the links of every step among the envelopes (in-toto 5.2.4 and 5.2.5).
pub(super) fn collect<'l>(layout: &'l Layout, evidence: &Evidence<'_>) -> BTreeMap<&'l str, Reports> {
    let ring = functionaries(layout);
    let mut steps: BTreeMap<&str, Reports> =
        layout.steps.iter().map(|step| (step.name.as_str(), Reports::default())).collect();
    for held in &evidence.envelopes {
        let envelope = &held.envelope;
        let signers = quorum::signers_within(envelope, &ring, evidence.attempts_max);
        if signers.is_empty() {
            continue;
        }
        // Its signature was checked: now its content may be read (R4).
        match Content::of(held) {
            Content::Link(value) => {
                let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
                let Some(step) = layout.steps.iter().find(|step| step.name == name) else { continue };
                let signers = authorised(layout, step, &signers);
                let (Some(first), Some(reports)) = (signers.first(), steps.get_mut(name)) else { continue };
                let record = record(envelope);
                if let Some(known) = reports.links.iter_mut().find(|known| known.record == record) {
                    known.add(signers);
                    continue;
                }
                match Link::from_value(&value) {
                    Ok(link) => reports.links.push(Report { record, signers, link }),
                    Err(cause) => reports.ignored.push(Ignored::Malformed { key: first.clone(), cause }),
                }
            }
            Content::Layout(_) => {
                for step in &layout.steps {
                    if let Some(reports) = steps.get_mut(step.name.as_str()) {
                        reports.sublayouts.extend(authorised(layout, step, &signers));
                    }
                }
            }
            // These name no step: said wherever their signer might have meant it.
            Content::Other(kind) => {
                let ignored = |key| Ignored::NotALink { key, kind: kind.clone() };
                ignore(layout, &signers, &mut steps, ignored);
            }
            Content::Unparsable(cause) => {
                let ignored = |key| Ignored::Unparsable { key, cause: cause.clone() };
                ignore(layout, &signers, &mut steps, ignored);
            }
        }
    }
    steps
}

fn ignore(
    layout: &Layout,
    signers: &[&NamedKey],
    steps: &mut BTreeMap<&str, Reports>,
    ignored: impl Fn(String) -> Ignored,
) {
    for step in &layout.steps {
        let key = authorised(layout, step, signers).into_iter().next();
        if let (Some(key), Some(reports)) = (key, steps.get_mut(step.name.as_str())) {
            reports.ignored.push(ignored(key));
        }
    }
}

/// What two copies of one record have in common.
fn record(envelope: &Envelope) -> (bool, Digest) {
    (envelope.payload_type().is_some(), envelope.digest())
}

impl Report {
    fn add(&mut self, signers: Vec<String>) {
        let new: Vec<String> = signers.into_iter().filter(|signer| !self.signers.contains(signer)).collect();
        self.signers.extend(new);
    }
}

impl Reports {
    /// For a step that has enough: commands that differ from the expected one (R35), links that did not count.
    pub(super) fn remarks(&self, step: &Step) -> Vec<String> {
        let name = &step.name;
        let mut remarks = Vec::new();
        for report in &self.links {
            if !step.expected_command.is_empty() && report.link.command != step.expected_command {
                let (found, expected) = (report.link.command.join(" "), step.expected_command.join(" "));
                remarks.push(format!("step {name:?}: the command was {found:?}, expected {expected:?}"));
            }
        }
        let counts_not = self.ignored.iter().filter(|ignored| matches!(ignored, Ignored::Malformed { .. }));
        remarks.extend(counts_not.take(IGNORED_MAX).map(|ignored| format!("step {name:?}: ignored {ignored}")));
        remarks
            .extend(self.sublayouts.first().map(|key| format!("step {name:?}: ignored a sublayout by {}", short(key))));
        remarks
    }
}

/// Enough distinct functionaries, whatever the number of files (R24). Gives their key ids.
pub(super) fn meet(
    layout: &Layout,
    step: &Step,
    reports: &Reports,
    evidence: &Evidence<'_>,
    budget: &Budget,
) -> Result<Vec<String>, Rejection> {
    budget.links(&step.name, reports.links.len())?;
    reports.links.iter().try_for_each(|report| budget.artifacts(&report.link))?;
    // `authorised` names each public key by one id, so ids can be counted here.
    let mut counted: Vec<String> = reports.links.iter().flat_map(|report| report.signers.iter().cloned()).collect();
    counted.sort();
    counted.dedup();
    if usize::try_from(step.threshold).is_ok_and(|threshold| counted.len() >= threshold) {
        return Ok(counted);
    }
    if let Some(key) = reports.sublayouts.first() {
        return Err(Rejection::Sublayout { step: step.name.clone(), key: key.clone() });
    }
    let missing =
        distinct_keys(layout, step).into_iter().map(|(id, _)| id.to_owned()).filter(|id| !counted.contains(id));
    Err(Rejection::ThresholdNotMet {
        step: step.name.clone(),
        threshold: step.threshold,
        missing: missing.collect(),
        counted,
        ignored: ignored(layout, step, reports, evidence),
    })
}

/// R26: all valid links of a step report the same artifacts. What they agree on is the step's link.
pub(super) fn agree(step: &Step, reports: Vec<Report>) -> Result<Link, Rejection> {
    let mut distinct: Vec<Report> = Vec::new();
    for report in reports {
        let same = |other: &Report| {
            other.link.materials == report.link.materials && other.link.products == report.link.products
        };
        if distinct.iter().any(same) {
            continue;
        }
        // Every pair, since agreeing with one link of other hash algorithms says nothing about a third.
        for other in &distinct {
            for side in [Side::Materials, Side::Products] {
                let differing = differing(artifacts(&other.link, side), artifacts(&report.link, side));
                if !differing.is_empty() {
                    return Err(Rejection::LinksDisagree {
                        step: step.name.clone(),
                        keys: [&other.signers, &report.signers].map(|signers| signers.join("+")),
                        side,
                        count: differing.len(),
                        artifacts: differing.into_iter().take(NAMED_MAX).map(str::to_owned).collect(),
                    });
                }
            }
        }
        distinct.push(report);
    }
    let merged = distinct.into_iter().map(|report| report.link).reduce(|mut link, other| {
        add_hashes(&mut link.materials, other.materials);
        add_hashes(&mut link.products, other.products);
        link
    });
    // A threshold is at least 1, so there is a link.
    merged.ok_or_else(|| Rejection::ThresholdNotMet {
        step: step.name.clone(),
        threshold: step.threshold,
        counted: Vec::new(),
        missing: step.pubkeys.clone(),
        ignored: Vec::new(),
    })
}

fn artifacts(link: &Link, side: Side) -> &Artifacts {
    match side {
        Side::Materials => &link.materials,
        Side::Products => &link.products,
    }
}

/// The names that one of the two does not have, or has with other hashes.
fn differing<'a>(left: &'a Artifacts, right: &'a Artifacts) -> Vec<&'a str> {
    let only_right = right.keys().filter(|name| !left.contains_key(*name));
    let not_the_same =
        left.iter().filter(|(name, hashes)| !right.get(*name).is_some_and(|other| other.agrees_with(hashes)));
    let mut names: Vec<&str> = not_the_same.map(|(name, _)| name).chain(only_right).map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Links that agree may know different hash algorithms of one artifact: together they know all.
fn add_hashes(artifacts: &mut Artifacts, more: Artifacts) {
    for (name, hashes) in more {
        artifacts.entry(name).or_default().0.extend(hashes.0);
    }
}

/// All usable keys that some step trusts, each under its id in the layout.
fn functionaries(layout: &Layout) -> KeyRing {
    let of_steps = |id: &String| layout.steps.iter().any(|step| step.pubkeys.contains(id));
    let keys = layout.keys.iter().filter(|(id, _)| of_steps(id));
    KeyRing::new(
        keys.filter_map(|(id, key)| Some(NamedKey { name: id.clone(), key: key.as_ref().ok()?.clone() })).collect(),
    )
}

/// The distinct public keys of a step, each by the first id it has there.
fn distinct_keys<'l>(layout: &'l Layout, step: &'l Step) -> Vec<(&'l str, &'l PublicKey)> {
    let mut keys: Vec<(&str, &PublicKey)> = Vec::new();
    for id in &step.pubkeys {
        if let Some(Ok(key)) = layout.keys.get(id)
            && !keys.iter().any(|(_, other)| other.spki() == key.spki())
        {
            keys.push((id, key));
        }
    }
    keys
}

/// The step's own ids of those signers whom it trusts: being among the layout's keys is not enough (in-toto §1.8).
fn authorised(layout: &Layout, step: &Step, signers: &[&NamedKey]) -> Vec<String> {
    let keys = distinct_keys(layout, step).into_iter();
    keys.filter(|(_, key)| signers.iter().any(|signer| signer.key.spki() == key.spki()))
        .map(|(id, _)| id.to_owned())
        .collect()
}

/// What lies about and might have been meant for the step. Reads unverified content, for the message alone.
fn ignored(layout: &Layout, step: &Step, reports: &Reports, evidence: &Evidence<'_>) -> Vec<Ignored> {
    let ring = functionaries(layout);
    let mut ignored = reports.ignored.clone();
    for held in &evidence.envelopes {
        if ignored.len() >= IGNORED_MAX {
            break;
        }
        let envelope = &held.envelope;
        match Content::of(held) {
            Content::Link(value) if value.get("name").and_then(Value::as_str) == Some(&step.name) => {
                let signers = quorum::signers_within(envelope, &ring, evidence.attempts_max);
                if !authorised(layout, step, &signers).is_empty() {
                    continue;
                }
                ignored.push(match signers.first() {
                    Some(signer) => Ignored::Unauthorised { key: signer.name.clone() },
                    None => unverified(layout, step, envelope),
                });
            }
            _ => {}
        }
    }
    let unreadable = evidence.unreadable.iter().map(|cause| Ignored::Unreadable { cause: cause.clone() });
    ignored.extend(unreadable);
    ignored.truncate(IGNORED_MAX);
    ignored
}

/// A link that no key of any step signed: says it is by one of the step's, or by a stranger.
fn unverified(layout: &Layout, step: &Step, envelope: &Envelope) -> Ignored {
    for (id, key) in distinct_keys(layout, step) {
        let key = NamedKey { name: id.to_owned(), key: key.clone() };
        if envelope.signatures.iter().any(|signature| signature.keyid.is_some() && quorum::claims(signature, &key)) {
            return Ignored::BadSignature { key: id.to_owned() };
        }
    }
    Ignored::Stranger { claimed: envelope.signatures.iter().find_map(|signature| signature.keyid.clone()) }
}

/// What an envelope carries, by its payload type and the `_type` in it.
pub(super) enum Content<'e> {
    Link(Cow<'e, Value>),
    Layout(Cow<'e, Value>),
    /// The payload type or `_type`, where there is one.
    Other(Option<String>),
    /// A payload that breaks the strict grammar of JSON.
    Unparsable(JsonError),
}

impl<'e> Content<'e> {
    pub(super) fn of(held: &'e Held<'_>) -> Self {
        let envelope = &held.envelope;
        // security §2.E1: the payload type is part of what was signed, and compared exactly.
        if envelope.payload_type().is_some_and(|kind| kind != INTOTO_PAYLOAD_TYPE) {
            return Content::Other(envelope.payload_type().map(str::to_owned));
        }
        let value = match held.value() {
            Ok(value) => value,
            Err(cause) => return Content::Unparsable(cause),
        };
        match value.get("_type").and_then(Value::as_str) {
            Some("link") => Content::Link(value),
            Some("layout") => Content::Layout(value),
            other => Content::Other(other.map(str::to_owned)),
        }
    }

    /// The word it goes by in a message.
    pub(super) fn kind(self) -> Option<String> {
        match self {
            Content::Link(_) => Some("link".to_owned()),
            Content::Layout(_) => Some("layout".to_owned()),
            Content::Other(kind) => kind,
            Content::Unparsable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
