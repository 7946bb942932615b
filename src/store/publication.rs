//! What is to be published beside its image (docs/store.md): found by following the stream, held by one publisher at a time, and kept until
//! it is done. Nothing here knows of registries.

use super::{
    Database, StoreError,
    artifacts::raw,
    sql,
    write::{Work, Write},
};
use crate::{args, digest::Digest};
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Positions of the stream that are read in one transaction.
const NEWS_MAX: i64 = 200;
/// Subjects of one record, or of its run, that are looked at.
const IMAGES_MAX: i64 = 256;
/// All of it is done by one writer of the database, in order.
const AFFINITY: u64 = 0x7075_626c;
/// What is kept of a fault's words.
const ERROR_CHARS_MAX: usize = 512;

/// An image of a chain whose evidence is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub digest: Digest,
    pub chain: i64,
    /// Counts what came in for it.
    pub revision: i64,
    /// When something came in last.
    pub since: Timestamp,
    /// Tries since then.
    pub attempts: i64,
    /// What was published last.
    pub content: Option<Vec<u8>>,
}

/// How it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is out there: these envelopes (by a hash over them) as this artifact.
    Published {
        content: Vec<u8>,
        /// As before, where it was out there already.
        set: Option<Digest>,
    },
    /// To be tried again, and why.
    Postponed { until: Timestamp, why: String },
    /// Not to be tried again until more comes in.
    GivenUp { why: String },
}

impl Database {
    /// Reads a piece of the stream and wakes the images in it that are of these chains, to be looked at from `due` on. How many
    /// positions were read: none, when all are.
    pub async fn follow_publications(&self, chains: &BTreeSet<i64>, due: Timestamp) -> Result<usize, StoreError> {
        self.write(Follow { chains: chains.clone(), due }).await
    }

    /// Some of what is due and held by nobody, held by `holder` until then.
    pub async fn hold_publications(
        &self,
        holder: i64,
        now: Timestamp,
        until: Timestamp,
        count: usize,
    ) -> Result<Vec<Due>, StoreError> {
        self.write(Hold { holder, now, until, count }).await
    }

    /// Holds on to it. False: another has it by now.
    pub async fn hold_on(&self, holder: i64, due: &Due, until: Timestamp) -> Result<bool, StoreError> {
        let (digest, chain) = (raw(&due.digest), due.chain);
        self.write(HoldOn { holder, digest, chain, until }).await
    }

    /// Keeps how it came out, and lets go of it. False, and nothing is kept, where another holds it by now.
    pub async fn settle_publication(&self, holder: i64, due: Due, outcome: Outcome) -> Result<bool, StoreError> {
        self.write(Settle { holder, due, outcome }).await
    }
}

struct Follow {
    chains: BTreeSet<i64>,
    due: Timestamp,
}

impl Work for Follow {
    type Output = usize;

    fn affinity(&self) -> u64 {
        AFFINITY
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<usize, StoreError>> {
        async move {
            let session = &mut write.session;
            let read: i64 = session.one(sql::PUBLICATION_READ, &[]).await?;
            let news: Vec<(i64, i64, i64, Option<i64>)> = session.rows(sql::NEWS_AFTER, args![read, NEWS_MAX]).await?;
            let Some((last, ..)) = news.last() else { return Ok(0) };
            let mut awake: BTreeSet<(Vec<u8>, i64)> = BTreeSet::new();
            let mut runs: BTreeMap<i64, i64> = BTreeMap::new();
            for (_, record, chain, run) in news.iter().filter(|(_, _, chain, _)| self.chains.contains(chain)) {
                for statement in [sql::IMAGES_OF_RECORD, sql::IMAGES_OF_LAYOUT] {
                    let images: Vec<Vec<u8>> = session.values(statement, args![*record, IMAGES_MAX]).await?;
                    awake.extend(images.into_iter().map(|image| (image, *chain)));
                }
                runs.extend(run.map(|run| (run, *chain)));
            }
            for (run, chain) in runs {
                let images: Vec<Vec<u8>> = session.values(sql::IMAGES_OF_RUN, args![run, IMAGES_MAX]).await?;
                awake.extend(images.into_iter().map(|image| (image, chain)));
            }
            let due = self.due.as_microsecond();
            for (image, chain) in &awake {
                session.execute(sql::WAKE, args![image, *chain, due]).await?;
            }
            session.execute(sql::SET_PUBLICATION_READ, args![*last]).await?;
            Ok(news.len())
        }
        .boxed()
    }
}

struct Hold {
    holder: i64,
    now: Timestamp,
    until: Timestamp,
    count: usize,
}

impl Work for Hold {
    type Output = Vec<Due>;

    fn affinity(&self) -> u64 {
        AFFINITY
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<Vec<Due>, StoreError>> {
        async move {
            let (now, until) = (self.now.as_microsecond(), self.until.as_microsecond());
            let count = i64::try_from(self.count).unwrap_or(i64::MAX);
            let rows: Vec<Row> = write.session.rows(sql::DUE, args![now, count]).await?;
            let mut held = Vec::with_capacity(rows.len());
            for row in rows {
                let arguments = args![&row.0, row.1, self.holder, until, now];
                if write.session.execute(sql::HOLD, arguments).await? == 1 {
                    held.push(due(row)?);
                }
            }
            Ok(held)
        }
        .boxed()
    }
}

type Row = (Vec<u8>, i64, i64, i64, i64, Option<Vec<u8>>);

fn due((digest, chain, revision, since, attempts, content): Row) -> Result<Due, StoreError> {
    let corrupt = |_| StoreError::Corrupt("a publication's row does not read".into());
    let digest = format!("sha256:{}", hex::encode(digest)).parse().map_err(|_| corrupt(()))?;
    let since = Timestamp::from_microsecond(since).map_err(|_| corrupt(()))?;
    Ok(Due { digest, chain, revision, since, attempts, content })
}

struct HoldOn {
    holder: i64,
    digest: Vec<u8>,
    chain: i64,
    until: Timestamp,
}

impl Work for HoldOn {
    type Output = bool;

    fn affinity(&self) -> u64 {
        AFFINITY
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<bool, StoreError>> {
        async move {
            let arguments = args![&self.digest, self.chain, self.holder, self.until.as_microsecond()];
            Ok(write.session.execute(sql::HOLD_ON, arguments).await? == 1)
        }
        .boxed()
    }
}

struct Settle {
    holder: i64,
    due: Due,
    outcome: Outcome,
}

impl Work for Settle {
    type Output = bool;

    fn affinity(&self) -> u64 {
        AFFINITY
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<bool, StoreError>> {
        async move {
            let Due { digest, chain, revision, .. } = &self.due;
            let (digest, session) = (raw(digest), &mut write.session);
            let short = |why: &str| why.chars().filter(|c| !c.is_control()).take(ERROR_CHARS_MAX).collect::<String>();
            let changed = match &self.outcome {
                Outcome::Published { content, set } => {
                    let set = set.as_ref().map(raw);
                    let arguments = args![&digest, *chain, self.holder, *revision, content, &set];
                    session.execute(sql::PUBLISHED, arguments).await?
                }
                Outcome::Postponed { until, why } => {
                    let (until, why) = (until.as_microsecond(), short(why));
                    let arguments = args![&digest, *chain, self.holder, *revision, until, &why];
                    session.execute(sql::POSTPONED, arguments).await?
                }
                Outcome::GivenUp { why } => {
                    let why = short(why);
                    session.execute(sql::GIVEN_UP, args![&digest, *chain, self.holder, *revision, &why]).await?
                }
            };
            Ok(changed == 1)
        }
        .boxed()
    }
}
