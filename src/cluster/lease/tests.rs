use super::*;

const TIMES: Times =
    Times { duration: Duration::from_secs(15), deadline: Duration::from_secs(10), retry: Duration::from_secs(2) };

fn held(version: u64, holder: &str) -> Option<Record> {
    Some(Record { version: version.to_string(), holder: Some(holder.to_owned()) })
}
fn free(version: u64) -> Option<Record> {
    Some(Record { version: version.to_string(), holder: None })
}
fn elector() -> Elector {
    Elector::new("me".into(), TIMES)
}
/// A moment far from the clock's start, so that tests may also go back.
fn at(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(1_000_000 + seconds)
}

#[test]
fn nothing_seen_is_nothing_done() {
    assert_eq!(elector().wish(at(0)), Wish::Wait);
    assert!(!elector().leads(at(0)));
}

#[test]
fn a_free_lease_is_taken_and_one_that_is_held_is_not() {
    for record in [None, free(1)] {
        let mut me = elector();
        me.observe(record, at(0));
        assert_eq!(me.wish(at(0)), Wish::Write);
        assert!(!me.leads(at(0)), "a wish is no lease");
        me.wrote(held(2, "me").unwrap(), at(0));
        assert!(me.leads(at(0)));
    }
    let mut me = elector();
    me.observe(held(1, "other"), at(0));
    assert_eq!(me.wish(at(0)), Wish::Wait);
}

#[test]
fn another_ones_lease_runs_out_by_our_own_clock_since_the_last_change_we_saw() {
    let start = at(0);
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut me = elector();
    me.observe(held(1, "other"), start);
    me.observe(held(1, "other"), after(14));
    assert_eq!(me.wish(after(14)), Wish::Wait);
    assert_eq!(me.wish(after(15)), Wish::Write);
    // A renewal starts the wait again.
    me.observe(held(2, "other"), after(14));
    assert_eq!(me.wish(after(28)), Wish::Wait);
    assert_eq!(me.wish(after(29)), Wish::Write);
}

#[test]
fn leadership_ends_at_the_deadline_without_a_renewal() {
    let start = at(0);
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut me = elector();
    me.observe(None, start);
    me.wrote(held(1, "me").unwrap(), start);
    assert_eq!(me.remaining(after(9)), Some(Duration::from_secs(1)));
    assert!(!me.leads(after(10)), "before anybody else may take it, at 15 s");
    // Reading that it is still ours is no renewal, writing is.
    me.observe(held(1, "me"), after(9));
    assert!(!me.leads(after(10)));
    assert_eq!(me.wish(after(10)), Wish::Write);
    me.wrote(held(2, "me").unwrap(), after(9));
    assert!(me.leads(after(18)));
}

#[test]
fn another_holder_ends_leadership_at_once() {
    for record in [held(2, "other"), free(2), None] {
        let start = at(0);
        let mut me = elector();
        me.observe(None, start);
        me.wrote(held(1, "me").unwrap(), start);
        me.observe(record, start + Duration::from_secs(1));
        assert!(!me.leads(start + Duration::from_secs(1)));
    }
}

#[test]
fn a_clock_that_jumps_gives_nobody_the_lease_too_early() {
    let start = at(0);
    let mut me = elector();
    me.observe(held(1, "other"), start);
    assert_eq!(me.wish(start - Duration::from_secs(3600)), Wish::Wait, "back: no time has gone by");
    me.wrote(held(2, "me").unwrap(), start);
    assert_eq!(me.remaining(start - Duration::from_secs(3600)), Some(TIMES.deadline));
    assert!(!me.leads(start + Duration::from_secs(86_400 * 730)), "forward, after a machine slept: we no longer lead");
}

#[test]
fn our_own_record_of_an_earlier_run_is_taken_without_waiting() {
    let mut me = elector();
    me.observe(held(7, "me"), at(0));
    assert!(!me.leads(at(0)));
    assert_eq!(me.wish(at(0)), Wish::Write);
}
