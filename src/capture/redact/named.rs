//! Values that their name gives away, in any text: `NAME=value`, `name: value`, members of JSON. One pass from left to right.
//!
//! An assignment without spaces, and a name in quotes, count wherever they stand. `name: value` is also how people write, so it counts
//! where a line or a list begins with it; in the middle of what a command prints it counts for names that prose has no other use for.

use super::{
    effort,
    rules::{Names, Rules},
};

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Prints of a command: logs, dumps, traces.
    Output,
    /// Others' documents, where sentences are about passwords.
    Document,
    /// Handed to a shell, which ends words at more than spaces.
    Script,
}

/// Where the values are.
pub(super) fn values(text: &str, rules: &Rules, manner: Manner) -> Vec<(usize, usize)> {
    let mut cuts = Vec::new();
    let mut at = 0;
    while let Some((start, end)) = name(text, at) {
        at = end;
        let Some(place) = place(text, start, end) else { continue };
        let name = text.get(start..end).unwrap_or_default();
        let Some(kind) = rules.kind(name) else { continue };
        let rest = text.get(place.value..).unwrap_or_default();
        if !place.counts(text, rules.names(name), manner) || rules.begins_harmless(kind, rest) {
            continue;
        }
        let value = place.extent(text, manner);
        effort::looked(value.1.saturating_sub(value.0));
        let plain = text.get(value.0..value.1).unwrap_or_default();
        if rules.is_secret(name, plain) && !(rules.names(name) != Names::Telling && is_count(name, plain)) {
            cuts.push(value);
        }
        at = value.1.max(end);
    }
    cuts
}

/// The next run of letters that could be a name.
fn name(text: &str, from: usize) -> Option<(usize, usize)> {
    let start = from + text.as_bytes().get(from..)?.iter().position(is_of_name)?;
    Some((start, start + text.as_bytes().get(start..)?.iter().take_while(|byte| is_of_name(byte)).count()))
}

fn is_of_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// `pass=12`, of tests.
fn is_count(name: &str, value: &str) -> bool {
    let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word && value.len() <= COUNT_DIGITS_MAX && value.bytes().all(|byte| byte.is_ascii_digit())
}
const COUNT_DIGITS_MAX: usize = 4;

/// A name with what assigns to it.
struct Place {
    /// Where the name begins, its quote included.
    start: usize,
    /// Where the value begins, its quote included.
    value: usize,
    /// The quote directly before the name, and whether it closes behind it.
    quote: Option<char>,
    is_closed: bool,
    /// Not `NAME=value`: a colon, an arrow, or spaces are between the two.
    is_loose: bool,
    /// A colon with nothing behind it.
    is_tight: bool,
}

/// What stands between a name and its value, the longer before their beginnings.
const ASSIGNS: [&str; 6] = ["=>", ":=", "?=", "+=", "=", ":"];

/// What follows a name, if it is an assignment.
fn place(text: &str, start: usize, end: usize) -> Option<Place> {
    let quote = text.get(..start)?.chars().next_back().filter(|c| is_quote(*c));
    let behind = text.get(end..)?;
    let closed = quote.and_then(|quote| behind.trim_start_matches('\\').strip_prefix(quote));
    let spaced = closed.unwrap_or(behind);
    let assigns = spaced.trim_start_matches(BLANKS);
    let sign = ASSIGNS.iter().find(|sign| assigns.starts_with(**sign))?;
    let after = assigns.get(sign.len()..)?;
    // A comparison, a path of names, a URL, a hash of a version.
    if after.starts_with(['=', ':', '~']) || after.starts_with("//") {
        return None;
    }
    let value = after.trim_start_matches(BLANKS);
    if value.is_empty() || value.starts_with(['\n', '\r']) || is_structure(value) {
        return None;
    }
    let blanks = value.len() != after.len();
    Some(Place {
        start: start - quote.map_or(0, char::len_utf8),
        value: text.len() - value.len(),
        quote,
        is_closed: closed.is_some(),
        is_loose: *sign != "=" || blanks || assigns.len() != spaced.len(),
        is_tight: *sign == ":" && !blanks,
    })
}

/// `credential = { version = "1" }`: what is in it has names of its own.
fn is_structure(value: &str) -> bool {
    let inner = value.strip_prefix(['{', '[']);
    inner.is_some_and(|inner| {
        inner.is_empty() || inner.starts_with([' ', '\n', '\r', '"', '\'', '\\', '{', '[', '}', ']'])
    })
}

const BLANKS: [char; 2] = [' ', '\t'];

fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\'' | '`')
}

/// What a value is in, with the backslashes before it.
fn opened(value: &str) -> Option<&str> {
    let plain = value.trim_start_matches('\\');
    let quote = plain.chars().next().filter(|c| is_quote(*c))?;
    value.get(..value.len() - plain.len() + quote.len_utf8())
}

/// Where in a line a name stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// It begins it, or an item of a list.
    Line,
    /// It begins a member in brackets.
    Member,
    Within,
}

