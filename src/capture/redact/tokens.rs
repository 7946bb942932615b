//! Secrets by their looks: tokens that begin as their makers have them begin, and private keys in PEM.

use super::{Findings, effort, entropy, redacted, rules::Rules};

/// Where a secret is, and the rule that tells so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub start: usize,
    pub end: usize,
    pub rule: &'a str,
}

pub(super) const PEM_BEGIN: &str = "-----BEGIN ";
/// How the labels of private keys end: those of PEM, and OpenPGP's.
const PEM_KEYS: [&str; 2] = ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"];

/// The text without them, and whether there were any.
pub(super) fn redact(text: &str, rules: &Rules, random: bool, found: &mut Findings) -> (String, bool) {
    let mut tokens = find(text, rules);
    if random {
        // A word ends where a known token begins.
        let bounds = tokens.iter().map(|token| (token.start, token.end)).chain([(text.len(), text.len())]);
        let between = bounds.scan(0, |done, (start, end)| Some((std::mem::replace(done, end), start)));
        let words: Vec<Token<'_>> = between.flat_map(|(start, end)| entropy::words(text, start, end)).collect();
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
