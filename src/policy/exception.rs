//! Exceptions by namespace annotation: what is asked for, and the seal without which it counts for nothing (design §6, security §2.C).
//!
//! `tidewaiter.dev/exception` holds one exception or a list of them as YAML or JSON; `tidewaiter.dev/exception-seal` a DSSE envelope over
//! exactly that text, the namespace's name and UID, and the time of sealing, signed by a key of the TrustRoot that the policy's
//! `exceptions.signers` names. One seal covers the whole text; each exception is judged, and used, alone.

use super::{Namespace, PolicySet, select::ExceptionRule};
use crate::{
    digest::Digest,
    envelope::Envelope,
    json,
    key::{KeyError, SecretKey},
    reference::{ImagePattern, Reference},
    resource::{self, API_VERSION, FieldError},
    verify::quorum,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Holds what is asked for.
pub const ANNOTATION: &str = "tidewaiter.dev/exception";
/// Holds the seal.
pub const SEAL_ANNOTATION: &str = "tidewaiter.dev/exception-seal";
/// The seal's DSSE payload type; no other use of a key has it (security §2.F10).
pub const PAYLOAD_TYPE: &str = "application/vnd.tidewaiter.exception+json";

/// Most exceptions of one namespace; most images, digests or requirements of one exception.
pub const ITEMS_MAX: usize = 64;
/// Most bytes of the seal: Kubernetes allows 256 KiB for all annotations of an object.
pub const SEAL_BYTES_MAX: usize = 256 << 10;
/// Most signatures of the seal: each may cost a verification by each key of the root, at every review in the namespace.
pub const SIGNATURES_MAX: usize = 8;
/// Most bytes of a reason.
const REASON_MAX: usize = 512;
/// A clock of ours may be behind the signer's by so much (security §2.F5); none is granted at the end.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Exception {
    /// Image patterns; either these or `digests`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// `sha256:…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// A ClusterImagePolicy by name.
    pub policy: String,
    /// The requirements waived, by name.
    pub requirements: Vec<String>,
    /// The exception counts before this moment.
    pub until: Timestamp,
    /// For people.
    pub reason: String,
}

/// The payload of a seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Seal {
    api_version: String,
    kind: String,
    namespace: SealedNamespace,
    /// The annotation's exact text.
    exception: String,
    sealed_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SealedNamespace {
    name: String,
    uid: String,
}

/// Why an exception does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// The annotation cannot be read; none of it counts.
    #[error("the annotation {ANNOTATION} cannot be read: {0}")]
    Malformed(FieldError),
    /// No ClusterImagePolicy of that name.
    #[error("there is no ClusterImagePolicy \"{policy}\"")]
    UnknownPolicy { policy: String },
    /// A requirement that the policy does not have.
    #[error("the policy has no requirement \"{requirement}\"")]
    UnknownRequirement { requirement: String },
    /// The policy names nobody who could make exceptions.
    #[error("the policy allows no exceptions")]
    NotAllowed,
    /// No seal.
    #[error("it is not sealed: the annotation {SEAL_ANNOTATION} is missing")]
    Unsealed,
    /// The seal is no envelope, or its payload is no seal.
    #[error("the seal cannot be read: {0}")]
    SealMalformed(String),
    /// An envelope for another purpose.
    #[error("the seal is of type \"{found}\", expected {PAYLOAD_TYPE}")]
    PayloadType { found: String },
    /// Signed by nobody who may make exceptions from this policy.
    #[error("the seal is not signed by a key of TrustRoot \"{signers}\"")]
    Untrusted { signers: String },
    /// Another text was sealed.
    #[error("the seal is for another text")]
    OtherText,
    /// Copied from elsewhere, or the namespace was made anew.
    #[error("the seal is for namespace \"{name}\" with uid {uid}")]
    OtherNamespace { name: String, uid: String },
    /// Sealed later than now.
    #[error("it is not valid before {sealed_at}")]
    NotYet { sealed_at: Timestamp },
    /// Over.
    #[error("it expired at {until}")]
    Expired { until: Timestamp },
    /// Longer than the policy grants.
    #[error("it lasts longer than the {max} that the policy grants")]
    TooLong { max: String },
}

/// An exception of the namespace, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// `None` where the annotation cannot even be read.
    exception: Option<Exception>,
    pub(super) outcome: Result<(), Ignored>,
}

impl Judged {
    /// The policy's name as written; empty where the annotation cannot be read.
    pub fn policy(&self) -> &str {
        self.exception.as_ref().map_or("", |exception| &exception.policy)
    }
    /// The exception, if it counts.
    pub fn honoured(&self) -> Option<&Exception> {
        self.exception.as_ref().filter(|_| self.outcome.is_ok())
    }
    /// Why it does not.
    pub fn ignored(&self) -> Option<&Ignored> {
        self.outcome.as_ref().err()
    }
}

