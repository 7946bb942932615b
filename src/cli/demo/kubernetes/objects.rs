//! What the demonstration makes in the cluster, and how it goes away again.

use super::{super::keys::Keys, installed::Installed};
use crate::key::SecretKey;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio::time::{Instant, sleep};

/// On everything, so that what a killed demonstration left can be found.
const LABEL: &str = "tidewaiter.dev/demo";
/// Of an object in etcd, less what is not data.
const CONFIG_MAP_BYTES_MAX: usize = 1_000_000;

/// Everything bears one name, or begins with it.
pub struct Objects {
    client: Client,
    name: String,
}

/// `apiVersion`, kind, plural of what is not in a namespace.
const CLUSTER_WIDE: [(&str, &str, &str); 4] = [
    ("tidewaiter.dev/v1alpha1", "ClusterImagePolicy", "clusterimagepolicies"),
    ("tidewaiter.dev/v1alpha1", "TrustRoot", "trustroots"),
    ("tidewaiter.dev/v1alpha1", "RegistryConfig", "registryconfigs"),
    ("v1", "Namespace", "namespaces"),
];

impl Objects {
    pub fn new(client: Client, name: String) -> Self {
        Objects { client, name }
    }

    /// Of the namespace, the policy and the RegistryConfig.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace, and the Service whose address the images are named by; its address.
    pub async fn namespace_and_service(&self) -> anyhow::Result<String> {
        self.create("v1", "Namespace", "namespaces", &self.name, json!({})).await?;
        let spec = json!({ "selector": { LABEL: self.name }, "ports": [{ "name": "registry", "port": super::registry::PORT }] });
        self.create("v1", "Service", "services", "registry", json!({ "spec": spec })).await?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.name);
        let service = services.get("registry").await.context("read the Service")?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
        if address.contains(':') {
            bail!("the Service's address is {address}: an image reference cannot name an IPv6 address");
        }
        Ok(address)
    }

    /// The OCI layout as a ConfigMap, and the pod that serves it.
    pub async fn registry(&self, installed: &Installed, layout: &Path) -> anyhow::Result<()> {
        let files = files(layout)?;
        let size: usize = files.iter().map(|(key, _, bytes)| key.len() + bytes.len()).sum();
        anyhow::ensure!(size <= CONFIG_MAP_BYTES_MAX, "the images are {size} bytes, too many for a ConfigMap");
        let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let data: serde_json::Map<String, Value> =
            files.iter().map(|(key, _, bytes)| (key.clone(), encoded(bytes).into())).collect();
        self.create("v1", "ConfigMap", "configmaps", "registry", json!({ "binaryData": data })).await?;
        let items: Vec<Value> = files.iter().map(|(key, path, _)| json!({ "key": key, "path": path })).collect();
        let container = json!({
            "name": "registry",
            "image": installed.image,
            "imagePullPolicy": installed.pull_policy,
            "command": installed.command,
            "args": ["demo", "--serve-registry", "/layout"],
            "ports": [{ "containerPort": super::registry::PORT }],
            "readinessProbe": { "httpGet": { "path": "/v2/", "port": super::registry::PORT }, "periodSeconds": 1 },
            "resources": { "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "128Mi" } },
            "securityContext": restricted(),
            "volumeMounts": [{ "name": "layout", "mountPath": "/layout", "readOnly": true }],
        });
        let spec = json!({
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "nodeSelector": installed.node_selector,
            "tolerations": installed.tolerations,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container],
            "volumes": [{ "name": "layout", "configMap": { "name": "registry", "items": items } }],
        });
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match self.create("v1", "Pod", "pods", "registry", json!({ "spec": spec })).await {
                // The namespace's service account is made a moment after the namespace.
                Err(error) if super::ask::wants_service_account(&error) && Instant::now() < until => {
                    sleep(Duration::from_millis(500)).await;
                }
                Err(error) => {
                    return Err(error.context("the pod of the demonstration's registry (--image names another)"));
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Waits for the pod to be ready.
    pub async fn ready(&self, patience: Duration) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        let until = Instant::now() + patience;
        loop {
            let status = pods.get("registry").await.context("read the registry's pod")?.status.unwrap_or_default();
            if status.conditions.iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True") {
                return Ok(());
            }
            if Instant::now() > until {
                let waiting =
                    status.container_statuses.iter().flatten().find_map(|it| it.state.as_ref()?.waiting.clone());
                let why =
                    waiting.map(|it| [it.reason, it.message].into_iter().flatten().collect::<Vec<_>>().join(": "));
                let phase = status.phase.unwrap_or_default();
                bail!("the registry's pod is not ready after {} s: {}", patience.as_secs(), why.unwrap_or(phase));
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Trust, the way to the registry, and the policy, which holds in the namespace alone.
    pub async fn policies(&self, host: &str, keys: &Keys) -> anyhow::Result<()> {
        let [owners, release] = self.roots();
        let pem = |key: &SecretKey| key.public().to_pem();
        let root =
            json!({ "keys": [{ "name": "alice", "pem": pem(&keys.alice) }, { "name": "bob", "pem": pem(&keys.bob) }] });
        self.tidewaiter("TrustRoot", &owners, root).await?;
        let root = json!({ "keys": [{ "name": "release", "pem": pem(&keys.release) }] });
        self.tidewaiter("TrustRoot", &release, root).await?;
        let config = json!({ "host": host, "allowPrivate": true, "insecure": true });
        self.tidewaiter("RegistryConfig", &self.name, config).await?;
        let policy = json!({
            "images": [format!("{host}/shop/**")],
            "namespaces": [self.name],
            "mode": "Enforce",
            "digest": "Pin",
            "require": { "all": [
                { "name": "released", "signature": { "cosign": { "trust": release } } },
                { "name": "built-by-us", "supplyChain": { "layout": { "owners": owners, "threshold": 2 }, "evidence": ["oci"] } },
            ] },
        });
        self.tidewaiter("ClusterImagePolicy", &self.name, policy).await
    }

    fn roots(&self) -> [String; 2] {
        [format!("{}-owners", self.name), format!("{}-release", self.name)]
    }

    async fn tidewaiter(&self, kind: &str, name: &str, spec: Value) -> anyhow::Result<()> {
        let of_kind = CLUSTER_WIDE.iter().find(|it| it.1 == kind);
        let (version, kind, plural) = of_kind.context("a kind of ours")?;
        self.create(version, kind, plural, name, json!({ "spec": spec })).await
    }

    async fn create(
        &self,
        version: &str,
        kind: &str,
        plural: &str,
        name: &str,
        mut object: Value,
    ) -> anyhow::Result<()> {
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({ "name": name, "labels": { LABEL: self.name } });
        let object: DynamicObject = serde_json::from_value(object)?;
        self.api(version, kind, plural)
            .create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("create {kind} {name}"))?;
        Ok(())
    }

    fn api(&self, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let (group, number) = version.split_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, number, kind), plural);
        match CLUSTER_WIDE.iter().any(|it| it.1 == kind) {
            true => Api::all_with(self.client.clone(), &resource),
            false => Api::namespaced_with(self.client.clone(), &self.name, &resource),
        }
    }

    /// Takes everything away: the policy first, so that nothing is refused on the way. Goes on where one fails.
    pub async fn remove(&self) -> anyhow::Result<()> {
        let [owners, release] = self.roots();
        let mut left = Vec::new();
        for (version, kind, plural) in CLUSTER_WIDE {
            let api = self.api(version, kind, plural);
            let names =
                if kind == "TrustRoot" { vec![owners.as_str(), release.as_str()] } else { vec![self.name.as_str()] };
            for name in names {
                let deleted =
                    tokio::time::timeout(Duration::from_secs(20), api.delete(name, &DeleteParams::default())).await;
                match deleted {
                    Ok(Ok(_)) => {}
                    Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
                    Ok(Err(error)) => left.push(format!("{kind} {name}: {error}")),
                    Err(_) => left.push(format!("{kind} {name}: no answer in time")),
                }
            }
        }
        anyhow::ensure!(left.is_empty(), "not taken away: {}", left.join("; "));
        Ok(())
    }

    /// The command for whoever wants to, or must.
    pub fn how_to_remove(&self) -> String {
        format!(
            "to take it away: kubectl delete clusterimagepolicies,trustroots,registryconfigs,namespaces -l {LABEL}={}",
            self.name
        )
    }
}

/// What PodSecurity `restricted` asks of a container.
pub fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

/// Each file of the layout: its key in the ConfigMap, its path, its bytes.
fn files(layout: &Path) -> anyhow::Result<Vec<(String, String, Vec<u8>)>> {
    let mut files = Vec::new();
    for name in ["oci-layout", "index.json"] {
        files.push((name.to_owned(), name.to_owned(), std::fs::read(layout.join(name))?));
    }
    for entry in std::fs::read_dir(layout.join("blobs/sha256"))? {
        let entry = entry?;
        let hex = entry.file_name().into_string().ok().context("a blob whose name is not UTF-8")?;
        let bytes = std::fs::read(entry.path())?;
        files.push((hex.clone(), format!("blobs/sha256/{hex}"), bytes));
    }
    Ok(files)
}
