//! The tidewaiter that is installed: where it is, and what it runs.

use anyhow::{Context as _, bail};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apps::v1::Deployment,
    core::v1::{PodSpec, Toleration},
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};
use std::collections::BTreeMap;

/// What the demonstration needs to know of it.
pub struct Installed {
    /// `in namespace tidewaiter`, for people.
    pub place: String,
    pub image: String,
    pub pull_policy: Option<String>,
    /// The entry point, where the Deployment has one of its own.
    pub command: Option<Vec<String>>,
    /// Where its pods may run, ours may.
    pub node_selector: Option<BTreeMap<String, String>>,
    pub tolerations: Option<Vec<Toleration>>,
    /// Its mutating half is registered: tags are pinned.
    pub pins: bool,
}

const VALIDATE: &str = "validate.tidewaiter.dev";
const PIN: &str = "pin.tidewaiter.dev";
const HOW: &str =
    "install it first: helm install tidewaiter charts/tidewaiter --namespace tidewaiter --create-namespace";

impl Installed {
    /// # Errors
    /// It is not there, or not ready to decide, with what to do about it.
    pub async fn find(client: &Client, image: Option<String>) -> anyhow::Result<Self> {
        let policy = GroupVersionKind::gvk("tidewaiter.dev", "v1alpha1", "ClusterImagePolicy");
        let policies: Api<DynamicObject> =
            Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&policy, "clusterimagepolicies"));
        match policies.list(&ListParams::default().limit(1)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                bail!("this cluster does not know tidewaiter's resources; {HOW}")
            }
            Err(error) => return Err(error).context("ask the cluster for its policies"),
        }
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let validating = validating.list(&ListParams::default()).await.context("list the validating webhooks")?;
        let hook = validating.items.iter().flat_map(|it| it.webhooks.iter().flatten()).find(|it| it.name == VALIDATE);
        let Some(hook) = hook else {
            bail!(
                "no webhook {VALIDATE} is registered. Where tidewaiter is installed, its pods register it once they are ready: \
                 kubectl get pods -A -l app.kubernetes.io/name=tidewaiter. Else {HOW}"
            )
        };
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        let mutating = mutating.list(&ListParams::default()).await.context("list the mutating webhooks")?;
        let pins = mutating.items.iter().flat_map(|it| it.webhooks.iter().flatten()).any(|it| it.name == PIN);
        // A webhook that is reached by URL has no Deployment to look at.
        let service = hook.client_config.service.as_ref();
        let (namespace, name) = service.map_or(("", ""), |it| (it.namespace.as_str(), it.name.as_str()));
        let pod = match service {
            Some(_) => deployed(client, namespace, name).await?,
            None => None,
        };
        let (container, pod) = match pod {
            Some(mut pod) if !pod.containers.is_empty() => (Some(pod.containers.remove(0)), Some(pod)),
            _ => (None, None),
        };
        let found = image.or_else(|| container.as_ref()?.image.clone());
        let Some(image) = found else {
            bail!("no Deployment \"{name}\" in namespace \"{namespace}\" to take the image from; name it with --image")
        };
        Ok(Installed {
            place: if service.is_some() { format!("in namespace {namespace}") } else { "reached by URL".into() },
            image,
            pull_policy: container.as_ref().and_then(|it| it.image_pull_policy.clone()),
            command: container.and_then(|it| it.command),
            node_selector: pod.as_ref().and_then(|it| it.node_selector.clone()),
            tolerations: pod.and_then(|it| it.tolerations),
            pins,
        })
    }
}

/// The pods of the Deployment behind the Service: they share its name, or else the only one there is taken.
async fn deployed(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Option<PodSpec>> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let labelled = ListParams::default().labels("app.kubernetes.io/name=tidewaiter");
    let found = deployments.list(&labelled).await.context("list tidewaiter's Deployments")?.items;
    let of_name = found.iter().find(|it| it.metadata.name.as_deref() == Some(name));
    let one = of_name.or_else(|| found.first().filter(|_| found.len() == 1));
    Ok(one.and_then(|it| it.spec.as_ref()?.template.spec.clone()))
}
