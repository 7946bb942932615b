//! Image references: what distribution/reference and containerd agree on; the rest is refused (security §2.A2–A7).
//!
//! A reference that two parsers read differently would be judged as one image and run as another, so it is denied, not
//! guessed at. What is accepted has one canonical form.

mod grammar;
mod pattern;

pub use pattern::ImagePattern;

use crate::{digest::Digest, json::shown};
use std::{borrow::Cow, fmt, str::FromStr};

/// Where references without a host lead (distribution/reference `normalize.go`).
const DOCKER_HUB: &str = "docker.io";
/// 255 of a name, 128 of a tag, 71 of a digest, and what stands between them.
const BYTES_MAX: usize = 512;
/// distribution/reference: the whole name in older versions, the path alone in newer ones.
const NAME_BYTES_MAX: usize = 255;

/// A canonical image reference: `docker.io` and `library/` written out, host in lower case, `:443` dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference. `reference` is the text, shortened and made printable.
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

/// What is wrong, before it is known with what text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Invalid(&'static str),
    Ambiguous(&'static str),
}

impl Fault {
    fn of(self, text: &str) -> ReferenceError {
        let reference = shown(&without_user(text));
        match self {
            Fault::Invalid(why) => ReferenceError::Invalid { reference, why },
            Fault::Ambiguous(why) => ReferenceError::Ambiguous { reference, why },
        }
    }
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

    /// As written; a reference with neither tag nor digest has tag `latest`. Beside a digest it is decoration (security §2.A2).
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the reference is pinned.
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
        parse(text).map_err(|fault| fault.of(text))
    }
}

/// The text as it may be shown: what stands before an `@` that no digest follows may be somebody's password (security §2.H7).
pub fn without_user(text: &str) -> Cow<'_, str> {
    let is_digest = |rest: &str| ["sha256:", "sha384:", "sha512:"].iter().any(|algorithm| rest.starts_with(algorithm));
    let user = text.rmatch_indices('@').find_map(|(at, _)| {
        let (before, rest) = (text.get(..at)?, text.get(at + 1..)?);
        (!is_digest(rest) && (rest.contains('/') || !before.contains('/'))).then_some(rest)
    });
    user.map_or(Cow::Borrowed(text), |rest| Cow::Owned(format!("...@{rest}")))
}

fn parse(text: &str) -> Result<Reference, Fault> {
    grammar::check_bytes(text, BYTES_MAX)?;
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(grammar::digest(digest)?)),
        None => (text, None),
    };
    // A colon behind the last slash begins a tag; before it, a port.
    let path_start = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if name.len() >= path_start => (name, Some(grammar::tag(tag)?)),
        _ => (rest, None),
    };
    if name.len() > NAME_BYTES_MAX {
        return Err(Fault::Invalid("its name has more than 255 bytes"));
    }
    if !name.contains('/') {
        grammar::check_is_no_image_id(name, tag.as_deref(), digest.is_some())?;
    }
    let (registry, path) = split(name, grammar::host)?;
    for component in path.split('/') {
        grammar::path_component(component)?;
    }
    let repository = in_library(&registry, path);
    // Written out, the name may be longer than it was; it must be readable again.
    if registry.len() + 1 + repository.len() > NAME_BYTES_MAX {
        return Err(Fault::Invalid("its name has more than 255 bytes"));
    }
    let tag = if digest.is_none() { tag.or_else(|| Some("latest".to_owned())) } else { tag };
    Ok(Reference { registry, repository, tag, digest })
}

/// Canonical host, and path. The first component is a host when it has a dot or a colon, or is `localhost`.
fn split(name: &str, host: impl Fn(&str) -> Result<String, Fault>) -> Result<(String, &str), Fault> {
    let Some((first, path)) = name.split_once('/') else { return Ok((DOCKER_HUB.to_owned(), name)) };
    match first {
        // distribution/reference knows these two spellings, and adds `library/` to no other.
        "docker.io" | "index.docker.io" => return Ok((DOCKER_HUB.to_owned(), path)),
        "localhost" => {}
        _ if first.contains(['.', ':']) => {}
        _ if first.bytes().any(|b| b.is_ascii_uppercase()) => {
            return Err(Fault::Ambiguous("some read its first part as a host, some as a path of Docker Hub"));
        }
        _ => return Ok((DOCKER_HUB.to_owned(), name)),
    }
    match host(first)? {
        host if host == DOCKER_HUB || host == "index.docker.io" => {
            Err(Fault::Ambiguous("only \"docker.io\" and \"index.docker.io\" mean Docker Hub to every parser"))
        }
        host => Ok((host, path)),
    }
}

/// Docker Hub's official images live in `library/`.
fn in_library(registry: &str, path: &str) -> String {
    match registry == DOCKER_HUB && !path.contains('/') {
        true => format!("library/{path}"),
        false => path.to_owned(),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
