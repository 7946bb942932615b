//! Which keyframe the next record of a chain and step is packed against. Remembered, so that the database is asked once for many
//! records; forgotten at will, for the database knows.

use super::Base;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Differences to one keyframe: a damaged keyframe damages no more, and what has drifted for long starts anew.
const USES_MAX: usize = 64;
/// Bytes of all keyframes remembered.
const BYTES_MAX: usize = 32 << 20;

/// The chain, and the step; a layout has none.
pub type Place = (i64, Option<String>);

/// A blob that is kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyframe {
    /// Its id.
    pub blob: i64,
    pub base: Arc<Base>,
}

/// What is known of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Pack against this one.
    Use(Keyframe),
    /// The last one has been used often enough: keep this record whole.
    UsedUp,
    /// Ask the database.
    No,
}

/// The keyframes of a process.
#[derive(Debug, Default)]
pub struct Keyframes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    places: HashMap<Place, Entry>,
    /// In the order they were learnt, and the number that says whether an entry is still the one that was.
    order: VecDeque<(u64, Place)>,
    learnt: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    uses: usize,
    keyframe: Keyframe,
}

impl Keyframes {
    /// What the next record of a place is packed against; counts as a use.
    pub fn next(&self, place: &Place) -> Known {
        let mut state = self.state();
        let Some(entry) = state.places.get_mut(place) else { return Known::No };
        if entry.uses >= USES_MAX {
            return Known::UsedUp;
        }
        entry.uses += 1;
        Known::Use(entry.keyframe.clone())
    }

    /// The database's answer for a place.
    pub fn learn(&self, place: Place, keyframe: Keyframe) {
        let mut state = self.state();
        state.forget(&place);
        state.learnt += 1;
        let number = state.learnt;
        state.bytes += keyframe.base.0.len();
        state.order.push_back((number, place.clone()));
        state.places.insert(place, Entry { number, uses: 0, keyframe });
        while state.bytes > BYTES_MAX || state.order.len() > 2 * state.places.len() + 16 {
            let Some((number, oldest)) = state.order.pop_front() else { break };
            if state.places.get(&oldest).is_some_and(|entry| entry.number == number) {
                state.forget(&oldest);
            }
        }
    }

    /// A record of the place was kept whole: it is the next keyframe.
    pub fn forget(&self, place: &Place) {
        self.state().forget(place);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can fail half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, place: &Place) {
        if let Some(entry) = self.places.remove(place) {
            self.bytes = self.bytes.saturating_sub(entry.keyframe.base.0.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyframe(blob: i64, bytes: usize) -> Keyframe {
        Keyframe { blob, base: Arc::new(Base(vec![0; bytes])) }
    }

    fn place(chain: i64) -> Place {
        (chain, Some("build".into()))
    }

    #[test]
    fn a_keyframe_serves_64_records_and_then_a_new_one_is_due() {
        let keyframes = Keyframes::default();
        assert_eq!(keyframes.next(&place(1)), Known::No);
        keyframes.learn(place(1), keyframe(7, 10));
        for _ in 0..USES_MAX {
            assert_eq!(keyframes.next(&place(1)), Known::Use(keyframe(7, 10)));
        }
        assert_eq!(keyframes.next(&place(1)), Known::UsedUp);
        assert_eq!(keyframes.next(&(1, None)), Known::No);
        keyframes.forget(&place(1));
        assert_eq!(keyframes.next(&place(1)), Known::No);
    }

    #[test]
    fn the_oldest_are_forgotten_when_memory_is_full() {
        let keyframes = Keyframes::default();
        for chain in 0..100 {
            keyframes.learn(place(chain), keyframe(chain, BYTES_MAX / 4));
        }
        let known = (0..100).filter(|chain| keyframes.next(&place(*chain)) != Known::No).count();
        assert_eq!(known, 4);
        assert_eq!(keyframes.next(&place(95)), Known::No);
        assert_ne!(keyframes.next(&place(96)), Known::No);
        // One place again and again leaves no trail.
        for _ in 0..1_000 {
            keyframes.learn(place(99), keyframe(99, 1));
        }
        assert!(keyframes.state().order.len() < 40);
    }
}
