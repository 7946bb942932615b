//! Which links belong to an image when no run was named: those that share artifacts with the links already in hand.
//!
//! Builds of one chain share most of their files, so sharing *something* says little. The walk therefore follows the
//! rarest shared digest first (a binary only this build made, before a licence every build has), takes for each step
//! the records that share the most, and takes each step once. What it picks is not trusted: the reader verifies.

use std::collections::{BTreeMap, BTreeSet, btree_map};

/// Candidates remembered at once; more are not looked at.
const OFFERS_MAX: usize = 200_000;

/// The state of one walk.
#[derive(Debug, Default)]
pub struct Walk {
    /// Steps that have their links.
    filled: BTreeSet<String>,
    /// step → shared digest → records that have it.
    holders: BTreeMap<String, BTreeMap<i64, BTreeSet<i64>>>,
    offers: usize,
}

impl Walk {
    /// A walk from links of these steps.
    pub fn new(filled: BTreeSet<String>) -> Self {
        Walk { filled, ..Walk::default() }
    }

    /// Record `record` of `step` shares the digest `d64` with a link in hand.
    pub fn offer(&mut self, step: &str, d64: i64, record: i64) {
        if self.offers >= OFFERS_MAX || self.filled.contains(step) {
            return;
        }
        let holders = match self.holders.entry(step.to_owned()) {
            btree_map::Entry::Occupied(entry) => entry.into_mut(),
            btree_map::Entry::Vacant(entry) => entry.insert(BTreeMap::new()),
        };
        if holders.entry(d64).or_default().insert(record) {
            self.offers += 1;
        }
    }

    /// The next step to take, with its best records, newest first. The step is then filled.
    pub fn next_step(&mut self) -> Option<(String, Vec<i64>)> {
        let best = self.holders.iter().filter_map(|(step, holders)| Some((Best::of(holders)?, step))).min()?;
        let (step, records) = (best.1.clone(), best.0.records);
        self.holders.remove(&step);
        self.filled.insert(step.clone());
        Some((step, records))
    }
}

/// A step's best records, best step first in order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Best {
    /// How many records have the rarest digest shared.
    rarity: usize,
    /// Digests the best records share; more is better.
    shared: std::cmp::Reverse<usize>,
    records: Vec<i64>,
}

impl Best {
    fn of(holders: &BTreeMap<i64, BTreeSet<i64>>) -> Option<Best> {
        let rarity = holders.values().map(BTreeSet::len).min()?;
        let mut shared: BTreeMap<i64, usize> = BTreeMap::new();
        for record in holders.values().filter(|records| records.len() == rarity).flatten() {
            shared.insert(*record, 0);
        }
        for record in holders.values().flatten() {
            if let Some(count) = shared.get_mut(record) {
                *count += 1;
            }
        }
        let most = shared.values().copied().max()?;
        let records = shared.iter().rev().filter(|(_, count)| **count == most).map(|(record, _)| *record).collect();
        Some(Best { rarity, shared: std::cmp::Reverse(most), records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LICENCE: i64 = 1;
    const BINARY: i64 = 2;
    const SOURCE: i64 = 3;

    #[test]
    fn the_rare_digest_leads_to_the_build_of_this_image() {
        let mut walk = Walk::new(["package".into()].into());
        // Every checkout and every build has the licence; one build made the binary.
        for record in 10..60 {
            walk.offer("checkout", LICENCE, record);
            walk.offer("build", LICENCE, record + 100);
        }
        walk.offer("build", BINARY, 130);
        assert_eq!(walk.next_step(), Some(("build".into(), vec![130])));
        // That build names the source only its own checkout has.
        walk.offer("checkout", SOURCE, 30);
        assert_eq!(walk.next_step(), Some(("checkout".into(), vec![30])));
        assert_eq!(walk.next_step(), None);
    }

    #[test]
    fn equals_come_together_newest_first() {
        let mut walk = Walk::default();
        for record in [5, 7, 6] {
            walk.offer("review", SOURCE, record);
        }
        walk.offer("review", LICENCE, 6);
        walk.offer("review", LICENCE, 7);
        walk.offer("review", LICENCE, 4);
        assert_eq!(walk.next_step(), Some(("review".into(), vec![7, 6])));
    }

    #[test]
    fn a_filled_step_takes_nothing_more() {
        let mut walk = Walk::new(["build".into()].into());
        walk.offer("build", BINARY, 1);
        assert_eq!(walk.next_step(), None);
    }
}
