//! One field wrong.

use crate::{
    cluster::Cluster,
    corpus::{self, By, KINDS, good},
    loader::{admission, denial},
};
use serde_json::json;

/// As the API server handles a request: its schema first, and what that lets through comes to our webhook.
pub async fn each_field_is_refused_by_its_name(cluster: &Cluster) {
    let mut faults = Vec::new();
    let strict = "dryRun=All&fieldValidation=Strict";
    for case in corpus::everywhere() {
        let (id, field) = (&case.id, &case.field);
        match (cluster.create(&case.wrong(), strict).await, case.by) {
            (Err(message), By::Schema | By::Strict) if message.contains(field) => {}
            // With all that the API server writes into it, defaults too.
            (Ok(object), By::Webhook) => {
                faults.extend(denial(&object, field).err().map(|fault| format!("{id}: {fault}")))
            }
            (other, by) => faults.push(format!("{id}: not refused for {field} by {by:?}: {other:?}")),
        }
        match cluster.create(&case.right(), strict).await {
            Ok(object) => faults.extend(admission(&object).err().map(|fault| format!("{id} (right): {fault}"))),
            Err(message) => faults.push(format!("{id} (right): {message}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A field nobody knows: a strict client is refused; another's is gone before our webhook could see it.
pub async fn what_is_unknown_is_refused_or_pruned(cluster: &Cluster) {
    for kind in KINDS {
        let mut object = good(kind);
        object["spec"]["mdoe"] = json!("Audit");
        let refused = cluster.create(&object, "dryRun=All&fieldValidation=Strict").await.unwrap_err();
        assert!(refused.contains("unknown field \"spec.mdoe\""), "{refused}");
        let told = cluster.kubectl_with(&["apply", "--dry-run=server", "-f", "-"], &object.to_string()).unwrap_err();
        assert!(told.contains("unknown field \"spec.mdoe\""), "kubectl is strict unless told otherwise: {told}");
        let stored = cluster.create(&object, "dryRun=All&fieldValidation=Ignore").await.unwrap();
        assert_eq!(stored["spec"].get("mdoe"), None, "pruned");
        admission(&stored).unwrap();
        // What does come to the webhook is refused there.
        denial(&object, "spec.mdoe").unwrap();
    }
}
