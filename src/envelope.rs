//! The two containers of signed metadata: DSSE, and in-toto's older Metablock (in-toto §1.1).

use crate::{
    digest::Digest,
    json::{self, JsonError, Value},
    key::{KeyError, SecretKey},
};
use std::borrow::Cow;

pub const INTOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Absent or empty in DSSE is `None`.
    pub keyid: Option<String>,
    pub sig: Vec<u8>,
}

/// What an envelope carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// DSSE: the decoded payload, not parsed before its signature was checked (R4).
    Dsse { payload_type: String, payload: Vec<u8> },
    /// Metablock: `signed` as received, and its canonical form.
    Metablock { signed: Value, canonical: Vec<u8> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub content: Content,
    pub signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("{0}")]
    Placeholder(String),
}

impl Envelope {
    /// Parses either container; both `signed` and `payload` is an error (R3). Bounded (≤ 8 MiB, ≤ 1,000 signatures). A signature with extra members
    /// (`cert`, `other_headers` …) keeps only what we use; a Metablock signature that is not hex is kept as unusable (empty), never fatal.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let _ = bytes;
        todo!()
    }
    /// The bytes a signature covers: PAE, or canonical JSON.
    pub fn signed_bytes(&self) -> Cow<'_, [u8]> {
        todo!()
    }
    /// The record's name (design §8): SHA-256 of the decoded payload, or of the canonical `signed`.
    pub fn digest(&self) -> Digest {
        todo!()
    }
    /// The signed JSON. Call it after the signatures were checked.
    pub fn value(&self) -> Result<Cow<'_, Value>, JsonError> {
        todo!()
    }
    /// `Some` for DSSE.
    pub fn payload_type(&self) -> Option<&str> {
        match &self.content {
            Content::Dsse { payload_type, .. } => Some(payload_type),
            Content::Metablock { .. } => None,
        }
    }
    /// A new DSSE envelope with a signature of each key.
    pub fn sign_dsse(payload_type: &str, payload: Vec<u8>, keys: &[&SecretKey]) -> Result<Self, KeyError> {
        let _ = (payload_type, payload, keys);
        todo!()
    }
    /// A new Metablock over the value.
    pub fn sign_metablock(signed: Value, keys: &[&SecretKey]) -> Result<Self, EnvelopeError> {
        let _ = (signed, keys);
        todo!()
    }
    /// Adds one more signature (an owner's co-signature); replaces an earlier one of the same key.
    pub fn add_signature(&mut self, key: &SecretKey) -> Result<(), KeyError> {
        let _ = key;
        todo!()
    }
    /// The file form, as other tools write it.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
}
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let _ = (payload_type, payload);
    todo!()
}
#[allow(unused_imports)]
use json as _;
