//! One kind of object, listed and then watched for as long as we run. What breaks is begun again; until a list is whole, nobody hears of it.

use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    Api, Resource,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use std::{
    fmt::Debug,
    pin::pin,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The API server ends a watch after so long and it is begun again: a connection that died in silence is noticed soon after.
pub(super) const WATCH_SECONDS: u32 = 30;
/// Between two tries: security §4.3 F15 wants a broken watch back within five seconds.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// What was seen.
pub(super) enum Change<K> {
    /// Everything there is; what is not among it is gone.
    Listed(Vec<K>),
    Applied(K),
    Deleted(K),
}

/// How a watch does, for readiness and metrics.
#[derive(Debug, Default)]
pub struct Health {
    listed: AtomicBool,
    restarts: AtomicU64,
    synced: AtomicI64,
    failing: AtomicBool,
}

impl Health {
    /// Whether a whole list was seen once.
    pub fn listed(&self) -> bool {
        self.listed.load(Relaxed)
    }
    /// How often the list or the watch had to be begun again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }
    /// When a whole list or a change was last seen.
    pub fn synced(&self) -> Option<Timestamp> {
        let second = self.synced.load(Relaxed);
        if second == 0 { None } else { Timestamp::from_second(second).ok() }
    }
}

/// Tells `seen` of every change until `stop`. `what` names the kind in the log, where each new error is told once.
pub(super) async fn follow<K>(
    api: Api<K>,
    what: &'static str,
    health: &Health,
    mut seen: impl FnMut(Change<K>),
    stop: CancellationToken,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = pin!(watcher(api, watcher::Config::default().timeout(WATCH_SECONDS)));
    let (mut list, mut pause, mut told) = (Vec::new(), PAUSE_MIN, String::new());
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Some(Ok(Event::Init)) => {
                list.clear();
                continue; // a list was begun: that is no sign of life yet
            }
            Some(Ok(Event::InitApply(object))) => {
                list.push(object);
                continue;
            }
            Some(Ok(Event::InitDone)) => {
                seen(Change::Listed(std::mem::take(&mut list)));
                health.listed.store(true, Relaxed);
            }
            Some(Ok(Event::Apply(object))) => seen(Change::Applied(object)),
            Some(Ok(Event::Delete(object))) => seen(Change::Deleted(object)),
            Some(Err(error)) => {
                health.restarts.fetch_add(1, Relaxed);
                health.failing.store(true, Relaxed);
                let error = chain(&error);
                if told != error {
                    tracing::warn!(what, error, "the watch is broken: going on with what is known");
                    told = error;
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
            // The watcher never ends by itself.
            None => return,
        }
        health.synced.store(Timestamp::now().as_second(), Relaxed);
        if health.failing.swap(false, Relaxed) {
            tracing::info!(what, "the watch is back");
        }
        pause = PAUSE_MIN;
        told.clear();
    }
}

/// The error with its causes: a client's own text seldom says which of them it was.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
