//! Secrets by their looks: tokens that begin as their makers have them begin, private keys in PEM, and words too random to be words.

use super::{Findings, effort, redacted, rules::Rules};

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
    let mut tokens = find(text, rules);
    if entropy {
        // A word ends where a known token begins.
        let bounds = tokens.iter().map(|token| (token.start, token.end)).chain([(text.len(), text.len())]);
        let between = bounds.scan(0, |done, (start, end)| Some((std::mem::replace(done, end), start)));
        let words: Vec<Token<'_>> = between.flat_map(|(start, end)| random_words(text, start, end)).collect();
        tokens.extend(words);
        tokens.sort_unstable_by_key(|token| token.start);
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for token in &tokens {
        out.push_str(text.get(done..token.start).unwrap_or_default());
        out.push_str(&redacted(token.rule));
        found.add(token.rule);
        done = token.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    (out, !tokens.is_empty())
}

/// The tokens that rules know, from left to right; of several that overlap, one that spans them all.
///
/// One pass over the text finds where tokens may begin. However many beginnings there are, no rule looks at a byte behind them twice: what
/// a rule read to its end decides for every later beginning in it.
pub(super) fn find<'a>(text: &str, rules: &'a Rules) -> Vec<Token<'a>> {
    let mut read: Vec<usize> = vec![0; rules.tokens.len()];
    let mut keys_read = 0;
    let mut tokens = Vec::new();
    for (start, behind, rule) in rules.beginnings(text) {
        match rule {
            Some(at) => {
                let (Some(rule), Some(read)) = (rules.tokens.get(at), read.get_mut(at)) else { continue };
                if behind > *read && begins_a_word(text, start) {
                    let (end, is_token) = of_rule(text, behind, rule);
                    *read = end;
                    is_token.then(|| tokens.push(Token { start, end, rule: &rule.name }));
                }
            }
            None if start >= keys_read => {
                if let Some(token) = pem(text, start) {
                    keys_read = token.end;
                    tokens.push(token);
                }
            }
            None => {}
        }
    }
    tokens.sort_unstable_by_key(|token| (token.start, std::cmp::Reverse(token.end)));
    tokens.dedup_by(|next, token| {
        let overlaps = next.start < token.end;
        if overlaps {
            token.end = token.end.max(next.end);
        }
        overlaps
    });
    tokens
}

/// Where the rule's characters behind a beginning end, and whether they are enough of them.
fn of_rule(text: &str, behind: usize, rule: &super::rules::Token) -> (usize, bool) {
    let tail = text.get(behind..).unwrap_or_default();
    let length = tail.bytes().take_while(|byte| rule.alphabet.has(*byte)).count();
    let dots = tail.bytes().take(length).filter(|byte| *byte == b'.').count();
    effort::looked(length);
    (behind + length, length >= rule.min && dots >= rule.dots)
}

fn begins_a_word(text: &str, at: usize) -> bool {
    !text.get(..at).unwrap_or_default().ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// A private key in PEM, to its end or the text's.
fn pem(text: &str, start: usize) -> Option<Token<'static>> {
    let label = text.get(start..)?.split_inclusive("-----").nth(1)?;
    effort::looked(label.len());
    if !PEM_KEYS.iter().any(|key| label.ends_with(key)) {
        return None;
    }
    let end = text.get(start..)?.find("-----END ").and_then(|end| {
        let behind = start + end + "-----END ".len();
        Some(behind + text.get(behind..)?.find("-----")? + "-----".len())
    });
    let end = end.unwrap_or(text.len());
    effort::looked(end - start);
    Some(Token { start, end, rule: "private-key" })
}

/// A word that mixes cases and digits as no name does. Hexadecimal is left alone: digests and commits are no secrets.
fn random_words(text: &str, start: usize, end: usize) -> Vec<Token<'static>> {
    let part = text.get(start..end).unwrap_or_default();
    let mut words = Vec::new();
    let mut from = start;
    for word in part.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-'))) {
        let to = from + word.len();
        if word.len() >= WORD_BYTES_MIN && is_mixed(word) && entropy(word) >= ENTROPY_BITS {
            words.push(Token { start: from, end: to, rule: "entropy" });
        }
        from = to + text.get(to..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    words
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
