//! The two containers of signed metadata: DSSE, and in-toto's older Metablock (in-toto §1.1).
//!
//! An envelope only holds what is signed and the signatures; who signed is judged by `verify::quorum`.

use crate::{
    digest::Digest,
    json::{self, JsonError, Limits, Reader, Token, Value},
    key::{KeyError, SecretKey},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use std::borrow::Cow;

/// The payload type of in-toto's layouts, links and statements in DSSE.
pub const INTOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// More signatures than any envelope has: owners and functionaries are people and machines of one project.
const SIGNATURES_MAX: usize = 1_000;

/// A certificate and the intermediates that SPIFFE puts behind it. A longer text is as good as none.
const CERTIFICATE_BYTES_MAX: usize = 32 << 10;

/// Where `_type` is looked for at first, in bytes.
const KIND_WITHIN: usize = 1 << 10;

/// One signature as stated; nothing about it is trusted until it verifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// A hint which key made it. Absent or empty is `None`.
    pub keyid: Option<String>,
    /// The signature's bytes; empty where they cannot be read, which verifies under no key.
    pub sig: Vec<u8>,
    /// Of a Metablock: PEM that is said to certify the key, read when a layout asks for certificates. in-toto-golang calls it `cert`,
    /// ITE-7 `certificate`.
    pub certificate: Option<String>,
    /// Of an OpenPGP signature, its hashed part (in-toto §1.3). Metablock alone has them (R10).
    pub other_headers: Option<Vec<u8>>,
}

/// What an envelope carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// DSSE: the decoded payload, not parsed before its signature was checked (R4).
    Dsse { payload_type: String, payload: Vec<u8> },
    /// Metablock: the canonical form of `signed`. What is judged is read from it, since it is what was signed.
    Metablock { canonical: Vec<u8> },
}

/// Signed metadata as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub content: Content,
    pub signatures: Vec<Signature>,
}

