//! Where evidence is read. All of it untrusted: at worst a source withholds.

use crate::{
    cosign::Candidate,
    digest::Digest,
    policy::Assessment,
    reason::Fault,
    registry::{Registries, Repository},
};
use std::{sync::Arc, time::Instant};
pub mod dir;
pub mod oci;
pub mod store;

/// The edges one decision may use.
#[derive(Clone)]
pub struct Sources {
    pub registries: Arc<Registries>,
    pub store: Option<Arc<store::StoreClient>>,
}

/// Drives an assessment to its end: all wants of a round at once, each object of the image once, inside the deadline
/// (`deadline_exceeded`). `known`: the image's manifest where resolving the tag has already read it.
pub async fn drive(
    assessment: &mut Assessment<'_>,
    repository: &Repository,
    image: &Digest,
    known: Option<Vec<u8>>,
    sources: &Sources,
    deadline: Instant,
) {
    let _ = (assessment, repository, image, known, sources, deadline);
    todo!()
}
#[allow(unused_imports)]
use {Candidate as _, Fault as _};
