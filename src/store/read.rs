//! From an image digest to everything a verification of it needs: keyed statements only, and as few as there can be (docs/store.md).

use super::{Evidence, EvidenceLimits, Found, StoreError, artifacts, records, session::Session, sql};
use crate::{args, digest::Digest};
use answer::Answer;
use jiff::Timestamp;
use look::Look;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

mod answer;
mod look;

/// Chains that may share one answer; each has an equal part of its records.
const CHAINS_MAX: usize = 16;
/// Records of one image looked at in one chain, newest first.
const SUBJECTS_MAX: usize = 64;
/// Records of one image that are read at once, of all chains; where there are more, each chain is asked for its own.
const SUBJECTS_AT_ONCE: usize = 256;
/// Of the same step and signers, where nothing else tells them apart.
const EQUALS_MAX: usize = 2;
/// Statements about one image in one chain.
const STATEMENTS_MAX: usize = 32;
/// Bytes of a statement that comes with an image's evidence; a larger one, a bill of materials say, is asked for by its name.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// Layouts of a chain looked at, newest first, for those that have not expired.
const LAYOUTS_READ_MAX: i64 = 64;

/// A record that is about the image.
#[derive(Clone, Copy, Debug)]
struct Subject {
    role: i64,
    record: i64,
    run: Option<i64>,
}

/// The role of what a statement is about.
const STATED: i64 = 2;

/// Everything for the image in the chains that may be read.
pub async fn evidence(
    session: &mut Session,
    image: &Digest,
    may_read: &BTreeSet<i64>,
    now: Timestamp,
    limits: EvidenceLimits,
) -> Result<Evidence, StoreError> {
    let image = artifacts::raw(image);
    let mut bindings = BTreeMap::<i64, Vec<i64>>::new();
    let bound: Vec<(i64, i64)> = session.rows(sql::CHAINS_OF_BINDING, args![&image, SUBJECTS_MAX as i64]).await?;
    for (chain, layout) in bound {
        bindings.entry(chain).or_default().push(layout);
    }
    let mut subjects = Subjects::of(session, &image).await?;
    let mut chains: BTreeSet<i64> = bindings.keys().chain(&subjects.chains).copied().collect();
    chains.retain(|chain| may_read.contains(chain));

    let mut answer = Answer::new(limits);
    answer.evidence.truncated = chains.len() > CHAINS_MAX;
    let sharing = chains.len().clamp(1, CHAINS_MAX);
    let part = limits.records_max / sharing;
    for (place, chain) in chains.into_iter().take(CHAINS_MAX).enumerate() {
        answer.next_chain(sharing - place);
        let bound = bindings.remove(&chain).unwrap_or_default();
        let mut ids = layouts(session, chain, &bound, now, limits.layouts_max).await?;
        let (stated, made) = subjects.take(session, &image, chain).await?;
        let links = Look::new(session, chain, part).links(&made, &ids).await?;
        ids.extend(links);
        answer.evidence.truncated |= ids.len() > part;
        ids.truncate(part);
        answer.add(session, &ids).await?;
        let statements = statements(session, &stated).await?;
        // Left out a statement makes no answer incomplete, for it counts as nobody's link.
        answer.add_some(session, &statements, STATEMENT_BYTES_MAX).await?;
    }
    Ok(answer.evidence)
}

/// The record as it is given out.
pub async fn envelope(session: &mut Session, id: i64) -> Result<Found, StoreError> {
    let found = answer::envelopes(session, &[id]).await?.pop();
    found.ok_or_else(|| StoreError::Corrupt(format!("record {id} has no envelope")))
}

/// The records that are about an image.
struct Subjects {
    chains: BTreeSet<i64>,
    /// All of them, by chain; `None` where there are more than are read at once.
    all: Option<BTreeMap<i64, Vec<Subject>>>,
}

impl Subjects {
    async fn of(session: &mut Session, image: &[u8]) -> Result<Self, StoreError> {
        let many = SUBJECTS_AT_ONCE as i64 + 1;
        let rows: Vec<(i64, i64, i64, Option<i64>)> = session.rows(sql::SUBJECTS_OF_IMAGE, args![image, many]).await?;
        if rows.len() > SUBJECTS_AT_ONCE {
            let chains: Vec<i64> = session.values(sql::CHAINS_OF_SUBJECT, args![image, 1_024]).await?;
            return Ok(Subjects { chains: chains.into_iter().collect(), all: None });
        }
        let mut all = BTreeMap::<i64, Vec<Subject>>::new();
        for (chain, role, record, run) in rows {
            all.entry(chain).or_default().push(Subject { role, record, run });
        }
        Ok(Subjects { chains: all.keys().copied().collect(), all: Some(all) })
    }

    /// Those of a chain, newest first: what statements are about it, and what made it or was named with it.
    async fn take(
        &mut self,
        session: &mut Session,
        image: &[u8],
        chain: i64,
    ) -> Result<(Vec<Subject>, Vec<Subject>), StoreError> {
        let (mut stated, mut made): (Vec<_>, Vec<_>) = match &mut self.all {
            Some(all) => all.remove(&chain).unwrap_or_default().into_iter().partition(|subject| subject.role == STATED),
            None => {
                let columns = args![image, chain, SUBJECTS_MAX as i64];
                let subject = |(role, record, run)| Subject { role, record, run };
                let stated: Vec<(i64, i64, Option<i64>)> = session.rows(sql::STATEMENTS, columns).await?;
                let made: Vec<(i64, i64, Option<i64>)> = session.rows(sql::SUBJECTS, columns).await?;
                (stated.into_iter().map(subject).collect(), made.into_iter().map(subject).collect())
            }
        };
        for subjects in [&mut stated, &mut made] {
            subjects.sort_unstable_by_key(|subject| Reverse((subject.role, subject.record)));
            // A record may have made the image and been named with it.
            let mut seen = BTreeSet::new();
            subjects.retain(|subject| seen.insert(subject.record));
            subjects.truncate(SUBJECTS_MAX);
        }
        Ok((stated, made))
    }
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

/// What is said of the image beside its links: of the same step and predicate the newest two.
async fn statements(session: &mut Session, stated: &[Subject]) -> Result<Vec<i64>, StoreError> {
    let ids: Vec<i64> = stated.iter().map(|subject| subject.record).collect();
    let mut counts = BTreeMap::<(Option<String>, Option<String>), usize>::new();
    let mut rows = records::rows(session, &ids).await?;
    rows.retain(|row| {
        let count = counts.entry((row.step.clone(), row.predicate_type.clone())).or_default();
        *count += 1;
        *count <= EQUALS_MAX
    });
    Ok(rows.into_iter().take(STATEMENTS_MAX).map(|row| row.id).collect())
}
