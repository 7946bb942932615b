//! The API server's list of our webhooks.
//!
//! The chart's two configuration objects hold no webhooks, so they refuse nothing. The leader fills them once it is ready and a
//! call through its own Service arrives (`probe`), from `registration.yaml` (`desired`). What was applied is noted as a hash: while
//! that is what is desired, a person's change stays (break-glass), and only `caBundle` is kept current (`plan`).

use super::{Cluster, MANAGER, complaints::Complaints};
use crate::file;
use anyhow::Context;
use desired::{Desired, Kind};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{Api, ApiResource, DynamicObject, Patch as Body, PatchParams, ValidationDirective};
use plan::Patch;
use serde_json::Value;
use std::path::PathBuf;

mod desired;
mod plan;
mod probe;
#[cfg(test)]
mod tests;

/// What the leader keeps of the registration.
pub struct Registration {
    cluster: Cluster,
    file: PathBuf,
    /// The last document that could be read; a broken one never replaces it.
    desired: Vec<Desired>,
    complaints: Complaints,
}

/// What one look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Every entry of ours that is registered trusts the bundle; so does nothing at all.
    pub trusted: bool,
    /// Every object exists, and holds what was desired when it was last applied.
    pub registered: bool,
    /// Entries that somebody changed or took out by hand.
    pub differences: usize,
}

impl Registration {
    /// `directory` holds `registration.yaml`.
    pub fn new(cluster: Cluster, directory: impl Into<PathBuf>) -> Self {
        let file = directory.into().join("registration.yaml");
        Registration { cluster, file, desired: Vec::new(), complaints: Complaints::default() }
    }

    /// Reads the file and the live objects, and brings these where they ought to be. `bundle`: what is to be trusted, PEM; without one
    /// nothing is written. `ready`: we could answer a review.
    ///
    /// # Errors
    /// An object cannot be read or written; the others were tried.
    pub async fn reconcile(&mut self, bundle: Option<&str>, ready: bool) -> anyhow::Result<Found> {
        self.read();
        let mut found = Found { trusted: bundle.is_some(), registered: !self.desired.is_empty(), differences: 0 };
        let mut failed = None;
        let mut probed: Option<bool> = None;
        let mut differences = Vec::new();
        for desired in self.desired.clone() {
            let api = self.api(desired.kind);
            let outcome = async {
                let Some(live) = api.get_opt(&desired.name).await.with_context(|| format!("read {desired}"))? else {
                    anyhow::bail!("{desired} does not exist: it is a part of the chart, and never created here");
                };
                let live = serde_json::to_value(&live)?;
                let Some(bundle) = bundle else { return Ok((false, plan::applied(&desired, &live))) };
                differences.extend(plan::differences(&desired, &live));
                let patch = plan::plan(&desired, &live, bundle);
                if let Some(Patch::Apply(_)) = &patch {
                    // One call says it for both objects.
                    let arrived = match probed {
                        Some(arrived) => arrived,
                        None => ready && self.probe(&desired, bundle).await,
                    };
                    probed = Some(arrived);
                    if !arrived {
                        return Ok((plan::trusts(&desired, &live, bundle), false));
                    }
                }
                let live = match patch {
                    Some(patch) => write(&api, &desired, patch).await?.unwrap_or(live),
                    None => live,
                };
                Ok((plan::trusts(&desired, &live, bundle), plan::applied(&desired, &live)))
            };
            match outcome.await {
                Ok((trusted, registered)) => {
                    found.trusted &= trusted;
                    found.registered &= registered;
                }
                Err(error) => {
                    (found.trusted, found.registered) = (false, false);
                    failed = Some(error);
                }
            }
        }
        found.differences = differences.len();
        self.complaints.tell("differences", (!differences.is_empty()).then(|| differences.join("; ")), |text| {
            tracing::warn!(
                differences = text,
                "webhook configurations were changed by hand, which stays until registration.yaml changes"
            );
        });
        failed.map_or(Ok(found), Err)
    }

    fn read(&mut self) {
        let read = file::read_text(&self.file, file::SMALL_BYTES_MAX)
            .and_then(|text| desired::parse(&text).with_context(|| self.file.display().to_string()));
        let error = match read {
            Ok(desired) => {
                self.desired = desired;
                None
            }
            Err(error) => Some(format!("{error:#}")),
        };
        self.complaints.tell("file", error, |error| tracing::error!(error, "registration.yaml is not used"));
    }

    async fn probe(&mut self, desired: &Desired, bundle: &str) -> bool {
        let error = match &desired.service() {
            None => Some("no webhook names a service".to_owned()),
            Some(service) => probe::probe(&self.cluster, service, bundle).await.err().map(|error| format!("{error:#}")),
        };
        let arrived = error.is_none();
        self.complaints.tell("probe", error, |error| {
            tracing::warn!(error, "not registering yet: a call through our own Service does not arrive");
        });
        arrived
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let resource = match kind {
            Kind::Validating => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            Kind::Mutating => ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        };
        Api::all_with(self.cluster.client.clone(), &resource)
    }
}

/// The object after the patch; `None`: somebody wrote first, and the next look sees what.
async fn write(api: &Api<DynamicObject>, desired: &Desired, patch: Patch) -> anyhow::Result<Option<Value>> {
    let mut parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    parameters.field_validation = Some(ValidationDirective::Strict);
    let written = match &patch {
        Patch::Apply(body) => {
            parameters.force = true;
            api.patch(&desired.name, &parameters, &Body::Apply(body)).await
        }
        Patch::Trust(body) => api.patch(&desired.name, &parameters, &Body::Strategic(body)).await,
    };
    match written {
        Ok(object) => {
            match patch {
                Patch::Apply(_) => tracing::info!(object = %desired, hash = desired.hash, "webhooks registered"),
                Patch::Trust(_) => tracing::info!(object = %desired, "caBundle updated"),
            }
            Ok(Some(serde_json::to_value(object)?))
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error).with_context(|| format!("write {desired}")),
    }
}
