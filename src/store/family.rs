//! Lists of one directory at different times: one is kept whole, the others as the difference to it (`body`). The first is posted by every
//! digest in it, and each of the others by those that it has more; what it has not is in its row. So a file that changes costs its own
//! posting, not those of its neighbours, and a digest still leads to every list that has it.

use super::{
    StoreError, artifacts,
    blob::keyframes::Keyframe,
    body::{self, KeyframeColumns},
    session::{Arg, Session},
    sql,
};
use crate::args;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Chunks that one transaction lets a family have.
const MEMBERS_MAX: i64 = 64;
/// What a member may lack. One that lacks more has little of its family, and is posted whole.
const LACKS_MAX: usize = 128;
/// Chunks that have one digest, newest first; and chunks that are posted by it, as far as they are looked at.
pub const HOLDERS_MAX: usize = 64;
/// Members that one search reads, those of the newest families first.
const MEMBERS_READ_MAX: usize = 65_536;

/// What a new list may be kept as the difference to.
#[derive(Debug)]
pub struct Family {
    /// The chunk that is kept whole.
    pub chunk: i64,
    pub keyframe: Keyframe,
    /// How many more chunks may be differences to it.
    pub room: i64,
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
        let lacks: Vec<&i64> = theirs.difference(ours).take(LACKS_MAX + 1).collect();
        if lacks.len() > LACKS_MAX {
            return Found::alone(ours.clone());
        }
        let lacks = lacks.into_iter().flat_map(|d64| d64.to_be_bytes()).collect();
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
        let room = MEMBERS_MAX - members;
        if room > 0
            && let Some(keyframe) = body::keyframe_of(session, columns).await
        {
            families.insert(names, Family { chunk, keyframe, room, size });
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
    let mut posted = BTreeMap::<i64, Vec<i64>>::new();
    for (d64, chunks) in &holders {
        chunks.iter().for_each(|chunk| posted.entry(*chunk).or_default().push(*d64));
    }
    let newest: Vec<Arg<'_>> = posted.keys().rev().map(|chunk| Arg::from(*chunk)).collect();
    let mut read = 0;
    for piece in newest.chunks(sql::PIECE_MAX) {
        if read > MEMBERS_READ_MAX || !may_look() {
            break;
        }
        let most = 4 * MEMBERS_MAX * sql::PIECE_MAX as i64;
        let rows: Vec<(i64, i64, Option<Vec<u8>>)> = session.rows_in(&sql::FAMILY_OF_MANY, args![most], piece).await?;
        read += rows.len();
        for (family, chunk, lacks) in rows {
            let lacks: Vec<i64> = lacks.iter().flat_map(|bytes| postings_of(bytes)).collect();
            for d64 in posted.get(&family).into_iter().flatten() {
                if lacks.binary_search(d64).is_err() {
                    keep_newest(holders.entry(*d64).or_default(), chunk);
                }
            }
            // Sets in hand are compared without waiting for anything: others have their turn, and the request its end.
            tokio::task::yield_now().await;
        }
    }
    Ok(holders.into_iter().flat_map(|(d64, chunks)| chunks.into_iter().map(move |chunk| (d64, chunk))).collect())
}

fn keep_newest(chunks: &mut BTreeSet<i64>, chunk: i64) {
    chunks.insert(chunk);
    if chunks.len() > HOLDERS_MAX {
        chunks.pop_first();
    }
}

/// In their order, as they were written.
fn postings_of(lacks: &[u8]) -> impl Iterator<Item = i64> {
    lacks.as_chunks().0.iter().map(|d64| i64::from_be_bytes(*d64))
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
        keep_newest(chunks.entry(d64).or_default(), chunk);
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_posted_by_what_it_has_more() {
        let theirs: BTreeSet<i64> = (-100..100).collect();
        let ours: BTreeSet<i64> = (-98..101).collect();
        let found = Found::beside(7, &theirs, &ours);
        assert_eq!((found.base, found.postings), (Some(7), [100].into()));
        assert_eq!(postings_of(&found.lacks.unwrap()).collect::<Vec<_>>(), [-100, -99]);
    }

    #[test]
    fn what_lacks_much_is_posted_whole() {
        let theirs: BTreeSet<i64> = (0..1_000).collect();
        let ours = |lacked: i64| -> BTreeSet<i64> { (lacked..1_001).collect() };
        assert_eq!(Found::beside(7, &theirs, &ours(128)).lacks.unwrap().len(), 128 * 8);
        assert_eq!(Found::beside(7, &theirs, &ours(129)), Found::alone(ours(129)));
    }

    #[test]
    fn the_newest_are_kept() {
        let mut chunks = BTreeSet::new();
        (0..100).rev().for_each(|chunk| keep_newest(&mut chunks, chunk));
        assert_eq!(chunks, (36..100).collect());
    }
}
