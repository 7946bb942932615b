//! What a database's error means to us.

use super::StoreError;
use sqlx::error::DatabaseError;

/// The error of a statement, or of getting a connection.
pub fn fault(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        // The connection is gone, or never was; also a server that ended in the middle of a message.
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolClosed => {
            StoreError::Unavailable(error.to_string())
        }
        sqlx::Error::Database(database) => match database.code() {
            Some(code) if database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() => {
                postgres(&code, database.as_ref())
            }
            Some(code) => sqlite(&code, database.as_ref()),
            None => StoreError::Database(error.to_string()),
        },
        _ => StoreError::Database(error.to_string()),
    }
}

/// SQLSTATE: five characters, the first two its class.
fn postgres(code: &str, error: &dyn DatabaseError) -> StoreError {
    match code {
        // Two transactions want what the other has, or both made the same row: the one that failed is tried again.
        "40001" | "40P01" | "55P03" | "23505" => StoreError::Conflict,
        "53100" => StoreError::Full,
        "XX001" | "XX002" => StoreError::Corrupt(error.to_string()),
        // Too many connections, or none any more: shutdown, crash of another session, start-up.
        "53300" | "57P01" | "57P02" | "57P03" => StoreError::Unavailable(error.to_string()),
        // A server that runs over to its standby answers so for a moment.
        "25006" => StoreError::Unavailable(error.to_string()),
        // The server lives on after an error of its disk and keeps the transaction out; what was committed it knows itself.
        "58030" => StoreError::Unavailable(error.to_string()),
        _ if code.starts_with("08") => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Database(error.to_string()),
    }
}

/// SQLite's result code; the low byte is the code, the rest its detail.
fn sqlite(code: &str, error: &dyn DatabaseError) -> StoreError {
    const BUSY: i64 = 5;
    const LOCKED: i64 = 6;
    const IOERR: i64 = 10;
    const CORRUPT: i64 = 11;
    const FULL: i64 = 13;
    const NOTADB: i64 = 26;
    match code.parse::<i64>().map(|code| code & 0xff) {
        Ok(FULL) => StoreError::Full,
        Ok(IOERR) => StoreError::Broken(error.to_string()),
        Ok(CORRUPT | NOTADB) => StoreError::Corrupt(error.to_string()),
        Ok(BUSY | LOCKED) => StoreError::Busy,
        _ => StoreError::Database(error.to_string()),
    }
}
