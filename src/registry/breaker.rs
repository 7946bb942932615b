//! One gate a registry: how many requests it gets at a time, and none for a while when it fails (security §2.D7). A slow registry fills
//! its own gate and no other's.

use super::limits::Limits;
use crate::reason::{Fault, Reason};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What a request told about its registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answered; whether we liked the answer is another matter.
    Alive,
    /// It could not be reached, was too slow, or said itself that it is in trouble.
    Failing(Fault),
    /// Nothing: the request ended for reasons of ours.
    Unknown,
}

/// Bulkhead and breaker of one registry.
pub struct Gate {
    registry: String,
    places: Semaphore,
    queue: AtomicUsize,
    queue_max: usize,
    breaker: Mutex<Breaker>,
}

impl Gate {
    pub fn new(registry: &str, limits: &Limits) -> Self {
        Gate {
            registry: registry.to_owned(),
            places: Semaphore::new(limits.in_flight_max),
            queue: AtomicUsize::new(0),
            queue_max: limits.queue_max,
            breaker: Mutex::new(Breaker {
                state: State::Closed { failures: 0 },
                failures_max: limits.failures_max,
                open: limits.open,
            }),
        }
    }

    /// Waits for a place. Errors: the last failure's reason while the breaker is open, `overloaded` when the queue is full,
    /// `deadline_exceeded`.
    pub async fn enter(&self, deadline: Instant) -> Result<Pass<'_>, Fault> {
        self.breaker().peek(Instant::now()).map_err(|last| self.not_asked(last))?;
        let place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => self.wait(deadline).await?,
        };
        let probe = self.breaker().admit(Instant::now()).map_err(|last| self.not_asked(last))?;
        Ok(Pass { gate: self, probe, told: false, _place: place })
    }

    async fn wait(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Fault> {
        let _queued = Queued::join(&self.queue, self.queue_max).ok_or_else(|| {
            Fault::new(
                Reason::Overloaded,
                format!("{} requests to registry {} wait already", self.queue_max, self.registry),
            )
        })?;
        match tokio::time::timeout_at(deadline.into(), self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Fault::new(
                Reason::DeadlineExceeded,
                format!("the time ran out in the queue of registry {}", self.registry),
            )),
        }
    }

    fn not_asked(&self, last: Fault) -> Fault {
        Fault::new(
            last.reason,
            format!(
                "registry {} is not asked for some seconds after failures in a row: {}",
                self.registry, last.message
            ),
        )
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody is inside and nothing is remembered: such a gate may be forgotten.
    pub fn is_idle(&self, in_flight_max: usize) -> bool {
        self.places.available_permits() == in_flight_max
            && matches!(self.breaker().state, State::Closed { failures: 0 })
    }
}

/// A place in the queue, given back however the wait ends.
struct Queued<'g>(&'g AtomicUsize);

impl<'g> Queued<'g> {
    fn join(queue: &'g AtomicUsize, max: usize) -> Option<Self> {
        queue.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < max).then_some(n + 1)).ok()?;
        Some(Queued(queue))
    }
}
impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to ask the registry once. Dropped without a word, it has learnt nothing.
pub struct Pass<'g> {
    gate: &'g Gate,
    probe: bool,
    told: bool,
    _place: SemaphorePermit<'g>,
}

impl Pass<'_> {
    pub fn tell(mut self, health: Health) {
        self.told = true;
        self.gate.breaker().learn(health, self.probe, Instant::now());
    }
}
impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.gate.breaker().learn(Health::Unknown, self.probe, Instant::now());
        }
    }
}

struct Breaker {
    state: State,
    failures_max: u32,
    open: Duration,
}

enum State {
    Closed { failures: u32 },
    Open { until: Instant, last: Fault },
    Probing { last: Fault },
}

