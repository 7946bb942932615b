//! A copy of PostgreSQL in a file of SQLite, table by table in one snapshot. The tables are the same, column for column.

use crate::store::{Location, database};
use anyhow::{Context as _, ensure};
use futures::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection,
    postgres::PgRow,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use std::path::Path;

/// A table of ours: its name, and its columns with what SQLite calls their types.
struct Table {
    name: String,
    columns: Vec<(String, Type)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Integer,
    Text,
    Bytes,
}

/// Copies everything into this file, which is empty.
pub async fn copy(from: &str, to: &Path) -> anyhow::Result<()> {
    database::migrate(&Location::Sqlite(to.to_owned())).await?;
    // Rows come in any order; and one file, without a log beside it.
    let options = SqliteConnectOptions::new().filename(to).foreign_keys(false).journal_mode(SqliteJournalMode::Delete);
    let mut to = SqliteConnection::connect_with(&options).await?;
    let mut from = PgConnection::connect(from).await?;
    let mut snapshot = from.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let versions = "SELECT version FROM _sqlx_migrations ORDER BY version";
    let theirs: Vec<i64> = sqlx::query_scalar(versions).fetch_all(&mut *snapshot).await?;
    let ours: Vec<i64> = sqlx::query_scalar(versions).fetch_all(&mut to).await?;
    ensure!(theirs == ours, "the database has other migrations than this version: run `tidewaiter store migrate`");
    let tables = tables(&mut to).await?;
    let mut copy = to.begin().await?;
    for table in &tables {
        table.copy(&mut snapshot, &mut copy).await.with_context(|| format!("table {}", table.name))?;
    }
    copy.commit().await?;
    to.close().await?;
    Ok(())
}

async fn tables(to: &mut SqliteConnection) -> anyhow::Result<Vec<Table>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut *to)
    .await?;
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let columns: Vec<(String, String)> =
            sqlx::query_as("SELECT name, type FROM pragma_table_info($1)").bind(&name).fetch_all(&mut *to).await?;
        let typed = |(name, kind): (String, String)| match kind.as_str() {
            "TEXT" => (name, Type::Text),
            "BLOB" => (name, Type::Bytes),
            _ => (name, Type::Integer),
        };
        tables.push(Table { name, columns: columns.into_iter().map(typed).collect() });
    }
    Ok(tables)
}

impl Table {
    async fn copy(&self, from: &mut PgConnection, to: &mut SqliteConnection) -> anyhow::Result<()> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let places: Vec<String> = (1..=self.columns.len()).map(|place| format!("${place}")).collect();
        // Names are those of our own migrations.
        let select = format!("SELECT {names} FROM {}", self.name);
        let insert = format!("INSERT INTO {} ({names}) VALUES ({})", self.name, places.join(", "));
        // What the migrations put there.
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {}", self.name))).execute(&mut *to).await?;
        let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(from);
        while let Some(row) = rows.try_next().await? {
            self.insert(&insert, &row, to).await?;
        }
        Ok(())
    }

    async fn insert(&self, insert: &str, row: &PgRow, to: &mut SqliteConnection) -> anyhow::Result<()> {
        let mut query = sqlx::query(AssertSqlSafe(insert.to_owned()));
        for (place, (_, kind)) in self.columns.iter().enumerate() {
            query = match kind {
                Type::Integer => query.bind(row.try_get::<Option<i64>, _>(place)?),
                Type::Text => query.bind(row.try_get::<Option<String>, _>(place)?),
                Type::Bytes => query.bind(row.try_get::<Option<Vec<u8>>, _>(place)?),
            };
        }
        query.execute(to).await?;
        Ok(())
    }
}
