//! Secrets that what stands around them gives away: `user:password@` in a URL, a header's value, what percent-encoding hides.

use super::{Findings, effort, redacted};

/// Ends what belongs together in a text.
fn is_boundary(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '\'' | '`' | '<' | '>')
}

/// `scheme://user:password@host` without the password; over http, a lone user is a token.
pub(super) fn userinfo(text: &str, found: &mut Findings) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = behind.find(|c: char| is_boundary(c) || matches!(c, '/' | '?' | '#')).unwrap_or(behind.len());
        let (authority, after) = behind.split_at(end);
        let http = before.ends_with("http") || before.ends_with("https");
        match authority.rsplit_once('@') {
            Some((user, host)) if !super::is_redacted(user) => {
                let kept = match user.split_once(':') {
                    Some((name, _)) => Some(format!("{name}:{}", redacted("userinfo"))),
                    None => http.then(|| redacted("userinfo")),
                };
                kept.is_some().then(|| found.add("userinfo"));
                out.push_str(kept.as_deref().unwrap_or(user));
                out.push('@');
                out.push_str(host);
            }
            _ => out.push_str(authority),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `Name: value` of a header that is known to be secret, and `Bearer value` wherever it stands.
pub(super) fn headers(text: &str, names: &[String], found: &mut Findings) -> String {
    let lower = text.to_ascii_lowercase();
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    for name in names {
        let mut read = 0;
        for (at, _) in lower.match_indices(name.as_str()) {
            // The rest of a line goes with the first of its headers.
            if at < read {
                continue;
            }
            let begins =
                !lower.get(..at).unwrap_or_default().ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
            let behind = at + name.len();
            if let (true, Some(value)) = (begins, text.get(behind..).and_then(|rest| rest.strip_prefix(':'))) {
                let start = text.len() - value.trim_start_matches([' ', '\t']).len();
                read = line_end(text, start);
                cuts.push((start, read));
            }
        }
    }
    for (at, word) in lower.match_indices("bearer ") {
        let start = at + word.len();
        let token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '+' | '/' | '=' | '-');
        let value = text.get(start..).unwrap_or_default();
        let end = start + value.find(|c| !token(c)).unwrap_or(value.len());
        let value = text.get(start..end).unwrap_or_default();
        if value.len() >= 8 && value.contains(|c: char| c.is_ascii_digit()) {
            cuts.push((start, end));
        }
    }
    replace(text, cuts, "header", found)
}

fn line_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.find(['"', '\'', '\n', '\r']).unwrap_or(rest.len());
    effort::looked(length);
    start + length
}

/// The ranges replaced; those that overlap are one.
pub(super) fn replace(text: &str, mut cuts: Vec<(usize, usize)>, rule: &str, found: &mut Findings) -> String {
    cuts.sort_unstable();
    cuts.dedup_by(|next, cut| {
        let overlaps = next.0 < cut.1;
        if overlaps {
            cut.1 = cut.1.max(next.1);
        }
        overlaps
    });
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end) in cuts {
        let value = text.get(start..end).unwrap_or_default();
        if value.is_empty() || super::is_redacted(value) {
            continue;
        }
        out.push_str(text.get(done..start).unwrap_or_default());
        out.push_str(&redacted(rule));
        found.add(rule);
        done = end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Words whose percent-encoding hides a secret, whichever of its characters were encoded.
pub(super) fn decoded(text: &str, found: &mut Findings, is_secret: impl Fn(&str) -> bool) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut cuts = Vec::new();
    let mut start = 0;
    for word in text.split(|c: char| is_boundary(c) || matches!(c, '&' | '?')) {
        let end = start + word.len();
        let plain = percent_decoded(word);
        if word.contains('%') && (is_secret(&plain) || is_secret(&plain.replace('+', " "))) {
            cuts.push((start, end));
        }
        start = end + text.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    // What was replaced in a word before goes with the word.
    let mut out = String::new();
    let mut done = 0;
    for (start, end) in cuts {
        out.push_str(text.get(done..start).unwrap_or_default());
        out.push_str(super::HIDDEN);
        found.add("percent-encoded");
        done = end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

fn percent_decoded(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| hex::decode(digits).ok());
        match hex.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
