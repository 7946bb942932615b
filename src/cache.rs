//! Verdicts by repository, digest, policy, namespace and credential; bounded by bytes; single flight per key
//! (security §0.8, §2.G). Never a tag, never the text as written.
//!
//! Not here: what a verdict is (`policy`), and how one is made (`webhook::Judge`).

use crate::{
    digest::Digest,
    policy::ImageVerdict,
    reason::{Class, Fault, Reason},
    registry::Repository,
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// What a verdict depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub repository: Repository,
    pub digest: Digest,
    /// The hash of all policies and trust roots: removing a key takes effect with the next review (F6).
    pub policy: Digest,
    pub namespace: String,
    /// Whose credential of the pod's read the evidence (G4); empty for the operator's, or none.
    pub credential: String,
}

/// G8: some ten thousand verdicts of a few kilobytes.
const BYTES_MAX: u64 = 64 << 20;
/// G3: an allowance is looked at again after this long, whatever the metadata says.
const KEPT_MAX: Duration = Duration::from_secs(300);
/// G2: a denial for want of evidence goes stale when the evidence arrives.
const DENIAL_KEPT_MAX: Duration = Duration::from_secs(10);
/// What a flight keeps back of its leader's time, so that what it found is still told: twice the grace of `source`.
const LANDING: Duration = Duration::from_millis(200);

/// The verdict cache. Cheap to share (`Arc`).
pub struct Cache {
    kept: moka::future::Cache<Key, Arc<Entry>>,
    flights: Arc<Flights<Key, Arc<ImageVerdict>>>,
    counts: Counts,
}
/// Since start, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    /// Callers that waited for another's verdict.
    pub joined: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    verdict: Arc<ImageVerdict>,
    judged: Timestamp,
    kept_for: Duration,
}
impl Default for Cache {
    fn default() -> Self {
        Cache {
            kept: moka::future::Cache::builder()
                .max_capacity(BYTES_MAX)
                .weigher(|key: &Key, entry: &Arc<Entry>| weight(key, entry))
                .expire_after(Expiry)
                .build(),
            flights: Arc::default(),
            counts: Counts::default(),
        }
    }
}

impl Cache {
    /// Hits, misses and joined flights since start.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Bytes kept, as weighed.
    pub fn bytes(&self) -> u64 {
        self.kept.weighted_size()
    }

    /// Whether the verdict for `key` is kept, and still valid at `now`.
    pub async fn holds(&self, key: &Key, now: Timestamp) -> bool {
        self.kept.get(key).await.is_some_and(|entry| entry.serves(now))
    }

    /// The verdict for `key`: kept, or being made by another caller, or made by `judge`, which is given its deadline.
    /// 500 callers at once are one `judge`; each waits no longer than its own deadline.
    ///
    /// # Errors
    /// `deadline_exceeded` where the caller's time ran out, `internal_error` where `judge` panicked.
    pub async fn verdict<F>(
        &self,
        key: Key,
        deadline: Instant,
        now: Timestamp,
        judge: impl Fn(Instant) -> F,
    ) -> Result<Arc<ImageVerdict>, Fault>
    where
        F: Future<Output = ImageVerdict> + Send + 'static,
    {
        let mut flights = 0;
        loop {
            if let Some(entry) = self.kept.get(&key).await
                && entry.serves(now)
            {
                self.counts.hits.fetch_add(1, Relaxed);
                return Ok(Arc::clone(&entry.verdict));
            }
            flights += 1;
            let flight = self.flights.join(&key, deadline, || {
                let own = deadline.checked_sub(LANDING).unwrap_or(deadline);
                let (judged, kept, key) = (judge(own), self.kept.clone(), key.clone());
                async move {
                    let verdict = Arc::new(judged.await);
                    if let Some(kept_for) = keep(&verdict, now) {
                        let entry = Entry { verdict: Arc::clone(&verdict), judged: now, kept_for };
                        kept.insert(key, Arc::new(entry)).await;
                    }
                    verdict
                }
            });
            let count = if flight.leads { &self.counts.misses } else { &self.counts.joined };
            count.fetch_add(1, Relaxed);
            match tokio::time::timeout_at(deadline.into(), flight.landing).await {
                Err(_) => return Err(Fault::new(Reason::DeadlineExceeded, "the review's time ran out")),
                Ok(None) => return Err(Fault::new(Reason::InternalError, "judging the image failed")),
                // The one who started it had less time than we have: fly again (G7).
                Ok(Some(verdict))
                    if flights < FLIGHTS_MAX && reasons(&verdict).any(|it| hurried(it, flight.until, deadline)) => {}
                Ok(Some(verdict)) => return Ok(verdict),
            }
        }
    }
}

