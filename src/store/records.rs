//! Records as they are listed: without their envelopes, with what is known of them.

use super::{
    Kind, StoreError, artifacts,
    session::{Arg, Session},
    sql,
};
use crate::{args, digest::Digest, intoto::Fact};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A record's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: i64,
    pub chain: i64,
    pub run: Option<i64>,
    pub kind: Kind,
    pub step: Option<String>,
    pub digest: Digest,
    pub predicate_type: Option<String>,
    pub return_code: Option<i64>,
    pub received_at: Timestamp,
    /// The writer's name.
    pub submitter: String,
    /// Out of sight of those who ask for evidence.
    pub quarantined: bool,
    /// What went in, and what came out.
    pub inputs: Option<i64>,
    pub outputs: Option<i64>,
}

/// A record, and what hangs from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub row: Row,
    pub run_key: Option<String>,
    /// The ids of the keys whose signatures verified.
    pub signers: Vec<String>,
    pub facts: BTreeMap<String, Fact>,
}

type Columns = (
    i64,
    i64,
    Option<i64>,
    i64,
    Option<String>,
    Vec<u8>,
    Option<String>,
    Option<i64>,
    i64,
    String,
    i64,
    Option<i64>,
    Option<i64>,
);

/// The rows of these ids, newest first; one that is not there is left out.
pub async fn rows(session: &mut Session, ids: &[i64]) -> Result<Vec<Row>, StoreError> {
    let list: Vec<Arg<'_>> = ids.iter().map(|id| Arg::from(*id)).collect();
    let found: Vec<Columns> = session.rows_in(&sql::ROWS, &[], &list).await?;
    let mut rows = found.into_iter().map(Row::try_from).collect::<Result<Vec<_>, _>>()?;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
    Ok(rows)
}

impl TryFrom<Columns> for Row {
    type Error = StoreError;

    fn try_from(columns: Columns) -> Result<Self, StoreError> {
        let (
            id,
            chain,
            run,
            kind,
            step,
            digest,
            predicate_type,
            return_code,
            received_at,
            submitter,
            state,
            inputs,
            outputs,
        ) = columns;
        let corrupt = |what: &str| StoreError::Corrupt(format!("record {id} {what}"));
        Ok(Row {
            id,
            chain,
            run,
            kind: Kind::from_code(kind).ok_or_else(|| corrupt("is of no kind"))?,
            step,
            digest: artifacts::sha256_of(&digest).ok_or_else(|| corrupt("has no name"))?,
            predicate_type,
            return_code,
            received_at: Timestamp::from_microsecond(received_at).map_err(|_| corrupt("has no time"))?,
            submitter,
            quarantined: state != 0,
            inputs,
            outputs,
        })
    }
}

/// What hangs from these records, in their order.
pub async fn listed(session: &mut Session, rows: Vec<Row>) -> Result<Vec<Listed>, StoreError> {
    let distinct: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
    let ids: Vec<Arg<'_>> = distinct.into_iter().map(Arg::from).collect();
    let mut signers = BTreeMap::<i64, Vec<String>>::new();
    let found: Vec<(i64, String)> = session.rows_in(&sql::SIGNERS_OF, &[], &ids).await?;
    for (record, key) in found {
        signers.entry(record).or_default().push(key);
    }
    let mut facts = BTreeMap::<i64, BTreeMap<String, Fact>>::new();
    let found: Vec<(i64, String, Option<String>, Option<i64>)> = session.rows_in(&sql::FACTS_OF, &[], &ids).await?;
    for (record, name, text, number) in found {
        // A number is kept as text as well, to be asked for by either.
        if let Some(fact) = number.map(Fact::Number).or(text.map(Fact::Text)) {
            facts.entry(record).or_default().insert(name, fact);
        }
    }
    let runs: BTreeSet<i64> = rows.iter().filter_map(|row| row.run).collect();
    let keys = run_keys(session, &runs).await?;
    signers.values_mut().for_each(|signers| signers.sort_unstable());
    // The stream may tell of one record twice.
    let list = |row: Row| {
        let signers = signers.get(&row.id).cloned().unwrap_or_default();
        let run_key = row.run.and_then(|run| keys.get(&run).cloned());
        Listed { run_key, signers, facts: facts.get(&row.id).cloned().unwrap_or_default(), row }
    };
    Ok(rows.into_iter().map(list).collect())
}

/// What writers call these runs.
pub async fn run_keys(session: &mut Session, runs: &BTreeSet<i64>) -> Result<BTreeMap<i64, String>, StoreError> {
    let list: Vec<Arg<'_>> = runs.iter().map(|run| Arg::from(*run)).collect();
    let found: Vec<(i64, String)> = session.rows_in(&sql::RUN_KEYS, &[], &list).await?;
    Ok(found.into_iter().collect())
}

/// Records of this name in any chain, newest first.
pub async fn named(session: &mut Session, name: &Digest) -> Result<Vec<Row>, StoreError> {
    const MAX: i64 = 1_024;
    let ids: Vec<i64> = session.values(sql::RECORDS_BY_DIGEST, args![&artifacts::raw(name), MAX]).await?;
    rows(session, &ids).await
}

/// The images a record is about, at most `max`.
pub async fn subjects(session: &mut Session, record: i64, max: i64) -> Result<BTreeSet<Digest>, StoreError> {
    let found: Vec<(Vec<u8>, i64)> = session.rows(sql::SUBJECTS_OF, args![record, max]).await?;
    Ok(found.iter().filter_map(|(digest, _)| artifacts::sha256_of(digest)).collect())
}
