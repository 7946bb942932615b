//! What a store answered, pure: nothing of it is believed. A record must be an envelope whose payload hashes to the name it
//! is given under; what it proves is `verify`'s business.

use super::unavailable;
use crate::{
    digest::Digest,
    envelope::Envelope,
    reason::{Fault, Reason},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// Records of one image.
const RECORDS_MAX: usize = 256;

/// What the store has for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub envelopes: Vec<Vec<u8>>,
    /// Whether that is all it has.
    pub whole: bool,
}

/// What came of asking for one image.
pub(super) type Found = Result<Arc<Stored>, Fault>;

#[derive(Deserialize)]
struct Images {
    images: Vec<Image>,
}

#[derive(Deserialize)]
struct Image {
    image: String,
    records: Vec<Record>,
    /// More is known than this.
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Record {
    digest: String,
    envelope: String,
}

/// The answer about this one image.
pub(super) fn one(image: &Digest, body: &[u8], whole: bool) -> Found {
    let answer: Image = read(body)?;
    if answer.image != image.to_string() {
        return Err(unavailable(format!("it answered about another image than {image}")));
    }
    stored(answer, whole)
}

/// The answer about these images, each for itself: one that is left out was not answered, one that nobody asked for is
/// nobody's.
pub(super) fn many(images: &[Digest], body: &[u8]) -> Result<BTreeMap<Digest, Found>, Fault> {
    let answer: Images = read(body)?;
    let mut by_name: BTreeMap<String, Image> = BTreeMap::new();
    for image in answer.images {
        by_name.entry(image.image.clone()).or_insert(image);
    }
    let found = images.iter().map(|image| {
        let found = match by_name.remove(&image.to_string()) {
            Some(answer) => stored(answer, true),
            None => Err(unavailable(format!("it left image {image} out of its answer"))),
        };
        (image.clone(), found)
    });
    Ok(found.collect())
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| unavailable(format!("its answer does not read: {error}")))
}

fn stored(answer: Image, whole: bool) -> Found {
    if answer.records.len() > RECORDS_MAX {
        return Err(unavailable(format!("it answered with {} records, more than {RECORDS_MAX}", answer.records.len())));
    }
    let envelopes = answer.records.iter().map(envelope).collect::<Result<_, _>>()?;
    Ok(Arc::new(Stored { envelopes, whole: whole && !answer.truncated }))
}

fn envelope(record: &Record) -> Result<Vec<u8>, Fault> {
    let name: Digest = record.digest.parse().map_err(|_| unavailable("a record it gave has no digest for a name"))?;
    let bytes = STANDARD
        .decode(&record.envelope)
        .map_err(|_| unavailable(format!("the envelope of record {name} is not base64")))?;
    let envelope =
        Envelope::parse(&bytes).map_err(|error| unavailable(format!("record {name} is no envelope: {error}")))?;
    let found = envelope.digest();
    if found != name {
        return Err(Fault::new(
            Reason::DigestMismatch,
            format!("the metadata store gave a record named {name}, and what is signed in it is {found}"),
        ));
    }
    Ok(bytes)
}
