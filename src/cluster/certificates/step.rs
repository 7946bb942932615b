//! What is to be done about the certificates: pure. Everything it goes by is read from the Secret itself, so that a new leader goes
//! on where the old one stopped, and no note can say another thing than the certificates do.

use super::{Times, pki::Validity};
use jiff::Timestamp;
use std::time::Duration;

/// What the Secret holds, and how long we have seen it like that. Durations are our own observation: no clocks are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The CA of `ca.crt` whose key is `ca.key`, and that may sign for our names.
    pub ca: Option<Validity>,
    /// `ca.crt` holds other certificates too.
    pub others: bool,
    pub leaf: Leaf,
    /// Somebody asked for a full renewal.
    pub asked: bool,
    /// How long every webhook configuration has been seen to trust all of `ca.crt`; `None`: they do not.
    pub trusted_for: Option<Duration>,
    /// How long the Secret has been seen as it is.
    pub same_for: Duration,
}

/// The serving certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Of the CA whose key we hold.
    Ours(Validity),
    /// Of another one in `ca.crt`.
    Others,
    /// It cannot be read, does not match its key, or nobody vouches for it.
    Broken,
}

/// One write to the Secret, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Wait,
    /// Renewal 1: a new CA beside the old one in `ca.crt`; the serving certificate stays.
    Trust,
    /// Renewal 2, or a new serving certificate under the same CA.
    Sign,
    /// Renewal 3: the CA in use is alone in `ca.crt`.
    Forget,
    /// There is no CA to sign with: a new one, beside every one that is still known.
    Repair,
}

/// The next step.
pub fn next(state: &State, times: &Times, now: Timestamp) -> Step {
    let Some(ca) = state.ca.filter(|ca| ca.holds(now)) else { return Step::Repair };
    let settled = state.trusted_for.is_some_and(|seen| seen >= times.settle);
    match (state.leaf, state.others) {
        (Leaf::Ours(_), true) if state.same_for >= times.swap => Step::Forget,
        (Leaf::Ours(_), true) => Step::Wait,
        // The API servers must trust the new CA before anybody serves its certificate.
        (Leaf::Others, _) | (Leaf::Broken, true) if settled => Step::Sign,
        (Leaf::Others, _) | (Leaf::Broken, true) => Step::Wait,
        (Leaf::Broken, false) => Step::Sign,
        (Leaf::Ours(_), false) if state.asked || ca.due(now) => Step::Trust,
        (Leaf::Ours(leaf), false) if leaf.due(now) => Step::Sign,
        (Leaf::Ours(_), false) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const SETTLE: Duration = Duration::from_secs(30);
    const SWAP: Duration = Duration::from_secs(60);

    fn times() -> Times {
        Times { settle: SETTLE, swap: SWAP, ..Times::default() }
    }
    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * DAY).unwrap()
    }
    fn days(from: i64, until: i64) -> Validity {
        Validity { from: day(from), until: day(until) }
    }
    /// Nothing to do on day 0.
    fn steady() -> State {
        State {
            ca: Some(days(0, 360)),
            others: false,
            leaf: Leaf::Ours(days(0, 90)),
            asked: false,
            trusted_for: Some(SETTLE),
            same_for: SWAP,
        }
    }
    fn step(state: State, on: i64) -> Step {
        next(&state, &times(), day(on))
    }

    #[test]
    fn the_leaf_is_renewed_when_a_third_of_its_life_is_left() {
        assert_eq!(step(steady(), 59), Step::Wait);
        assert_eq!(step(steady(), 60), Step::Sign);
        assert_eq!(step(steady(), 200), Step::Sign, "run out while nobody led");
    }

    #[test]
    fn the_ca_is_renewed_when_a_third_of_its_life_is_left_or_when_asked() {
        let fresh = |from| State { leaf: Leaf::Ours(days(from, from + 90)), ..steady() };
        assert_eq!(step(fresh(239), 239), Step::Wait);
        assert_eq!(step(fresh(240), 240), Step::Trust);
        assert_eq!(step(State { asked: true, ..steady() }, 1), Step::Trust);
    }

    #[test]
    fn the_new_ca_signs_only_after_it_has_been_trusted_long_enough() {
        let first = State { leaf: Leaf::Others, others: true, ..steady() };
        assert_eq!(step(State { trusted_for: None, ..first.clone() }, 1), Step::Wait);
        assert_eq!(step(State { trusted_for: Some(SETTLE / 2), ..first.clone() }, 1), Step::Wait);
        assert_eq!(step(first.clone(), 1), Step::Sign);
        assert_eq!(step(State { leaf: Leaf::Broken, trusted_for: None, ..first }, 1), Step::Wait);
    }

    #[test]
    fn the_old_ca_is_forgotten_only_after_every_replica_had_time_to_swap() {
        let second = State { others: true, ..steady() };
        assert_eq!(step(State { same_for: SWAP / 2, ..second.clone() }, 1), Step::Wait);
        assert_eq!(step(second.clone(), 1), Step::Forget);
        assert_eq!(step(State { asked: true, same_for: SWAP / 2, ..second }, 1), Step::Wait, "one renewal at a time");
    }

    #[test]
    fn what_is_broken_is_made_anew() {
        assert_eq!(step(State { leaf: Leaf::Broken, ..steady() }, 1), Step::Sign);
        for leaf in [Leaf::Broken, Leaf::Others, Leaf::Ours(days(0, 90))] {
            assert_eq!(step(State { ca: None, leaf, ..steady() }, 1), Step::Repair);
            assert_eq!(step(State { leaf, ..steady() }, 361), Step::Repair, "a CA that has run out signs nothing");
            assert_eq!(step(State { leaf, ..steady() }, -1), Step::Repair, "nor does one of the future");
        }
    }

    /// The whole way round, each step's effect applied: it ends, in three steps.
    #[test]
    fn a_full_renewal_takes_three_steps_and_then_rests() {
        let mut state = State { asked: true, ..steady() };
        let mut steps = Vec::new();
        for _ in 0..10 {
            let step = step(state.clone(), 1);
            steps.push(step);
            match step {
                Step::Trust => {
                    (state.asked, state.others, state.leaf, state.trusted_for) = (false, true, Leaf::Others, None)
                }
                Step::Sign => (state.leaf, state.same_for) = (Leaf::Ours(days(1, 91)), Duration::ZERO),
                Step::Forget => state.others = false,
                Step::Wait => (state.trusted_for, state.same_for) = (Some(SETTLE), SWAP),
                Step::Repair => panic!("nothing was broken"),
            }
        }
        use Step::{Forget, Sign, Trust, Wait};
        assert_eq!(steps[..6], [Trust, Wait, Sign, Wait, Forget, Wait]);
        assert!(steps[6..].iter().all(|step| *step == Wait));
    }
}
