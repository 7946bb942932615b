//! A database behind the trait: SQLite (WAL, `synchronous = FULL`, one writer with group commit) or PostgreSQL (several writers). Which of
//! the two it is, only `engine`, `session` and `fault` know.

use super::{
    Evidence, EvidenceLimits, Location, Metadata, NewRecord, Put, Quarantined, StoreError, Submission, Submitted,
    artifacts,
    blob::{
        Codec,
        keyframes::{Keyframe, Keyframes, Place},
        objects::Objects,
    },
    body::{self, Body},
    dictionary::Dictionary,
    engine::Engine,
    migrate,
    quarantine::{self, Released},
    read,
    session::{Pool, Session},
    sql,
    submission::Brought,
    write::{ChainNamed, Queue, Recording, Work},
};
use crate::{args, digest::Digest};
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

/// Which database, and how it is opened.
#[derive(Clone, Debug)]
pub struct Options {
    pub location: Location,
    /// How large a file of SQLite may grow, in pages of 4,096 bytes; `None`: as the disk allows. Beyond it a write is `Full`.
    pub pages_max: Option<u32>,
    /// Whether the tables are made and brought up to date; without it a database that is behind is refused.
    pub migrate: bool,
    /// Where bodies go that are large packed; `None`: into the database.
    pub objects: Option<Objects>,
}

impl Options {
    /// As usual.
    pub fn at(location: Location) -> Self {
        Options { location, pages_max: None, migrate: true, objects: None }
    }
}

/// An open database.
pub struct Database {
    readers: Pool,
    writes: Queue,
    objects: Option<Objects>,
    keyframes: Keyframes,
    signers: Dictionary,
    facts: Dictionary,
}

impl Database {
    /// Opens the database, makes a file of SQLite where there is none, and brings its tables up to date.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        let engine = Engine::connect(&options.location, options.pages_max).await?;
        if options.migrate {
            migrate::run(&engine.writers).await?;
        } else {
            migrate::check(&engine.writers).await?;
        }
        let objects = options.objects;
        let writes = Queue::start(engine.writers, engine.writers_count, objects.clone()).await?;
        Ok(Database {
            readers: engine.readers,
            writes,
            objects,
            keyframes: Keyframes::default(),
            signers: Dictionary::of_signers(),
            facts: Dictionary::of_facts(),
        })
    }

    /// Cancelled once the disk failed under a write (security §4.3 F9): the process must end and be started anew.
    pub fn broken(&self) -> CancellationToken {
        self.writes.broken()
    }

    /// A connection to read with.
    pub async fn read(&self) -> Result<Session, StoreError> {
        Ok(self.readers.session().await?.with_objects(self.objects.clone()))
    }

    /// The record's body packed, outside of any transaction: it takes time, and an object must be durable before its row is.
    /// One that is known, and reads, needs none, even where there is no room for it.
    async fn pack(&self, record: &NewRecord, places: &[Place]) -> Result<Body, StoreError> {
        let name = artifacts::raw(&record.digest);
        let name = args![&name, record.chain, &record.payload_type];
        let mut session = self.read().await?;
        if let Some(id) = session.value(sql::RECORD_BY_NAME, name).await? {
            return match read::envelope(&mut session, id).await {
                // It will take the place of what is damaged, and stand on nothing else.
                Err(StoreError::Corrupt(_)) => {
                    let body = body::prepare(self.objects.as_ref(), &record.envelope, &[]).await?;
                    Ok(Body { mends: true, ..body })
                }
                found => found.map(|_| body::small(&record.envelope, &[])),
            };
        }
        drop(session);
        let mut keyframes: Vec<Keyframe> = Vec::new();
        for place in places {
            let keyframe = match self.keyframes.of(place) {
                Some(keyframe) => Some(keyframe),
                None => body::keyframe_of_place(&mut self.read().await?, place).await?,
            };
            let Some(keyframe) = keyframe else { continue };
            match keyframes.iter().find(|known| known.blob == keyframe.blob) {
                // One keyframe has one account.
                Some(known) => self.keyframes.learn(place.clone(), known.clone()),
                None => {
                    self.keyframes.learn(place.clone(), keyframe.clone());
                    keyframes.push(keyframe);
                }
            }
        }
        body::prepare(self.objects.as_ref(), &record.envelope, &keyframes).await
    }

    /// Packs a record's body and does the work that keeps it. `made`: whether there is a new record now.
    async fn keep<W: Work>(
        &self,
        record: NewRecord,
        work: impl FnOnce(Recording) -> W,
        made: impl FnOnce(&W::Output) -> bool,
    ) -> Result<W::Output, StoreError> {
        let places = match &record.step {
            Some(step) => vec![Place::Step(record.chain, step.clone()), Place::Chain(record.chain)],
            None => vec![Place::Layouts(record.chain)],
        };
        let body = self.pack(&record, &places).await?;
        let is_whole = body.codec != Codec::Delta;
        let keyids = record.signatures.iter().map(|signature| &signature.keyid).collect();
        self.signers.learn(self, keyids).await?;
        self.facts.learn(self, record.facts.iter().map(|(name, _)| name).collect()).await?;
        let done = self.write(work(Recording::new(record, body))).await.inspect_err(|_| {
            self.signers.forget();
            self.facts.forget();
        })?;
        if is_whole && made(&done) {
            places.iter().for_each(|place| self.keyframes.forget(place));
        }
        Ok(done)
    }

    /// Does the work in a transaction, with others' that wait; when it answers, what was written is durable.
    pub fn write<W: Work>(&self, work: W) -> impl Future<Output = Result<W::Output, StoreError>> + Send + use<W> {
        self.writes.ask(work)
    }
}

