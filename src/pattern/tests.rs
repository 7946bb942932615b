use super::*;
use proptest::prelude::*;

fn matches(pattern: &str, name: &str) -> bool {
    Pattern::new(pattern).unwrap().matches(name)
}

#[test]
fn it_matches_as_python_does() {
    // in-toto §1.11, crates §3.7, and the turns of fnmatch.translate, all run in Python 3.11.
    let vectors: &[(&str, &str, bool)] = &[
        ("[^a]", "b", false),
        ("[^a]", "^", true),
        ("a[", "a[", true),
        ("[]a]", "]", true),
        ("[]a]", "a", true),
        ("[a-c-e]", "d", false),
        ("[a-c-e]", "-", true),
        ("[[:alpha:]]", ":]", true),
        ("a\\*", "a*", false),
        ("a\\*", "a\\x", true),
        ("**/x", "x", false),
        ("a{b,c}", "ab", false),
        ("a{b,c}", "a{b,c}", true),
        ("?", "/", true),
        ("foo/*", "foo/a/b", true),
        ("foo/*", "foo", false),
        ("*", "", true),
        ("*", ".hidden\n/x", true),
        ("?", "", false),
        ("?", "é", true),
        ("?", "e\u{301}", false),
        ("", "", true),
        ("", "a", false),
        ("[z-a]", "z", false),
        ("[z-a]", "", false),
        ("[!z-a]", "z", true),
        ("[!]a]", "]", false),
        ("[!]a]", "b", true),
        ("[!", "[!", true),
        ("[]", "[]", true),
        ("[!]", "[!]", true),
        ("[-x]", "-", true),
        ("[x-]", "-", true),
        ("[!-x]", "y", true),
        ("[!-x]", "-", false),
        ("[+--]", ",", true),
        ("[z-a!b]", "c", true),
        ("[z-a!b]", "b", false),
        ("[z-a!-c]", "-", false),
        ("[z-a!-c]", "b", true),
        ("[a-cx-z]", "y", true),
        ("[a-cx-z]", "m", false),
        ("[\\-a]", "]", true),
        ("[c-fa-dx-zzeb-g]", "g", true),
        ("[c-fa-dx-zzeb-g]", "h", false),
        ("[c-fa-dx-zzeb-g]", "y", true),
        ("[!gecaikmoqsuwy]", "y", false),
        ("[!gecaikmoqsuwy]", "x", true),
        ("A", "a", false),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "abcb", false),
        ("ab*ba", "aba", false),
        ("*a", "aaa", true),
        ("*.tar.[gx]z", "a.tar.gz.tar.xz", true),
        ("*?[!x]*y", "abxy", true),
        ("a\n", "a", false),
    ];
    for (pattern, name, expected) in vectors {
        assert_eq!(matches(pattern, name), *expected, "{pattern:?} {name:?}");
    }
}

#[test]
fn the_size_is_bounded() {
    assert!(Pattern::new(&"a".repeat(1024)).is_ok());
    assert_eq!(Pattern::new(&"a".repeat(1025)), Err(PatternError::TooComplex { found: 1025, max: 1024 }));
    assert!(Pattern::new(&"*a".repeat(16)).is_ok());
    assert_eq!(Pattern::new(&"*a".repeat(17)), Err(PatternError::TooComplex { found: 17, max: 16 }));
    assert_eq!(Pattern::new(&"?[a]".repeat(9)), Err(PatternError::TooComplex { found: 18, max: 16 }));
    assert!(Pattern::new(&"*".repeat(1000)).is_ok(), "a run of stars is one");
}

#[test]
fn stars_do_not_backtrack() {
    // 16 stars over 100 kB: backtracking would take longer than the universe has.
    assert!(!matches(&"*a".repeat(16), &"a".repeat(100_000).replace("aa", "ab")));
    assert!(!matches(&format!("{}b", "*a".repeat(15)), &"a".repeat(100_000)));
}