impl Exception {
    /// Whether the exception is about this image.
    pub fn covers(&self, image: &Reference, digest: &Digest) -> bool {
        let digest = digest.to_string();
        self.digests.contains(&digest)
            || self.images.iter().any(|text| text.parse::<ImagePattern>().is_ok_and(|pattern| pattern.matches(image)))
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waives {} until {}: {}", self.requirements.join(", "), self.until, self.reason)
    }
}

/// Reads the annotation's text: one exception or a list, YAML or JSON, as strict as our documents.
pub fn read(text: &str) -> Result<Vec<Exception>, FieldError> {
    let documents = resource::text::read(text).map_err(|(_, error)| error)?;
    let mut documents = documents.into_iter().map(|(_, value)| value);
    let (Some(value), None) = (documents.next(), documents.next()) else {
        return Err(FieldError::new("", "expected one exception, or one list of them"));
    };
    let exceptions: Vec<Exception> = match value {
        list @ serde_json::Value::Array(_) => resource::typed::from_value(list)?,
        one => vec![resource::typed::from_value(one)?],
    };
    if exceptions.is_empty() || exceptions.len() > ITEMS_MAX {
        return Err(FieldError::new("", format!("has {} exceptions, expected 1 to {ITEMS_MAX}", exceptions.len())));
    }
    for (index, exception) in exceptions.iter().enumerate() {
        let path = |field: &str| if exceptions.len() == 1 { field.to_owned() } else { format!("[{index}].{field}") };
        validate(exception).map_err(|error| FieldError::new(path(&error.path), error.message))?;
    }
    Ok(exceptions)
}

fn validate(exception: &Exception) -> Result<(), FieldError> {
    if exception.images.is_empty() == exception.digests.is_empty() {
        return Err(FieldError::new("images", "expected either images or digests"));
    }
    for (field, items) in
        [("images", &exception.images), ("digests", &exception.digests), ("requirements", &exception.requirements)]
    {
        if items.len() > ITEMS_MAX {
            return Err(FieldError::new(field, format!("has {} items, more than {ITEMS_MAX}", items.len())));
        }
    }
    for (index, text) in exception.images.iter().enumerate() {
        text.parse::<ImagePattern>().map_err(|error| FieldError::new(format!("images[{index}]"), error.to_string()))?;
    }
    for (index, text) in exception.digests.iter().enumerate() {
        text.parse::<Digest>().map_err(|error| FieldError::new(format!("digests[{index}]"), error.to_string()))?;
    }
    if exception.requirements.is_empty() {
        return Err(FieldError::new("requirements", "is empty: name the requirements that are waived"));
    }
    if exception.policy.is_empty() {
        return Err(FieldError::new("policy", "is empty: name a ClusterImagePolicy"));
    }
    if exception.reason.trim().is_empty() || exception.reason.len() > REASON_MAX {
        return Err(FieldError::new("reason", format!("expected 1 to {REASON_MAX} bytes")));
    }
    Ok(())
}

/// Every exception of the namespace, each judged alone and as of `now`. Without the annotation there is none.
pub fn judge(set: &PolicySet, namespace: &Namespace, now: Timestamp) -> Vec<Judged> {
    let Some(text) = namespace.annotations.get(ANNOTATION) else { return Vec::new() };
    let exceptions = match read(text) {
        Ok(exceptions) => exceptions,
        Err(error) => return vec![Judged { exception: None, outcome: Err(Ignored::Malformed(error)) }],
    };
    let seal = envelope(namespace);
    // By the root's name: a root's keys are tried once, however many exceptions lean on it.
    let mut trusted: BTreeMap<&str, bool> = BTreeMap::new();
    let mut outcome = |exception: &Exception| {
        let policy = set.policies.iter().find(|policy| policy.namespace.is_none() && policy.name == exception.policy);
        let policy = policy.ok_or_else(|| Ignored::UnknownPolicy { policy: exception.policy.clone() })?;
        let rule = policy.exceptions.as_ref().ok_or(Ignored::NotAllowed)?;
        for name in &exception.requirements {
            if !policy.requirements.iter().any(|requirement| requirement.name == *name) {
                return Err(Ignored::UnknownRequirement { requirement: name.clone() });
            }
        }
        let seal = seal.as_ref().map_err(Ignored::clone)?;
        // First the signature, then the parser (design §3.4).
        let signed = || !quorum::signers(seal, &rule.ring, now).is_empty();
        if !*trusted.entry(&rule.signers).or_insert_with(signed) {
            return Err(Ignored::Untrusted { signers: rule.signers.clone() });
        }
        payload(seal)?.counts(rule, exception, text, namespace, now)
    };
    exceptions
        .into_iter()
        .map(|exception| Judged { outcome: outcome(&exception), exception: Some(exception) })
        .collect()
}

