//! Looks at everything a store keeps and says what is damaged (docs/store.md): bodies unpack and hash to what was written, records are what
//! their names say, their signatures verify, their rows and all that leads to them say what they say, artifact lists are those of their
//! links, and what is referred to is there. Changes nothing, and may run while the store serves: what a statement reads was committed whole.

use super::{StoreError, blob::objects::Objects, session::Session, sql};
use crate::{args, digest::Digest, key::KeyRing};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

mod artifact;
mod filed;
mod key;
mod layout;
mod record;
mod reference;

/// Rows read at once.
const PAGE: i64 = 256;
/// Findings that are kept; any more are counted.
const FINDINGS_MAX: usize = 10_000;
/// Images named beside one finding.
const IMAGES_MAX: i64 = 16;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A body is missing, does not unpack, or is not what was written.
    BodyDamaged,
    /// An object that a body is in is missing, or has other bytes.
    ObjectDamaged,
    /// What a record signs is not what its name says.
    RecordMisnamed,
    /// A record that is no metadata.
    RecordUnreadable,
    /// A record's row, or what leads to it, says another thing of it than it says itself.
    RecordMisfiled,
    /// The stream does not tell of a record.
    RecordUnannounced,
    /// What is kept of a layout, its end or whom it authorises, is not what it says.
    LayoutMisfiled,
    /// No name leads to the record.
    RecordUnfindable,
    /// A signature that was verified is not in the envelope.
    SignatureMissing,
    /// A signature does not verify under the key that was stored.
    SignatureInvalid,
    /// A stored key cannot be read, or is another than its name says.
    KeyUnreadable,
    /// A directory's list is not what was written, or is not found by its digests.
    ChunkDamaged,
    /// An artifact list is not that of its link.
    ListDamaged,
    /// An image that a record is about does not lead to it.
    ImageUnlisted,
    /// A row refers to one that is not there.
    ReferenceBroken,
    /// The database itself says that it is damaged.
    DatabaseDamaged,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub fault: Fault,
    /// The thing: `record sha256:…`, `chunk …`.
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Images whose evidence it is part of, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// What is wrong with it.
    pub detail: String,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub records: u64,
    pub signatures: u64,
    /// Signatures of layouts by owners whose keys are in no table and were not given.
    pub signatures_unverified: u64,
    pub bodies: u64,
    pub chunks: u64,
    pub objects: u64,
    /// Bytes of all bodies as they were received, and as they are kept.
    pub bytes: u64,
    pub bytes_kept: u64,
    /// Objects that no row names: an upload in hand, or one that ended with its process. They do no harm.
    pub objects_orphaned: Vec<String>,
    /// How many are damaged.
    pub damaged: u64,
    /// Which, up to 10,000.
    pub findings: Vec<Finding>,
}

/// What to look with, beside the database.
pub struct Options<'o> {
    /// Keys of owners, for the signatures of layouts.
    pub owners: &'o KeyRing,
    /// Called with what is looked at and how many of them were, now and then.
    pub progress: &'o (dyn Fn(&str, u64) + Sync),
}

/// Looks at everything.
///
/// # Errors
/// The database or the object storage cannot be reached: nothing is known then of what was not looked at.
pub async fn check(session: &mut Session, options: &Options<'_>) -> Result<Report, StoreError> {
    let mut look = Look { session, options, report: Report::default(), bodies: HashSet::new(), lists: BTreeMap::new() };
    let done = look.database().await;
    look.goes_on(done)?;
    let done = look.records().await;
    look.goes_on(done)?;
    let done = look.chunks().await;
    look.goes_on(done)?;
    let done = look.other_bodies().await;
    look.goes_on(done)?;
    let done = look.keys().await;
    look.goes_on(done)?;
    let done = look.references().await;
    look.goes_on(done)?;
    look.objects().await?;
    Ok(look.report)
}

/// A look in progress.
struct Look<'l> {
    session: &'l mut Session,
    options: &'l Options<'l>,
    report: Report,
    /// Bodies that were looked at.
    bodies: HashSet<i64>,
    /// Artifact lists that were: their hash, and whether their chunks are right.
    lists: BTreeMap<i64, artifact::List>,
}

