//! Virtual inspections (design §5). Nothing runs: what a built-in would see is built from what the image's digest itself proves.

use super::Rejection;
use crate::{
    digest::DigestSet,
    image::{ImageFacts, artifact_name},
    intoto::{Artifacts, Inspection},
    oci::blob_path,
};

/// What the inspection sees before its command, and, since a built-in changes nothing, after it.
pub(super) fn artifacts(inspection: &Inspection, image: Option<&ImageFacts>) -> Result<Artifacts, Rejection> {
    let name = || inspection.name.clone();
    let run: Vec<&str> = inspection.run.iter().map(String::as_str).collect();
    let see: fn(&ImageFacts) -> Option<Artifacts> = match run.as_slice() {
        ["tidewaiter", "inspect", "image"] => manifest,
        ["tidewaiter", "inspect", "blobs"] => blobs,
        _ => return Err(Rejection::InspectionNotSupported { inspection: name(), run: inspection.run.clone() }),
    };
    let image = image.ok_or_else(|| Rejection::InspectionWithoutImage { inspection: name() })?;
    see(image).ok_or_else(|| Rejection::ManifestsMissing { inspection: name(), missing: image.wants().len() })
}

/// The names under which an inspection sees the admitted digest itself: what a MATCH must have consumed.
pub(super) fn subjects(image: &ImageFacts) -> [String; 2] {
    [artifact_name(&image.repository), blob_path(&image.digest)]
}

/// One artifact, that binds repository and content.
fn manifest(image: &ImageFacts) -> Option<Artifacts> {
    Some(Artifacts::from([(artifact_name(&image.repository), DigestSet::of(&image.digest))]))
}

/// Every blob behind the digest, as in an OCI image layout directory; `None` while a manifest is not known.
fn blobs(image: &ImageFacts) -> Option<Artifacts> {
    Some(image.blobs()?.iter().map(|blob| (blob_path(blob), DigestSet::of(blob))).collect())
}
