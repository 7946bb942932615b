//! Ids: 42 bits of milliseconds, 8 of the process, 13 of a counter, so that they sort by time without a sequence.

/// Makes ids for one process; each is larger than the one before, even when the clock goes backwards.
#[derive(Debug)]
pub struct Ids {
    process: i64,
    last: i64,
}

const COUNTER_BITS: u32 = 13;
const PROCESS_BITS: u32 = 8;
const MILLISECONDS_MAX: i64 = (1 << 42) - 1;

impl Ids {
    /// Ids of a process with this number (any; its low eight bits are used), above every id in `last`.
    pub fn new(process: u8, last: i64) -> Self {
        Ids { process: i64::from(process), last: last.max(0) }
    }

    /// The next id at this time.
    pub fn next(&mut self, milliseconds: i64) -> i64 {
        let time = milliseconds.clamp(0, MILLISECONDS_MAX) << (PROCESS_BITS + COUNTER_BITS);
        let start = time | (self.process << COUNTER_BITS);
        self.last = start.max(self.last.saturating_add(1));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_never_repeat() {
        let mut ids = Ids::new(7, 0);
        let first: Vec<i64> = (0..10_000).map(|_| ids.next(1_000)).collect();
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
}
