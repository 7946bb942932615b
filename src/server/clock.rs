//! One clock for everything a server judges: tokens, layouts, and when a record came.

use jiff::{SignedDuration, Timestamp};
use std::sync::{Mutex, PoisonError};

/// A step back that is waited out; a longer one is a correction, and followed.
const HELD: SignedDuration = SignedDuration::from_mins(5);

/// The system's time, which does not go back while the process lives: a token that has expired stays so, and a record that
/// came later is not older. Only a step back of more than five minutes is followed, and logged: a clock that ran ahead by
/// years would otherwise keep every token out until the next start.
#[derive(Debug, Default)]
pub struct Clock {
    last: Mutex<Option<Timestamp>>,
}

impl Clock {
    /// Now.
    pub fn now(&self) -> Timestamp {
        self.at(Timestamp::now())
    }

    fn at(&self, system: Timestamp) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match *last {
            Some(before) if before > system && before.duration_since(system) <= HELD => before,
            Some(before) if before > system => {
                tracing::error!(%before, %system, "the system's clock went back");
                system
            }
            _ => system,
        };
        *last = Some(now);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_or_stands_still() {
        let clock = Clock::default();
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        assert_eq!(clock.at(at(1_000)), at(1_000));
        assert_eq!(clock.at(at(999)), at(1_000), "one second back is held");
        assert_eq!(clock.at(at(700)), at(1_000), "so are five minutes");
        assert_eq!(clock.at(at(1_001)), at(1_001));
        assert_eq!(clock.at(at(100_000_000)), at(100_000_000), "forward is followed at once");
        assert_eq!(clock.at(at(1_002)), at(1_002), "and a correction is followed back");
    }
}
