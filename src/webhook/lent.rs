//! In whose name an image is read: the operator's, or the pod's own credentials for the image's host, one after the other (security §2.G4,
//! G5). Nothing is read of the cluster for images that nothing judges.

use crate::{
    cluster::pull_secrets::{PodSecrets, PullSecrets},
    policy::{ImageOutcome, Workload},
    reason::{Class, Fault, Reason},
    reference::Reference,
    registry::Registries,
    source::Sources,
};
use std::{sync::Arc, time::Instant};

/// One name to read an image in.
#[derive(Clone)]
pub(super) struct Access {
    pub sources: Sources,
    /// Of the pod's credential; empty for the operator's, or none.
    pub identity: String,
}

/// What one pod lends for its images.
#[derive(Default)]
pub(super) struct Lent(PodSecrets);

impl Lent {
    /// The pod's secrets, where any of these images lies at a host that would be told one.
    pub async fn read<'r>(
        secrets: Option<&PullSecrets>,
        registries: &Registries,
        workload: &Workload,
        mut references: impl Iterator<Item = &'r Reference>,
        deadline: Instant,
    ) -> Self {
        match secrets {
            Some(secrets) if references.any(|it| registries.borrows(it.registry())) => {
                Lent(secrets.of(workload, deadline).await)
            }
            _ => Lent::default(),
        }
    }

    /// What the person at kubectl should know of the pod's secrets.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// The names to read an image in, in this order: at least one.
    pub fn accesses(&self, sources: &Sources, reference: &Reference) -> Vec<Access> {
        let host = reference.registry();
        let credentials = match sources.registries.borrows(host) {
            true => self.0.of(host),
            false => Vec::new(),
        };
        if credentials.is_empty() {
            return vec![Access { sources: sources.clone(), identity: String::new() }];
        }
        let access = |credential: &Arc<_>| {
            let registries = Arc::new(sources.registries.lending(host, Arc::clone(credential)));
            Access { sources: Sources { registries, store: sources.store.clone() }, identity: credential.identity() }
        };
        credentials.iter().map(access).collect()
    }
}

/// What may look different in another name: the registry does not show it to this one.
pub(super) trait Hidden {
    /// It was not let in, or told that there is no such image.
    fn is_hidden(&self) -> bool;
    /// The same, or something that should be there is not: there are registries that say 404 to a stranger.
    fn may_be_hidden(&self) -> bool {
        self.is_hidden()
    }
}

fn hides(reason: Reason) -> bool {
    matches!(reason, Reason::RegistryAuth | Reason::ImageNotFound)
}

impl<T> Hidden for Result<T, Fault> {
    fn is_hidden(&self) -> bool {
        self.as_ref().is_err_and(|fault| hides(fault.reason))
    }
}

/// An image with its verdict.
pub(super) struct Judged(pub ImageOutcome);
impl Judged {
    fn unmet(&self) -> impl Iterator<Item = (Class, Reason)> {
        let policies = self.0.iter().flat_map(|(_, verdict)| &verdict.policies);
        let unmet = policies.filter(|policy| !policy.met).flat_map(|policy| &policy.requirements);
        unmet.filter(|it| !it.met).filter_map(|it| Some((it.class?, it.reason?)))
    }
}
impl Hidden for Judged {
    fn is_hidden(&self) -> bool {
        self.0.is_hidden() || self.unmet().any(|(_, reason)| hides(reason))
    }
    fn may_be_hidden(&self) -> bool {
        self.is_hidden() || self.unmet().any(|(class, _)| class == Class::Missing)
    }
}

/// Tries one name after the other, until one is shown what is there. Where none is, what was seen at all counts more than what was not.
pub(super) async fn in_turn<T: Hidden, F: Future<Output = T>>(
    accesses: Vec<Access>,
    ask: impl Fn(Access) -> F,
) -> Option<T> {
    let mut seen: Option<T> = None;
    for access in accesses {
        let found = ask(access).await;
        if !found.may_be_hidden() {
            return Some(found);
        }
        if seen.as_ref().is_none_or(Hidden::is_hidden) {
            seen = Some(found);
        }
    }
    seen
}
