//! The images that records lead to: those a record is about, and those of its run.

use super::{
    StoreError, artifacts,
    records::{Row, subjects},
    session::{Arg, Session},
    sql,
};
use crate::{args, digest::Digest};
use std::collections::{BTreeMap, BTreeSet};

/// Images of one record, or of one run.
const IMAGES_MAX: i64 = 1_024;

/// The images of each record, in the records' order. A run is asked once.
pub async fn of_records(session: &mut Session, rows: &[Row]) -> Result<Vec<BTreeSet<Digest>>, StoreError> {
    let mut runs = BTreeMap::<i64, BTreeSet<Digest>>::new();
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let mut images = subjects(session, row.id, IMAGES_MAX).await?;
        if let Some(run) = row.run {
            let of_run = match runs.entry(run) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(of_run(session, run).await?),
            };
            images.extend(of_run.iter().cloned());
        }
        all.push(images);
    }
    Ok(all)
}

/// The images of a run's records.
pub async fn of_run(session: &mut Session, run: i64) -> Result<BTreeSet<Digest>, StoreError> {
    let found: Vec<Vec<u8>> = session.values(sql::IMAGES_OF_RUN, args![run, IMAGES_MAX]).await?;
    Ok(found.iter().filter_map(|digest| artifacts::sha256_of(digest)).collect())
}

/// Of each image those of the chains whose links made it. What is merely said of an image, beside a record or in a statement, does not
/// count: whoever writes any chain may name any digest.
pub async fn makers(
    session: &mut Session,
    images: &BTreeSet<Digest>,
    chains: &BTreeSet<i64>,
) -> Result<BTreeMap<Digest, BTreeSet<i64>>, StoreError> {
    let raw: Vec<Vec<u8>> = images.iter().map(artifacts::raw).collect();
    let list: Vec<Arg<'_>> = raw.iter().map(Arg::from).collect();
    let found: Vec<(Vec<u8>, i64)> = session.rows_in(&sql::CHAINS_MAKING, &[], &list).await?;
    let mut makers = BTreeMap::<Digest, BTreeSet<i64>>::new();
    for (digest, chain) in found.into_iter().filter(|(_, chain)| chains.contains(chain)) {
        if let Some(digest) = artifacts::sha256_of(&digest) {
            makers.entry(digest).or_default().insert(chain);
        }
    }
    Ok(makers)
}
