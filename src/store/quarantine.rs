//! Links kept aside: their chain has no layout yet that authorises their key. They are no records, and nothing that answers reads them.

use super::{
    StoreError, Submission, artifacts, sql,
    write::{Work, Write},
};
use crate::{args, digest::Digest};
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher as _},
};

/// Links of one chain that are kept aside, and their bytes.
const LINKS_MAX: i64 = 10_000;
const BYTES_MAX: i64 = 256 << 20;

/// A link as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    pub chain: i64,
    /// Its name: SHA-256 of what is signed.
    pub name: Digest,
    pub envelope: Vec<u8>,
    pub run: Option<String>,
    /// The step named beside it.
    pub step: Option<String>,
    pub declared: BTreeSet<Digest>,
    /// The writer's name in the Chain document.
    pub writer: String,
    pub submission: Submission,
    pub received_at: Timestamp,
}

impl Work for Quarantined {
    /// False: there is no room.
    type Output = bool;

    fn affinity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.chain.hash(&mut hasher);
        hasher.finish()
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<bool, StoreError>> {
        self.keep(write).boxed()
    }
}

impl Quarantined {
    async fn keep(&self, write: &mut Write) -> Result<bool, StoreError> {
        let digest = artifacts::raw(&Digest::sha256(&self.envelope));
        let known: Option<i64> = write.session.value(sql::IS_QUARANTINED, args![self.chain, &digest]).await?;
        if known.is_some() {
            return Ok(true);
        }
        let used: Option<(i64, i64)> = write.session.row(sql::QUARANTINE_USE, args![self.chain]).await?;
        let (links, bytes) = used.unwrap_or_default();
        if links >= LINKS_MAX
            || bytes.saturating_add(i64::try_from(self.envelope.len()).unwrap_or(i64::MAX)) > BYTES_MAX
        {
            return Ok(false);
        }
        let declared = self.declared.iter().map(Digest::hex).collect::<Vec<&str>>().join(" ");
        let (id, name) = (write.id(), artifacts::raw(&self.name));
        let columns = args![
            id,
            self.chain,
            &name,
            &digest,
            &self.envelope,
            &self.run,
            &self.step,
            &declared,
            &self.writer,
            &self.submission.principal,
            &self.submission.issuer,
            &self.submission.subject,
            &self.submission.claims,
            self.received_at.as_microsecond(),
        ];
        write.session.execute(sql::ADD_QUARANTINED, columns).await?;
        Ok(true)
    }
}

/// A link's columns.
pub(super) type Row = (
    i64,
    Vec<u8>,
    Vec<u8>,
    Option<String>,
    Option<String>,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    i64,
);

/// The link of a row, with its id; `None` for one that we did not write.
pub(super) fn of_row(chain: i64, row: Row) -> Option<(i64, Quarantined)> {
    let (id, name, envelope, run, step, declared, writer, principal, issuer, subject, claims, received_at) = row;
    let digest = |hex: &str| format!("sha256:{hex}").parse::<Digest>().ok();
    let declared: Option<BTreeSet<Digest>> = declared.split_whitespace().map(digest).collect();
    let quarantined = Quarantined {
        chain,
        name: digest(&hex::encode(name))?,
        envelope,
        run,
        step,
        declared: declared?,
        writer,
        submission: Submission { principal, issuer, subject, claims, once: None },
        received_at: Timestamp::from_microsecond(received_at).ok()?,
    };
    Some((id, quarantined))
}

/// Takes a link out of quarantine: it has become a record.
pub struct Released(pub i64);

impl Work for Released {
    type Output = ();

    fn affinity(&self) -> u64 {
        self.0.unsigned_abs()
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<(), StoreError>> {
        async move { write.session.execute(sql::RELEASE, args![self.0]).await.map(drop) }.boxed()
    }
}
