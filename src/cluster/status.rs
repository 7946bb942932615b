//! What the authors of our resources read in `kubectl get` and `describe`: whether what they wrote is in use, and what it matches.
//!
//! Two writers, each with its own half of `status`, both by get, change and replace, so that neither loses what the other wrote:
//!
//! * the leader writes conditions ([`Finding`]), when they change;
//! * every replica adds what it counted since its last report ([`Counting`]), each 30 s. What a replica had not reported when it was killed is
//!   lost: the numbers are for people, `/metrics` has the exact ones.
//!
//! A dry run writes nothing: it is not even counted (security §2.B11).

use super::Cluster;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

mod condition; // what the leader says of one object
mod count; // what one replica counted
pub mod findings; // what each object came to
mod write; // get, change, replace

pub use condition::{Finding, Holds, Why};
pub use count::{Count, Counting};
pub use write::report;

/// The status of each of our kinds; a kind leaves the fields empty that are not its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `metadata.generation` that `conditions` are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>,
    /// TrustRoot: how many keys, their names, and when the first of them ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<jiff::Timestamp>,
    /// Policies: images of requests that they selected, those of them that did not meet it, and when the last one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_matched: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_unmet: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_matched: Option<jiff::Timestamp>,
    /// What a newer version of ours wrote: kept, and not understood.
    #[serde(flatten)]
    pub other: std::collections::BTreeMap<String, serde_json::Value>,
}

/// Starts both writers; they end with `stop`, the counts after a last report. `findings`: all objects, anew with each change of one;
/// `leader`: whether this replica writes conditions.
pub fn start(
    cluster: &Cluster,
    findings: watch::Receiver<Arc<Vec<Finding>>>,
    leader: watch::Receiver<bool>,
    stop: CancellationToken,
) -> Arc<Counting> {
    let counting = Arc::new(Counting::default());
    tokio::spawn(write::conditions(cluster.client.clone(), findings, leader, stop.clone()));
    tokio::spawn(write::counts(cluster.client.clone(), Arc::clone(&counting), stop));
    counting
}
