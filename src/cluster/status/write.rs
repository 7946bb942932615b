//! Get, change, replace: the API server refuses what was changed in between, and we look again.

use super::{Counting, Finding, Status};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

const GROUP: &str = "tidewaiter.dev";
const VERSION: &str = "v1alpha1";
/// Between two reports of counts, and before something is tried again.
const ROUND: Duration = Duration::from_secs(30);
/// Everything is looked at anew every so many rounds: an object may have been made anew under its name.
const ROUNDS_TRUSTED: usize = 20;
/// For one object.
const PATIENCE: Duration = Duration::from_secs(10);
/// Others write too: as many times as there can be replicas.
const TRIES: usize = 8;
/// For the last report, when we are stopped.
const LAST: Duration = Duration::from_secs(5);

/// Writes what is found of each object, while `leader` says so; ends with `stop`.
pub async fn conditions(
    client: Client,
    mut findings: watch::Receiver<Arc<Vec<Finding>>>,
    mut leader: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let work = async {
        // What is known to be there. A new leader knows nothing and looks at all of them once.
        let mut written: BTreeMap<(String, Option<String>, String), Finding> = BTreeMap::new();
        let mut trusted = ROUNDS_TRUSTED;
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if *leader.borrow_and_update() {
                let all = Arc::clone(&findings.borrow_and_update());
                let id = |it: &Finding| (it.kind.clone(), it.namespace.clone(), it.name.clone());
                let there: BTreeSet<_> = all.iter().map(id).collect();
                written.retain(|id, _| there.contains(id));
                for finding in all.iter().filter(|it| written.get(&id(it)) != Some(*it)).cloned().collect::<Vec<_>>() {
                    let place = Place::of(&finding.kind, finding.namespace.as_deref(), &finding.name);
                    if change(&client, &place, |status| finding.applied(status, Timestamp::now())).await {
                        written.insert(id(&finding), finding);
                    }
                }
            } else {
                written.clear();
            }
            tokio::select! {
                // A sender that is gone changes nothing any more: then the rounds go on alone.
                Ok(()) = findings.changed() => {}
                Ok(()) = leader.changed() => {}
                _ = rounds.tick() => {
                    trusted = trusted.saturating_sub(1);
                    if trusted == 0 {
                        trusted = ROUNDS_TRUSTED;
                        written.clear();
                    }
                }
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Adds what was counted, every round, and once more at the end.
pub async fn counts(client: Client, counting: Arc<Counting>, stop: CancellationToken) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rounds.tick().await;
    while stop.run_until_cancelled(rounds.tick()).await.is_some() {
        report(&client, &counting).await;
    }
    let _ = timeout(LAST, report(&client, &counting)).await;
}

/// Reports what was counted; what could not be written is in the next report.
pub async fn report(client: &Client, counting: &Counting) {
    for (policy, count) in counting.take() {
        let Some(place) = Place::of_label(&policy) else { continue };
        if !change(client, &place, |status| count.added(status)).await {
            counting.add(&policy, count);
        }
    }
}

/// Where an object is.
struct Place<'p> {
    kind: &'p str,
    namespace: Option<&'p str>,
    name: &'p str,
}
impl<'p> Place<'p> {
    fn of(kind: &'p str, namespace: Option<&'p str>, name: &'p str) -> Self {
        Place { kind, namespace, name }
    }

    /// From `ClusterImagePolicy/shop` or `ImagePolicy/ns/shop`.
    fn of_label(label: &'p str) -> Option<Self> {
        let parts: Vec<&str> = label.split('/').collect();
        match parts.as_slice() {
            [kind, name] => Some(Place::of(kind, None, name)),
            [kind, namespace, name] => Some(Place::of(kind, Some(namespace), name)),
            _ => None,
        }
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        let plural = match self.kind {
            "ImagePolicy" => "imagepolicies",
            "ClusterImagePolicy" => "clusterimagepolicies",
            "TrustRoot" => "trustroots",
            _ => "registryconfigs",
        };
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, self.kind), plural);
        match self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        }
    }
}

/// Whether the object's status is as `to` wants it, or the object is gone. What is there already is not written again.
async fn change(client: &Client, place: &Place<'_>, to: impl Fn(&Status) -> Status) -> bool {
    let api = place.api(client);
    match timeout(PATIENCE, tries(&api, place.name, to)).await.unwrap_or_else(|_| Err("no answer in time".into())) {
        Ok(()) => true,
        Err(why) => {
            tracing::warn!(
                kind = place.kind,
                namespace = place.namespace,
                name = place.name,
                why,
                "status not written"
            );
            false
        }
    }
}

async fn tries(api: &Api<DynamicObject>, name: &str, to: impl Fn(&Status) -> Status) -> Result<(), String> {
    for _ in 0..TRIES {
        let Some(mut object) = api.get_opt(name).await.map_err(|error| error.to_string())? else { return Ok(()) };
        // What cannot be read, somebody made up by hand: it is written anew.
        let before: Status = object
            .data
            .get("status")
            .and_then(|status| serde_json::from_value(status.clone()).ok())
            .unwrap_or_default();
        let after = to(&before);
        if after == before {
            return Ok(());
        }
        object.data["status"] = serde_json::to_value(&after).map_err(|error| error.to_string())?;
        match api.replace_status(name, &PostParams::default(), &object).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("others wrote at the same time, again and again".into())
}
