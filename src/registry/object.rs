//! Objects of a repository: how their URL is made, and what their bytes are held against.

use crate::{
    digest::Digest,
    oci,
    reason::{Fault, Reason},
};
use url::Url;

/// The bytes are those of the digest.
pub fn check(digest: &Digest, bytes: &[u8], from: &str) -> Result<(), Fault> {
    if digest.matches(bytes) {
        return Ok(());
    }
    Err(Fault::new(Reason::DigestMismatch, format!("{from} sent other bytes than those of {digest}")))
}

/// `Docker-Content-Digest` is about the bytes that came, and about what was asked for.
pub fn check_told(told: &str, asked: Option<&Digest>, bytes: &[u8], from: &str) -> Result<(), Fault> {
    let same_algorithm =
        |told: &Digest| asked.is_some_and(|asked| asked.algorithm() == told.algorithm() && asked != told);
    match told.trim().parse::<Digest>() {
        Ok(told) if told.matches(bytes) && !same_algorithm(&told) => Ok(()),
        _ => Err(Fault::new(Reason::DigestMismatch, format!("{from} names another digest than that of what it sent"))),
    }
}

pub fn is_manifest_type(media_type: &str) -> bool {
    use oci::media::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
    [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST].contains(&media_type)
}

/// `/v2/<repository>/<place>/<name>`. The path is checked once more: whatever made it, it stays one.
pub fn object_url(base: &Url, repository: &str, place: &str, name: &str) -> Result<Url, Fault> {
    let component = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        !part.is_empty() && part != "." && part != ".." && plain
    };
    if repository.len() > 255 || !repository.split('/').all(component) {
        return Err(Fault::new(Reason::ImageRefInvalid, format!("{repository:?} is no repository")));
    }
    base.join(&format!("v2/{repository}/{place}/{name}"))
        .map_err(|_| Fault::new(Reason::ImageRefInvalid, format!("{repository:?} makes no URL")))
}

/// distribution-spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
