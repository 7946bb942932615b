//! Runs, layouts and keys of chains, as lists.

use super::{StoreError, artifacts, session::Session, sql};
use crate::{args, digest::Digest};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// One run of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: i64,
    pub chain: i64,
    /// What its writers call it.
    pub key: String,
    pub provider: Option<String>,
    pub url: Option<String>,
    pub commit: Option<String>,
    /// The branch or tag.
    pub git_ref: Option<String>,
    pub trigger: Option<String>,
    pub actor: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// 0: well.
    pub outcome: Option<i64>,
}

type RunColumns = (
    i64,
    i64,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

impl From<RunColumns> for Run {
    fn from(columns: RunColumns) -> Self {
        let (id, chain, key, provider, url, commit, git_ref, trigger, actor, started_at, finished_at, outcome) =
            columns;
        let time = |time: Option<i64>| Timestamp::from_microsecond(time?).ok();
        let (started_at, finished_at) = (time(started_at), time(finished_at));
        Run { id, chain, key, provider, url, commit, git_ref, trigger, actor, started_at, finished_at, outcome }
    }
}

/// Runs of a chain, newest first, below the id `before`.
pub async fn runs(session: &mut Session, chain: i64, before: i64, limit: i64) -> Result<Vec<Run>, StoreError> {
    let found: Vec<RunColumns> = session.rows(sql::RUNS_OF_CHAIN, args![chain, before, limit]).await?;
    Ok(found.into_iter().map(Run::from).collect())
}

/// Runs of a commit in any chain, newest first, below the id `before`.
pub async fn runs_of_commit(
    session: &mut Session,
    commit: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<Run>, StoreError> {
    let found: Vec<RunColumns> = session.rows(sql::RUNS_OF_COMMIT, args![commit, before, limit]).await?;
    Ok(found.into_iter().map(Run::from).collect())
}

/// A run by its id.
pub async fn run(session: &mut Session, id: i64) -> Result<Option<Run>, StoreError> {
    let found: Option<RunColumns> = session.row(sql::RUN, args![id]).await?;
    Ok(found.map(Run::from))
}

/// The ids of a run's records, newest first.
pub async fn records_of_run(session: &mut Session, run: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
    session.values(sql::RECORDS_OF_RUN_ALL, args![run, limit]).await
}

/// A version of a chain's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutVersion {
    pub id: i64,
    pub version: i64,
    pub digest: Digest,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// (step, key) that it authorises.
    pub keys: BTreeSet<(String, String)>,
}

/// The layouts of a chain, latest first, below the version `before`.
pub async fn layouts(
    session: &mut Session,
    chain: i64,
    before: i64,
    limit: i64,
) -> Result<Vec<LayoutVersion>, StoreError> {
    const KEYS_MAX: i64 = 4_096;
    let found: Vec<(i64, i64, i64, i64, Vec<u8>)> =
        session.rows(sql::LAYOUTS_OF_CHAIN, args![chain, before, limit]).await?;
    let mut layouts = Vec::with_capacity(found.len());
    for (id, version, issued_at, expires_at, digest) in found {
        let corrupt = || StoreError::Corrupt(format!("layout {id} has no name or no time"));
        let time = |time: i64| Timestamp::from_microsecond(time).map_err(|_| corrupt());
        let keys: Vec<(String, String)> = session.rows(sql::LAYOUT_KEYS, args![id, KEYS_MAX]).await?;
        layouts.push(LayoutVersion {
            id,
            version,
            digest: artifacts::sha256_of(&digest).ok_or_else(corrupt)?,
            issued_at: time(issued_at)?,
            expires_at: time(expires_at)?,
            keys: keys.into_iter().collect(),
        });
    }
    Ok(layouts)
}

/// A key that layouts of a chain have authorised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Granted {
    pub step: String,
    /// What the store knows it by.
    pub key: String,
    pub scheme: String,
    /// The key object of in-toto 4.2.1, as JSON.
    pub public: String,
}

/// The keys of a chain, by step.
pub async fn keys(session: &mut Session, chain: i64, limit: i64) -> Result<Vec<Granted>, StoreError> {
    let found: Vec<(String, String, String, String)> = session.rows(sql::KEYS_OF_CHAIN, args![chain, limit]).await?;
    Ok(found.into_iter().map(|(step, key, scheme, public)| Granted { step, key, scheme, public }).collect())
}
