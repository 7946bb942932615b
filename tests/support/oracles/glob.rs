//! A pattern matches what Python's `fnmatch` matches; what it says of itself (its only name, what names begin with) is true; and a match
//! costs no more than its bound. (security §4.4 `glob`)

use super::{fnmatch, stream::Stream};
use tidewaiter::pattern::Pattern;

const CHARACTERS: [char; 17] =
    ['a', 'b', 'c', '*', '?', '[', ']', '!', '-', '^', '\\', '/', '.', '{', '}', '\n', '\u{e9}'];

/// Whether they matched.
pub fn check(bytes: &[u8]) -> bool {
    // The first byte decides who makes up pattern and name: an alphabet that means something, or the bytes themselves.
    let (pattern, name) = match bytes.split_first() {
        Some((kind, rest)) if kind % 2 == 0 => {
            let stream = &mut Stream::new(rest);
            let pattern = stream.text(&CHARACTERS, 24);
            let name = name_for(&pattern, stream);
            (pattern, name)
        }
        Some((_, rest)) => match String::from_utf8_lossy(rest).split_once('\n') {
            Some((pattern, name)) => (pattern.to_owned(), name.to_owned()),
            None => return false,
        },
        None => return false,
    };
    let Ok(compiled) = Pattern::new(&pattern) else {
        assert!(pattern.len() > 1024 || pattern.matches(['*', '?', '[']).count() > 16, "{pattern:?} is refused");
        return false;
    };
    assert_eq!(compiled.as_str(), pattern);
    let matches = compiled.matches(&name);
    assert_eq!(matches, fnmatch::matches(&pattern, &name), "{pattern:?} and {name:?}");
    if let Some(only) = compiled.literal() {
        assert_eq!(matches, name == only, "{pattern:?} is {only:?} alone");
    }
    assert!(!matches || name.starts_with(compiled.beginning()), "{pattern:?} begins with {:?}", compiled.beginning());
    if compiled.is_beginning() {
        assert_eq!(matches, name.starts_with(compiled.beginning()), "{pattern:?} is a beginning");
    }
    matches
}

/// A name that the pattern may well match: its wildcards stand for this or that, and now and then a character is another.
fn name_for(pattern: &str, stream: &mut Stream<'_>) -> String {
    let mut name = String::new();
    for c in pattern.chars() {
        match (c, stream.below(24)) {
            ('*', _) => name.push_str(&stream.text(&CHARACTERS, 3)),
            ('?', _) | (_, 0) => name.push(CHARACTERS[stream.below(CHARACTERS.len())]),
            ('[' | ']' | '!' | '-', 1..12) | (_, 1) => {}
            (c, _) => name.push(c),
        }
    }
    name
}
