//! From an image digest to everything a verification of it needs: keyed statements only (docs/store.md).

use super::{
    Evidence, EvidenceLimits, Found, Kind, StoreError, artifacts,
    body::{self, BlobColumns},
    records,
    session::{Arg, Session},
    sql,
    walk::Walk,
};
use crate::{args, digest::Digest};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Chains that may share one answer; each has an equal part of its records.
const CHAINS_MAX: usize = 16;
/// Records of one image looked at in one chain, newest first.
const SUBJECTS_MAX: i64 = 64;
/// Of the same step and signers, where nothing else tells them apart.
const EQUALS_MAX: usize = 2;
/// Statements about one image in one chain.
const STATEMENTS_MAX: usize = 32;
/// Bytes of a statement that comes with an image's evidence; a larger one, a bill of materials say, is asked for by its name.
const STATEMENT_BYTES_MAX: i64 = 1 << 20;
/// Layouts of a chain looked at, newest first, for those that have not expired.
const LAYOUTS_READ_MAX: i64 = 64;
/// The walk by shared artifacts: rows of each kind of look-up, and look-ups in all.
const FAN_OUT_MAX: i64 = 64;
const CHUNKS_OF_SET_MAX: i64 = 4_096;
const DIGESTS_OF_LINK_MAX: usize = 20_000;
const LOOKUPS_MAX: usize = 4_096;

/// A link or layout without its envelope.
#[derive(Clone, Debug)]
struct Row {
    id: i64,
    step: Option<String>,
    inputs: Option<i64>,
    outputs: Option<i64>,
}

type Columns = (i64, i64, Option<String>, Option<i64>, Option<i64>);

impl From<Columns> for Row {
    fn from((id, _, step, inputs, outputs): Columns) -> Self {
        Row { id, step, inputs, outputs }
    }
}

/// Everything for the image in the chains that may be read.
pub async fn evidence(
    session: &mut Session,
    image: &Digest,
    may_read: &BTreeSet<i64>,
    now: Timestamp,
    limits: EvidenceLimits,
) -> Result<Evidence, StoreError> {
    let mut bindings = BTreeMap::<i64, Vec<i64>>::new();
    for (chain, layout) in bound_layouts(session, image).await? {
        bindings.entry(chain).or_default().push(layout);
    }
    let mut chains: BTreeSet<i64> = bindings.keys().copied().collect();
    let of_subject: Vec<i64> = session.values(sql::CHAINS_OF_SUBJECT, args![&artifacts::raw(image), 1_024]).await?;
    chains.extend(of_subject);
    chains.retain(|chain| may_read.contains(chain));

    let mut answer = Answer { evidence: Evidence::default(), bytes: 0, bytes_until: 0, limits };
    answer.evidence.truncated = chains.len() > CHAINS_MAX;
    let sharing = chains.len().clamp(1, CHAINS_MAX);
    let part = limits.records_max / sharing;
    for (place, chain) in chains.into_iter().take(CHAINS_MAX).enumerate() {
        answer.next_chain(sharing - place);
        let bound = bindings.remove(&chain).unwrap_or_default();
        let layouts = layouts(session, chain, &bound, now, limits.layouts_max).await?;
        let mut look = Look { session: &mut *session, chain, part, lookups: 0, seen: HashMap::new() };
        let links = look.links(image, &layouts).await?;
        answer.evidence.truncated |= layouts.len() + links.len() > part;
        for id in layouts.into_iter().chain(links).take(part) {
            answer.add(session, id).await?;
        }
        for id in statements(session, image, chain).await? {
            answer.add_statement(session, id).await?;
        }
    }
    Ok(answer.evidence)
}

