//! Records: the body is the one that was written, signs what the record's name says, and is signed by whom its rows say.

use super::{Fault, Finding, IMAGES_MAX, Look, PAGE, name};
use crate::{
    args,
    digest::Digest,
    envelope::Envelope,
    intoto::Link,
    json::{self, Limits},
    key::PublicKey,
    store::{
        Kind, StoreError, artifacts,
        document::{Document, document, subjects},
        sql,
    },
    verify::quorum,
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Roles of a subject: what a link made, and what a statement is about.
const MADE: i64 = 0;
const STATED: i64 = 2;

/// A row of `record`, with its chain's name.
pub struct Row {
    pub(super) id: i64,
    chain: Option<String>,
    pub(super) kind: i64,
    pub(super) step: Option<String>,
    payload_digest: Vec<u8>,
    payload_type: String,
    blob: i64,
    inputs: Option<i64>,
    outputs: Option<i64>,
    received_at: i64,
    pub(super) return_code: Option<i64>,
    pub(super) predicate_type: Option<String>,
    pub(super) times: [Option<i64>; 2],
}

type Columns = (
    i64,
    Option<String>,
    i64,
    Option<String>,
    Vec<u8>,
    String,
    i64,
    Option<i64>,
    Option<i64>,
    i64,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
);

impl From<Columns> for Row {
    fn from(columns: Columns) -> Self {
        let (id, chain, kind, step, payload_digest, payload_type, blob, inputs, outputs, received_at, c1, c2, c3, c4) =
            columns;
        let (return_code, predicate_type, times) = (c1, c2, [c3, c4]);
        Row {
            id,
            chain,
            kind,
            step,
            payload_digest,
            payload_type,
            blob,
            inputs,
            outputs,
            received_at,
            return_code,
            predicate_type,
            times,
        }
    }
}

impl Look<'_> {
    /// Every record.
    pub(super) async fn records(&mut self) -> Result<(), StoreError> {
        let mut after = 0i64;
        loop {
            let page: Vec<Columns> = self.session.rows(sql::RECORDS_AFTER, args![after, PAGE]).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.0;
            for row in page {
                self.record(&row.into()).await?;
                self.report.records += 1;
            }
            self.progress("records", self.report.records);
        }
    }

    async fn record(&mut self, row: &Row) -> Result<(), StoreError> {
        if row.chain.is_none() {
            self.of_record(row, Fault::ReferenceBroken, "is of a chain that is not there").await?;
        }
        let found: Option<i64> =
            self.session.value(sql::RECORD_KEY, args![&row.payload_digest, row.id, &row.payload_type]).await?;
        if found.is_none() {
            self.of_record(row, Fault::RecordUnfindable, "is not found by its name").await?;
        }
        let bytes = match self.body(row.blob, &format!("record {}", row.id)).await? {
            Ok(bytes) => bytes,
            Err((fault, detail)) => return self.of_record(row, fault, detail).await,
        };
        let envelope = match Envelope::parse(&bytes) {
            Ok(envelope) => envelope,
            Err(error) => return self.of_record(row, Fault::RecordUnreadable, error.to_string()).await,
        };
        let signed = envelope.digest();
        if artifacts::raw(&signed) != row.payload_digest {
            return self.of_record(row, Fault::RecordMisnamed, format!("what is signed is {signed}")).await;
        }
        if envelope.payload_type().unwrap_or_default() != row.payload_type {
            let detail = format!("its payload type is not \"{}\"", row.payload_type.escape_debug());
            self.of_record(row, Fault::RecordMisnamed, detail).await?;
        }
        self.signatures(row, &envelope).await?;
        match document(&envelope) {
            Ok(document) => self.document(row, &document).await,
            Err(fault) => self.of_record(row, Fault::RecordUnreadable, fault.message).await,
        }
    }

    /// What is kept beside the envelope is what the envelope says.
    async fn document(&mut self, row: &Row, document: &Document) -> Result<(), StoreError> {
        self.filed(row, document).await?;
        match document {
            Document::Layout(layout) => self.layout(row, layout).await,
            Document::Link(_, link, _) => self.lists(row, link).await,
            Document::Statement(statement, _) => self.images(row, STATED, &subjects(statement)).await,
        }
    }

    /// Every signature that was verified when it came verifies still, as of that day.
    async fn signatures(&mut self, row: &Row, envelope: &Envelope) -> Result<(), StoreError> {
        let rows: Vec<(String, Vec<u8>, Option<String>)> = self.session.rows(sql::SIGNATURES_OF, args![row.id]).await?;
        if rows.is_empty() {
            self.of_record(row, Fault::SignatureMissing, "has no signature").await?;
        }
        let message = envelope.signed_bytes();
        let then = Timestamp::from_microsecond(row.received_at).unwrap_or_default();
        for (keyid, sig, public) in rows {
            self.report.signatures += 1;
            let stored = public.map(|text| {
                let value = json::parse(text.as_bytes(), &Limits::METADATA).ok()?;
                PublicKey::from_layout(&value).ok()
            });
            let key = match &stored {
                Some(Some(key)) => Some(key),
                Some(None) => {
                    self.of_record(row, Fault::KeyUnreadable, format!("key {keyid} cannot be read")).await?;
                    continue;
                }
                None if row.kind != Kind::Layout.code() => {
                    self.of_record(row, Fault::ReferenceBroken, format!("key {keyid} is not there")).await?;
                    continue;
                }
                // An owner's: whose keys those are, the configuration says.
                None => self.options.owners.iter().map(|named| &named.key).find(|key| keyid.starts_with(key.id())),
            };
            let mut same = envelope.signatures.iter().filter(|signature| signature.sig == sig).peekable();
            if same.peek().is_none() {
                let detail = format!("the signature of key {keyid} is not in the envelope");
                self.of_record(row, Fault::SignatureMissing, detail).await?;
                continue;
            }
            let Some(key) = key else {
                self.report.signatures_unverified += 1;
                continue;
            };
            if !same.any(|signature| quorum::verify(signature, &message, key, then).is_ok()) {
                let detail = format!("the signature of key {keyid} does not verify");
                self.of_record(row, Fault::SignatureInvalid, detail).await?;
            }
        }
        Ok(())
    }

    /// The artifact lists of a link are kept as they are in it, and its images lead to it.
    async fn lists(&mut self, row: &Row, link: &Link) -> Result<(), StoreError> {
        for (side, list, id) in [("materials", &link.materials, row.inputs), ("products", &link.products, row.outputs)]
        {
            if let Some(detail) = self.list(list, id).await? {
                self.of_record(row, Fault::ListDamaged, format!("the list of its {side} {detail}")).await?;
            }
        }
        self.images(row, MADE, &artifacts::images(&link.products, artifacts::IMAGES_MAX)).await
    }

    /// The images that a record made, or is about, lead to it; and those that it made alone: what else it is about its writer may say.
    async fn images(&mut self, row: &Row, role: i64, images: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let found: Vec<Vec<u8>> = self.session.values(sql::IMAGES_IN_ROLE, args![row.id, role]).await?;
        let found: BTreeSet<Vec<u8>> = found.into_iter().collect();
        let expected: BTreeSet<Vec<u8>> = images.iter().map(artifacts::raw).collect();
        for image in expected.difference(&found) {
            self.of_record(row, Fault::ImageUnlisted, format!("{} does not lead to it", name(image))).await?;
        }
        for image in found.difference(&expected).filter(|_| role == MADE) {
            self.of_record(row, Fault::RecordMisfiled, format!("it did not make {}, which leads to it", name(image)))
                .await?;
        }
        Ok(())
    }

    /// A finding about a record, with the images it is evidence of.
    pub(super) async fn of_record(
        &mut self,
        row: &Row,
        fault: Fault,
        detail: impl Into<String>,
    ) -> Result<(), StoreError> {
        let images: Vec<Vec<u8>> = self.session.values(sql::IMAGES_OF, args![row.id, IMAGES_MAX]).await?;
        self.found(Finding {
            fault,
            what: format!("record {}", name(&row.payload_digest)),
            chain: row.chain.clone(),
            step: row.step.clone(),
            images: images.iter().map(|image| name(image)).collect(),
            detail: detail.into(),
        });
        Ok(())
    }
}
