//! SQLite through sqlx: WAL with `synchronous = FULL`, one writer with group commit, a pool of readers.

use super::{Evidence, EvidenceLimits, Metadata, NewRecord, Put, StoreError, sql};
use crate::digest::Digest;
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use sqlx::{
    Connection as _, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

mod read;
mod write;

/// Writes that may wait; the next is answered `Overloaded`.
const WRITES_WAITING_MAX: usize = 256;
/// Connections that read.
const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is and how large it may grow.
#[derive(Clone, Debug)]
pub struct Options {
    pub path: PathBuf,
    /// Pages of 4,096 bytes; `None`: as the disk allows. Beyond it a write is `Full`.
    pub pages_max: Option<u32>,
}

/// The embedded database.
pub struct Sqlite {
    readers: SqlitePool,
    writes: mpsc::Sender<write::Job>,
    broken: CancellationToken,
}

impl Sqlite {
    /// Opens the database, makes it where there is none, and brings its tables up to date.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        let connect = connect_options(&options);
        let mut connection = SqliteConnection::connect_with(&connect).await?;
        migrator().run(&mut connection).await?;
        let ids = write::ids(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(connect.clone().create_if_missing(false).read_only(true).pragma("query_only", "ON"))
            .await?;
        let (writes, jobs) = mpsc::channel(WRITES_WAITING_MAX);
        let broken = CancellationToken::new();
        // The writer ends when the last `Sqlite` is dropped and its queue is empty.
        tokio::spawn(write::Writer::new(connect, connection, ids, broken.clone()).run(jobs));
        Ok(Sqlite { readers, writes, broken })
    }

    /// Cancelled once the disk failed under a write (security §4.3 F9): the process must end and be started anew.
    pub fn broken(&self) -> CancellationToken {
        self.broken.clone()
    }
}

/// Brings the tables of a database up to date and says how many migrations it then has.
pub async fn migrate(path: &Path) -> anyhow::Result<usize> {
    let options = connect_options(&Options { path: path.to_owned(), pages_max: None });
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let migrator = migrator();
    migrator.run(&mut connection).await?;
    connection.close().await?;
    Ok(migrator.iter().count())
}

fn migrator() -> Migrator {
    let first = sqlx::SqlStr::from_static(include_str!("sqlite/0001_records.sql"));
    Migrator::with_migrations(vec![Migration::new(1, "records".into(), MigrationType::Simple, first, false)])
}

fn connect_options(options: &Options) -> SqliteConnectOptions {
    let connect = SqliteConnectOptions::new()
        .filename(&options.path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL would lose the last commits with the power; what we acknowledge must survive it.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        // A statement over many rows may need a temporary file, and a container with a read-only root has no place for one.
        .pragma("temp_store", "MEMORY")
        .foreign_keys(true);
    match options.pages_max {
        Some(pages) => connect.pragma("max_page_count", pages.to_string()),
        None => connect,
    }
}

impl Metadata for Sqlite {
    fn chain<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<i64, StoreError>> {
        self.ask(|answer| write::Job::Chain { name: name.to_owned(), answer }).boxed()
    }

    fn put(&self, record: NewRecord) -> BoxFuture<'_, Result<Put, StoreError>> {
        self.ask(|answer| write::Job::Record { record: Box::new(record), answer }).boxed()
    }

    fn step_keys<'a>(&'a self, chain: i64, step: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        let keys = sqlx::query_scalar(sql::STEP_KEYS).bind(chain).bind(step).bind(1_000i64);
        async move { keys.fetch_all(&self.readers).await.map_err(error) }.boxed()
    }

    fn evidence<'a>(
        &'a self,
        image: &'a Digest,
        may_read: &'a BTreeSet<i64>,
        now: Timestamp,
        limits: EvidenceLimits,
    ) -> BoxFuture<'a, Result<Evidence, StoreError>> {
        async move {
            let mut connection = self.readers.acquire().await.map_err(error)?;
            read::evidence(&mut connection, image, may_read, now, limits).await
        }
        .boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if self.broken.is_cancelled() {
                return Err(StoreError::Broken("an earlier write failed".into()));
            }
            let found: Option<i64> =
                sqlx::query_scalar(sql::CHAIN_BY_NAME).bind("").fetch_optional(&self.readers).await.map_err(error)?;
            let _ = found;
            Ok(())
        }
        .boxed()
    }
}

impl Sqlite {
    /// Queues a job for the writer and waits for its answer, which comes after the commit.
    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> write::Job,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let queued = self.writes.try_send(job(answer));
        async move {
            match queued {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => return Err(StoreError::Overloaded),
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(StoreError::Broken("the writer ended".into())),
            }
            answered.await.unwrap_or_else(|_| Err(StoreError::Broken("the writer ended".into())))
        }
    }
}

/// What SQLite's result code means to us; the low byte is the code, the rest its detail.
fn error(error: sqlx::Error) -> StoreError {
    const BUSY: i64 = 5;
    const LOCKED: i64 = 6;
    const IOERR: i64 = 10;
    const CORRUPT: i64 = 11;
    const FULL: i64 = 13;
    const NOTADB: i64 = 26;
    if let sqlx::Error::PoolTimedOut = error {
        return StoreError::Busy;
    }
    let code = error.as_database_error().and_then(|database| database.code()).and_then(|code| code.parse::<i64>().ok());
    match code.map(|code| code & 0xff) {
        Some(FULL) => StoreError::Full,
        Some(IOERR) => StoreError::Broken(error.to_string()),
        Some(CORRUPT | NOTADB) => StoreError::Corrupt(error.to_string()),
        Some(BUSY | LOCKED) => StoreError::Busy,
        _ => StoreError::Database(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
