//! Image references: what distribution/reference and containerd agree on; the rest is refused (security §2.A2–A7).

use crate::digest::Digest;
use std::{fmt, str::FromStr};

/// A canonical image reference: `docker.io` and `library/` written out, host in lower case, `:443` dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// → `image_ref_invalid`
    #[error("\"{reference}\" is no image reference: {why}")]
    Invalid { reference: String, why: &'static str },
    /// → `image_ref_ambiguous`: parsers disagree about what it names
    #[error("\"{reference}\" is ambiguous: {why}")]
    Ambiguous { reference: String, why: &'static str },
}

impl Reference {
    /// `host[:port]`, canonical.
    pub fn registry(&self) -> &str {
        &self.registry
    }
    /// The path without the host, e.g. `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }
    /// `host[:port]/path`, what policies and `oci:` artifact names say.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
    /// As written; `None` when absent (a reference with neither tag nor digest has tag `latest`).
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
    /// `host/path@digest`, tag dropped.
    pub fn pinned(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }
}
impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let _ = text;
        todo!()
    }
}
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

/// An image pattern of a policy: host and path matched separately, anchored; `*` stays within a path component, `**` crosses
/// (security §2.A10). `registry.example.com/shop/**`. Canonicalised by the code that canonicalises references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePattern {
    text: String,
}
impl FromStr for ImagePattern {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let _ = text;
        todo!()
    }
}
impl ImagePattern {
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// On host and repository; tag and digest play no part.
    pub fn matches(&self, image: &Reference) -> bool {
        let _ = image;
        todo!()
    }
}
