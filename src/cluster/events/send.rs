//! The task that talks to the API server: one at a time, at a bounded rate, and never twice about the same.

use super::{
    Counts, Times, Told,
    memory::{Act, Memory, Recount},
};
use crate::cluster::MANAGER;
use jiff::Timestamp;
use k8s_openapi::{
    api::events::v1::Event,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::Receiver,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

/// Between two writes: ten a second, whatever is refused out there.
const PACE: Duration = Duration::from_millis(100);
/// For one write.
const PATIENCE: Duration = Duration::from_secs(5);
/// For what waits when we are stopped.
const LAST: Duration = Duration::from_secs(2);

pub struct Sender {
    pub client: Client,
    /// Which replica: `reportingInstance`.
    pub instance: String,
    pub counts: Arc<Counts>,
    pub times: Times,
}

impl Sender {
    pub async fn run(self, mut waiting: Receiver<Told>, stop: CancellationToken) {
        let mut memory = Memory::new(Instant::now(), self.times.recount);
        let mut rounds = interval(self.times.round);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                told = waiting.recv() => match told {
                    Some(told) => self.tell(&mut memory, &told).await,
                    None => return,
                },
                _ = rounds.tick() => {
                    for recount in memory.recounts(Instant::now()) {
                        self.recount(recount).await;
                    }
                }
            }
        }
        waiting.close();
        let rest = async {
            while let Some(told) = waiting.recv().await {
                self.tell(&mut memory, &told).await;
            }
        };
        let _ = timeout(LAST, rest).await;
    }

    async fn tell(&self, memory: &mut Memory, told: &Told) {
        let count = match memory.take(told, Instant::now()) {
            Act::Repeated => &self.counts.repeated,
            Act::Suppressed => &self.counts.suppressed,
            Act::Write => {
                let events: Api<Event> = Api::namespaced(self.client.clone(), &told.regarding.namespace);
                let event = event(told, &self.instance, Timestamp::now());
                let options = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
                let created = timeout(PATIENCE, events.create(&options, &event)).await;
                tokio::time::sleep(PACE).await;
                match created.map_err(|_| "no answer in time".to_owned()).and_then(|it| it.map_err(|it| it.to_string()))
                {
                    Ok(event) => {
                        memory.written(told, event.metadata.name.unwrap_or_default());
                        &self.counts.sent
                    }
                    Err(why) => {
                        tracing::debug!(namespace = told.regarding.namespace, why, "event not written");
                        memory.lost(told);
                        &self.counts.failed
                    }
                }
            }
        };
        count.fetch_add(1, Relaxed);
    }

    async fn recount(&self, Recount { namespace, name, count }: Recount) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let series =
            serde_json::json!({ "series": { "count": count, "lastObservedTime": MicroTime(Timestamp::now()) } });
        let options = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let patched = timeout(PATIENCE, events.patch(&name, &options, &Patch::Merge(series))).await;
        tokio::time::sleep(PACE).await;
        // It may have expired, or its namespace is gone: the count goes with it.
        if !matches!(patched, Ok(Ok(_))) {
            self.counts.failed.fetch_add(1, Relaxed);
        }
    }
}

/// The event as the API server validates it: note ≤ 1 KiB, reason, action and instance ≤ 128 characters, `regarding` in its own namespace.
fn event(told: &Told, instance: &str, now: Timestamp) -> Event {
    Event {
        // The API server makes the rest of the name: replicas need not agree.
        metadata: ObjectMeta {
            generate_name: Some(format!("{MANAGER}-")),
            namespace: Some(told.regarding.namespace.clone()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        type_: Some(told.what.kind().into()),
        reason: Some(told.what.as_str().into()),
        action: Some(told.what.action().into()),
        note: Some(told.note.clone()),
        regarding: Some((&told.regarding).into()),
        reporting_controller: Some("tidewaiter.dev/webhook".into()),
        reporting_instance: Some(instance.into()),
        ..Event::default()
    }
}
