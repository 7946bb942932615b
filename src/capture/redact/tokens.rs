//! Secrets by their looks: tokens that begin as their makers have them begin, private keys in PEM, and words too random to be words.

use super::{Findings, redacted, rules::Rules};

/// Where a secret is, and the rule that tells so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub start: usize,
    pub end: usize,
    pub rule: &'a str,
}

/// A word of base64 letters is suspect from this length on …
const WORD_BYTES_MIN: usize = 32;
/// … and when each of its characters carries this many bits.
const ENTROPY_BITS: f64 = 4.4;

pub(super) const PEM_BEGIN: &str = "-----BEGIN ";
/// How the labels of private keys end: those of PEM, and OpenPGP's.
const PEM_KEYS: [&str; 2] = ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"];

/// The text without them, and whether there were any.
pub(super) fn redact(text: &str, rules: &Rules, entropy: bool, found: &mut Findings) -> (String, bool) {
    let mut out = text.to_owned();
    let mut any = false;
    while let Some(token) = find(&out, rules).or_else(|| entropy.then(|| random_word(&out)).flatten()) {
        found.add(token.rule);
        let placeholder = redacted(token.rule);
        out.replace_range(token.start..token.end, &placeholder);
        any = true;
    }
    (out, any)
}

/// The first token that a rule knows.
pub(super) fn find<'a>(text: &str, rules: &'a Rules) -> Option<Token<'a>> {
    if !rules.may_hold_token(text) {
        return None;
    }
    pem(text).or_else(|| rules.tokens.iter().find_map(|rule| of_rule(text, rule)))
}

fn of_rule<'a>(text: &str, rule: &'a super::rules::Token) -> Option<Token<'a>> {
    let starts = rule.prefixes.iter().flat_map(|prefix| text.match_indices(prefix.as_str()));
    starts.filter(|(start, _)| begins_a_word(text, *start)).find_map(|(start, prefix)| {
        let tail = text.get(start + prefix.len()..)?;
        let length = tail.bytes().take_while(|byte| rule.alphabet.has(*byte)).count();
        let dots = tail.get(..length)?.matches('.').count();
        let end = start + prefix.len() + length;
        (length >= rule.min && dots >= rule.dots).then_some(Token { start, end, rule: &rule.name })
    })
}

fn begins_a_word(text: &str, at: usize) -> bool {
    !text.get(..at).unwrap_or_default().ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// A private key in PEM, to its end or the text's.
fn pem(text: &str) -> Option<Token<'static>> {
    text.match_indices(PEM_BEGIN).find_map(|(start, _)| {
        let label = text.get(start..)?.split_inclusive("-----").nth(1)?;
        let end = text.get(start..)?.find("-----END ").and_then(|end| {
            let behind = start + end + "-----END ".len();
            Some(behind + text.get(behind..)?.find("-----")? + "-----".len())
        });
        PEM_KEYS.iter().any(|key| label.ends_with(key)).then_some(Token {
            start,
            end: end.unwrap_or(text.len()),
            rule: "private-key",
        })
    })
}

/// A word that mixes cases and digits as no name does. Hexadecimal is left alone: digests and commits are no secrets.
fn random_word(text: &str) -> Option<Token<'static>> {
    let mut start = 0;
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-'))) {
        let end = start + word.len();
        if word.len() >= WORD_BYTES_MIN && is_mixed(word) && entropy(word) >= ENTROPY_BITS {
            return Some(Token { start, end, rule: "entropy" });
        }
        start = end + text.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    None
}

fn is_mixed(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().filter(|byte| kind(byte)).count() >= 3;
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

/// Bits a character, by how often each occurs in the word.
fn entropy(word: &str) -> f64 {
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
