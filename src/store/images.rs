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

/// Those of the images that some of the chains know.
pub async fn known_to(
    session: &mut Session,
    images: &BTreeSet<Digest>,
    chains: &BTreeSet<i64>,
) -> Result<BTreeSet<Digest>, StoreError> {
    let raw: Vec<Vec<u8>> = images.iter().map(artifacts::raw).collect();
    let list: Vec<Arg<'_>> = raw.iter().map(Arg::from).collect();
    let found: Vec<(Vec<u8>, i64)> = session.rows_in(&sql::CHAINS_OF_DIGESTS, &[], &list).await?;
    let known = found.iter().filter(|(_, chain)| chains.contains(chain));
    Ok(known.filter_map(|(digest, _)| artifacts::sha256_of(digest)).collect())
}
