//! What was read of the cluster by name, for a short while and in bounded bytes; read once where many ask at the same time.

use super::{Unread, Useless};
use crate::cache::Flights;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long what was read is used.
pub const KEPT: Duration = Duration::from_secs(30);
/// How long a secret that is not there, or not one, stays so: people create it after the pod, and try again.
const ABSENT_KEPT: Duration = Duration::from_secs(5);
/// Long enough that a burst of reviews is not a burst of requests to an API server in trouble.
const TROUBLE_KEPT: Duration = Duration::from_secs(1);
const BYTES_MAX: u64 = 4 << 20;

/// Namespace and name.
pub type Place = (String, String);
type Answer<T> = Result<Arc<T>, Useless>;

/// Objects by their place.
pub struct Memory<T> {
    kept: moka::future::Cache<Place, Answer<T>>,
    flights: Arc<Flights<Place, Answer<T>>>,
}

impl<T: Send + Sync + 'static> Memory<T> {
    /// `weight`: the bytes of one object, which is used for `kept`.
    pub fn new(weight: fn(&T) -> usize, kept: Duration) -> Self {
        let weigher = move |(namespace, name): &Place, answer: &Answer<T>| {
            let bytes = 256 + namespace.len() + name.len() + answer.as_ref().map_or(128, |held| weight(held));
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let kept =
            moka::future::Cache::builder().max_capacity(BYTES_MAX).weigher(weigher).expire_after(Expiry(kept)).build();
        Memory { kept, flights: Arc::default() }
    }

    /// The object: kept, being read for another, or read now. Waits no longer than `until`.
    pub async fn get<F>(&self, place: Place, until: Instant, read: impl FnOnce(Place, Instant) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, Useless>> + Send + 'static,
    {
        if let Some(answer) = self.kept.get(&place).await {
            return answer;
        }
        let flight = self.flights.join(&place, until, || {
            let (reading, kept, place) = (read(place.clone(), until), self.kept.clone(), place.clone());
            async move {
                let answer = reading.await.map(Arc::new);
                kept.insert(place, answer.clone()).await;
                answer
            }
        });
        match tokio::time::timeout_at(until.into(), flight.landing).await {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(_) => Err(Useless::Unread(Unread::Unreachable)),
        }
    }
}

struct Expiry(Duration);
impl<T> moka::Expiry<Place, Answer<T>> for Expiry {
    fn expire_after_create(&self, _: &Place, answer: &Answer<T>, _: Instant) -> Option<Duration> {
        Some(match answer {
            Ok(_) => self.0,
            Err(Useless::Unread(Unread::Unreachable)) => TROUBLE_KEPT.min(self.0),
            Err(_) => ABSENT_KEPT.min(self.0),
        })
    }
    fn expire_after_update(
        &self,
        place: &Place,
        answer: &Answer<T>,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(place, answer, now)
    }
}
