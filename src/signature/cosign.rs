//! cosign with a key: legacy layout and Sigstore bundle (signatures §2.3).
//!
//! In order: one signature, verified over the bytes as received; only then is what it covers parsed, and must be *this* image
//! and an image signature. A key that a bundle names is a word for the denial, never a reason to trust: every key of the ring
//! is tried. Log entries of keyed signatures are not checked, because there is no trusted root to check them by, and prove
//! nothing here; the key alone decides.

use super::SignedBy;
use crate::{
    cosign::{Bundle, Candidate, Content, CosignError, Material, SIGN_PREDICATE, SimpleSigning},
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE, Signature},
    intoto::statement::Statement,
    key::{KeyRing, NamedKey},
    reason::{Fault, Reason},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeSet;

/// Candidates that are looked at (security §2.D9).
pub const CANDIDATES_MAX: usize = 64;
/// Faults that one denial spells out.
const TOLD_MAX: usize = 3;

/// Why one candidate does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Verifies under no key of the ring, and names none of them.
    #[error("verifies under none of the {keys} trusted keys")]
    Stranger { keys: usize },
    /// Carries a certificate where keys are demanded.
    #[error("is made with a certificate, and a key is demanded")]
    Certificate,
    /// Names a key of the ring, and does not verify under it.
    #[error("names key {key:?}, and does not verify under it")]
    Forged { key: String },
    /// The signature is missing or no base64.
    #[error("has no signature in base64")]
    NoSignatureText,
    /// Not one signature in the envelope.
    #[error("has {found} signatures in its envelope, not one")]
    SignatureCount { found: usize },
    /// The document is no such document.
    #[error("is malformed: {0}")]
    Malformed(#[from] CosignError),
    /// A bundle over bytes instead of a statement.
    #[error("signs bytes and no statement")]
    NoStatement,
    /// The envelope's payload type is another.
    #[error("has payload type {found:?}, not {INTOTO_PAYLOAD_TYPE:?}")]
    PayloadType { found: String },
    /// What is signed is no statement.
    #[error("signs a malformed statement: {what}")]
    Statement { what: String },
    /// Another predicate: an attestation is no signature (CVE-2022-35930, GHSA-w6c6-c85g-mmv6).
    #[error("is an attestation of type {found:?}, not a signature")]
    Attestation { found: String },
    /// Signed by a key of the ring, for another image.
    #[error("signs another image, {found}")]
    OtherImage { found: String },
}

impl Flaw {
    /// The word of the closed list.
    pub fn reason(&self) -> Reason {
        match self {
            Flaw::Stranger { .. } | Flaw::Certificate => Reason::SignatureUntrusted,
            _ => Reason::SignatureInvalid,
        }
    }
}

/// See [`super::cosign()`].
pub fn verify(candidates: &[Candidate], image: &Digest, ring: &KeyRing) -> Result<SignedBy, Fault> {
    if candidates.is_empty() {
        return Err(Fault::new(Reason::NoSignature, format!("no cosign signature of {image} was found")));
    }
    let mut signers = BTreeSet::new();
    let (mut flaws, mut notes) = (Vec::new(), Vec::new());
    for (number, candidate) in candidates.iter().take(CANDIDATES_MAX).enumerate() {
        let name = match candidate {
            Candidate::Legacy { .. } => format!("cosign signature {}", number + 1),
            Candidate::Bundle(_) => format!("Sigstore bundle {}", number + 1),
        };
        match judge(candidate, image, ring) {
            Ok(Signed { spki, log_entries }) => {
                signers.insert(spki);
                if log_entries > 0 {
                    notes.push(format!("{name}: {log_entries} log entries not checked, no trusted root is configured"));
                }
            }
            Err(flaw) => flaws.push((name, flaw)),
        }
    }
    let mut warnings: Vec<String> = flaws.iter().map(|(name, flaw)| format!("{name} {flaw}")).collect();
    if candidates.len() > CANDIDATES_MAX {
        warnings.push(format!("{} signatures were found, {CANDIDATES_MAX} were looked at", candidates.len()));
    }
    let names = names(&signers, ring);
    match names.is_empty() {
        false => Ok(SignedBy { names, warnings, notes }),
        true => Err(denial(&flaws)),
    }
}

/// A candidate that counts.
struct Signed<'k> {
    spki: &'k [u8],
    log_entries: usize,
}

fn judge<'k>(candidate: &Candidate, image: &Digest, ring: &'k KeyRing) -> Result<Signed<'k>, Flaw> {
    match candidate {
        Candidate::Legacy { payload, signature } => judge_legacy(payload, signature, image, ring),
        Candidate::Bundle(bytes) => judge_bundle(bytes, image, ring),
    }
}