/// The seal, unjudged.
fn envelope(namespace: &Namespace) -> Result<Envelope, Ignored> {
    let seal = namespace.annotations.get(SEAL_ANNOTATION).ok_or(Ignored::Unsealed)?;
    if seal.len() > SEAL_BYTES_MAX {
        return Err(Ignored::SealMalformed(format!("it has {} bytes, more than {SEAL_BYTES_MAX}", seal.len())));
    }
    let envelope = Envelope::parse(seal.as_bytes()).map_err(|error| Ignored::SealMalformed(error.to_string()))?;
    if envelope.signatures.len() > SIGNATURES_MAX {
        let found = envelope.signatures.len();
        return Err(Ignored::SealMalformed(format!("it has {found} signatures, more than {SIGNATURES_MAX}")));
    }
    match envelope.payload_type() {
        Some(PAYLOAD_TYPE) => Ok(envelope),
        Some(found) => Err(Ignored::PayloadType { found: found.to_owned() }),
        None => Err(Ignored::SealMalformed("it is no DSSE envelope".into())),
    }
}

impl Seal {
    /// Whether the seal, rightly signed, is for this text in this namespace, now, and for no longer than granted.
    fn counts(
        &self,
        rule: &ExceptionRule,
        exception: &Exception,
        text: &str,
        namespace: &Namespace,
        now: Timestamp,
    ) -> Result<(), Ignored> {
        if self.exception != text {
            return Err(Ignored::OtherText);
        }
        let SealedNamespace { name, uid } = &self.namespace;
        // A namespace without a UID is one that we know nothing of.
        if *name != namespace.name || *uid != namespace.uid || namespace.uid.is_empty() {
            return Err(Ignored::OtherNamespace { name: name.clone(), uid: uid.clone() });
        }
        if self.sealed_at.duration_since(now) > SKEW {
            return Err(Ignored::NotYet { sealed_at: self.sealed_at });
        }
        if exception.until <= now {
            return Err(Ignored::Expired { until: exception.until });
        }
        if exception.until.duration_since(self.sealed_at) > rule.max {
            return Err(Ignored::TooLong { max: rule.max_text.clone() });
        }
        Ok(())
    }
}

/// The payload of an envelope whose signature held.
fn payload(envelope: &Envelope) -> Result<Seal, Ignored> {
    let value = envelope.value().map_err(|error| Ignored::SealMalformed(error.to_string()))?;
    let value = serde_json::Value::from(&value);
    let seal: Seal = resource::typed::from_value(value).map_err(|error| Ignored::SealMalformed(error.to_string()))?;
    if seal.api_version != API_VERSION || seal.kind != "ExceptionSeal" {
        return Err(Ignored::SealMalformed(format!("it is a {} {}", seal.api_version, seal.kind)));
    }
    Ok(seal)
}

/// Why a seal cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text would be ignored.
    #[error("the exception cannot be read: {0}")]
    Text(#[from] FieldError),
    /// The name or UID of the namespace is missing.
    #[error("the namespace's name and uid are needed")]
    Namespace,
    /// Nobody signs, or too many do.
    #[error("1 to {SIGNATURES_MAX} keys are needed, {found} are given")]
    Keys { found: usize },
    /// A key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The payload cannot be written.
    #[error("the payload cannot be written: {0}")]
    Payload(String),
}

/// Makes the seal for a text, for `except sign`: the envelope's bytes are what the annotation [`SEAL_ANNOTATION`] holds. The text is
/// the other annotation's, byte for byte.
pub fn seal(
    namespace: &str,
    uid: &str,
    text: &str,
    sealed_at: Timestamp,
    keys: &[&SecretKey],
) -> Result<Envelope, SealError> {
    read(text)?;
    if namespace.is_empty() || uid.is_empty() {
        return Err(SealError::Namespace);
    }
    if keys.is_empty() || keys.len() > SIGNATURES_MAX {
        return Err(SealError::Keys { found: keys.len() });
    }
    let seal = Seal {
        api_version: API_VERSION.into(),
        kind: "ExceptionSeal".into(),
        namespace: SealedNamespace { name: namespace.into(), uid: uid.into() },
        exception: text.into(),
        sealed_at,
    };
    let value = serde_json::to_value(&seal).map_err(|error| SealError::Payload(error.to_string()))?;
    let payload = json::to_text(&json::Value::from(&value)).into_bytes();
    Ok(Envelope::sign_dsse(PAYLOAD_TYPE, payload, keys)?)
}

/// The annotation's text for exceptions that were put together from flags: JSON on one line.
pub fn write(exceptions: &[Exception]) -> Result<String, FieldError> {
    let text = match exceptions {
        [one] => serde_json::to_string(one),
        many => serde_json::to_string(many),
    };
    let text = text.map_err(|error| FieldError::new("", error.to_string()))?;
    read(&text)?;
    Ok(text)
}

#[cfg(test)]
pub(in crate::policy) mod tests;
