//! Which connections can be done without. When all places are taken, the one that has done nothing for longest makes room for a new one:
//! who opens many and keeps them keeps nobody out.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// From when a connection can be done without, and a number that tells it from others.
pub(super) type Place = (Instant, u64);

/// The connections of a listener that can be done without, now or soon.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    entered: u64,
    connections: BTreeMap<Place, CancellationToken>,
}

impl Idle {
    /// A connection that can be done without from then on; `leave` is cancelled when it is to go.
    pub(super) fn enter(&self, from: Instant, leave: &CancellationToken) -> Place {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entered += 1;
        let place = (from, waiting.entered);
        waiting.connections.insert(place, leave.clone());
        place
    }

    /// It cannot any more.
    pub(super) fn leave(&self, place: Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).connections.remove(&place);
    }

    /// Asks the first of them to go; none where there is none.
    pub(super) fn dismiss_one(&self, now: Instant) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = waiting.connections.first_entry().filter(|first| first.key().0 <= now) {
            first.remove().cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_is_idle_longest_goes_first() {
        let (idle, now) = (Idle::default(), Instant::now());
        let tokens = [(); 4].map(|()| CancellationToken::new());
        let gone = || tokens.iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>();
        let at = |seconds| now + Duration::from_secs(seconds);
        idle.enter(at(2), &tokens[0]);
        let busy = idle.enter(at(0), &tokens[1]);
        idle.enter(at(1), &tokens[2]);
        idle.enter(at(9), &tokens[3]);
        idle.leave(busy);
        idle.dismiss_one(at(3));
        assert_eq!(gone(), [false, false, true, false]);
        for _ in 0..3 {
            idle.dismiss_one(at(3));
        }
        assert_eq!(gone(), [true, false, true, false], "the last one not yet");
    }
}
