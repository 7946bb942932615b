//! What a request asks for in its query: each parameter once, none that is not known, everything bounded.

use super::{parameters::image, problem::Problem};
use crate::digest::Digest;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Bytes of one value.
const VALUE_BYTES_MAX: usize = 512;
/// Question of one request.
const PARAMETERS_MAX: usize = 64;

/// The parameters that nobody has taken yet.
#[derive(Clone, Debug)]
pub struct Question(BTreeMap<String, String>);

impl Question {
    /// Those of a query string.
    pub fn new(query: Vec<(String, String)>) -> Result<Self, Problem> {
        if query.len() > PARAMETERS_MAX {
            return Err(Problem::bad_request(format!("more than {PARAMETERS_MAX} parameters")));
        }
        let mut parameters = BTreeMap::new();
        for (name, value) in query {
            let shown = name.escape_default();
            if value.is_empty() || value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
                let detail = format!("{shown} has between 1 and {VALUE_BYTES_MAX} printable characters");
                return Err(Problem::bad_request(detail));
            }
            if parameters.contains_key(&name) {
                return Err(Problem::bad_request(format!("{shown} is given twice")));
            }
            parameters.insert(name, value);
        }
        Ok(Question(parameters))
    }

    /// A text, as it is.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// `sha256:<hex>`, or the hex alone.
    pub fn digest(&mut self, name: &str) -> Result<Option<Digest>, Problem> {
        self.text(name).map(|text| image(&text)).transpose()
    }

    /// A number between two.
    pub fn number(&mut self, name: &str, from: i64, to: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (from..=to).contains(number));
        number.map(Some).ok_or_else(|| Problem::bad_request(format!("{name} is a number from {from} to {to}")))
    }

    /// How many are wanted: 1 to `max`, without it `usual`.
    pub fn limit(&mut self, usual: usize, max: usize) -> Result<usize, Problem> {
        let most = i64::try_from(max).unwrap_or(i64::MAX);
        let limit = self.number("limit", 1, most)?;
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usual))
    }

    /// A time of RFC 3339.
    pub fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let time = text.parse().map(Some);
        time.map_err(|_| Problem::bad_request(format!("{name} is a time like 2026-11-25T12:00:00Z")))
    }

    /// Where an earlier page said that the next begins.
    pub fn cursor(&mut self) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text("cursor") else { return Ok(None) };
        cursor_of(&text).map(Some).ok_or_else(|| Problem::bad_request("cursor is none that a page gave"))
    }

    /// `true` or `false`; without it `false`.
    pub fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.text(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::bad_request(format!("{name} is true or false"))),
        }
    }

    /// The parameters that begin so, without their beginning.
    pub fn beginning(&mut self, prefix: &str) -> Vec<(String, String)> {
        let rest = self.0.split_off(prefix);
        let (taken, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(name, _)| name.starts_with(prefix));
        self.0.extend(others);
        taken.into_iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value))).collect()
    }

    /// Refuses what nobody took.
    pub fn end(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            Some(name) => Err(Problem::bad_request(format!("unknown parameter \"{}\"", name.escape_default()))),
            None => Ok(()),
        }
    }
}

/// Whether a query string, decoded, is UTF-8. What is not would be read with replacement characters: as another name than was meant.
pub fn is_text(query: &str) -> bool {
    let (mut text, mut rest) = (Vec::with_capacity(query.len()), query.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        let mut decoded = [0];
        let encoded =
            after.get(..2).filter(|digits| *byte == b'%' && hex::decode_to_slice(digits, &mut decoded).is_ok());
        text.push(if encoded.is_some() { decoded[0] } else { *byte });
        rest = after.get(if encoded.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    std::str::from_utf8(&text).is_ok()
}

/// A place among ids as pages give it out; only what `cursor_of` reads is one.
pub fn cursor(id: i64) -> String {
    format!("c{id:x}")
}

fn cursor_of(text: &str) -> Option<i64> {
    let hex =
        text.strip_prefix('c').filter(|hex| hex.len() <= 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    i64::from_str_radix(hex, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(query: &[(&str, &str)]) -> Result<Question, Problem> {
        Question::new(query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn each_parameter_is_taken_once_and_none_is_left() {
        let mut asked =
            question(&[("limit", "7"), ("fact.a", "1"), ("fact.b.c", "2"), ("g", "true"), ("f", "x")]).unwrap();
        assert_eq!(asked.limit(5, 10), Ok(7));
        assert_eq!(asked.beginning("fact."), [("a".into(), "1".into()), ("b.c".into(), "2".into())]);
        assert_eq!((asked.flag("g"), asked.flag("h")), (Ok(true), Ok(false)));
        assert_eq!(asked.clone().end().unwrap_err().detail, "unknown parameter \"f\"");
        assert_eq!(asked.text("f").as_deref(), Some("x"));
        assert_eq!(asked.end(), Ok(()));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for query in [[("a", ""), ("b", "1")], [("a", "1"), ("a", "1")], [("a", "\u{7}"), ("b", "1")]] {
            assert!(question(&query).is_err(), "{query:?}");
        }
        for (name, value) in
            [("limit", "0"), ("limit", "11"), ("limit", "x"), ("cursor", "7"), ("cursor", "c-1"), ("t", "now")]
        {
            let mut asked = question(&[(name, value)]).unwrap();
            let answers =
                [asked.clone().limit(5, 10).is_err(), asked.clone().cursor().is_err(), asked.time("t").is_err()];
            assert!(answers.contains(&true), "{name}={value}");
        }
    }

    #[test]
    fn a_query_is_text_when_it_is_decoded() {
        for text in ["", "run=ci/7&step=a+b", "run=pr%C3%BCfen", "run=%EF%BF%BD", "run=100%", "run=%zz", "run=%"] {
            assert!(is_text(text), "{text}");
        }
        for other in ["run=%ff", "run=%C3", "run=%C3x%BC", "%ED%A0%80=1"] {
            assert!(!is_text(other), "{other}");
        }
    }

    #[test]
    fn a_cursor_reads_back() {
        assert_eq!(cursor_of(&cursor(1 << 40)), Some(1 << 40));
        assert_eq!(cursor_of("cffffffffffffffff"), None);
    }
}