impl Entry {
    /// Judged no later than `now`, and still valid then: a cache outlives no metadata, even if the clock is set.
    fn serves(&self, now: Timestamp) -> bool {
        self.judged <= now && self.verdict.valid_until.is_none_or(|until| now < until)
    }
}

/// How long a verdict may be kept; `None`: not at all.
fn keep(verdict: &ImageVerdict, now: Timestamp) -> Option<Duration> {
    let unmet = || verdict.policies.iter().filter(|policy| !policy.met).flat_map(|policy| &policy.requirements);
    if unmet().any(|requirement| !requirement.met && requirement.class == Some(Class::Unavailable)) {
        return None; // G2: what we could not see says nothing
    }
    let most = if verdict.policies.iter().all(|policy| policy.met) { KEPT_MAX } else { DENIAL_KEPT_MAX };
    let Some(until) = verdict.valid_until else { return Some(most) };
    let left = Duration::try_from(until.duration_since(now)).ok()?;
    Some(left.min(most)).filter(|left| !left.is_zero())
}

fn reasons(verdict: &ImageVerdict) -> impl Iterator<Item = Reason> {
    let requirements = verdict.policies.iter().flat_map(|policy| &policy.requirements);
    requirements.filter_map(|requirement| requirement.reason)
}

/// How often one caller flies with others who turn out to have less time.
pub const FLIGHTS_MAX: usize = 3;
/// So much more time may see an answer where less saw a place that did not answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether a flight that ended at `until` was told this only because its time ran out, and `deadline` leaves more. Who asks us with
/// next to no time must not decide for the others.
pub fn hurried(reason: Reason, until: Instant, deadline: Instant) -> bool {
    match reason {
        Reason::DeadlineExceeded | Reason::RegistryTimeout | Reason::StoreUnavailable => until + PATIENCE < deadline,
        _ => false,
    }
}

fn weight(key: &Key, entry: &Entry) -> u32 {
    let Key { repository, namespace, credential, .. } = key;
    let mut bytes = 512 + repository.registry.len() + repository.path.len() + namespace.len() + credential.len();
    bytes += entry.verdict.warnings.iter().map(|text| 32 + text.len()).sum::<usize>();
    for policy in &entry.verdict.policies {
        bytes += 96 + policy.policy.len();
        for requirement in &policy.requirements {
            bytes += 160 + requirement.name.len() + requirement.message.as_deref().map_or(0, str::len);
            bytes += requirement.by.iter().map(|name| 32 + name.len()).sum::<usize>();
        }
    }
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

struct Expiry;
impl moka::Expiry<Key, Arc<Entry>> for Expiry {
    fn expire_after_create(&self, _: &Key, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.kept_for)
    }
    fn expire_after_update(&self, _: &Key, entry: &Arc<Entry>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.kept_for)
    }
}

/// Work under way, by key: whoever asks for the same while it runs gets the same answer. Nothing is kept afterwards. Work that has less
/// than half of the time left that a caller has is not for him: he starts his own, which those after him join.
///
/// The work is a task of its own: it goes on when the caller who started it hangs up, since others wait for it.
pub struct Flights<K, V>(Mutex<HashMap<K, Departed<V>>>);
type Landing<V> = Shared<BoxFuture<'static, Option<V>>>;

struct Departed<V> {
    /// Apart from others of the same key.
    number: u64,
    until: Instant,
    landing: Landing<V>,
}

/// A seat in a flight.
pub struct Flight<V: Clone> {
    /// Whether this caller started it.
    pub leads: bool,
    /// How much time it has.
    pub until: Instant,
    /// `None`: the work panicked.
    pub landing: Landing<V>,
}

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Flights(Mutex::default())
    }
}
impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the flight for `key`, or starts one with `work`, which has until `until`.
    pub fn join<F>(self: &Arc<Self>, key: &K, until: Instant, work: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let now = Instant::now();
        let mut flights = self.lock();
        let number = match flights.get(key) {
            Some(known) if known.until.saturating_duration_since(now) * 2 >= until.saturating_duration_since(now) => {
                return Flight { leads: false, until: known.until, landing: known.landing.clone() };
            }
            Some(known) => known.number.wrapping_add(1),
            None => 0,
        };
        let (work, entry) = (work(), Listed { flights: Arc::clone(self), key: key.clone(), number });
        let task = tokio::spawn(async move {
            let _entry = entry; // struck off when done, also by a panic
            work.await
        });
        let landing = async move { task.await.ok() }.boxed().shared();
        flights.insert(key.clone(), Departed { number, until, landing: landing.clone() });
        Flight { leads: true, until, landing }
    }
}
impl<K, V> Flights<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Departed<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Listed<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    number: u64,
}
impl<K: Eq + Hash, V> Drop for Listed<K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        if flights.get(&self.key).is_some_and(|listed| listed.number == self.number) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
