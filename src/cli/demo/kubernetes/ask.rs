//! Asking: a pod is created by server-side dry run, and what the API server says is the answer.

use super::{
    super::cases::{Answer, Prepared},
    objects::restricted,
};
use crate::reason::{Class, Reason};
use anyhow::bail;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::PostParams};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// For every replica to have seen the policy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Denials in a row by the policy: there are several replicas, and each watches for itself.
const IN_A_ROW: u32 = 6;

pub struct Asking {
    pub client: Client,
    pub namespace: String,
}

impl Asking {
    /// Creates the pod by dry run; the image that would run, or the API server's refusal.
    async fn create(&self, name: &str, image: &str) -> kube::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name },
            "spec": {
                "automountServiceAccountToken": false,
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{ "name": "api", "image": image, "securityContext": restricted() }],
            },
        });
        let pod: Pod = serde_json::from_value(pod).map_err(kube::Error::SerdeError)?;
        let created = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await?;
        let image = created.spec.and_then(|spec| spec.containers.into_iter().next()).and_then(|it| it.image);
        Ok(image.unwrap_or_default())
    }

    /// Waits until an image that is nowhere is refused by the policy, for its own sake and not because the registry cannot be asked.
    pub async fn until_in_force(&self, host: &str) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        let (mut in_a_row, mut asked) = (0, 0u64);
        let mut last = String::new();
        while Instant::now() < until {
            // Another one each time: a denial is remembered for some seconds.
            asked += 1;
            match self.create("probe", &format!("{host}/shop/nowhere@sha256:{asked:064x}")).await {
                Ok(_) => (in_a_row, last) = (0, "such a pod is admitted".into()),
                Err(kube::Error::Api(status)) => {
                    let reason = Reason::ALL.iter().find(|it| it.as_str() == status.reason);
                    let ours = status.message.contains(&format!("denied by ClusterImagePolicy \"{}\"", self.namespace));
                    let looked = ours && reason.is_some_and(|it| it.class() != Class::Unavailable);
                    in_a_row = if looked { in_a_row + 1 } else { 0 };
                    last = status.message.clone();
                }
                Err(error) => return Err(error.into()),
            }
            if in_a_row >= IN_A_ROW {
                return Ok(());
            }
            sleep(Duration::from_millis(200)).await;
        }
        bail!(
            "after {} s the policy is not in force, or tidewaiter's pods cannot reach {host} (a NetworkPolicy?); the last answer: {last}",
            PATIENCE.as_secs()
        )
    }

    /// One case.
    pub async fn about(&self, prepared: &Prepared) -> anyhow::Result<Answer> {
        let (case, expected) = (prepared.case, prepared.expected);
        match self.create(prepared.name, &prepared.image).await {
            Ok(image) => Ok(Answer { case, image, expected, allowed: true, reason: None, message: None }),
            Err(kube::Error::Api(status)) => Ok(Answer {
                case,
                image: prepared.image.clone(),
                expected,
                allowed: false,
                reason: Some(status.reason.clone()),
                message: Some(own_words(&status.message).to_owned()),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// What follows the API server's `admission webhook "…" denied the request: `.
fn own_words(message: &str) -> &str {
    message.split_once(" denied the request: ").map_or(message, |(_, words)| words)
}

/// A refusal that a moment later is none.
pub fn wants_service_account(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => status.code == 403 && status.message.contains("service account"),
        _ => false,
    }
}