/// What is said of the image beside its links: of the same step and predicate the newest two.
async fn statements(session: &mut Session, image: &Digest, chain: i64) -> Result<Vec<i64>, StoreError> {
    let raw = artifacts::raw(image);
    let ids: Vec<i64> = session.values(sql::STATEMENTS, args![&raw, chain, SUBJECTS_MAX]).await?;
    let mut counts = BTreeMap::<(Option<String>, Option<String>), usize>::new();
    let mut rows = records::rows(session, &ids).await?;
    rows.retain(|row| {
        let count = counts.entry((row.step.clone(), row.predicate_type.clone())).or_default();
        *count += 1;
        *count <= EQUALS_MAX
    });
    Ok(rows.into_iter().take(STATEMENTS_MAX).map(|row| row.id).collect())
}
/// Of `ENVELOPE`: chain, payload digest, kind and step, then a `BlobColumns`.
type EnvelopeColumns = (
    i64,
    Vec<u8>,
    i64,
    Option<String>,
    Vec<u8>,
    i64,
    i64,
    Option<Vec<u8>>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<String>,
);

/// The record as it is given out; its bytes are those that were written, or it is an error (security §4.3 F11).
pub async fn envelope(session: &mut Session, id: i64) -> Result<Found, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("record {id} {what}"));
    let row: Option<EnvelopeColumns> = session.row(sql::ENVELOPE, args![id]).await?;
    let (chain, payload_digest, kind, step, digest, codec, size, inline, location, k1, k2, k3, k4) =
        row.ok_or_else(|| corrupt("has no envelope"))?;
    let blob = (digest, codec, size, inline, location, k1, k2, k3, k4);
    let envelope = body::bytes(session, blob, &format!("record {id}")).await?;
    let name = format!("sha256:{}", hex::encode(payload_digest));
    Ok(Found {
        chain,
        digest: name.parse().map_err(|_| corrupt("has no name"))?,
        kind: Kind::from_code(kind).ok_or_else(|| corrupt("is of no kind"))?,
        step,
        envelope,
    })
}

/// An answer that is being put together.
struct Answer {
    evidence: Evidence,
    bytes: usize,
    /// The chain that is read may bring them up to this.
    bytes_until: usize,
    limits: EvidenceLimits,
}

impl Answer {
    /// Another chain, and with it so many that are still to come: what is left is theirs in equal parts. A writer of one chain may name
    /// any image, and must not crowd out what the image's own chain knows of it.
    fn next_chain(&mut self, left: usize) {
        self.bytes_until = self.bytes + self.limits.bytes_max.saturating_sub(self.bytes) / left.max(1);
    }

    /// Adds a record while there is room; its size is asked before its bytes are read.
    async fn add(&mut self, session: &mut Session, id: i64) -> Result<(), StoreError> {
        let size: i64 = session.one(sql::ENVELOPE_SIZE, args![id]).await?;
        let bytes = self.bytes.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        if bytes > self.bytes_until || self.evidence.records.len() >= self.limits.records_max {
            self.evidence.truncated = true;
            return Ok(());
        }
        self.bytes = bytes;
        self.evidence.records.push(envelope(session, id).await?);
        Ok(())
    }

    /// Adds a statement where there is room. Left out it makes no answer incomplete, for it counts as nobody's link.
    async fn add_statement(&mut self, session: &mut Session, id: i64) -> Result<(), StoreError> {
        let size: i64 = session.one(sql::ENVELOPE_SIZE, args![id]).await?;
        let bytes = self.bytes.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        let fits = bytes <= self.bytes_until && self.evidence.records.len() < self.limits.records_max;
        match fits && size <= STATEMENT_BYTES_MAX {
            true => self.add(session, id).await,
            false => Ok(()),
        }
    }
}

async fn bound_layouts(session: &mut Session, image: &Digest) -> Result<Vec<(i64, i64)>, StoreError> {
    session.rows(sql::CHAINS_OF_BINDING, args![&artifacts::raw(image), SUBJECTS_MAX]).await
}

