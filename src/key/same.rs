//! Which keys are one functionary's (R15, R24): those that share a key, directly or by others.

use super::PublicKey;
use std::collections::BTreeMap;

/// Says of every key whose it is: an OpenPGP master and its subkeys are one functionary, also where one of them stands beside it as a key
/// of its own. Only certificates can join keys, so that without one nothing changes.
pub(crate) fn unite<'k>(keys: impl Iterator<Item = &'k mut PublicKey>) {
    let mut keys: Vec<&mut PublicKey> = keys.collect();
    if keys.iter().all(|key| key.pgp.is_none()) {
        return;
    }
    let mut groups = Groups((0..keys.len()).collect());
    let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (at, key) in keys.iter().enumerate() {
        let parts = key.pgp.iter().flat_map(|pgp| pgp.parts()).map(|part| &part.spki);
        for part in parts.chain([&key.spki, &key.functionary]) {
            match seen.get(part) {
                Some(other) => groups.join(at, *other),
                None => drop(seen.insert(part.clone(), at)),
            }
        }
    }
    // The smallest of the names they have: the same however often this is done.
    let mut names: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for (at, key) in keys.iter().enumerate() {
        let name = names.entry(groups.of(at)).or_insert_with(|| key.functionary.clone());
        if key.functionary < *name {
            name.clone_from(&key.functionary);
        }
    }
    for (at, key) in keys.iter_mut().enumerate() {
        if let Some(name) = names.get(&groups.of(at)) {
            key.functionary.clone_from(name);
        }
    }
}

/// Of each member another one of its group; the first of a group is its own.
struct Groups(Vec<usize>);

impl Groups {
    /// The first of the group, and a shorter way there for the next who asks.
    fn of(&mut self, member: usize) -> usize {
        let mut at = member;
        while let Some(next) = self.0.get(at).copied().filter(|next| *next != at) {
            let after = self.0.get(next).copied().unwrap_or(next);
            if let Some(place) = self.0.get_mut(at) {
                *place = after;
            }
            at = next;
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        if let Some(place) = self.0.get_mut(one.max(other)) {
            *place = one.min(other);
        }
    }
}
