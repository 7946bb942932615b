//! Whose layout it is (in-toto 5.2.1): layouts that enough owners have signed, taken out of the evidence.

use super::{
    ChainDemand, Rejection,
    budget::Limits,
    evidence::{Content, Evidence, Held, Record},
    quorum,
};
use crate::{
    digest::Digest,
    intoto::{Layout, Profile},
    key::NamedKey,
};
use jiff::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// A layout that enough owners have signed, and how it reads.
pub(super) struct SignedLayout {
    pub name: Digest,
    pub owners: Vec<String>,
    /// When the first of their signatures ceases to count; only OpenPGP's do.
    pub until: Option<Timestamp>,
    pub layout: Result<Layout, Rejection>,
}

/// How many distinct owners it takes: at least one, whatever the demand says.
pub(super) fn needed(demand: &ChainDemand) -> usize {
    let all = demand.owners.distinct();
    demand.threshold.map_or(all, |threshold| usize::try_from(threshold).unwrap_or(usize::MAX)).max(1)
}

/// Takes out the layouts that enough owners have signed, the newest-expiring first. The owners may have signed copies.
pub(super) fn take_layouts(
    demand: &ChainDemand,
    profile: Profile,
    evidence: &mut Evidence<'_>,
    now: Timestamp,
) -> Result<Vec<SignedLayout>, Rejection> {
    if demand.owners.is_empty() {
        return Err(Rejection::NoOwners);
    }
    let needed = needed(demand);

    // Record → the owners who signed it, with their names.
    let mut signed: BTreeMap<Record<'_>, BTreeMap<&[u8], &str>> = BTreeMap::new();
    let mut ends: BTreeMap<Record<'_>, Timestamp> = BTreeMap::new();
    let mut names = Vec::new();
    for held in &evidence.envelopes {
        let signers = quorum::signers_within(&held.envelope, &demand.owners, evidence.attempts_max, now);
        let name = (!signers.is_empty()).then(|| held.record());
        if let Some(name) = &name {
            for until in signers.iter().filter_map(|owner| owner.verified.until) {
                ends.entry(*name).and_modify(|end| *end = until.min(*end)).or_insert(until);
            }
            let owners = signed.entry(*name).or_default();
            owners.extend(signers.into_iter().map(|owner| (owner.key.key.functionary(), owner.key.name.as_str())));
        }
        names.push(name);
    }

    let mut layouts: BTreeMap<Record<'_>, SignedLayout> = BTreeMap::new();
    for (held, name) in evidence.envelopes.iter().zip(&names) {
        let Some((name, owners)) = name.as_ref().and_then(|name| signed.get_key_value(name)) else { continue };
        if owners.len() < needed || layouts.contains_key(name) {
            continue;
        }
        let layout = match Content::of(held, profile) {
            Content::Layout(value) => Layout::read(&value, profile).map_err(Rejection::from),
            Content::Unparsable(cause) => Err(Rejection::LayoutUnreadable { cause: cause.into() }),
            Content::Link(_) | Content::Statement(_) | Content::Other(_) => continue,
        };
        let owners = owners.values().map(|owner| (*owner).to_owned()).collect();
        let until = ends.get(name).copied();
        layouts.insert(*name, SignedLayout { name: held.envelope.digest(), owners, until, layout });
    }
    if layouts.is_empty() {
        return Err(no_layout(demand, evidence, &names, &signed, needed));
    }

    let taken: Vec<bool> = names.iter().map(|name| name.is_some_and(|name| layouts.contains_key(&name))).collect();
    let mut layouts: Vec<SignedLayout> = layouts.into_values().collect();
    let mut taken = taken.into_iter();
    evidence.envelopes.retain(|_| !taken.next().unwrap_or_default());
    layouts.sort_by_key(|signed| Reverse(signed.layout.as_ref().ok().map(|layout| layout.expires)));
    layouts.truncate(Limits::DEFAULT.layouts_max);
    Ok(layouts)
}

/// Why there is none. Reads content that nobody trusted has signed, for the message alone.
fn no_layout(
    demand: &ChainDemand,
    evidence: &Evidence<'_>,
    names: &[Option<Record<'_>>],
    signed: &BTreeMap<Record<'_>, BTreeMap<&[u8], &str>>,
    needed: usize,
) -> Rejection {
    let is_layout = |held: &Held<'_>| matches!(Content::of(held, Profile::Strict), Content::Layout(_));
    let layouts = evidence.envelopes.iter().zip(names).filter(|(held, _)| is_layout(held));
    let best = layouts
        .map(|(held, name)| (held, name.as_ref().and_then(|name| signed.get(name))))
        .max_by_key(|(_, owners)| owners.map_or(0, BTreeMap::len));
    match (best, evidence.unreadable.as_slice()) {
        (Some((held, owners)), _) => {
            let signed_by: BTreeSet<String> =
                owners.into_iter().flat_map(BTreeMap::values).map(|owner| (*owner).to_owned()).collect();
            let claims =
                |owner: &&NamedKey| held.envelope.signatures.iter().any(|signature| quorum::names(signature, owner));
            let invalid = demand.owners.iter().filter(claims).map(|owner| owner.name.clone());
            let invalid = invalid.filter(|owner| !signed_by.contains(owner)).collect::<BTreeSet<_>>();
            Rejection::LayoutUntrusted {
                signed_by: signed_by.into_iter().collect(),
                invalid: invalid.into_iter().collect(),
                needed,
            }
        }
        (None, [cause]) if evidence.envelopes.is_empty() => Rejection::LayoutUnreadable { cause: cause.clone() },
        (None, unreadable) => {
            Rejection::NoLayout { envelopes: names.len() + unreadable.len(), unreadable: unreadable.len() }
        }
    }
}
