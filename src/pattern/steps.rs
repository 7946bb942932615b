//! What a match costs, counted and not timed: in linear time, whatever pattern and name.

use super::Pattern;
use proptest::prelude::*;
use std::cell::Cell;

thread_local! {
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count(characters: usize) {
    STEPS.set(STEPS.get() + characters);
}

/// How many characters the match looks at.
fn steps(pattern: &Pattern, name: &str) -> usize {
    STEPS.set(0);
    pattern.matches(name);
    STEPS.get()
}

/// Every character of the name as often as the pattern says, and every one of the pattern.
fn bound(pattern: &Pattern, name: &str) -> usize {
    (name.len() + 1) * pattern.weight() + pattern.as_str().len()
}

/// Patterns that a matcher with a way back goes astray in, each with what a name is made of.
const ADVERSARIAL: [(&str, &str, &str); 8] = [
    ("*a*a*a*a*a*a*a*a*b", "a", ""),
    ("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "a", ""),
    ("*aaaaaaaab*aaaaaaaab", "a", ""),
    ("a*a*a*a*a*a*c", "ab", ""),
    ("*?a?a?a?a?a?b*b", "a", ""),
    ("*[!b][!b][!b][!b]*[!b][!b][!b]b", "a", "a"),
    ("*abababababac*abababababac", "ab", "a"),
    ("?*?*?*?*?*?*?*?*b", "\u{e9}", ""),
];

#[test]
fn a_name_of_twice_the_length_costs_twice_as_much() {
    for (text, piece, end) in ADVERSARIAL {
        let pattern = Pattern::new(text).unwrap();
        let cost = |pieces: usize| {
            let name = piece.repeat(pieces) + end;
            let steps = steps(&pattern, &name);
            assert!(steps <= bound(&pattern, &name), "{text} looks at {steps} characters of {}", name.len());
            steps
        };
        let series: Vec<usize> = (6..14).map(|power| cost(1 << power)).collect();
        for pair in series.windows(2) {
            assert!(pair[1] <= 2 * pair[0] + 64, "{text}: {series:?}");
        }
    }
}

#[test]
fn a_longer_pattern_costs_what_it_says() {
    for pieces in [1, 2, 4, 8, 16, 32] {
        // All of it in one piece that is tried at every place: that is what the weight is for.
        let pattern = Pattern::new(&format!("*?{}b*c", "a".repeat(16 * pieces))).unwrap();
        assert_eq!(pattern.weight(), 16 * pieces + 2);
        let name = "a".repeat(1 << 12);
        assert!(steps(&pattern, &name) <= bound(&pattern, &name), "{pieces}");
    }
    for (text, weight) in [("a", 1), ("*abc*", 1), ("???*", 1), ("*???", 1), ("*a?c*", 3), ("*[ab]*x?z?*", 4)] {
        assert_eq!(Pattern::new(text).unwrap().weight(), weight, "{text}");
    }
}

proptest! {
    #[test]
    fn no_match_costs_more_than_its_bound(pattern in "[ab*?\\[\\]!]{0,40}", name in "[ab\u{e9}]{0,200}") {
        let Ok(pattern) = Pattern::new(&pattern) else { return Ok(()) };
        let (steps, bound) = (steps(&pattern, &name), bound(&pattern, &name));
        prop_assert!(steps <= bound, "{steps} of {bound}");
    }
}