/// Why bytes are no envelope, or none can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// No strict JSON, or a Metablock without a canonical form (R2, R11).
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not a JSON object with `signed`, or with `payload`.
    #[error("the JSON is {found}, expected an envelope with \"signed\" or \"payload\"")]
    NoEnvelope { found: &'static str },
    /// Both `signed` and `payload`: readers disagree about what is signed (R3).
    #[error("the envelope has both \"signed\" and \"payload\"")]
    BothContainers,
    /// A member of another kind than it must have.
    #[error("the envelope's \"{member}\" is {found}, expected {expected}")]
    Member { member: &'static str, found: &'static str, expected: &'static str },
    /// The payload is not padded base64, standard or URL-safe (R7).
    #[error("the envelope's \"payload\" is not padded base64")]
    NotBase64,
    /// More signatures than 1,000 (security §2.E).
    #[error("the envelope has {found} signatures, more than {max}")]
    TooManySignatures { found: usize, max: usize },
    /// A key could not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Envelope {
    /// Parses either container; both `signed` and `payload` is an error (R3). Bounded (≤ 8 MiB, ≤ 1,000 signatures). A NUL may stand in what
    /// is signed, since commands print them, and nowhere else: not in a payload type, nor in a key's id. A signature
    /// with extra members keeps only what we use; one that cannot be read (no hex, no base64, no
    /// object) is kept as unusable, never fatal, so that a junk one blocks no good one (R5).
    ///
    /// # Errors
    /// Every [`EnvelopeError`] but [`EnvelopeError::Key`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(bytes, &Limits { nul: false, ..Limits::METADATA })?;
        let Token::Object(mut members) = reader.token()? else {
            return Err(EnvelopeError::NoEnvelope { found: json::parse(bytes, &Limits::METADATA)?.kind() });
        };
        let (mut signed, mut payload, mut payload_type, mut signatures) = (None, None, None, None);
        while let Some(key) = reader.key(&mut members)? {
            match key.as_ref() {
                "signed" => {
                    reader.allow_nul(true);
                    signed = Some(read_signed(&mut reader)?);
                    reader.allow_nul(false);
                }
                "payload" => payload = Some(read_text(&mut reader, "payload")?),
                "payloadType" => payload_type = Some(read_text(&mut reader, "payloadType")?),
                "signatures" => signatures = Some(json::value(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        match (signed, payload) {
            (Some(signed), None) => {
                let canonical = signed?;
                let signatures = read_signatures(signatures.as_ref(), in_metablock)?;
                Ok(Envelope { content: Content::Metablock { canonical }, signatures })
            }
            (None, Some(payload)) => {
                let payload = payload?;
                let missing = || Err(member("payloadType", None, "a string"));
                let payload_type = payload_type.unwrap_or_else(missing)?.into_owned();
                let payload = from_base64(&payload).ok_or(EnvelopeError::NotBase64)?;
                let signatures = read_signatures(signatures.as_ref(), in_dsse)?;
                Ok(Envelope { content: Content::Dsse { payload_type, payload }, signatures })
            }
            (Some(_), Some(_)) => Err(EnvelopeError::BothContainers),
            (None, None) => Err(EnvelopeError::NoEnvelope { found: "an object" }),
        }
    }

    /// The bytes a signature covers: PAE, or canonical JSON.
    pub fn signed_bytes(&self) -> Cow<'_, [u8]> {
        match &self.content {
            Content::Dsse { payload_type, payload } => Cow::Owned(pae(payload_type, payload)),
            Content::Metablock { canonical } => Cow::Borrowed(canonical),
        }
    }

    /// How many bytes a signature covers, or nearly so many.
    pub fn signed_len(&self) -> usize {
        self.content().len()
    }

    /// The record's name (design §8): SHA-256 of the decoded payload, or of the canonical `signed`.
    pub fn digest(&self) -> Digest {
        Digest::sha256(self.content())
    }

    /// The signed JSON. Call it after the signatures were checked.
    ///
    /// # Errors
    /// A DSSE payload that is no strict JSON.
    pub fn value(&self) -> Result<Value, JsonError> {
        json::whole(self.reader()?)
    }

    /// The `_type` of the signed JSON, as far as it can be told before that was read to its end: whether the document holds to the
    /// grammar, and has no second `_type`, is not known yet.
    pub(crate) fn kind(&self) -> Option<String> {
        // It stands in front of what is long, wherever recorders write it.
        let head = self.content().get(..KIND_WITHIN).unwrap_or_default();
        let head = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        self.kind_in(head.as_bytes()).or_else(|| self.kind_in(self.content()))
    }

    fn kind_in(&self, content: &[u8]) -> Option<String> {
        let mut reader = self.reader_of(content).ok()?;
        let Ok(Token::Object(mut members)) = reader.token() else { return None };
        while let Some(key) = reader.key(&mut members).ok()? {
            if key == "_type" {
                return json::value(&mut reader).ok()?.as_str().map(str::to_owned);
            }
            reader.skip().ok()?;
        }
        None
    }

    /// What is signed, without what PAE puts around it: the decoded payload, or the canonical form.
    pub fn content(&self) -> &[u8] {
        match &self.content {
            Content::Dsse { payload, .. } => payload,
            Content::Metablock { canonical } => canonical,
        }
    }

    /// A reader of the signed JSON. As for [`Envelope::value`].
    pub(crate) fn reader(&self) -> Result<Reader<'_>, JsonError> {
        self.reader_of(self.content())
    }

    fn reader_of<'a>(&self, content: &'a [u8]) -> Result<Reader<'a>, JsonError> {
        match &self.content {
            Content::Dsse { .. } => Reader::new(content, &Limits::METADATA),
            Content::Metablock { .. } => Reader::of_canonical(content, &Limits::METADATA),
        }
    }

    /// `Some` for DSSE.
    pub fn payload_type(&self) -> Option<&str> {
        match &self.content {
            Content::Dsse { payload_type, .. } => Some(payload_type),
            Content::Metablock { .. } => None,
        }
    }

    /// A new DSSE envelope with a signature of each key.
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn sign_dsse(payload_type: &str, payload: Vec<u8>, keys: &[&SecretKey]) -> Result<Self, KeyError> {
        let content = Content::Dsse { payload_type: payload_type.to_owned(), payload };
        Envelope { content, signatures: Vec::new() }.signed_by(keys)
    }

    /// A new Metablock over the value.
    ///
    /// # Errors
    /// A value that is no object or has no canonical form; [`EnvelopeError::Key`].
    pub fn sign_metablock(signed: Value, keys: &[&SecretKey]) -> Result<Self, EnvelopeError> {
        if signed.as_object().is_none() {
            return Err(member("signed", Some(signed.kind()), "an object"));
        }
        let content = Content::Metablock { canonical: json::canonical(&signed)? };
        Ok(Envelope { content, signatures: Vec::new() }.signed_by(keys)?)
    }

    fn signed_by(mut self, keys: &[&SecretKey]) -> Result<Self, KeyError> {
        for key in keys {
            self.add_signature(key)?;
        }
        Ok(self)
    }

    /// Adds one more signature (an owner's co-signature); replaces earlier ones of the same key, under any of its ids.
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn add_signature(&mut self, key: &SecretKey) -> Result<(), KeyError> {
        let (public, signed) = (key.public(), self.signed_bytes());
        let sig = key.sign(&signed)?;
        let is_same_key = |signature: &Signature| match &signature.keyid {
            Some(id) => public.ids().contains(id),
            None => public.verify(&signed, &signature.sig).is_ok(),
        };
        let mut signatures: Vec<_> = self.signatures.iter().filter(|s| !is_same_key(s)).cloned().collect();
        signatures.push(Signature { keyid: Some(public.id().to_owned()), sig, ..Signature::default() });
        self.signatures = signatures;
        Ok(())
    }

    /// The file form, as other tools write it. A signature that could not be read (see [`Signature::sig`]) is left empty.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = |s: String| Value::String(s);
        let member = |name: &str, value: Value| (name.to_owned(), value);
        let signatures = |encode: &dyn Fn(&[u8]) -> String| {
            let one = |s: &Signature| {
                // An empty id says the same as none, and the reference implementation wants one.
                let keyid = member("keyid", text(s.keyid.clone().unwrap_or_default()));
                let sig = encode(&s.sig);
                let certificate = s.certificate.as_ref().map(|pem| member("cert", text(pem.clone())));
                let members = match &s.other_headers {
                    Some(headers) => {
                        vec![keyid, member("other_headers", text(hex::encode(headers))), member("signature", text(sig))]
                    }
                    None => vec![keyid, member("sig", text(sig))],
                };
                Value::Object(certificate.into_iter().chain(members).collect())
            };
            Value::Array(self.signatures.iter().map(one).collect())
        };
        match &self.content {
            Content::Dsse { payload_type, payload } => json::to_text(&Value::Object(vec![
                member("payload", text(STANDARD.encode(payload))),
                member("payloadType", text(payload_type.clone())),
                member("signatures", signatures(&|sig| STANDARD.encode(sig))),
            ]))
            .into_bytes(),
            Content::Metablock { canonical } => {
                let signatures = json::to_text(&signatures(&|sig| hex::encode(sig)));
                let signed = json::canonical_to_text(canonical);
                [b"{\"signatures\":", signatures.as_bytes(), b",\"signed\":", &signed, b"}"].concat()
            }
        }
    }
}

