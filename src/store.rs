//! Where metadata is kept (docs/store.md): the words of a store and the trait its databases implement.
//!
//! A store keeps what `server` has verified, and nothing here is believed by those who read from it.
//! `database` is both of them, over `session`; all SQL text is in `sql`.

use crate::{
    digest::Digest,
    intoto::{Artifacts, Facts, facts},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::collections::BTreeSet;

pub mod artifacts;
pub mod backup;
pub mod blob;
pub mod body;
pub mod database;
pub mod dictionary;
pub mod document;
pub mod engine;
pub mod failpoint;
pub mod family;
pub mod fault;
pub mod fsck;
pub mod graph;
pub mod id;
pub mod images;
pub mod lists;
pub mod location;
pub mod lock;
pub mod merge;
pub mod migrate;
pub mod publication;
pub mod quarantine;
pub mod read;
pub mod records;
mod retention;
pub mod search;
pub mod session;
pub mod sql;
pub mod step_key;
pub mod stream;
pub mod submission;
pub mod verdicts;
pub mod walk;
pub mod write;

pub use database::Database;
pub use location::Location;
pub use quarantine::Quarantined;
pub use step_key::StepKey;
pub use submission::{Once, Submission, Submitted};

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A layout, signed by the chain's owners.
    Layout,
    /// A link, signed by a functionary of its step.
    Link,
    /// Another statement, signed by a functionary of a step: a scan, a test's result, a bill of materials. No link's stand-in.
    Statement,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::Layout, Kind::Link, Kind::Statement];

    /// The word of the API and of a Chain document's `kinds`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Layout => "layout",
            Kind::Link => "link",
            Kind::Statement => "statement",
        }
    }

    /// The number in the column `record.kind`.
    pub fn code(self) -> i64 {
        match self {
            Kind::Layout => 1,
            Kind::Link => 2,
            Kind::Statement => 3,
        }
    }

    /// The kind behind a number; `None` for one we did not write.
    pub fn from_code(code: i64) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// A signature that verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// The id of the public key (`PublicKey::id`), whatever id the envelope gave.
    pub keyid: String,
    /// The key's scheme.
    pub alg: String,
    /// Which of the envelope's signatures it is.
    pub index: usize,
    /// The signature itself.
    pub sig: Vec<u8>,
}

/// What the store remembers of a layout beside its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutFacts {
    pub expires: Timestamp,
    pub keys: Vec<StepKey>,
}

/// What is known of a run beside its key. Of each the first that was said is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// The CI system.
    pub provider: Option<String>,
    pub url: Option<String>,
    pub commit_id: Option<String>,
    /// The branch or tag.
    pub git_ref: Option<String>,
    pub trigger: Option<String>,
    pub actor: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// 0: well, anything else: not.
    pub outcome: Option<i64>,
}

impl RunFacts {
    /// What a record's facts say of its run.
    pub fn of(facts: &Facts) -> Self {
        let text = |name| facts.text(name).map(str::to_owned);
        RunFacts {
            started_at: facts.time("step.started_at"),
            provider: text("cicd.system"),
            url: text("cicd.pipeline.run.url.full"),
            commit_id: text(facts::REVISION),
            git_ref: text(facts::REF),
            trigger: text("cicd.pipeline.trigger"),
            actor: text("cicd.pipeline.actor"),
            ..RunFacts::default()
        }
    }
}

/// A record whose signatures and right to be written were checked.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The chain's id, as `Metadata::chain` gave it.
    pub chain: i64,
    pub kind: Kind,
    /// The step of a link or a statement.
    pub step: Option<String>,
    /// The record's name: SHA-256 of what is signed.
    pub digest: Digest,
    /// DSSE's payload type; empty for a Metablock.
    pub payload_type: String,
    /// The envelope as received.
    pub envelope: Vec<u8>,
    /// At least one.
    pub signatures: Vec<VerifiedSignature>,
    /// The run the writer says this belongs to.
    pub run: Option<String>,
    /// What the record says of that run.
    pub run_facts: RunFacts,
    /// The writer's name in its Chain document.
    pub submitter: String,
    /// Images among the link's products, or a statement's subjects.
    pub produced: BTreeSet<Digest>,
    /// Images the writer named beside the record.
    pub declared: BTreeSet<Digest>,
    pub materials: Artifacts,
    pub products: Artifacts,
    pub return_code: Option<i64>,
    pub received_at: Timestamp,
    /// A statement's `predicateType`.
    pub predicate_type: Option<String>,
    /// When the step began and ended, as the record says.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// What it says of itself, where it is looked for.
    pub facts: Facts,
    /// For a layout.
    pub layout: Option<LayoutFacts>,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The record is new, and durable.
    Created,
    /// It was known and the write added nothing.
    Known,
    /// It was known; signatures, subjects or its run were added.
    Extended,
}