impl Breaker {
    /// Whether a request would be let through now.
    fn peek(&self, now: Instant) -> Result<(), Fault> {
        match &self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } if now >= *until => Ok(()),
            State::Open { last, .. } | State::Probing { last } => Err(last.clone()),
        }
    }
    /// Lets a request through; `true`: it is the one probe of an open breaker.
    fn admit(&mut self, now: Instant) -> Result<bool, Fault> {
        self.peek(now)?;
        match &self.state {
            State::Open { last, .. } => {
                self.state = State::Probing { last: last.clone() };
                Ok(true)
            }
            State::Closed { .. } | State::Probing { .. } => Ok(false),
        }
    }
    fn learn(&mut self, health: Health, probe: bool, now: Instant) {
        self.state = match (health, &self.state) {
            (Health::Alive, _) => State::Closed { failures: 0 },
            (Health::Failing(last), State::Closed { failures }) if failures + 1 < self.failures_max => {
                let _ = last;
                State::Closed { failures: failures + 1 }
            }
            (Health::Failing(last), State::Closed { .. }) => State::Open { until: now + self.open, last },
            (Health::Failing(last), State::Probing { .. }) if probe => State::Open { until: now + self.open, last },
            // The probe never got an answer: the next request is the probe.
            (Health::Unknown, State::Probing { last }) if probe => State::Open { until: now, last: last.clone() },
            // Stragglers from before the breaker opened tell nothing new.
            (Health::Failing(_) | Health::Unknown, _) => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker { state: State::Closed { failures: 0 }, failures_max: 3, open: Duration::from_secs(10) }
    }
    fn failing() -> Health {
        Health::Failing(Fault::new(Reason::RegistryTimeout, "slow"))
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_goes_through() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for _ in 0..3 {
            assert_eq!(breaker.admit(now), Ok(false));
            breaker.learn(failing(), false, now);
        }
        assert_eq!(breaker.admit(now).unwrap_err().reason, Reason::RegistryTimeout);
        assert!(breaker.admit(now + Duration::from_millis(9_999)).is_err());
        let later = now + Duration::from_secs(10);
        assert_eq!(breaker.admit(later), Ok(true));
        assert!(breaker.admit(later).is_err(), "a second request beside the probe");
        breaker.learn(failing(), true, later);
        assert!(breaker.admit(later + Duration::from_secs(9)).is_err());
        assert_eq!(breaker.admit(later + Duration::from_secs(10)), Ok(true));
        breaker.learn(Health::Alive, true, later + Duration::from_secs(10));
        assert_eq!(breaker.admit(later + Duration::from_secs(10)), Ok(false));
    }

    #[test]
    fn an_answer_between_failures_keeps_it_closed() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for health in [failing(), failing(), Health::Alive, failing(), failing(), Health::Unknown] {
            breaker.learn(health, false, now);
        }
        assert_eq!(breaker.admit(now), Ok(false));
        breaker.learn(failing(), false, now);
        assert!(breaker.admit(now).is_err());
    }

    #[test]
    fn a_probe_that_was_given_up_leaves_the_next_one() {
        let (mut breaker, now) = (breaker(), Instant::now());
        (0..3).for_each(|_| breaker.learn(failing(), false, now));
        let later = now + Duration::from_secs(10);
        assert_eq!(breaker.admit(later), Ok(true));
        breaker.learn(Health::Unknown, false, later); // a straggler
        assert!(breaker.admit(later).is_err());
        breaker.learn(Health::Unknown, true, later);
        assert_eq!(breaker.admit(later), Ok(true));
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_ends_at_the_deadline() {
        let limits = Limits { in_flight_max: 1, queue_max: 1, ..Limits::default() };
        let gate = Gate::new("r.example", &limits);
        let soon = || Instant::now() + Duration::from_millis(30);
        let inside = gate.enter(soon()).await.unwrap();
        let (first, second) = tokio::join!(gate.enter(soon()), gate.enter(soon()));
        assert_eq!(first.err().unwrap().reason, Reason::DeadlineExceeded);
        assert_eq!(second.err().unwrap().reason, Reason::Overloaded);
        inside.tell(Health::Alive);
        assert!(gate.enter(soon()).await.is_ok());
        assert!(gate.is_idle(1));
    }
}
