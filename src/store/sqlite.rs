//! SQLite through sqlx: WAL, one writer.