/// A record as it is given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub chain: i64,
    pub digest: Digest,
    pub kind: Kind,
    pub step: Option<String>,
    pub envelope: Vec<u8>,
}

/// What one answer may hold.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceLimits {
    /// Records of all chains together.
    pub records_max: usize,
    /// Bytes of all envelopes together.
    pub bytes_max: usize,
    /// Layouts of one chain.
    pub layouts_max: usize,
}

impl EvidenceLimits {
    /// 256 records; 23 MiB of envelopes, so that their base64 stays under the client's 32 MiB; 8 layouts a chain.
    pub const DEFAULT: EvidenceLimits = EvidenceLimits { records_max: 256, bytes_max: 23 << 20, layouts_max: 8 };
}

/// Everything known about an image, in order of use: layouts, links, statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    pub records: Vec<Found>,
    /// More was known than the limits let out.
    pub truncated: bool,
}

/// Why a store could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk, or the quota, is full; nothing of this write was kept.
    #[error("the store is full")]
    Full,
    /// Writing to the disk failed: what is durable is not known, so nothing more is written (security §4.3 F9).
    #[error("the database could not be written: {0}")]
    Broken(String),
    /// Bytes in the database are not those that were written.
    #[error("the database is corrupt: {0}")]
    Corrupt(String),
    /// A known record has no room for a further signature: its bytes, or its signatures, would be more than readers look at.
    #[error("with a further signature the record would be more than is read of one")]
    TooLarge,
    /// Another process holds the database.
    #[error("the database is busy")]
    Busy,
    /// Another transaction got in the way, again and again.
    #[error("others write the same")]
    Conflict,
    /// The database cannot be reached, or is starting or stopping; nothing is known to be kept.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// More writes are waiting than the store queues.
    #[error("too many writes are waiting")]
    Overloaded,
    /// Anything else the database says.
    #[error("the database answered: {0}")]
    Database(String),
}

impl StoreError {
    /// Whether one record may be to blame, so that others written with it may do without it.
    pub(crate) fn is_of_one(&self) -> bool {
        use StoreError::{Conflict, Corrupt, Database, TooLarge};
        matches!(self, Corrupt(_) | Conflict | TooLarge | Database(_))
    }
}

/// A database of records. Append-only: nothing here replaces or deletes (security §2.H5).
pub trait Metadata: Send + Sync + 'static {
    /// The id of the chain of this name, made where it is new.
    fn chain<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<i64, StoreError>>;

    /// Keeps a record. When it answers, the record survives the loss of the process and of power.
    fn put(&self, record: NewRecord) -> BoxFuture<'_, Result<Put, StoreError>>;

    /// As `put`, and keeps who brought it.
    fn submit(&self, record: NewRecord, submission: Submission) -> BoxFuture<'_, Result<Submitted, StoreError>>;

    /// Keeps a link aside; false where its chain has no room for more.
    fn quarantine(&self, link: Quarantined) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Links of a chain that are kept aside, with their ids, from the one behind `after`.
    fn quarantined(
        &self,
        chain: i64,
        after: i64,
        limit: i64,
    ) -> BoxFuture<'_, Result<Vec<(i64, Quarantined)>, StoreError>>;

    /// Takes a link out of quarantine, for it has become a record.
    fn release(&self, id: i64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The key objects that layouts of the chain have authorised for any step, at most 1,000.
    fn chain_keys(&self, chain: i64) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;

    /// The key objects that layouts of the chain have authorised for the step, at most 1,000.
    fn step_keys<'a>(&'a self, chain: i64, step: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>>;

    /// Everything for an image in the chains that `may_read` lets through.
    fn evidence<'a>(
        &'a self,
        image: &'a Digest,
        may_read: &'a BTreeSet<i64>,
        now: Timestamp,
        limits: EvidenceLimits,
    ) -> BoxFuture<'a, Result<Evidence, StoreError>>;

    /// Whether it could answer now.
    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// A database of its own for each test.
#[cfg(test)]
#[allow(dead_code)] // other tests use other parts
#[path = "../tests/support/databases.rs"]
mod databases;