/// Brings the tables of a database up to date and says how many migrations it then has.
pub async fn migrate(location: &Location) -> anyhow::Result<usize> {
    let engine = Engine::connect(location, None).await?;
    let count = migrate::run(&engine.writers).await?;
    engine.writers.close().await;
    Ok(count)
}

impl Metadata for Database {
    fn chain<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<i64, StoreError>> {
        self.write(ChainNamed(name.to_owned())).boxed()
    }

    fn put(&self, record: NewRecord) -> BoxFuture<'_, Result<Put, StoreError>> {
        self.keep(record, |recording| recording, |put| *put == Put::Created).boxed()
    }

    fn submit(&self, record: NewRecord, submission: Submission) -> BoxFuture<'_, Result<Submitted, StoreError>> {
        let brought = |recording| Brought { recording, submission };
        self.keep(record, brought, |done| *done == Submitted::Kept(Put::Created)).boxed()
    }

    fn quarantine(&self, link: Quarantined) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.write(link).boxed()
    }

    fn quarantined(
        &self,
        chain: i64,
        after: i64,
        limit: i64,
    ) -> BoxFuture<'_, Result<Vec<(i64, Quarantined)>, StoreError>> {
        async move {
            let rows = self.read().await?.rows(sql::QUARANTINED, args![chain, after, limit]).await?;
            Ok(rows.into_iter().filter_map(|row| quarantine::of_row(chain, row)).collect())
        }
        .boxed()
    }

    fn release(&self, id: i64) -> BoxFuture<'_, Result<(), StoreError>> {
        self.write(Released(id)).boxed()
    }

    fn chain_keys(&self, chain: i64) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        async move { self.read().await?.values(sql::CHAIN_KEYS, args![chain, 1_000]).await }.boxed()
    }

    fn step_keys<'a>(&'a self, chain: i64, step: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        async move { self.read().await?.values(sql::STEP_KEYS, args![chain, step, 1_000]).await }.boxed()
    }

    fn evidence<'a>(
        &'a self,
        image: &'a Digest,
        may_read: &'a BTreeSet<i64>,
        now: Timestamp,
        limits: EvidenceLimits,
    ) -> BoxFuture<'a, Result<Evidence, StoreError>> {
        async move {
            let mut session = self.read().await?;
            let evidence = read::evidence(&mut session, image, may_read, now, limits).await?;
            tracing::debug!(%image, records = evidence.records.len(), statements = session.statements(), "evidence");
            Ok(evidence)
        }
        .boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if self.broken().is_cancelled() {
                return Err(StoreError::Broken("an earlier write failed".into()));
            }
            self.read().await?.value::<i64>(sql::CHAIN_BY_NAME, args![""]).await.map(drop)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
