//! Lists of one directory at different times: one is kept whole, the others as the difference to it (`body`). The first is posted by every
//! digest in it, and each of the others by those that it has more; what it has not is in its row. So a file that changes costs its own
//! posting, not those of its neighbours, and whoever looks a digest up finds the same chunks as if all were posted.

use super::{
    StoreError, artifacts,
    blob::keyframes::Keyframe,
    body::{self, KeyframeColumns},
    session::{Arg, Session},
    sql,
};
use crate::args;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Chunks that are differences to one; transactions at the same time may add a few more.
const MEMBERS_MAX: i64 = 64;
/// Chunks that have one digest, newest first.
pub const HOLDERS_MAX: usize = 64;

/// What a new list may be kept as the difference to.
#[derive(Debug)]
pub struct Family {
    /// The chunk that is kept whole.
    pub chunk: i64,
    pub keyframe: Keyframe,
    /// How many bytes it is.
    size: i64,
}

/// How a chunk is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its family's chunk; `None`: it is that.
    pub base: Option<i64>,
    /// What it is posted by.
    pub postings: BTreeSet<i64>,
    /// The postings of `base` that it has not, eight bytes each.
    pub lacks: Option<Vec<u8>>,
}

impl Found {
    /// A chunk with these postings, in the family of one with those.
    pub fn beside(base: i64, theirs: &BTreeSet<i64>, ours: &BTreeSet<i64>) -> Self {
        let lacks = theirs.difference(ours).flat_map(|d64| d64.to_be_bytes()).collect();
        Found { base: Some(base), postings: ours.difference(theirs).copied().collect(), lacks: Some(lacks) }
    }

    /// A chunk that is posted whole.
    pub fn alone(postings: BTreeSet<i64>) -> Self {
        Found { postings, ..Found::default() }
    }
}

impl Family {
    /// What the chunk that is kept whole is posted by; `None` when it is no list.
    pub fn postings(&self) -> Option<BTreeSet<i64>> {
        let bytes = self.keyframe.base.bytes(usize::try_from(self.size).ok()?)?;
        artifacts::entries(&bytes).map(|(_, postings)| postings)
    }
}

/// The families that are not full, by the hash of their names.
pub async fn of_names(session: &mut Session, names: &[i64]) -> Result<HashMap<i64, Family>, StoreError> {
    type Columns = (i64, i64, i64, i64, i64, i64, Option<Vec<u8>>, Option<String>);
    let asked: Vec<Arg<'_>> = names.iter().map(|names| Arg::from(*names)).collect();
    let rows: Vec<Columns> = session.rows_for(&sql::KEYFRAMES_OF_NAMES, &asked).await?;
    let mut families = HashMap::new();
    for (names, chunk, members, blob, codec, size, inline, location) in rows {
        let columns: KeyframeColumns = (blob, codec, size, inline, location);
        if members < MEMBERS_MAX
            && let Some(keyframe) = body::keyframe_of(session, columns).await
        {
            families.insert(names, Family { chunk, keyframe, size });
        }
    }
    Ok(families)
}

/// (Digest, chunk) of the newest chunks that have each of the digests, by their first eight bytes. `may_look` is asked before each look-up.
pub async fn holders(
    session: &mut Session,
    digests: &BTreeSet<i64>,
    mut may_look: impl FnMut() -> bool,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut holders = posted(session, digests, &mut may_look).await?;
    let posted: BTreeSet<i64> = holders.values().flatten().copied().collect();
    let posted: Vec<Arg<'_>> = posted.into_iter().map(Arg::from).collect();
    let mut members = HashMap::<i64, Vec<(i64, Vec<u8>)>>::new();
    let most = 2 * MEMBERS_MAX * sql::PIECE_MAX as i64;
    for piece in posted.chunks(sql::PIECE_MAX) {
        if !may_look() {
            break;
        }
        let rows: Vec<(i64, i64, Option<Vec<u8>>)> = session.rows_in(&sql::FAMILY_OF_MANY, args![most], piece).await?;
        for (family, chunk, lacks) in rows {
            members.entry(family).or_default().push((chunk, lacks.unwrap_or_default()));
        }
    }
    for (d64, chunks) in &mut holders {
        let families = chunks.iter().filter_map(|chunk| members.get(chunk)).flatten();
        let has = |lacks: &[u8]| !lacks.chunks_exact(8).any(|lacked| lacked == d64.to_be_bytes());
        let having: Vec<i64> = families.filter(|(_, lacks)| has(lacks)).map(|(chunk, _)| *chunk).collect();
        chunks.extend(having);
    }
    let newest = |(d64, chunks): (&i64, &BTreeSet<i64>)| {
        chunks.iter().rev().take(HOLDERS_MAX).map(|chunk| (*d64, *chunk)).collect::<Vec<_>>()
    };
    Ok(holders.iter().flat_map(newest).collect())
}

/// Which chunks are posted by which of the digests. Where a batch has more than it may return, each digest is asked alone, so that a common
/// one does not hide a rare one.
async fn posted(
    session: &mut Session,
    digests: &BTreeSet<i64>,
    mut may_look: impl FnMut() -> bool,
) -> Result<BTreeMap<i64, BTreeSet<i64>>, StoreError> {
    let digests: Vec<Arg<'_>> = digests.iter().map(|digest| Arg::from(*digest)).collect();
    let many = 16 * HOLDERS_MAX;
    let mut found = Vec::new();
    for batch in digests.chunks(sql::PIECE_MAX) {
        if !may_look() {
            break;
        }
        let rows: Vec<(i64, i64)> = session.rows_in(&sql::CHUNKS_OF_MANY, args![many as i64], batch).await?;
        if rows.len() < many {
            found.extend(rows);
            continue;
        }
        for digest in batch {
            if !may_look() {
                break;
            }
            let rows: Vec<(i64, i64)> =
                session.rows(sql::CHUNKS_OF_ONE, &[*digest, (HOLDERS_MAX as i64).into()]).await?;
            found.extend(rows);
        }
    }
    let mut chunks = BTreeMap::<i64, BTreeSet<i64>>::new();
    for (d64, chunk) in found {
        chunks.entry(d64).or_default().insert(chunk);
    }
    Ok(chunks)
}
