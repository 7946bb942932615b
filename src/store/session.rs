//! One connection to whichever database it is: a statement and its arguments in, rows out. All that the store asks goes through here, so
//! that there is one body of reading and one of writing.

use super::{StoreError, blob::objects::Objects, fault::fault, sql};
use sqlx::{
    AssertSqlSafe, FromRow, Postgres, Sqlite,
    pool::PoolConnection,
    postgres::{PgPool, PgRow},
    sqlite::{SqlitePool, SqliteRow},
};

/// Connections of one kind of use.
#[derive(Clone, Debug)]
pub enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// A connection, as soon as one is free.
    pub async fn session(&self) -> Result<Session, StoreError> {
        let connection = match self {
            Pool::Sqlite(pool) => Connection::Sqlite(pool.acquire().await.map_err(fault)?),
            Pool::Postgres(pool) => Connection::Postgres(pool.acquire().await.map_err(|error| match error {
                // It is tried for as long, whether the server is away or all its connections are in use.
                sqlx::Error::PoolTimedOut => StoreError::Unavailable("there is no connection".into()),
                error => fault(error),
            })?),
        };
        Ok(Session { connection, doubtful: false, statements: 0, objects: None })
    }

    /// Ends the connections once they are idle.
    pub async fn close(&self) {
        match self {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// One connection; it goes back to its pool when dropped, unless the answer to a statement was not waited for.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// Nobody knows what it is in the middle of.
    doubtful: bool,
    statements: u64,
    /// Where the large bodies of its rows are.
    objects: Option<Objects>,
}

impl Drop for Session {
    fn drop(&mut self) {
        match &mut self.connection {
            _ if !self.doubtful => {}
            Connection::Sqlite(connection) => connection.close_on_drop(),
            Connection::Postgres(connection) => connection.close_on_drop(),
        }
    }
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// An argument of a statement. Its type is known when it is null, as PostgreSQL wants it.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
}

/// The arguments of a statement, each by its `Arg::from`.
#[macro_export]
macro_rules! args {
    ($($arg:expr),* $(,)?) => { &[$($crate::store::session::Arg::from($arg)),*] };
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Arg::Int(Some(value))
    }
}

impl From<Option<i64>> for Arg<'_> {
    fn from(value: Option<i64>) -> Self {
        Arg::Int(value)
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Arg::Text(Some(value))
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(value: &'a String) -> Self {
        Arg::Text(Some(value))
    }
}

impl<'a> From<&'a Option<String>> for Arg<'a> {
    fn from(value: &'a Option<String>) -> Self {
        Arg::Text(value.as_deref())
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Arg::Bytes(Some(value))
    }
}

impl<'a> From<&'a Vec<u8>> for Arg<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Arg::Bytes(Some(value))
    }
}

impl<'a> From<&'a Option<Vec<u8>>> for Arg<'a> {
    fn from(value: &'a Option<Vec<u8>>) -> Self {
        Arg::Bytes(value.as_deref())
    }
}

/// What a row is read into: a tuple of `i64`, `String`, `Vec<u8>` and options of them.
pub trait Columns: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Columns for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A statement with its arguments, on either connection, by this method of sqlx.
macro_rules! ask {
    ($session:ident, $query:ident($text:expr), $args:expr, $method:ident) => {{
        let (text, args) = ($text, $args);
        $session.doubtful = true;
        $session.statements += 1;
        let answer = match &mut $session.connection {
            Connection::Sqlite(connection) => ask!(@on connection, $query(text), args, $method),
            Connection::Postgres(connection) => ask!(@on connection, $query(text), args, $method),
        };
        $session.doubtful = false;
        answer
    }};
    (@on $connection:ident, $query:ident($text:expr), $args:expr, $method:ident) => {{
        let query = $args.fold(sqlx::$query($text), |query, arg: Arg<'_>| match arg {
            Arg::Int(value) => query.bind(value),
            Arg::Text(value) => query.bind(value),
            Arg::Bytes(value) => query.bind(value),
        });
        ask!(@end query.$method(&mut **$connection).await.map_err(fault), $method)
    }};
    (@end $answer:expr, execute) => { $answer.map(|done| done.rows_affected()) };
    (@end $answer:expr, $method:ident) => { $answer };
}

impl Session {
    /// The session, with the place of the large bodies that its rows name.
    pub fn with_objects(mut self, objects: Option<Objects>) -> Self {
        self.objects = objects;
        self
    }

    /// How many statements it was asked.
    pub fn statements(&self) -> u64 {
        self.statements
    }

    /// Where large bodies are, if anywhere.
    pub fn objects(&self) -> Option<&Objects> {
        self.objects.as_ref()
    }

