//! Ids: 42 bits of milliseconds, 8 of the lane, 13 of a counter, so that they sort by time without a sequence.

/// Makes ids for one process; each is larger than the one before, even when the clock goes backwards.
#[derive(Debug)]
pub struct Ids {
    /// Processes on one database have lanes of their own, so none makes the id of another.
    lane: i64,
    milliseconds: i64,
    counter: i64,
}

const COUNTER_BITS: u32 = 13;
const LANE_BITS: u32 = 8;
const MILLISECONDS_MAX: i64 = (1 << 42) - 1;

impl Ids {
    /// Ids of a lane (any number; its low eight bits are used), above `last`.
    pub fn new(lane: i64, last: i64) -> Self {
        let lane = lane & ((1 << LANE_BITS) - 1);
        Ids { lane, milliseconds: last.max(0) >> (LANE_BITS + COUNTER_BITS), counter: 1 << COUNTER_BITS }
    }

    /// The next id at this time.
    pub fn next(&mut self, milliseconds: i64) -> i64 {
        let now = milliseconds.clamp(0, MILLISECONDS_MAX);
        self.counter += 1;
        if now > self.milliseconds {
            (self.milliseconds, self.counter) = (now, 0);
        } else if self.counter >= 1 << COUNTER_BITS {
            // More than the counter holds, or the clock is behind: time is borrowed, never the neighbour's lane.
            (self.milliseconds, self.counter) = (self.milliseconds + 1, 0);
        }
        (self.milliseconds << (LANE_BITS + COUNTER_BITS)) | (self.lane << COUNTER_BITS) | self.counter
    }
}

/// The least id of this time.
pub fn first_at(milliseconds: i64) -> i64 {
    milliseconds.clamp(0, MILLISECONDS_MAX) << (LANE_BITS + COUNTER_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_never_repeat() {
        let mut ids = Ids::new(7, 0);
        let first: Vec<i64> = (0..20_000).map(|_| ids.next(1_000)).collect();
        assert!(first.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.next(1_000_000) > *first.last().unwrap());
    }

    #[test]
    fn a_clock_that_went_backwards_makes_no_old_id() {
        let mut ids = Ids::new(1, 0);
        let before = ids.next(2_000);
        assert!(ids.next(1_000) > before);
        let mut restarted = Ids::new(2, before);
        assert!(restarted.next(0) > before);
    }

    #[test]
    fn lanes_never_meet() {
        let made = |lane| {
            let mut ids = Ids::new(lane, 0);
            (0..30_000).map(move |n| ids.next(1_000 + n / 20_000)).collect::<std::collections::BTreeSet<i64>>()
        };
        assert!(made(255).is_disjoint(&made(0)));
        assert_eq!(made(256), made(0), "the low eight bits");
    }
}
