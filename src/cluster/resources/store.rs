//! What was seen of our resources → what to decide by. Nothing here waits.

use super::{Broken, Document, Judged, Kind, View};
use crate::resource::{self, FieldError, Resource};
use jiff::Timestamp;
use kube::api::DynamicObject;
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Kind, namespace, name.
type Id = (Kind, Option<String>, String);

/// Every object as last seen.
#[derive(Default)]
pub struct Store {
    entries: BTreeMap<Id, Entry>,
    listed: BTreeSet<Kind>,
}

struct Entry {
    uid: String,
    generation: i64,
    created: Option<Timestamp>,
    outcome: Result<Arc<Resource>, Vec<FieldError>>,
    /// The last version without an error of the object with this uid.
    good: Option<Arc<Resource>>,
}

impl Store {
    /// A whole list of a kind; whether anything is new.
    pub fn listed(&mut self, kind: Kind, objects: Vec<DynamicObject>) -> bool {
        let mut changed = self.listed.insert(kind);
        let there: BTreeSet<Id> = objects.iter().map(|object| id(kind, object)).collect();
        self.entries.retain(|id, _| {
            let stays = id.0 != kind || there.contains(id);
            changed |= !stays;
            stays
        });
        for object in objects {
            changed |= self.applied(kind, object);
        }
        changed
    }

    /// A version of an object; whether it is a new one. What others write into its status is not.
    pub fn applied(&mut self, kind: Kind, object: DynamicObject) -> bool {
        let id = id(kind, &object);
        let metadata = &object.metadata;
        let (uid, generation) = (metadata.uid.clone().unwrap_or_default(), metadata.generation.unwrap_or_default());
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        let before = self.entries.get(&id).filter(|before| before.uid == uid);
        if generation != 0 && before.is_some_and(|before| before.generation == generation) {
            return false;
        }
        let outcome = judge(kind, object).map(Arc::new);
        let good = match &outcome {
            Ok(resource) => Some(Arc::clone(resource)),
            Err(errors) => {
                let kept = before.and_then(|before| before.good.clone());
                let error = errors.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(
                    kind = kind.as_str(),
                    namespace = id.1,
                    name = id.2,
                    error,
                    kept = kept.is_some(),
                    "resource in error"
                );
                kept
            }
        };
        self.entries.insert(id, Entry { uid, generation, created, outcome, good });
        true
    }

    /// An object is gone.
    pub fn deleted(&mut self, kind: Kind, object: &DynamicObject) -> bool {
        self.entries.remove(&id(kind, object)).is_some()
    }

    /// What to decide by; `None` until every kind was listed.
    pub fn view(&self) -> Option<View> {
        if !Kind::ALL.iter().all(|kind| self.listed.contains(kind)) {
            return None;
        }
        let hosts = self.hosts();
        let mut view = View::default();
        for ((kind, namespace, name), entry) in &self.entries {
            let good = entry.good.as_deref().filter(|good| match good {
                Resource::RegistryConfig(config) => {
                    config.spec.canonical_host().is_some_and(|host| hosts.get(&host).is_some_and(|it| it.1 == name))
                }
                _ => true,
            });
            if let Some(good) = good {
                view.documents.push(document(*kind, namespace.as_deref(), name, good));
            }
            if let (Err(errors), None, Kind::ClusterImagePolicy | Kind::ImagePolicy) = (&entry.outcome, good, kind) {
                view.broken.push(Broken {
                    kind: *kind,
                    namespace: namespace.clone(),
                    name: name.clone(),
                    message: errors.first().map(ToString::to_string).unwrap_or_default(),
                });
            }
            view.judged.push(Judged {
                kind: *kind,
                namespace: namespace.clone(),
                name: name.clone(),
                generation: entry.generation,
                outcome: entry.outcome.clone(),
                in_use: good.is_some(),
            });
        }
        Some(view)
    }

    /// Which RegistryConfig counts for a host: the oldest, then the first by name.
    fn hosts(&self) -> BTreeMap<String, (Option<Timestamp>, &str)> {
        let mut hosts = BTreeMap::new();
        for ((.., name), entry) in &self.entries {
            let Some(Resource::RegistryConfig(config)) = entry.good.as_deref() else { continue };
            let Some(host) = config.spec.canonical_host() else { continue };
            let candidate = (entry.created, name.as_str());
            hosts.entry(host).and_modify(|first| *first = candidate.min(*first)).or_insert(candidate);
        }
        hosts
    }
}

fn id(kind: Kind, object: &DynamicObject) -> Id {
    let metadata = &object.metadata;
    (kind, metadata.namespace.clone(), metadata.name.clone().unwrap_or_default())
}

fn document(kind: Kind, namespace: Option<&str>, name: &str, resource: &Resource) -> Document {
    let label = match namespace {
        Some(namespace) => format!("{}/{namespace}/{name}", kind.as_str()),
        None => format!("{}/{name}", kind.as_str()),
    };
    (label, 1, resource.clone())
}

/// By the parser of our files. The items of a list need not say what they are.
fn judge(kind: Kind, object: DynamicObject) -> Result<Resource, Vec<FieldError>> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let mut value = serde_json::to_value(object).map_err(|error| vec![FieldError::new("", error.to_string())])?;
    if let Some(object) = value.as_object_mut() {
        object.insert("apiVersion".into(), resource::API_VERSION.into());
        object.insert("kind".into(), kind.as_str().into());
    }
    // A defect of ours must not end the watch: the object is in error, and the others go on.
    catch_unwind(AssertUnwindSafe(|| resource::of_object(&name, value)))
        .unwrap_or_else(|_| Err(vec![FieldError::new("", "a defect of tidewaiter; its log says where")]))
}

#[cfg(test)]
mod tests;