/// DSSE's pre-authentication encoding: `"DSSEv1" SP len(type) SP type SP len(body) SP body`, lengths in bytes as ASCII decimal.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// The canonical form of `signed`. What is wrong with the value, and no fault of the JSON, is told when all was read.
fn read_signed(reader: &mut Reader<'_>) -> Result<Result<Vec<u8>, EnvelopeError>, JsonError> {
    match reader.token()? {
        token @ Token::Object(_) => Ok(json::canonical::rest(reader, token)?.map_err(EnvelopeError::from)),
        token => {
            let found = token.kind();
            reader.skip_rest(token)?;
            Ok(Err(member("signed", Some(found), "an object")))
        }
    }
}

/// The text of a member, in the same way.
fn read_text<'a>(
    reader: &mut Reader<'a>,
    name: &'static str,
) -> Result<Result<Cow<'a, str>, EnvelopeError>, JsonError> {
    match reader.token()? {
        Token::String(text) => Ok(Ok(text)),
        token => {
            let found = token.kind();
            reader.skip_rest(token)?;
            Ok(Err(member(name, Some(found), "a string")))
        }
    }
}

fn read_signatures(
    value: Option<&Value>,
    read: impl Fn(&Value) -> Option<Signature>,
) -> Result<Vec<Signature>, EnvelopeError> {
    let array =
        value.and_then(Value::as_array).ok_or_else(|| member("signatures", value.map(Value::kind), "an array"))?;
    if array.len() > SIGNATURES_MAX {
        return Err(EnvelopeError::TooManySignatures { found: array.len(), max: SIGNATURES_MAX });
    }
    let one = |signature: &Value| Signature {
        keyid: text(signature, "keyid").filter(|id| !id.is_empty()).map(str::to_owned),
        ..read(signature).unwrap_or_default()
    };
    Ok(array.iter().map(one).collect())
}

fn in_dsse(signature: &Value) -> Option<Signature> {
    Some(Signature { sig: from_base64(text(signature, "sig")?)?, ..Signature::default() })
}

/// `{keyid, sig}`, the same with a certificate, or OpenPGP's `{keyid, signature, other_headers}`.
fn in_metablock(signature: &Value) -> Option<Signature> {
    if let Some(headers) = text(signature, "other_headers") {
        let sig = hex::decode(text(signature, "signature")?).unwrap_or_default();
        return Some(Signature { sig, other_headers: Some(hex::decode(headers).ok()?), ..Signature::default() });
    }
    let pem = text(signature, "cert").filter(|pem| !pem.is_empty()).or_else(|| text(signature, "certificate"));
    let certificate = pem.filter(|pem| (1..=CERTIFICATE_BYTES_MAX).contains(&pem.len())).map(str::to_owned);
    let sig = text(signature, "sig").and_then(|sig| hex::decode(sig).ok()).unwrap_or_default();
    Some(Signature { sig, certificate, ..Signature::default() })
}

fn text<'v>(signature: &'v Value, name: &str) -> Option<&'v str> {
    signature.get(name).and_then(Value::as_str)
}

/// R7: standard or URL-safe, padded, nothing else.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

fn member(member: &'static str, found: Option<&'static str>, expected: &'static str) -> EnvelopeError {
    EnvelopeError::Member { member, found: found.unwrap_or("missing"), expected }
}

#[cfg(test)]
mod tests;
