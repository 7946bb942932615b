//! Where evidence is read. All of it untrusted: at worst a source withholds.

use crate::{
    digest::Digest,
    policy::{Assessment, EvidenceSource, Given, Want},
    reason::{Fault, Reason},
    registry::{Registries, Repository},
};
use futures::{StreamExt, stream::FuturesUnordered};
use oci::{Found, ImageEvidence, RegistryRemote, Remote};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use store::Stored;

pub mod dir;
pub mod layout_dir;
pub mod oci;
pub mod store;

/// The edges one decision may use.
#[derive(Clone)]
pub struct Sources {
    /// Every registry of the installation.
    pub registries: Arc<Registries>,
    /// The metadata store, where there is one.
    pub store: Option<Arc<store::StoreClient>>,
}

/// Drives an assessment to its end: all wants of a round at once, each object of the image once, inside the deadline
/// (`deadline_exceeded`). `known`: the image's manifest where resolving the tag has already read it.
///
/// A want that was found in part is given twice: what was found, then the fault that kept us from the rest; the judgement
/// keeps both. Returns what was left out, and why: for the verdict's warnings, nothing depends on it.
pub async fn drive(
    assessment: &mut Assessment<'_>,
    repository: &Repository,
    image: &Digest,
    known: Option<Vec<u8>>,
    sources: &Sources,
    deadline: Instant,
) -> Vec<String> {
    let remote = RegistryRemote { registries: &sources.registries, repository, deadline };
    let edge = Edge {
        evidence: ImageEvidence::new(&remote, image),
        image,
        known: known.filter(|bytes| image.matches(bytes)),
        store: sources.store.as_deref(),
        deadline,
    };
    let mut asked = BTreeSet::new();
    let mut running = FuturesUnordered::new();
    loop {
        // A round does not wait for the slowest of the one before: what an answer makes wanted is asked for at once.
        for want in assessment.wants() {
            if asked.insert(want.clone()) {
                running.push(edge.answer(want));
            }
        }
        let Some((want, found)) = running.next().await else { break };
        for found in found {
            assessment.give(&want, found);
        }
    }
    drop(running);
    edge.evidence.into_warnings()
}

/// What a source may take to notice that its deadline has passed.
const GRACE: Duration = Duration::from_millis(100);

/// The edges of one image, for one decision.
struct Edge<'a, R> {
    evidence: ImageEvidence<'a, R>,
    image: &'a Digest,
    known: Option<Vec<u8>>,
    store: Option<&'a store::StoreClient>,
    deadline: Instant,
}

impl<R: Remote> Edge<'_, R> {
    /// The sources keep the deadline themselves, and then what was found by it still counts; a source that does not is cut off.
    async fn answer(&self, want: Want) -> (Want, Vec<Result<Given, Fault>>) {
        let found = tokio::time::timeout_at((self.deadline + GRACE).into(), self.find(&want)).await;
        let found = found.unwrap_or_else(|_| {
            let what = format!("the time of the review ran out while reading {}", name(&want));
            vec![Err(Fault::new(Reason::DeadlineExceeded, what))]
        });
        (want, found)
    }

    async fn find(&self, want: &Want) -> Vec<Result<Given, Fault>> {
        match want {
            Want::Manifest(digest) => match &self.known {
                Some(bytes) if digest == self.image => vec![Ok(Given::Manifest(bytes.clone()))],
                _ => vec![self.evidence.manifest(digest).await.map(Given::Manifest)],
            },
            Want::Signatures => given(self.evidence.signatures().await, Given::Signatures),
            Want::Envelopes(EvidenceSource::Oci) => given(self.evidence.envelopes().await, Given::Envelopes),
            Want::Envelopes(EvidenceSource::Store) => given(self.stored().await, Given::Envelopes),
        }
    }

    async fn stored(&self) -> Found<Vec<u8>> {
        let found = match self.store {
            Some(store) => store.envelopes(self.image, self.deadline).await,
            None => Err(Fault::new(Reason::StoreUnavailable, "the policy names the store, and none is configured")),
        };
        let cut = || Fault::new(Reason::StoreUnavailable, "the metadata store has more than it answered");
        match found {
            Ok(Stored { envelopes, whole }) => Found { items: envelopes, fault: (!whole).then(cut) },
            Err(fault) => Found { items: Vec::new(), fault: Some(fault) },
        }
    }
}

/// What was found, then what kept us from the rest. A candidate that is not what its digest says is a fault only where it was
/// the only one.
fn given<T>(found: Found<T>, wrap: impl FnOnce(Vec<T>) -> Given) -> Vec<Result<Given, Fault>> {
    let Found { items, fault } = found;
    match fault {
        None => vec![Ok(wrap(items))],
        Some(fault) if items.is_empty() => vec![Err(fault)],
        Some(fault) if fault.reason == Reason::DigestMismatch => vec![Ok(wrap(items))],
        Some(fault) => vec![Ok(wrap(items)), Err(fault)],
    }
}

fn name(want: &Want) -> String {
    match want {
        Want::Manifest(digest) => format!("manifest {digest}"),
        Want::Signatures => "signatures".into(),
        Want::Envelopes(EvidenceSource::Oci) => "envelopes from the registry".into(),
        Want::Envelopes(EvidenceSource::Store) => "envelopes from the store".into(),
    }
}