impl Look<'_> {
    /// A finding about something that is no record's alone.
    fn damaged(&mut self, fault: Fault, what: impl Into<String>, detail: impl Into<String>) {
        let (what, detail) = (what.into(), detail.into());
        self.found(Finding { fault, what, chain: None, step: None, images: Vec::new(), detail });
    }

    fn found(&mut self, finding: Finding) {
        self.report.damaged += 1;
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        }
    }

    fn progress(&self, what: &str, many: u64) {
        (self.options.progress)(what, many);
    }

    /// What the database says of itself.
    async fn database(&mut self) -> Result<(), StoreError> {
        match self.session.integrity().await? {
            Some(detail) => Err(StoreError::Corrupt(detail)),
            None => Ok(()),
        }
    }

    /// A table that cannot be read to its end is a finding, and the others are looked at all the same.
    fn goes_on(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        match done {
            Err(StoreError::Corrupt(detail)) => {
                self.damaged(Fault::DatabaseDamaged, "database", detail);
                Ok(())
            }
            done => done,
        }
    }

    /// A body's bytes, or the fault it has. Counted once.
    async fn body(&mut self, blob: i64, what: &str) -> Result<Result<Vec<u8>, (Fault, String)>, StoreError> {
        let row: Option<super::body::BlobColumns> = self.session.row(sql::BLOB, args![blob]).await?;
        let Some(row) = row else { return Ok(Err((Fault::BodyDamaged, format!("{what} has no body {blob}")))) };
        if self.bodies.insert(blob) {
            self.report.bodies += 1;
            self.report.bytes += u64::try_from(row.2).unwrap_or(0);
            self.report.bytes_kept += row.3.as_ref().map_or(0, |inline| inline.len() as u64);
        }
        let of_object = row.3.is_none() && row.4.is_some();
        match super::body::bytes(self.session, row, what).await {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(StoreError::Corrupt(detail)) if of_object => Ok(Err((Fault::ObjectDamaged, detail))),
            Err(StoreError::Corrupt(detail)) => Ok(Err((Fault::BodyDamaged, detail))),
            Err(error) => Err(error),
        }
    }

    /// Bodies that are no record's any more, since it has further signatures; others may be differences to them.
    async fn other_bodies(&mut self) -> Result<(), StoreError> {
        let mut after = 0i64;
        loop {
            let page: Vec<i64> = self.session.values(sql::BLOBS_AFTER, args![after, PAGE]).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = *last;
            for blob in page {
                if !self.bodies.contains(&blob) {
                    let what = format!("body {blob}");
                    if let Err((fault, detail)) = self.body(blob, &what).await? {
                        self.damaged(fault, what, detail);
                    }
                }
            }
            self.progress("bodies", self.report.bodies);
        }
    }

    /// Objects that no row names. Those that rows name were read with their bodies.
    async fn objects(&mut self) -> Result<(), StoreError> {
        let Some(objects) = self.session.objects().cloned() else { return Ok(()) };
        let mut named = BTreeSet::new();
        let mut after = 0i64;
        loop {
            let page: Vec<(i64, String)> = self.session.rows(sql::LOCATIONS_AFTER, args![after, PAGE]).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            named.extend(page.into_iter().map(|(_, location)| location));
        }
        self.orphans(&objects, &named).await
    }

    async fn orphans(&mut self, objects: &Objects, named: &BTreeSet<String>) -> Result<(), StoreError> {
        let mut all = objects.list();
        while let Some(object) = futures::StreamExt::next(&mut all).await {
            let object = object?;
            self.report.objects += 1;
            if named.contains(&object.location) {
                self.report.bytes_kept += object.bytes;
            } else if self.report.objects_orphaned.len() < FINDINGS_MAX {
                self.report.objects_orphaned.push(object.location);
            }
        }
        self.progress("objects", self.report.objects);
        Ok(())
    }
}

/// `sha256:…` of a column's bytes.
fn name(digest: &[u8]) -> String {
    format!("sha256:{}", hex::encode(digest))
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    super::artifacts::raw(&Digest::sha256(bytes))
}