impl Place {
    fn stands(&self, text: &str) -> Where {
        let before = text.get(..self.start).unwrap_or_default().trim_end_matches('\\').trim_end_matches(BLANKS);
        match before.chars().next_back() {
            None | Some('\n' | '\r' | '-' | '+' | '#' | '*' | '|' | '>' | ']' | ';') => Where::Line,
            Some('{' | '[' | '(' | ',') => Where::Member,
            _ => Where::Within,
        }
    }

    /// Whether it is an assignment in a text of this manner, and no sentence.
    fn counts(&self, text: &str, names: Names, manner: Manner) -> bool {
        // `NAME=value`, `"name": value`, `"name: value"`
        if !self.is_loose || self.is_closed || self.quote.is_some() && !self.is_tight {
            return names != Names::Short || !self.is_loose || self.is_closed;
        }
        let is_quoted = opened(text.get(self.value..).unwrap_or_default()).is_some();
        // `image:tag`
        if self.is_tight && !is_quoted || names == Names::Short {
            return false;
        }
        match names {
            _ if self.stands(text) != Where::Within => true,
            Names::Telling => is_quoted || manner == Manner::Output,
            _ => false,
        }
    }

    /// From where to where the value goes. Nothing here looks beyond the value's end twice, or beyond its line.
    fn extent(&self, text: &str, manner: Manner) -> (usize, usize) {
        let rest = text.get(self.value..).unwrap_or_default();
        if let Some(opened) = opened(rest) {
            let start = self.value + opened.len();
            return (start, start + closing(rest.get(opened.len()..).unwrap_or_default(), opened));
        }
        let within = self.quote.filter(|_| !self.is_closed);
        let whole = within.and_then(|quote| in_line(rest, |c| c == quote).1);
        let length = match (whole, self.is_loose, self.stands(text)) {
            (Some(end), ..) => rest.get(..end).unwrap_or_default().trim_end_matches('\\').len(),
            (None, true, at) if at == Where::Member || self.is_closed => {
                in_line(rest, |c| matches!(c, ',' | '}' | ']' | ')')).0
            }
            (None, true, Where::Line) => {
                let line = rest.get(..in_line(rest, |_| false).0).unwrap_or_default();
                line.trim_end().trim_end_matches([',', ';']).len()
            }
            _ => word(rest, manner),
        };
        (self.value, self.value + length)
    }
}

/// The bytes before an end in the first line of a text, or all of the line; and the end, if there is one.
fn in_line(text: &str, is_end: impl Fn(char) -> bool) -> (usize, Option<usize>) {
    let at = text.find(|c| matches!(c, '\n' | '\r') || is_end(c));
    let length = at.unwrap_or(text.len());
    effort::looked(length);
    (length, at.filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(is_end))))
}

/// Where a quoted text ends: at its quote with as many backslashes before it, or with the line.
fn closing(inner: &str, opened: &str) -> usize {
    let escapes = opened.trim_end_matches(is_quote).len();
    let mut backslashes = 0;
    for (at, character) in inner.char_indices() {
        match character {
            '\n' | '\r' => return at,
            '\\' => backslashes += 1,
            _ if opened.ends_with(character) && (backslashes == escapes || backslashes % 2 == 0 || opened == "'") => {
                return at - escapes.min(backslashes);
            }
            _ => backslashes = 0,
        }
    }
    inner.len()
}

/// The bytes of the word that a text begins with.
fn word(text: &str, manner: Manner) -> usize {
    let mut quoted_to = 0;
    for (at, character) in text.char_indices() {
        if at < quoted_to {
            continue;
        }
        let behind = text.get(at + character.len_utf8()..).unwrap_or_default();
        let next = behind.chars().next();
        let ends = match character {
            _ if character.is_whitespace() => true,
            '\\' => next.is_some_and(is_quote),
            '<' => next.is_none_or(|c| c.is_alphabetic() || matches!(c, '/' | '!' | '?')),
            ';' | '&' | '|' if manner == Manner::Script => true,
            ';' | '&' | '|' | ',' => next.is_none_or(|c| c.is_whitespace() || is_quote(c)) || assigns(behind),
            _ if is_quote(character) => {
                // `a"b c"d` is one word; the quote that something before the name opened ends it.
                let goes_on = next.is_some_and(char::is_alphanumeric) && at > 0;
                let close = if goes_on { in_line(behind, |c| c == character).1 } else { None };
                quoted_to = close.map_or(0, |close| at + 1 + close + 1);
                !goes_on
            }
            _ => false,
        };
        if ends {
            return at;
        }
    }
    text.len()
}

/// Whether another assignment follows.
fn assigns(text: &str) -> bool {
    let length = text.bytes().take_while(is_of_name).count();
    length > 0 && text.get(length..).is_some_and(|rest| rest.starts_with('='))
}

#[cfg(test)]
mod tests;
