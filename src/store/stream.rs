//! The stream: records in the order in which they became visible. A position once seen has none before it that comes later, so whoever
//! goes on from it misses nothing.

use super::{
    StoreError,
    records::{self, Row},
    session::Session,
    sql,
};
use crate::args;
use std::collections::{BTreeMap, BTreeSet};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub seq: i64,
    /// The record is new; otherwise it has a further signature.
    pub is_new: bool,
    pub row: Row,
}

/// Events of these chains after a position, at most `limit`, and the position to go on from: events of other chains are passed over.
pub async fn after(
    session: &mut Session,
    chains: &BTreeSet<i64>,
    position: i64,
    limit: usize,
) -> Result<(Vec<Event>, i64), StoreError> {
    const NEW: i64 = 1;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found: Vec<(i64, i64, i64)> = session.rows(sql::STREAM, args![position, limit]).await?;
    let last = found.last().map_or(position, |(seq, _, _)| *seq);
    let ids: BTreeSet<i64> = found.iter().map(|(_, record, _)| *record).collect();
    let rows = records::rows(session, &ids.into_iter().collect::<Vec<_>>()).await?;
    let rows: BTreeMap<i64, Row> = rows.into_iter().map(|row| (row.id, row)).collect();
    let event = |(seq, record, what): (i64, i64, i64)| {
        let row = rows.get(&record).filter(|row| chains.contains(&row.chain) && !row.quarantined)?.clone();
        Some(Event { seq, is_new: what == NEW, row })
    };
    Ok((found.into_iter().filter_map(event).collect(), last))
}
