//! The two writers: OLPC canonical JSON, and ordinary JSON text.

use super::{JsonError, Value, shown};
use std::fmt::Write as _;

/// OLPC canonical JSON (in-toto §1.2): integers only, keys by code point, only `"` and `\` escaped, all else raw.
///
/// # Errors
/// [`JsonError::NotCanonical`] for a number that is no integer or is `-0` (R11); [`JsonError::DuplicateKey`] for a
/// value that was made by hand with a key twice.
pub fn canonical(value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    write_canonical(value, &mut out)?;
    Ok(out)
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) -> Result<(), JsonError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) if is_canonical_integer(n) => out.extend_from_slice(n.as_bytes()),
        Value::Number(n) => return Err(JsonError::NotCanonical { number: shown(n) }),
        Value::String(s) => write_raw(s, out),
        Value::Array(elements) => {
            out.push(b'[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_canonical(element, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // The order of UTF-8 bytes is the order of code points.
            let mut sorted: Vec<_> = members.iter().collect();
            if !sorted.is_sorted_by(|(a, _), (b, _)| a < b) {
                sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
            out.push(b'{');
            let mut previous: Option<&str> = None;
            for (key, member) in sorted {
                if previous == Some(key) {
                    return Err(JsonError::DuplicateKey { key: shown(key) });
                }
                if previous.is_some() {
                    out.push(b',');
                }
                previous = Some(key);
                write_raw(key, out);
                out.push(b':');
                write_canonical(member, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

pub(super) fn write_raw(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    let special = |bytes: &[u8]| bytes.iter().position(|b| matches!(b, b'"' | b'\\'));
    while let Some((plain, [escaped, behind @ ..])) = special(rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(plain);
        out.extend_from_slice(&[b'\\', *escaped]);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// R11: `-?(0|[1-9][0-9]*)`, and `-0` is none.
pub(super) fn is_canonical_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// The same value as ordinary JSON text: only control characters, which canonical JSON leaves raw, are written otherwise there.
pub fn canonical_to_text(canonical: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(canonical.len());
    for byte in canonical {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(*byte),
        }
    }
    out
}

/// Ordinary JSON text (compact), escapes as RFC 8259. [`super::parse`] reads it back as the same value.
pub fn to_text(value: &Value) -> String {
    let mut out = String::new();
    write_text(value, &mut out);
    out
}

fn write_text(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(n) => out.push_str(n),
        Value::String(s) => write_escaped(s, out),
        Value::Array(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(element, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_escaped(key, out);
                out.push(':');
                write_text(member, out);
            }
            out.push('}');
        }
    }
}

fn write_escaped(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string cannot fail. Control characters are all below U+00A0.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
