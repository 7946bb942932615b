//! The links of an image in one chain.

use super::{EQUALS_MAX, SUBJECTS_MAX, Subject};
use crate::{
    args,
    store::{
        Kind, StoreError, artifacts,
        body::{self, BlobColumns},
        family,
        session::{Arg, Session},
        sql,
        walk::Walk,
    },
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Runs of one image that are looked at, newest first.
const RUNS_MAX: usize = 8;
/// The walk by shared artifacts: rows of each kind of look-up, and look-ups in all.
const FAN_OUT_MAX: i64 = 64;
const CHUNKS_OF_SET_MAX: i64 = 4_096;
const DIGESTS_OF_LINK_MAX: usize = 20_000;
const LOOKUPS_MAX: usize = 1_024;
/// Sets that share something with one link, the rarest sharing first; with them those of the same look-up.
const SETS_MAX: usize = 64;
/// A chunk in more sets is common, however many they are (`sql::POPULARITY`).
const RARE_MAX: i64 = 16;
/// Common chunks of one link that are looked up.
const COMMON_MAX: usize = 4;

/// A link without its envelope.
#[derive(Clone, Debug)]
struct Row {
    id: i64,
    step: Option<String>,
    inputs: Option<i64>,
    outputs: Option<i64>,
}

/// Id, kind, step, what it used and what it made.
type Columns = (i64, i64, Option<String>, Option<i64>, Option<i64>);

/// The row of a link; `None` for another kind of record.
fn link((id, kind, step, inputs, outputs): Columns) -> Option<Row> {
    (kind == Kind::Link.code()).then_some(Row { id, step, inputs, outputs })
}

/// The search for an image's links in one chain.
pub struct Look<'l> {
    session: &'l mut Session,
    chain: i64,
    /// Links wanted at most.
    part: usize,
    /// Keyed look-ups of the walk so far.
    lookups: usize,
    /// Records (id, step) that use or make a set, looked up once.
    seen: HashMap<(Side, i64), Vec<(i64, String)>>,
    /// Links in hand.
    rows: HashMap<i64, Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Using,
    Making,
}

impl<'l> Look<'l> {
    /// A search that gives at most so many links.
    pub fn new(session: &'l mut Session, chain: i64, part: usize) -> Self {
        Look { session, chain, part, lookups: 0, seen: HashMap::new(), rows: HashMap::new() }
    }

    /// Links that made the image, all links of their runs, and for steps of the layouts still without links those that
    /// share artifacts with what is in hand.
    pub async fn links(&mut self, subjects: &[Subject], layouts: &[i64]) -> Result<Vec<i64>, StoreError> {
        let runs: BTreeSet<i64> = subjects.iter().filter_map(|subject| subject.run).collect();
        let mut of_runs = Vec::new();
        for run in runs.into_iter().rev().take(RUNS_MAX) {
            let most = i64::try_from(self.part).unwrap_or(i64::MAX);
            let rows: Vec<Columns> = self.session.rows(sql::RECORDS_OF_RUN, args![run, most]).await?;
            of_runs.extend(rows.into_iter().filter_map(link));
        }
        self.rows.extend(of_runs.iter().map(|row| (row.id, row.clone())));
        let ids = subjects.iter().map(|subject| subject.record).filter(|id| !layouts.contains(id));
        let mut links = self.some_of_each(&ids.collect::<Vec<i64>>()).await?;
        let mut known: BTreeSet<i64> = links.iter().map(|link| link.id).collect();
        links.extend(of_runs.into_iter().filter(|row| known.insert(row.id)));
        self.follow(&mut links, layouts).await?;
        Ok(links.into_iter().map(|link| link.id).collect())
    }