    /// What the database says is damaged of its own pages and indexes. PostgreSQL says so when it reads them, and looks at no others.
    pub async fn integrity(&mut self) -> Result<Option<String>, StoreError> {
        if let Connection::Postgres(_) = self.connection {
            return Ok(None);
        }
        let said: Vec<String> = self.values("PRAGMA integrity_check(20)", &[]).await?;
        Ok((said != ["ok"]).then(|| said.join("; ")))
    }

    /// All rows.
    pub async fn rows<T: Columns>(&mut self, statement: &'static str, args: &[Arg<'_>]) -> Result<Vec<T>, StoreError> {
        ask!(self, query_as(statement), args.iter().copied(), fetch_all)
    }

    /// The first row, where there is one.
    pub async fn row<T: Columns>(
        &mut self,
        statement: &'static str,
        args: &[Arg<'_>],
    ) -> Result<Option<T>, StoreError> {
        ask!(self, query_as(statement), args.iter().copied(), fetch_optional)
    }

    /// The one column of all rows.
    pub async fn values<T>(&mut self, statement: &'static str, args: &[Arg<'_>]) -> Result<Vec<T>, StoreError>
    where
        (T,): Columns,
    {
        let rows: Vec<(T,)> = self.rows(statement, args).await?;
        Ok(rows.into_iter().map(|(value,)| value).collect())
    }

    /// The one column of the first row, where there is one.
    pub async fn value<T>(&mut self, statement: &'static str, args: &[Arg<'_>]) -> Result<Option<T>, StoreError>
    where
        (T,): Columns,
    {
        let row: Option<(T,)> = self.row(statement, args).await?;
        Ok(row.map(|(value,)| value))
    }

    /// The one column of the one row there must be.
    pub async fn one<T>(&mut self, statement: &'static str, args: &[Arg<'_>]) -> Result<T, StoreError>
    where
        (T,): Columns,
    {
        let value = self.value(statement, args).await?;
        value.ok_or_else(|| StoreError::Database(format!("no row for {statement}")))
    }

    /// All rows for all of a list, in no order.
    pub async fn rows_in<T: Columns>(
        &mut self,
        statement: &sql::InList,
        fixed: &[Arg<'_>],
        list: &[Arg<'_>],
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        for (piece, fill) in sql::filled(list) {
            // The text is made of constants and numbers.
            let text = AssertSqlSafe(statement.text(piece.len().next_power_of_two()));
            let args = fixed.iter().chain(piece).copied().chain(fill.clone());
            let found: Vec<T> = ask!(self, query_as(text), args, fetch_all)?;
            rows.extend(found);
        }
        Ok(rows)
    }

    /// Does it, and says how many rows it changed.
    pub async fn execute(&mut self, statement: &'static str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        ask!(self, query(statement), args.iter().copied(), execute)
    }

    /// All rows for all of a list that the statement brings along as rows; for one of them, the same again perhaps.
    pub async fn rows_for<T: Columns>(
        &mut self,
        statement: &sql::Rows,
        list: &[Arg<'_>],
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        for (piece, fill) in sql::filled(list) {
            let text = AssertSqlSafe(statement.text(piece.len().next_power_of_two()));
            let args = piece.iter().copied().chain(fill.clone());
            let found: Vec<T> = ask!(self, query_as(text), args, fetch_all)?;
            rows.extend(found);
        }
        Ok(rows)
    }

    /// Adds rows, and says how many were new.
    pub async fn add_rows<const N: usize>(
        &mut self,
        statement: &sql::Rows,
        rows: &[[Arg<'_>; N]],
    ) -> Result<u64, StoreError> {
        let mut added = 0;
        for piece in sql::pieces(rows) {
            let text = AssertSqlSafe(statement.text(piece.len()));
            added += ask!(self, query(text), piece.iter().flatten().copied(), execute)?;
        }
        Ok(added)
    }

    /// Begins a transaction that will write.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        let statement = match self.connection {
            // Taken at once, not at the first write: two that hold what they read cannot both go on.
            Connection::Sqlite(_) => "BEGIN IMMEDIATE",
            Connection::Postgres(_) => "BEGIN",
        };
        self.execute(statement, &[]).await.map(drop)
    }

    /// Commits. After an error nobody knows; `discard` the session.
    pub async fn commit(&mut self) -> Result<(), StoreError> {
        self.execute("COMMIT", &[]).await.map(drop)
    }

    /// Ends the connection, and with it whatever transaction it is in.
    pub fn discard(mut self) {
        self.doubtful = true;
    }
}
