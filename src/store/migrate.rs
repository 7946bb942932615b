//! A database's tables: made and brought up to date by steps that go forward only.

use super::session::Pool;
use sqlx::{
    SqlStr,
    migrate::{Migrate, Migration, MigrationType, Migrator},
};

/// Each step: its number, its name, and its text for SQLite and for PostgreSQL. A step that was released never changes.
const STEPS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "records",
        include_str!("migrations/sqlite/0001_records.sql"),
        include_str!("migrations/postgres/0001_records.sql"),
    ),
    (2, "facts", include_str!("migrations/sqlite/0002_facts.sql"), include_str!("migrations/postgres/0002_facts.sql")),
    (
        3,
        "submissions",
        include_str!("migrations/sqlite/0003_submissions.sql"),
        include_str!("migrations/postgres/0003_submissions.sql"),
    ),
    (
        4,
        "chunks",
        include_str!("migrations/sqlite/0004_chunks.sql"),
        include_str!("migrations/postgres/0004_chunks.sql"),
    ),
    (
        6,
        "publication",
        include_str!("migrations/sqlite/0006_publication.sql"),
        include_str!("migrations/postgres/0006_publication.sql"),
    ),
    (
        7,
        "families",
        include_str!("migrations/sqlite/0007_families.sql"),
        include_str!("migrations/postgres/0007_families.sql"),
    ),
    (
        8,
        "signers",
        include_str!("migrations/sqlite/0008_signers.sql"),
        include_str!("migrations/postgres/0008_signers.sql"),
    ),
    // The same for both.
    (9, "retention", include_str!("migrations/0009_retention.sql"), include_str!("migrations/0009_retention.sql")),
];

/// Why a database's tables are not as this program needs them.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// `--migrate=false`, and steps are missing.
    #[error("database_behind: the database has {has} of {needs} migrations; run `tidewaiter store migrate`")]
    Behind { has: usize, needs: usize },
    /// A newer program was here.
    #[error("database_ahead: the database has migration {0}, which this version does not know")]
    Ahead(i64),
    #[error(transparent)]
    Failed(#[from] sqlx::migrate::MigrateError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Brings the tables up to date and says how many steps the database then has.
pub async fn run(writers: &Pool) -> Result<usize, MigrateError> {
    run_first(writers, STEPS.len()).await
}

/// The first `count` steps, as an earlier version left a database.
pub(super) async fn run_first(writers: &Pool, count: usize) -> Result<usize, MigrateError> {
    let step = |(version, name, sqlite, postgres): &(i64, &'static str, &'static str, &'static str)| {
        let text = match writers {
            Pool::Sqlite(_) => sqlite,
            Pool::Postgres(_) => postgres,
        };
        Migration::new(*version, (*name).into(), MigrationType::Simple, SqlStr::from_static(text), false)
    };
    let migrator = Migrator::with_migrations(STEPS.iter().take(count).map(step).collect());
    let done = match writers {
        Pool::Sqlite(pool) => migrator.run(pool).await,
        Pool::Postgres(pool) => migrator.run(pool).await,
    };
    match done {
        Ok(()) => Ok(count),
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => Err(MigrateError::Ahead(version)),
        Err(error) => Err(error.into()),
    }
}

/// That nothing is left to be done.
pub async fn check(writers: &Pool) -> Result<(), MigrateError> {
    let applied = match writers {
        Pool::Sqlite(pool) => applied(&mut *pool.acquire().await?).await?,
        Pool::Postgres(pool) => applied(&mut *pool.acquire().await?).await?,
    };
    if let Some(ahead) = applied.iter().find(|version| STEPS.iter().all(|step| step.0 != **version)) {
        return Err(MigrateError::Ahead(*ahead));
    }
    if applied.len() < STEPS.len() {
        return Err(MigrateError::Behind { has: applied.len(), needs: STEPS.len() });
    }
    Ok(())
}

async fn applied(connection: &mut impl Migrate) -> Result<Vec<i64>, MigrateError> {
    connection.ensure_migrations_table(&Migrator::DEFAULT.table_name).await?;
    let applied = connection.list_applied_migrations(&Migrator::DEFAULT.table_name).await?;
    Ok(applied.into_iter().map(|migration| migration.version).collect())
}
