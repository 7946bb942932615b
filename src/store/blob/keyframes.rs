//! Which keyframes the next record may be packed against: that of the latest record of its step, and that of the latest of its chain,
//! whose steps list the same files. Remembered, so that the database is asked once for many records; forgotten at will, for the database
//! knows.

use super::Base;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Differences to one keyframe: a damaged keyframe damages no more.
const USES_MAX: u64 = 64;
/// Bytes of all keyframes remembered.
const BYTES_MAX: usize = 32 << 20;

/// Where a keyframe is the latest one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Among the layouts of a chain.
    Layouts(i64),
    /// Among the records of one step of a chain.
    Step(i64, String),
    /// Among all records of a chain.
    Chain(i64),
}

/// A blob that is kept whole.
#[derive(Clone, Debug)]
pub struct Keyframe {
    /// Its id.
    pub blob: i64,
    pub base: Arc<Base>,
    /// What it cost, and what differences to it did so far.
    spent: Arc<Mutex<Spent>>,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    bytes: u64,
    records: u64,
}

impl AsRef<Base> for Keyframe {
    fn as_ref(&self) -> &Base {
        &self.base
    }
}

impl Keyframe {
    /// The keyframe with this id, which is `packed` bytes.
    pub fn new(blob: i64, base: Base, packed: usize) -> Self {
        let spent = Spent { bytes: packed as u64, records: 1 };
        Keyframe { blob, base: Arc::new(base), spent: Arc::new(Mutex::new(spent)) }
    }

    /// Whether a difference of so many bytes is worth it; it is counted then. What changed since the keyframe adds up, so differences
    /// grow: once one costs more than the records before it did on average, the keyframe with them, a new keyframe is cheaper.
    pub fn pays(&self, bytes: usize) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.records > USES_MAX || bytes as u64 * spent.records > spent.bytes {
            return false;
        }
        spent.bytes += bytes as u64;
        spent.records += 1;
        true
    }
}

/// The keyframes of a process.
#[derive(Debug, Default)]
pub struct Keyframes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    places: HashMap<Place, (u64, Keyframe)>,
    /// In the order they were learnt, and the number that says whether an entry is still the one that was.
    order: VecDeque<(u64, Place)>,
    learnt: u64,
    bytes: usize,
}

impl Keyframes {
    /// The keyframe of a place, where it is known.
    pub fn of(&self, place: &Place) -> Option<Keyframe> {
        self.state().places.get(place).map(|(_, keyframe)| keyframe.clone())
    }

    /// The database's answer for a place.
    pub fn learn(&self, place: Place, keyframe: Keyframe) {
        let mut state = self.state();
        state.forget(&place);
        state.learnt += 1;
        let number = state.learnt;
        state.bytes += keyframe.base.0.len();
        state.order.push_back((number, place.clone()));
        state.places.insert(place, (number, keyframe));
        while state.bytes > BYTES_MAX || state.order.len() > 2 * state.places.len() + 16 {
            let Some((number, oldest)) = state.order.pop_front() else { break };
            if state.places.get(&oldest).is_some_and(|(known, _)| *known == number) {
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
        if let Some((_, keyframe)) = self.places.remove(place) {
            self.bytes = self.bytes.saturating_sub(keyframe.base.0.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyframe(blob: i64, bytes: usize) -> Keyframe {
        Keyframe::new(blob, Base(vec![0; bytes]), 1_000)
    }

    fn place(chain: i64) -> Place {
        Place::Step(chain, "build".into())
    }

    #[test]
    fn a_keyframe_serves_64_records_at_most() {
        let keyframe = keyframe(7, 10);
        assert_eq!((0..100).filter(|_| keyframe.pays(1)).count() as u64, USES_MAX);
    }

    /// With a keyframe of 1,000 bytes and differences that grow by 10, twelve or so are cheaper than any other number.
    #[test]
    fn differences_that_grow_end_where_a_new_keyframe_is_cheaper() {
        let keyframe = keyframe(7, 10);
        let paid = (1..100).take_while(|record| keyframe.pays(record * 10)).count();
        let cost = |records: usize| {
            (1_000 + (1..=records).map(|record| record * 10).sum::<usize>()) as f64 / (records + 1) as f64
        };
        let best = (1..100).min_by(|one, other| cost(*one).total_cmp(&cost(*other))).unwrap();
        assert!(paid.abs_diff(best) <= 1, "{paid} {best}");
    }

    #[test]
    fn the_oldest_are_forgotten_when_memory_is_full() {
        let keyframes = Keyframes::default();
        for chain in 0..100 {
            keyframes.learn(place(chain), keyframe(chain, BYTES_MAX / 4));
        }
        let known: Vec<i64> = (0..100).filter(|chain| keyframes.of(&place(*chain)).is_some()).collect();
        assert_eq!(known, [96, 97, 98, 99]);
        assert!(keyframes.of(&Place::Chain(99)).is_none());
        keyframes.forget(&place(99));
        assert!(keyframes.of(&place(99)).is_none());
        // One place again and again leaves no trail.
        for _ in 0..1_000 {
            keyframes.learn(place(98), keyframe(98, 1));
        }
        assert!(keyframes.state().order.len() < 40);
    }
}
