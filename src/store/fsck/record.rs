//! Records: the body is the one that was written, signs what the record's name says, and is signed by whom its rows say.

use super::{Fault, Finding, IMAGES_MAX, Look, PAGE, name};
use crate::{
    args,
    envelope::Envelope,
    intoto::{Link, Profile, Reported},
    json::{self, Limits},
    key::PublicKey,
    store::{Kind, StoreError, artifacts, sql},
    verify::quorum,
};
use jiff::Timestamp;

/// A row of `record`, with its chain's name.
pub struct Row {
    id: i64,
    chain: Option<String>,
    kind: i64,
    step: Option<String>,
    payload_digest: Vec<u8>,
    payload_type: String,
    blob: i64,
    inputs: Option<i64>,
    outputs: Option<i64>,
    received_at: i64,
}

type Columns = (i64, Option<String>, i64, Option<String>, Vec<u8>, String, i64, Option<i64>, Option<i64>, i64);

impl From<Columns> for Row {
    fn from(columns: Columns) -> Self {
        let (id, chain, kind, step, payload_digest, payload_type, blob, inputs, outputs, received_at) = columns;
        Row { id, chain, kind, step, payload_digest, payload_type, blob, inputs, outputs, received_at }
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
        match Kind::from_code(row.kind) {
            Some(Kind::Link) => self.lists(row, &envelope).await,
            Some(_) => Ok(()),
            None => self.of_record(row, Fault::RecordUnreadable, "is of no kind").await,
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
    async fn lists(&mut self, row: &Row, envelope: &Envelope) -> Result<(), StoreError> {
        let Some(link) = link(envelope) else {
            return self.of_record(row, Fault::RecordUnreadable, "is no link").await;
        };
        for (side, list, id) in [("materials", &link.materials, row.inputs), ("products", &link.products, row.outputs)]
        {
            if let Some(detail) = self.list(list, id).await? {
                self.of_record(row, Fault::ListDamaged, format!("the list of its {side} {detail}")).await?;
            }
        }
        let subjects: Vec<Vec<u8>> = self.session.values(sql::PRODUCED_BY, args![row.id]).await?;
        for image in artifacts::images(&link.products, artifacts::IMAGES_MAX) {
            if !subjects.contains(&artifacts::raw(&image)) {
                self.of_record(row, Fault::ImageUnlisted, format!("{image} does not lead to it")).await?;
            }
        }
        Ok(())
    }

    /// A finding about a record, with the images it is evidence of.
    async fn of_record(&mut self, row: &Row, fault: Fault, detail: impl Into<String>) -> Result<(), StoreError> {
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

/// The link an envelope is, or the one its statement counts as.
fn link(envelope: &Envelope) -> Option<Link> {
    if let Ok(reading) = Link::of(envelope, Profile::Strict)
        && let Ok(link) = reading.link
    {
        return Some(link);
    }
    Some(Reported::from_value(&envelope.value().ok()?).ok()?.link)
}
