//! Connections to a database, as its writers and its readers want them.

use super::{Location, session::Pool};
use anyhow::Context as _;
use futures::{FutureExt as _, future::BoxFuture};
use sqlx::{
    Connection as _, PgConnection,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::Path, time::Duration};

/// Connections that read.
const SQLITE_READERS: u32 = 4;
const POSTGRES_READERS: u32 = 16;
/// Writers of PostgreSQL, each with a connection; SQLite has one.
const POSTGRES_WRITERS: u32 = 8;
/// How long a connection is waited for, and a lock of SQLite.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection to PostgreSQL is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was idle for longer is asked whether it still lives, which costs a round trip.
const IDLE: Duration = Duration::from_secs(1);
/// How long PostgreSQL lets a writer wait for a row of another before it is told to begin anew. Its own search for deadlocks starts after
/// a second.
const LOCK_TIMEOUT: &str = "500ms";
/// A reading statement of PostgreSQL; a request has ended by then.
const STATEMENT_TIMEOUT: &str = "30s";
/// Statements that a connection keeps prepared; more than we have.
const STATEMENTS_MAX: usize = 512;

/// A connection that reads all there is and changes nothing, not even the state of a file of SQLite: for looking and copying.
///
/// # Errors
/// There is no such database.
pub async fn look(location: &Location) -> anyhow::Result<Pool> {
    match location {
        Location::Sqlite(path) => {
            let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
            let options = options.pragma("temp_store", "MEMORY");
            let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
            Ok(Pool::Sqlite(pool.with_context(|| path.display().to_string())?))
        }
        Location::Postgres(url) => {
            let options: PgConnectOptions = url.as_str().parse().context("the database's address")?;
            let options = options.application_name("tidewaiter").options([("default_transaction_read_only", "on")]);
            Ok(Pool::Postgres(PgPoolOptions::new().max_connections(1).connect_with(options).await?))
        }
    }
}

/// The pools of one database.
#[derive(Clone, Debug)]
pub struct Engine {
    pub writers: Pool,
    pub readers: Pool,
    /// How many transactions may write at once.
    pub writers_count: u32,
}

impl Engine {
    /// Connects. `pages_max`: how large a file of SQLite may grow, in pages of 4,096 bytes.
    pub async fn connect(location: &Location, pages_max: Option<u32>) -> anyhow::Result<Self> {
        match location {
            Location::Sqlite(path) => Self::sqlite(path, pages_max).await,
            Location::Postgres(url) => Self::postgres(url.as_str()).await,
        }
    }

    async fn sqlite(path: &Path, pages_max: Option<u32>) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would lose the last commits with the power; what we acknowledge must survive it.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            // A statement over many rows may need a temporary file, and a container with a read-only root has no place for one.
            .pragma("temp_store", "MEMORY")
            .statement_cache_capacity(STATEMENTS_MAX)
            .foreign_keys(true);
        let options = match pages_max {
            Some(pages) => options.pragma("max_page_count", pages.to_string()),
            None => options,
        };
        let pool = || SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT).test_before_acquire(false);
        // The file is made by the first connection.
        let writers = pool().max_connections(1).connect_with(options.clone()).await?;
        let readers = options.create_if_missing(false).read_only(true).pragma("query_only", "ON");
        let readers = pool().max_connections(SQLITE_READERS).connect_lazy_with(readers);
        Ok(Engine { writers: Pool::Sqlite(writers), readers: Pool::Sqlite(readers), writers_count: 1 })
    }

    async fn postgres(url: &str) -> anyhow::Result<Self> {
        let options: PgConnectOptions = url.parse().context("the database's address")?;
        // Every statement goes by an index, and is planned once a connection: what PostgreSQL thinks of tables that are new, or have grown
        // since it looked, must not make it read them whole, nor all that an index has where the first few are enough.
        let options = options
            .application_name("tidewaiter")
            .statement_cache_capacity(STATEMENTS_MAX)
            .options([("enable_seqscan", "off"), ("enable_bitmapscan", "off")]);
        let pool =
            || PgPoolOptions::new().acquire_timeout(CONNECT_TIMEOUT).test_before_acquire(false).before_acquire(lives);
        let writers = options.clone().options([("lock_timeout", LOCK_TIMEOUT)]);
        let writers = pool().max_connections(POSTGRES_WRITERS).connect_with(writers).await?;
        let (synchronous, fsync): (String, String) =
            sqlx::query_as("SELECT current_setting('synchronous_commit'), current_setting('fsync')")
                .fetch_one(&writers)
                .await?;
        anyhow::ensure!(
            synchronous != "off",
            "synchronous_commit is off: what the store acknowledges would not survive the loss of power"
        );
        if fsync == "off" {
            tracing::warn!("fsync is off: what is acknowledged does not survive the loss of power");
        }
        let readers =
            options.options([("default_transaction_read_only", "on"), ("statement_timeout", STATEMENT_TIMEOUT)]);
        let readers = pool().max_connections(POSTGRES_READERS).connect_lazy_with(readers);
        Ok(Engine {
            writers: Pool::Postgres(writers),
            readers: Pool::Postgres(readers),
            writers_count: POSTGRES_WRITERS,
        })
    }
}

/// Whether a connection can be used. Its server may have ended while nobody looked.
fn lives(connection: &mut PgConnection, since: PoolConnectionMetadata) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    async move {
        if since.idle_for > IDLE {
            connection.ping().await?;
        }
        Ok(true)
    }
    .boxed()
}