/// The layouts bound to the image, the chain's latest, and its earlier ones that have not expired.
async fn layouts(
    session: &mut Session,
    chain: i64,
    bound: &[i64],
    now: Timestamp,
    max: usize,
) -> Result<Vec<i64>, StoreError> {
    let known: Vec<(i64, i64)> = session.rows(sql::LAYOUTS, args![chain, LAYOUTS_READ_MAX]).await?;
    let mut chosen: Vec<i64> = bound.iter().copied().take(max / 2).collect();
    for (place, (id, expires)) in known.into_iter().enumerate() {
        if (place == 0 || expires > now.as_microsecond()) && !chosen.contains(&id) {
            chosen.push(id);
        }
    }
    chosen.truncate(max);
    Ok(chosen)
}

/// The search for an image's links in one chain.
struct Look<'l> {
    session: &'l mut Session,
    chain: i64,
    /// Links wanted at most.
    part: usize,
    /// Keyed look-ups of the walk so far.
    lookups: usize,
    /// Records (id, step) that use or make a set, looked up once.
    seen: HashMap<(Side, i64), Vec<(i64, String)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Using,
    Making,
}

impl Look<'_> {
    /// Links that made the image, all links of their runs, and for steps of the layouts still without links those that
    /// share artifacts with what is in hand.
    async fn links(&mut self, image: &Digest, layouts: &[i64]) -> Result<Vec<i64>, StoreError> {
        let subjects: Vec<(i64, Option<i64>)> =
            self.session.rows(sql::SUBJECTS, args![&artifacts::raw(image), self.chain, SUBJECTS_MAX]).await?;
        let ids: Vec<i64> = subjects.iter().map(|(id, _)| *id).filter(|id| !layouts.contains(id)).collect();
        let mut links = self.some_of_each(&ids).await?;
        let runs: BTreeSet<i64> = subjects.into_iter().filter_map(|(_, run)| run).collect();
        for run in runs.into_iter().rev().take(EQUALS_MAX * 4) {
            let of_run: Vec<Columns> = self
                .session
                .rows(sql::RECORDS_OF_RUN, args![run, i64::try_from(self.part).unwrap_or(i64::MAX)])
                .await?;
            for row in of_run.into_iter().filter(|row| row.1 == Kind::Link.code()).map(Row::from) {
                if !links.iter().any(|link| link.id == row.id) {
                    links.push(row);
                }
            }
        }
        self.follow(&mut links, layouts).await?;
        Ok(links.into_iter().map(|link| link.id).collect())
    }

    /// Of the records given newest first, at most two of the same step and signers.
    async fn some_of_each(&mut self, ids: &[i64]) -> Result<Vec<Row>, StoreError> {
        let mut counts: BTreeMap<(Option<String>, Vec<String>), usize> = BTreeMap::new();
        let mut kept = Vec::new();
        for id in ids {
            let row: Columns = self
                .session
                .row(sql::RECORD, args![*id])
                .await?
                .ok_or_else(|| StoreError::Corrupt(format!("record {id} is not there")))?;
            if row.1 != Kind::Link.code() {
                continue;
            }
            let row = Row::from(row);
            let signers: Vec<String> = self.session.values(sql::SIGNERS, args![*id]).await?;
            let count = counts.entry((row.step.clone(), signers)).or_default();
            *count += 1;
            if *count <= EQUALS_MAX {
                kept.push(row);
            }
        }
        Ok(kept)
    }

    /// The walk by shared artifacts (`Walk`), over steps that have no link yet.
    async fn follow(&mut self, links: &mut Vec<Row>, layouts: &[i64]) -> Result<(), StoreError> {
        let filled: BTreeSet<String> = links.iter().filter_map(|link| link.step.clone()).collect();
        let mut wanted = BTreeSet::new();
        for layout in layouts {
            let steps: Vec<String> = self.session.values(sql::LAYOUT_STEPS, args![*layout]).await?;
            wanted.extend(steps);
        }
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
            let records: Vec<i64> = records.into_iter().take(SUBJECTS_MAX as usize).collect();
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
