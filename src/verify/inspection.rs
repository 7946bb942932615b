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

/// What the inspection sees. `link` is the signed one for it, where there is one: a built-in looks for itself.
pub(super) fn see(
    inspection: &Inspection,
    image: Option<&ImageFacts>,
    link: impl FnOnce() -> Option<Link>,
) -> Result<Seen, Rejection> {
    let name = || inspection.name.clone();
    let run: Vec<&str> = inspection.run.iter().map(String::as_str).collect();
    let see: fn(&ImageFacts) -> Option<Artifacts> = match run.as_slice() {
        ["tidewaiter", "inspect", "image"] => manifest,
        ["tidewaiter", "inspect", "blobs"] => blobs,
        _ => {
            let missing = || Rejection::InspectionNotSupported { inspection: name(), run: inspection.run.clone() };
            return link().map(Seen::Told).ok_or_else(missing);
        }
    };
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
