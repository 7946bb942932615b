//! The links of an image in one chain.

use super::{EQUALS_MAX, SUBJECTS_MAX, Subject};
use crate::{
    args,
    store::{
        Kind, StoreError, artifacts,
        body::{self, BlobColumns},
        session::{Arg, Session},
        sql,
        walk::Walk,
    },
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Runs of one image that are looked at, newest first.
const RUNS_MAX: usize = 8;
/// The walk by shared artifacts: rows of each kind of look-up, and look-ups in all.
const FAN_OUT_MAX: i64 = 64;
const CHUNKS_OF_SET_MAX: i64 = 4_096;
const DIGESTS_OF_LINK_MAX: usize = 20_000;
const LOOKUPS_MAX: usize = 4_096;

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
        let signed: Vec<(i64, String)> = self.session.rows_in(&sql::SIGNERS_OF_MANY, &[], &many).await?;
        let mut signers: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        for (record, keyid) in signed {
            signers.entry(record).or_default().insert(keyid);
        }
        let mut counts: BTreeMap<(Option<String>, BTreeSet<String>), usize> = BTreeMap::new();
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
        let mut chunks = BTreeMap::<i64, Vec<i64>>::new();
        let mut popularity = BTreeMap::<i64, usize>::new();
        for (digest, chunk) in self.chunks(&all).await? {
            chunks.entry(chunk).or_default().push(digest);
            *popularity.entry(digest).or_default() += 1;
        }
        // Chunks with rare digests first, as look-ups are limited.
        let mut order: Vec<(usize, i64)> = chunks
            .iter()
            .map(|(chunk, digests)| {
                (digests.iter().filter_map(|digest| popularity.get(digest)).min().copied().unwrap_or(0), *chunk)
            })
            .collect();
        order.sort_unstable();
        for (_, chunk) in order {
            let digests = chunks.remove(&chunk).unwrap_or_default();
            for set in self.sets(chunk).await? {
                for (record, step) in self.records(Side::Making, set).await? {
                    for digest in digests.iter().filter(|digest| used.contains(digest)) {
                        offer(walk, missing, &step, *digest, record);
                    }
                }
                for (record, step) in self.records(Side::Using, set).await? {
                    for digest in &digests {
                        offer(walk, missing, &step, *digest, record);
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

    /// Which chunks hold which of the digests. Where a batch has more than it may return, each digest is asked alone, so
    /// that a common one does not hide a rare one.
    async fn chunks(&mut self, digests: &BTreeSet<i64>) -> Result<Vec<(i64, i64)>, StoreError> {
        let digests: Vec<Arg<'_>> = digests.iter().map(|digest| Arg::from(*digest)).collect();
        let many = FAN_OUT_MAX * 16;
        let mut found = Vec::new();
        for batch in sql::pieces(&digests) {
            if !self.may_look() {
                break;
            }
            let rows: Vec<(i64, i64)> = self.session.rows_in(&sql::CHUNKS_OF_MANY, args![many], batch).await?;
            if (rows.len() as i64) < many {
                found.extend(rows);
                continue;
            }
            for digest in batch {
                if !self.may_look() {
                    break;
                }
                let rows: Vec<(i64, i64)> =
                    self.session.rows(sql::CHUNKS_OF_ONE, &[*digest, FAN_OUT_MAX.into()]).await?;
                found.extend(rows);
            }
        }
        Ok(found)
    }

    async fn sets(&mut self, chunk: i64) -> Result<Vec<i64>, StoreError> {
        if !self.may_look() {
            return Ok(Vec::new());
        }
        self.session.values(sql::SETS_OF_CHUNK, args![chunk, FAN_OUT_MAX]).await
    }

    async fn records(&mut self, side: Side, set: i64) -> Result<Vec<(i64, String)>, StoreError> {
        if let Some(records) = self.seen.get(&(side, set)) {
            return Ok(records.clone());
        }
        if !self.may_look() {
            return Ok(Vec::new());
        }
        let statement = match side {
            Side::Making => sql::RECORDS_MAKING,
            Side::Using => sql::RECORDS_USING,
        };
        let rows: Vec<(i64, Option<String>)> =
            self.session.rows(statement, args![set, self.chain, FAN_OUT_MAX]).await?;
        let records: Vec<(i64, String)> = rows.into_iter().filter_map(|(id, step)| Some((id, step?))).collect();
        self.seen.insert((side, set), records.clone());
        Ok(records)
    }

    fn may_look(&mut self) -> bool {
        self.lookups += 1;
        self.lookups <= LOOKUPS_MAX
    }
}

fn offer(walk: &mut Walk, missing: &BTreeSet<String>, step: &str, digest: i64, record: i64) {
    if missing.contains(step) {
        walk.offer(step, digest, record);
    }
}