/// Layout A: the signature is over the raw bytes of the blob.
fn judge_legacy<'k>(payload: &[u8], text: &str, image: &Digest, ring: &'k KeyRing) -> Result<Signed<'k>, Flaw> {
    let signature = STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty()).ok_or(Flaw::NoSignatureText)?;
    let signer = ring
        .iter()
        .find(|named| named.key.verify_cosign(payload, &signature).is_ok())
        .ok_or(Flaw::Stranger { keys: ring.distinct() })?;
    let found = SimpleSigning::parse(payload)?.image;
    if found != *image {
        return Err(Flaw::OtherImage { found: found.to_string() });
    }
    Ok(Signed { spki: signer.key.spki(), log_entries: 0 })
}

/// Layout C: the signature is over the PAE of a statement.
fn judge_bundle<'k>(bytes: &[u8], image: &Digest, ring: &'k KeyRing) -> Result<Signed<'k>, Flaw> {
    let Bundle { material, content, log_entries } = Bundle::parse(bytes)?;
    let Material::PublicKey { hint } = material else { return Err(Flaw::Certificate) };
    let Content::Dsse(envelope) = content else { return Err(Flaw::NoStatement) };
    let [signature] = envelope.signatures.as_slice() else {
        return Err(Flaw::SignatureCount { found: envelope.signatures.len() });
    };
    let signer = signer(&envelope, signature, ring).ok_or_else(|| match claimed(&hint, signature, ring) {
        Some(named) => Flaw::Forged { key: named.name.clone() },
        None => Flaw::Stranger { keys: ring.distinct() },
    })?;
    covers(&envelope, image)?;
    Ok(Signed { spki: signer.key.spki(), log_entries })
}

/// cosign signs with SHA-256 whatever the curve; Sigstore's own algorithm registry goes by the curve. Both are signatures of the key.
fn signer<'k>(envelope: &Envelope, signature: &Signature, ring: &'k KeyRing) -> Option<&'k NamedKey> {
    let message = envelope.signed_bytes();
    ring.iter().find(|named| {
        named.key.verify_cosign(&message, &signature.sig).is_ok() || named.key.verify(&message, &signature.sig).is_ok()
    })
}

/// The key of the ring that the bundle says it was made with. Only the words of a denial depend on it.
fn claimed<'k>(hint: &str, signature: &Signature, ring: &'k KeyRing) -> Option<&'k NamedKey> {
    ring.iter().find(|named| {
        let id = STANDARD.encode(hex::decode(Digest::sha256(named.key.spki()).hex()).unwrap_or_default());
        let names = |text: &str| !text.is_empty() && (text == id || named.key.ids().contains(text));
        names(hint) || signature.keyid.as_deref().is_some_and(names)
    })
}

/// The verified statement is an image signature, and of this image.
fn covers(envelope: &Envelope, image: &Digest) -> Result<(), Flaw> {
    let found = envelope.payload_type().unwrap_or_default();
    if found != INTOTO_PAYLOAD_TYPE {
        return Err(Flaw::PayloadType { found: found.into() });
    }
    let value = envelope.value().map_err(|error| Flaw::Statement { what: error.to_string() })?;
    let statement = Statement::from_value(&value).map_err(|error| Flaw::Statement { what: error.to_string() })?;
    if statement.predicate_type != SIGN_PREDICATE {
        return Err(Flaw::Attestation { found: statement.predicate_type });
    }
    // Algorithm and value, never the name (signatures §2.3, step 9).
    let algorithm = image.to_string();
    let algorithm = algorithm.split(':').next().unwrap_or_default();
    let digests = || statement.subject.iter().filter_map(|subject| subject.digest.get(algorithm));
    if !digests().any(|hex| hex == image.hex()) {
        let found = digests().next().map_or_else(|| "without a digest".into(), |hex| format!("{algorithm}:{hex}"));
        return Err(Flaw::OtherImage { found });
    }
    Ok(())
}

/// Each distinct public key once, by the first name the ring gives it (R15).
fn names(signers: &BTreeSet<&[u8]>, ring: &KeyRing) -> Vec<String> {
    let mut named = BTreeSet::new();
    ring.iter()
        .filter(|key| signers.contains(key.key.spki()) && named.insert(key.key.spki()))
        .map(|key| key.name.clone())
        .collect()
}

/// One fault for all: what says most against the image gives the word.
fn denial(flaws: &[(String, Flaw)]) -> Fault {
    let invalid = flaws.iter().any(|(_, flaw)| flaw.reason() == Reason::SignatureInvalid);
    let reason = if invalid { Reason::SignatureInvalid } else { Reason::SignatureUntrusted };
    let mut told: Vec<_> = flaws.iter().filter(|(_, flaw)| flaw.reason() == reason).collect();
    told.sort_by_key(|(_, flaw)| {
        !matches!(flaw, Flaw::OtherImage { .. } | Flaw::Attestation { .. } | Flaw::Forged { .. })
    });
    let more = told.len().saturating_sub(TOLD_MAX);
    let mut message =
        told.iter().take(TOLD_MAX).map(|(name, flaw)| format!("{name} {flaw}")).collect::<Vec<_>>().join("; ");
    if more > 0 {
        message.push_str(&format!("; and {more} more"));
    }
    Fault::new(reason, message)
}

#[cfg(test)]
mod tests;
