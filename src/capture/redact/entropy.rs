//! Words too random to be words.
//!
//! Hexadecimal is left alone: digests and commits are no secrets. So are digests in base64 that say what they are, and paths: these have
//! slashes as base64 has, but between them are words.

use super::tokens::Token;

/// A word of base64 letters is suspect from this length on …
const WORD_BYTES_MIN: usize = 32;
/// … and when each of its characters carries this many bits.
const BITS: f64 = 4.4;
/// What a person writes changes between words, numbers and capitals less often than twice in this many characters.
const TWO_PIECES_BYTES_MAX: usize = 7;
/// Of random base64 one character in 64 is a slash.
const BYTES_A_SLASH: usize = 10;

/// What stands before a digest in base64, and the lengths it then has.
const DIGESTS: [(&str, [usize; 2]); 10] = [
    ("sha256-", [43, 44]),
    ("sha384-", [64, 64]),
    ("sha512-", [86, 88]),
    ("sha1-", [27, 28]),
    ("SHA256:", [43, 44]),
    ("sha256:", [43, 44]),
    ("sha384:", [64, 64]),
    ("sha512:", [86, 88]),
    ("sha1:", [27, 28]),
    ("h1:", [43, 44]),
];

/// The random words of a part of a text.
pub(super) fn words(text: &str, start: usize, end: usize) -> Vec<Token<'static>> {
    let part = text.get(start..end).unwrap_or_default();
    let mut found = Vec::new();
    for (at, word) in split(part, |c| is_letter(c) || c == '/') {
        if is_digest(part, at, word) {
            continue;
        }
        if is_random(word) {
            let behind = part.get(at + word.len()..).unwrap_or_default();
            let padding = behind.bytes().take(2).take_while(|byte| *byte == b'=').count();
            found.push(token(start + at, word.len() + padding));
            continue;
        }
        let random = split(word, is_letter).into_iter().filter(|(_, word)| is_random(word));
        found.extend(random.map(|(inner, word)| token(start + at + inner, word.len())));
    }
    found
}

/// Whether a value is one, or begins with one.
pub(super) fn begins_random(value: &str) -> bool {
    let letters = value.bytes().take(BYTES_LOOKED_AT_MAX).take_while(|byte| is_letter((*byte).into()) || *byte == b'/');
    let word = value.get(..letters.count()).unwrap_or_default();
    is_random(word)
}

/// Of a value that begins like a path.
const BYTES_LOOKED_AT_MAX: usize = 128;

fn token(start: usize, length: usize) -> Token<'static> {
    Token { start, end: start + length, rule: "entropy" }
}

fn is_letter(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '_' | '-')
}

/// The words of a text, and where they begin.
fn split(text: &str, is_of_word: impl Fn(char) -> bool) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = 0;
    for word in text.split(|c| !is_of_word(c)) {
        if word.len() >= WORD_BYTES_MIN {
            words.push((start, word));
        }
        let end = start + word.len();
        start = end + text.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    words
}

fn is_digest(text: &str, at: usize, word: &str) -> bool {
    DIGESTS.iter().any(|(prefix, lengths)| {
        let hash = match word.strip_prefix(prefix) {
            Some(hash) => hash,
            None if text.get(..at).is_some_and(|before| before.ends_with(prefix)) => word,
            None => return false,
        };
        lengths.contains(&hash.len())
    })
}

/// Of a path the words between its slashes, and its slashes, are too many; a name is of longer words.
fn is_random(word: &str) -> bool {
    let slashes = word.bytes().filter(|byte| *byte == b'/').count();
    word.len() >= WORD_BYTES_MIN
        && slashes <= word.len() / BYTES_A_SLASH
        && has_all(word)
        && 2 * (word.len() - slashes) <= TWO_PIECES_BYTES_MAX * pieces(word)
        && bits(word) >= BITS
}

fn has_all(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

/// Of how many words and numbers it is: `MyFile2` of three, `wJalrX` of three too.
fn pieces(word: &str) -> usize {
    let kind = |byte: u8| match byte {
        b'A'..=b'Z' => 'A',
        b'a'..=b'z' => 'a',
        b'0'..=b'9' => '0',
        _ => '/',
    };
    let kinds: Vec<char> = word.bytes().map(kind).collect();
    let begins = kinds.windows(2).enumerate().filter(|(at, pair)| match pair {
        ['/', '/'] | [_, '/'] => false,
        // A capital and the small letters behind it are one, unless capitals come before.
        ['A', 'a'] => at.checked_sub(1).and_then(|before| kinds.get(before)) == Some(&'A'),
        [one, other] => one != other,
        _ => false,
    });
    begins.count() + usize::from(kinds.first().is_some_and(|kind| *kind != '/'))
}

/// Bits a character, by how often each occurs in the word.
fn bits(word: &str) -> f64 {
    let mut counts = [0_u32; 128];
    for byte in word.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = f64::from(u32::try_from(word.len()).unwrap_or(u32::MAX));
    let share = |count: &u32| f64::from(*count) / total;
    -counts.iter().filter(|count| **count > 0).map(|count| share(count) * share(count).log2()).sum::<f64>()
}
