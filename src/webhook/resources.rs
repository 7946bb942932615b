//! `/resources`: our own kinds, judged by the very parser that loads them, before they are stored.
//!
//! What one document says wrong is refused here with the field's name. What another document may still mend (a policy that comes before
//! its TrustRoot) is a warning: order is not the author's to choose where a whole directory is applied.

use super::review::{Answer, Operation, Request};
use crate::{
    reason::{Fault, Reason},
    resource::{self, FieldError, Resource},
};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the other documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The names of TrustRoots there are.
    pub trust_roots: BTreeSet<String>,
    /// Hosts of RegistryConfigs, and the name of the document each is from.
    pub registries: BTreeMap<String, String>,
    /// TrustRoots that policies name, and a policy that does.
    pub trusted: BTreeMap<String, String>,
}

impl Known {
    /// Of documents that are in use.
    pub fn of<'r>(resources: impl IntoIterator<Item = &'r Resource>) -> Self {
        let mut known = Known::default();
        for resource in resources {
            let name = &resource.metadata().name;
            match resource {
                Resource::TrustRoot(_) => drop(known.trust_roots.insert(name.clone())),
                Resource::RegistryConfig(config) => {
                    known.registries.extend(config.spec.canonical_host().map(|host| (host, name.clone())));
                }
                Resource::ClusterImagePolicy(policy) | Resource::ImagePolicy(policy) => {
                    for root in policy.spec.trust_roots() {
                        known.trusted.insert(root.to_owned(), format!("{} \"{name}\"", resource.kind()));
                    }
                }
                Resource::Chain(_) => {}
            }
        }
        known
    }
}

/// The kinds that are resources of the cluster; a Chain is a document of the store.
const KINDS: [&str; 4] = ["ImagePolicy", "ClusterImagePolicy", "TrustRoot", "RegistryConfig"];

/// The answer to a request about one of our kinds.
pub fn answer(request: &Request, known: &Known) -> Answer {
    let kind = &request.kind;
    let ours = format!("{}/{}", kind.group, kind.version) == resource::API_VERSION;
    if !ours || !KINDS.contains(&kind.kind.as_str()) {
        return refused(Reason::UnsupportedResource, format!("{kind} is not a kind of this version"));
    }
    match &request.operation {
        Operation::Delete => return deleted(request, known),
        // Only what we make of it is written there, by us.
        _ if request.sub_resource.is_some() => return Answer::allowed(),
        Operation::Create | Operation::Update => {}
        other => return refused(Reason::ReviewMalformed, format!("operation \"{}\" is not judged", other.as_str())),
    }
    let Some(object) = &request.object else {
        return refused(Reason::ReviewMalformed, "request.object is missing".into());
    };
    let object = serde_json::Value::from(object);
    // Clean-up never sticks: taking a finalizer away from what is going anyway changes nothing that decides.
    let old = request.old_object.as_ref().map(serde_json::Value::from);
    if old.is_some_and(|old| old.get("spec") == object.get("spec") && is_going(&object)) {
        return Answer::allowed();
    }
    // A new object may have only the beginning of its name: the API server has filled it in by now, and it is the object's own.
    let name = object.pointer("/metadata/name").and_then(serde_json::Value::as_str).unwrap_or(&request.name).to_owned();
    match resource::of_object(&name, object) {
        Err(errors) => refused(Reason::PolicyInvalid, told(&errors)),
        Ok(resource) => beside(&resource, known),
    }
}

fn is_going(object: &serde_json::Value) -> bool {
    object.get("metadata").and_then(|it| it.get("deletionTimestamp")).is_some_and(|it| !it.is_null())
}

/// A good document beside the others.
fn beside(resource: &Resource, known: &Known) -> Answer {
    let mut answer = Answer::allowed();
    match resource {
        Resource::RegistryConfig(config) => {
            let host = config.spec.canonical_host().unwrap_or_default();
            if let Some(other) = known.registries.get(&host).filter(|it| **it != config.metadata.name) {
                let why = format!("spec.host: RegistryConfig \"{other}\" is about {host} already");
                return refused(Reason::PolicyInvalid, why);
            }
        }
        Resource::ClusterImagePolicy(policy) | Resource::ImagePolicy(policy) => {
            let missing = policy.spec.trust_roots().into_iter().filter(|root| !known.trust_roots.contains(*root));
            answer.warnings.extend(missing.map(|root| {
                format!("TrustRoot \"{root}\" does not exist yet: images are denied with no_trust_root until it does")
            }));
        }
        Resource::TrustRoot(root) if root.spec.keys.is_empty() => {
            answer.warnings.push("it holds no key: what names it is denied with no_trust_root".into());
        }
        Resource::TrustRoot(_) | Resource::Chain(_) => {}
    }
    answer
}

fn deleted(request: &Request, known: &Known) -> Answer {
    let mut answer = Answer::allowed();
    if request.kind.kind == "TrustRoot"
        && let Some(policy) = known.trusted.get(&request.name)
    {
        let why = format!("{policy} names TrustRoot \"{}\": its images are denied with no_trust_root", request.name);
        answer.warnings.push(why);
    }
    answer
}

/// Each error with its field, one a line.
fn told(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn refused(reason: Reason, why: String) -> Answer {
    Answer::refused(&Fault::new(reason, why))
}

#[cfg(test)]
mod tests;
