//! Whose a step is: its own keys, and those of certificates.

use super::super::{certificates::Certified, quorum::Signer};
use crate::{
    intoto::{Layout, Step},
    key::{KeyRing, NamedKey, PublicKey},
};
use std::collections::BTreeSet;

/// All usable keys that some step trusts, each under its id in the layout.
pub(super) fn functionaries(layout: &Layout, certified: &Certified<'_>) -> KeyRing {
    let of_steps = |id: &String| layout.steps.iter().any(|step| step.pubkeys.contains(id));
    let keys = layout.keys.iter().filter(|(id, _)| of_steps(id));
    KeyRing::new(
        keys.filter_map(|(id, key)| Some(NamedKey { name: id.clone(), key: key.as_ref().ok()?.clone() }))
            .chain(certified.ring())
            .collect(),
    )
}

/// The distinct functionaries of a step, each by the first key it has there; those of certificates by what they call their owners.
pub(super) fn distinct_keys<'l>(
    layout: &'l Layout,
    step: &'l Step,
    certified: &'l Certified<'_>,
) -> Vec<(&'l str, &'l PublicKey)> {
    let mut keys: Vec<(&str, &PublicKey)> = Vec::new();
    for (id, key) in own_keys(layout, step, certified) {
        if !keys.iter().any(|(_, other)| other.functionary() == key.functionary()) {
            keys.push((id, key));
        }
    }
    keys
}

/// Every key of a step, listed or certified.
pub(super) fn own_keys<'l>(
    layout: &'l Layout,
    step: &'l Step,
    certified: &'l Certified<'_>,
) -> impl Iterator<Item = (&'l str, &'l PublicKey)> {
    let listed = step.pubkeys.iter().filter_map(|id| Some((id.as_str(), layout.keys.get(id)?.as_ref().ok()?)));
    listed.chain(certified.of(step))
}

/// The step's own ids of those signers whom it trusts: being among the layout's keys is not enough, and a subkey says nothing of its
/// master (in-toto §1.8).
pub(super) fn authorised(
    layout: &Layout,
    step: &Step,
    certified: &Certified<'_>,
    signers: &[Signer<'_>],
) -> Vec<String> {
    let own = own_keys(layout, step, certified).map(|(_, key)| key);
    let signed: BTreeSet<&[u8]> = own.filter(|key| has_signed(key, signers)).map(PublicKey::functionary).collect();
    let keys = distinct_keys(layout, step, certified).into_iter();
    keys.filter(|(_, key)| signed.contains(key.functionary())).map(|(id, _)| id.to_owned()).collect()
}

/// Whether one of the signers is the very key, or a subkey that it stands for.
pub(super) fn has_signed(key: &PublicKey, signers: &[Signer<'_>]) -> bool {
    key.covers().any(|spki| signers.iter().any(|signer| signer.verified.by == spki))
}