#[test]
fn what_can_hardly_be_meant_is_said() {
    for text in ["a[", "[z-a]", "a\\*", "[^a]", "**/x", "{a,b}", "[a\\]", "[b-a]x"] {
        assert!(Pattern::new(text).unwrap().lint().is_some(), "{text}");
    }
    for text in ["", "*", "src/*", "a?b", "[!a]", "[a-z]", "[]a]", "}", "^", "*a*"] {
        assert_eq!(Pattern::new(text).unwrap().lint(), None, "{text}");
    }
}

#[test]
fn a_beginning_is_what_every_match_begins_with() {
    for (pattern, beginning, is_all) in [
        ("src/*", "src/", true),
        ("*", "", true),
        ("a[*]*", "a*", true),
        ("a[*", "a[", true),
        ("src/*.c", "src/", false),
        ("src/?*", "src/", false),
        ("a[bc]*", "a", false),
        ("a*b*", "a", false),
        ("src", "src", false),
    ] {
        let compiled = Pattern::new(pattern).unwrap();
        assert_eq!((compiled.beginning(), compiled.is_beginning()), (beginning, is_all), "{pattern}");
    }
}

#[test]
fn a_pattern_without_wildcards_is_one_name() {
    let literal = |text: &str| Pattern::new(text).unwrap().literal().map(str::to_owned);
    assert_eq!(literal("a/b").as_deref(), Some("a/b"));
    assert_eq!(literal("a[*][[]").as_deref(), Some("a*["));
    assert_eq!(literal("a[").as_deref(), Some("a["));
    for text in ["*", "a?", "[ab]", "a*", "[!a]"] {
        assert_eq!(literal(text), None, "{text}");
    }
}

/// fnmatch as a person would say it: backtracking, reading the pattern as it goes.
fn naive(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|n| naive(rest, &name[n..])),
        ['?', rest @ ..] => !name.is_empty() && naive(rest, &name[1..]),
        ['[', rest @ ..] => {
            let first = usize::from(rest.first() == Some(&'!'));
            match rest.iter().skip(first + 1).position(|c| *c == ']') {
                Some(at) => {
                    let (set, behind) = (&rest[first..first + 1 + at], &rest[first + 2 + at..]);
                    !name.is_empty() && naive_set(set, name[0]) != (first == 1) && naive(behind, &name[1..])
                }
                None => name.first() == Some(&'[') && naive(rest, &name[1..]),
            }
        }
        [c, rest @ ..] => name.first() == Some(c) && naive(rest, &name[1..]),
    }
}

fn naive_set(set: &[char], c: char) -> bool {
    match set {
        [] => false,
        [low, '-', high, rest @ ..] => (*low <= c && c <= *high) || naive_set(rest, c),
        [one, rest @ ..] => *one == c || naive_set(rest, c),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]
    #[test]
    fn a_beginning_misses_no_match(pattern in "[ab*?\\[\\]!]{0,6}", name in "[ab*?\\[\\]!]{0,6}") {
        let compiled = Pattern::new(&pattern).unwrap();
        let begins = name.starts_with(compiled.beginning());
        prop_assert!(begins || !compiled.matches(&name));
        prop_assert!(!compiled.is_beginning() || compiled.matches(&name) == begins);
    }

    #[test]
    fn it_matches_as_a_naive_matcher_does(pattern in "[ab*?\\[\\]!^/é-]{0,10}", name in "[ab*?\\[\\]!^/é-]{0,8}") {
        // `!` behind an empty range is Python's own; the vectors above hold it.
        let pattern = pattern.replace("[!", "[\u{1}").replace('!', "a").replace('\u{1}', "!");
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(matches(&pattern, &name), naive(&chars(&pattern), &chars(&name)));
    }

    #[test]
    fn a_name_cut_from_a_pattern_matches(parts in prop::collection::vec("[a-c]{0,3}", 1..6), filler in "[a-d]{0,4}") {
        prop_assert!(matches(&parts.join("*"), &parts.join(&filler)));
        let literal = parts.concat();
        prop_assert_eq!(matches(&literal, &filler), literal == filler);
    }
}
