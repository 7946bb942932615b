//! Virtual inspections (design §5). Nothing runs: what a built-in would see is built from what the image's digest itself proves.

use super::Rejection;
use crate::{
    digest::DigestSet,
    image::{ImageFacts, artifact_name},
    intoto::{Artifacts, Inspection, Link},
    oci::blob_path,
};

/// What an inspection saw.
pub(super) enum Seen {
    /// By a built-in, which changes nothing: the same before and after. Only this proves anything about the image.
    BuiltIn(Artifacts),
    /// By whoever stands for the layout, and says so in a link (specification 4.5.3).
    Told(Link),
}

/// How a built-in sees; `None`: it is something to run.
fn built_in(inspection: &Inspection) -> Option<fn(&ImageFacts) -> Option<Artifacts>> {
    match inspection.run.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidewaiter", "inspect", "image"] => Some(manifest),
        ["tidewaiter", "inspect", "blobs"] => Some(blobs),
        _ => None,
    }
}

/// Whether it is a built-in.
pub(super) fn is_built_in(inspection: &Inspection) -> bool {
    built_in(inspection).is_some()
}

/// What the inspection sees. `link` is the signed one for it: a built-in looks for itself.
pub(super) fn see(
    inspection: &Inspection,
    image: Option<&ImageFacts>,
    link: impl FnOnce() -> Result<Link, Rejection>,
) -> Result<Seen, Rejection> {
    let Some(see) = built_in(inspection) else { return link().map(Seen::Told) };
    let name = || inspection.name.clone();
    let image = image.ok_or_else(|| Rejection::InspectionWithoutImage { inspection: name() })?;
    let missing = || Rejection::ManifestsMissing { inspection: name(), missing: image.wants().len() };
    see(image).map(Seen::BuiltIn).ok_or_else(missing)
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