    /// Of the records given newest first, at most two of the same step and signers.
    async fn some_of_each(&mut self, ids: &[i64]) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows(ids).await?;
        let mut of_step: BTreeMap<&Option<String>, usize> = BTreeMap::new();
        for row in &rows {
            *of_step.entry(&row.step).or_default() += 1;
        }
        // Who signed is asked only where it can make a difference.
        let many = rows.iter().filter(|row| of_step.get(&row.step).is_some_and(|count| *count > EQUALS_MAX));
        let many: Vec<Arg<'_>> = many.map(|row| row.id.into()).collect();
        let signed: Vec<(i64, i64)> = self.session.rows_in(&sql::SIGNERS_OF_MANY, &[], &many).await?;
        let mut signers: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        for (record, signer) in signed {
            signers.entry(record).or_default().insert(signer);
        }
        let mut counts: BTreeMap<(Option<String>, BTreeSet<i64>), usize> = BTreeMap::new();
        let mut kept = Vec::new();
        for row in rows {
            let count = counts.entry((row.step.clone(), signers.remove(&row.id).unwrap_or_default())).or_default();
            *count += 1;
            if *count <= EQUALS_MAX {
                kept.push(row);
            }
        }
        Ok(kept)
    }

    /// The links of these ids, in their order; those that are in hand are not asked for again.
    async fn rows(&mut self, ids: &[i64]) -> Result<Vec<Row>, StoreError> {
        let missing: Vec<Arg<'_>> =
            ids.iter().filter(|id| !self.rows.contains_key(id)).map(|id| (*id).into()).collect();
        let found: Vec<Columns> = self.session.rows_in(&sql::RECORDS, &[], &missing).await?;
        self.rows.extend(found.into_iter().filter_map(link).map(|row| (row.id, row)));
        Ok(ids.iter().filter_map(|id| self.rows.get(id).cloned()).collect())
    }

    /// The walk by shared artifacts (`Walk`), over steps that have no link yet.
    async fn follow(&mut self, links: &mut Vec<Row>, layouts: &[i64]) -> Result<(), StoreError> {
        let filled: BTreeSet<String> = links.iter().filter_map(|link| link.step.clone()).collect();
        let of: Vec<Arg<'_>> = layouts.iter().map(|layout| Arg::from(*layout)).collect();
        let wanted: Vec<(String,)> = self.session.rows_in(&sql::STEPS_OF_LAYOUTS, &[], &of).await?;
        let wanted: BTreeSet<String> = wanted.into_iter().map(|(step,)| step).collect();
        let mut missing: BTreeSet<String> = wanted.difference(&filled).cloned().collect();
        let mut walk = Walk::new(filled);
        let mut next = 0;
        while !missing.is_empty() && links.len() < self.part {
            while let Some(link) = links.get(next).cloned() {
                next += 1;
                self.offer(&mut walk, &missing, &link).await?;
            }
            let Some((step, records)) = walk.next_step() else { break };
            missing.remove(&step);
            let records: Vec<i64> = records.into_iter().take(SUBJECTS_MAX).collect();
            links.extend(self.some_of_each(&records).await?);
        }
        links.truncate(self.part);
        Ok(())
    }

    /// Offers the records that made what the link used, and those that used what it used or made.
    async fn offer(&mut self, walk: &mut Walk, missing: &BTreeSet<String>, link: &Row) -> Result<(), StoreError> {
        let used = self.digests(link.inputs).await?;
        let made = self.digests(link.outputs).await?;
        let all: BTreeSet<i64> = used.union(&made).copied().take(DIGESTS_OF_LINK_MAX).collect();
        let mut of_chunk = BTreeMap::<i64, Vec<i64>>::new();
        let lookups = &mut self.lookups;
        for (digest, chunk) in family::holders(self.session, &all, || may_look(lookups)).await? {
            of_chunk.entry(chunk).or_default().push(digest);
        }
        let mut shared = BTreeMap::<i64, BTreeSet<i64>>::new();
        for (chunk, set) in self.sets(of_chunk.keys().copied().collect(), link).await? {
            shared.entry(set).or_default().extend(of_chunk.get(&chunk).into_iter().flatten());
        }
        let sets: Vec<i64> = shared.keys().copied().collect();
        for side in [Side::Making, Side::Using] {
            self.records(side, &sets).await?;
            for (set, digests) in &shared {
                let records = self.seen.get(&(side, *set)).into_iter().flatten();
                for (record, step) in records.filter(|(_, step)| missing.contains(step)) {
                    for digest in digests.iter().filter(|digest| side == Side::Using || used.contains(digest)) {
                        walk.offer(step, *digest, *record);
                    }
                }
            }
        }
        Ok(())
    }

    /// The first eight bytes of every digest in a set.
    async fn digests(&mut self, set: Option<i64>) -> Result<BTreeSet<i64>, StoreError> {
        let Some(set) = set else { return Ok(BTreeSet::new()) };
        let chunks: Vec<BlobColumns> = self.session.rows(sql::CHUNKS_OF_SET, args![set, CHUNKS_OF_SET_MAX]).await?;
        let what = format!("a chunk of artifact list {set}");
        let mut digests = BTreeSet::new();
        for chunk in chunks {
            let bytes = body::bytes(self.session, chunk, &what).await?;
            let entries = artifacts::entries(&bytes);
            let (_, postings) = entries.ok_or_else(|| StoreError::Corrupt(format!("{what} does not parse")))?;
            digests.extend(postings);
        }
        Ok(digests)
    }

    /// (Chunk, set) of the chunks that are in the fewest sets, and of equals the newest: what is everywhere tells no build from another.
    /// Enough are those in so many sets beside the link's own.
    async fn sets(&mut self, chunks: Vec<i64>, link: &Row) -> Result<Vec<(i64, i64)>, StoreError> {
        let asked: Vec<Arg<'_>> = chunks.into_iter().map(Arg::from).collect();
        let mut popularity = BTreeSet::new();
        for batch in asked.chunks(sql::PIECE_MAX) {
            if self.may_look() {
                let rows: Vec<(i64, i64)> = self.session.rows_for(&sql::POPULARITY, batch).await?;
                popularity.extend(rows.into_iter().map(|(chunk, count)| (count, Reverse(chunk))));
            }
        }
        let popularity: Vec<(i64, i64)> =
            popularity.into_iter().map(|(count, Reverse(chunk))| (chunk, count)).collect();
        let common = popularity.partition_point(|(_, count)| *count <= RARE_MAX);
        let (rare, common) = popularity.split_at(common);
        let mut found = Vec::new();
        let mut others = BTreeSet::new();
        // Rare ones many at once; of common ones the newest sets, one after the other.
        for batch in rare.chunks(sql::PIECE_MAX).chain(common.chunks(1).take(COMMON_MAX)) {
            if others.len() >= SETS_MAX || !self.may_look() {
                break;
            }
            let rows: Vec<(i64, i64)> = match batch {
                [(chunk, count)] if *count > RARE_MAX => {
                    self.session.rows(sql::SETS_OF_CHUNK, args![*chunk, RARE_MAX]).await?
                }
                batch => {
                    let chunks: Vec<Arg<'_>> = batch.iter().map(|(chunk, _)| Arg::from(*chunk)).collect();
                    self.session.rows_in(&sql::SETS_OF_CHUNKS, &[], &chunks).await?
                }
            };
            let beside = |set: &i64| ![link.inputs, link.outputs].contains(&Some(*set));
            others.extend(rows.iter().map(|(_, set)| *set).filter(beside));
            found.extend(rows);
        }
        Ok(found)
    }

    /// Looks up who makes or uses the sets, as far as that is not known. Where a batch has more than it may return, each set is asked alone.
    async fn records(&mut self, side: Side, sets: &[i64]) -> Result<(), StoreError> {
        let (one, any) = match side {
            Side::Making => (sql::RECORDS_MAKING, &sql::RECORDS_MAKING_ANY),
            Side::Using => (sql::RECORDS_USING, &sql::RECORDS_USING_ANY),
        };
        let new: Vec<i64> = sets.iter().copied().filter(|set| !self.seen.contains_key(&(side, *set))).collect();
        for batch in new.chunks(sql::PIECE_MAX) {
            if !self.may_look() {
                break;
            }
            let asked: Vec<Arg<'_>> = batch.iter().map(|set| Arg::from(*set)).collect();
            let many = FAN_OUT_MAX * 16;
            let mut rows: Vec<(i64, i64, Option<String>)> =
                self.session.rows_in(any, args![self.chain, many], &asked).await?;
            if rows.len() as i64 >= many {
                rows.clear();
                for set in batch {
                    if self.may_look() {
                        let columns = args![*set, self.chain, FAN_OUT_MAX];
                        rows.extend(self.session.rows::<(i64, i64, Option<String>)>(one, columns).await?);
                    }
                }
            }
            self.seen.extend(batch.iter().map(|set| ((side, *set), Vec::new())));
            for (set, id, step) in rows {
                if let Some(step) = step {
                    self.seen.entry((side, set)).or_default().push((id, step));
                }
            }
        }
        Ok(())
    }

    fn may_look(&mut self) -> bool {
        may_look(&mut self.lookups)
    }
}

/// One more; not when there were enough.
fn may_look(lookups: &mut usize) -> bool {
    *lookups += 1;
    *lookups <= LOOKUPS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_is_counted_until_it_is_not_rare() {
        assert!(sql::POPULARITY.before.contains(&format!(" LIMIT {}) AS few", RARE_MAX + 1)));
    }
}
