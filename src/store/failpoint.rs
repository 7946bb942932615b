//! Places where a test may have the process die: between any two of them an upload is in another state. `TIDEWAITER_FAILPOINT=NAME[:N]`
//! aborts at the Nth time (the first without N) that the place is reached. Debug builds alone; in others this is nothing.

/// A place in the life of an upload, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The body was read; nothing is known of it.
    Received,
    /// Signatures and rights were verified.
    Admitted,
    /// The body is packed.
    Packed,
    /// The object is durable, and no row names it.
    Stored,
    /// The writer has it, with others.
    Taken,
    /// The transaction has begun.
    Begun,
    /// Its run is there.
    Run,
    /// Its artifact lists are there.
    Listed,
    /// The body's row is there.
    Body,
    /// The record's row is there.
    Record,
    /// Its signatures are there.
    Signed,
    /// Images lead to it.
    Subjects,
    /// All is written and nothing committed.
    Written,
    /// It is committed and nobody knows.
    Committed,
    /// The request knows; the client does not.
    Answered,
}

impl Point {
    /// All of them, in order.
    pub const ALL: [Point; 15] = [
        Point::Received,
        Point::Admitted,
        Point::Packed,
        Point::Stored,
        Point::Taken,
        Point::Begun,
        Point::Run,
        Point::Listed,
        Point::Body,
        Point::Record,
        Point::Signed,
        Point::Subjects,
        Point::Written,
        Point::Committed,
        Point::Answered,
    ];

    /// Its name, in lower case.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Dies here when the environment says so.
#[cfg(debug_assertions)]
pub fn reach(point: Point) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("TIDEWAITER_FAILPOINT").ok()?;
        Some(match text.split_once(':') {
            Some((name, count)) => (name.to_owned(), count.parse().unwrap_or(1)),
            None => (text, 1),
        })
    });
    let Some((name, count)) = wanted else { return };
    if *name == point.name() && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *count {
        // As SIGKILL would: no destructor runs, nothing is flushed.
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_: Point) {}
