//! Strict JSON for everything signed or stored, and OLPC canonical JSON over the value as received.
//!
//! A value is kept as it came: members in their order, numbers as their text. So what was signed is what is
//! canonicalised, whether or not we know its fields (in-toto R1).

use std::collections::BTreeMap;

pub(crate) mod canonical;
mod parse;
mod plain;
mod reader;
mod write;

pub use parse::parse;
pub(crate) use parse::{value, whole};
pub(crate) use reader::{Reader, Token};
pub use write::{canonical, canonical_to_text, to_text};

/// A JSON value as received: members in the order they came, numbers as their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Bool(bool),
    /// The number's text, by JSON's grammar.
    Number(String),
    String(String),
    Array(Vec<Value>),
    /// The members; no key twice in a parsed value.
    Object(Vec<(String, Value)>),
}

/// What a document may cost before it is decoded (security §2.E).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest document, in bytes.
    pub bytes_max: usize,
    /// How many arrays and objects may stand around a value.
    pub depth_max: usize,
    /// How many values there may be in all.
    pub nodes_max: usize,
    /// Whether a string may hold a NUL, which some readers cut at. Nothing that anybody gives a name to has one; what a command printed
    /// may, as the lists of `find -print0` do.
    pub nul: bool,
}

impl Limits {
    /// Signed metadata: 8 MiB, depth 64. Sources of the numbers in `limits`. What may have no NUL there is refused where it is read: the
    /// members of an envelope, the whole of a layout, the names of artifacts (R29), whatever a database shall keep.
    pub const METADATA: Limits = Limits { bytes_max: 8 << 20, depth_max: 64, nodes_max: 500_000, nul: true };
    /// Admission reviews: 8 MiB (security §2.B13).
    pub const REVIEW: Limits = Limits { bytes_max: 8 << 20, depth_max: 64, nodes_max: 1_000_000, nul: false };
}

/// The longest number kept, in bytes: four times what a 64-bit float needs, so that nobody pays for a megabyte of digits.
const NUMBER_BYTES_MAX: usize = 128;

/// Why bytes are no JSON that we take, or a value has no canonical form. Offsets are in bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Larger than the limit (security §2.E).
    #[error("the JSON has {found} bytes, more than {max}")]
    TooLarge { found: usize, max: usize },
    /// Not UTF-8 throughout (RFC 8259 8.1).
    #[error("the JSON is not UTF-8 at byte {offset}")]
    NotUtf8 { offset: usize },
    /// Begins with a byte order mark (RFC 8259 8.1).
    #[error("the JSON begins with a byte order mark")]
    ByteOrderMark,
    /// A key stands twice in one object, after unescaping (in-toto R2). Shortened for printing.
    #[error("the key \"{key}\" stands twice in one JSON object")]
    DuplicateKey { key: String },
    /// Half of a surrogate pair, which no UTF-8 can express (in-toto R2).
    #[error("the JSON has half of a surrogate pair at byte {offset}")]
    LoneSurrogate { offset: usize },
    /// A NUL in a string where none may be, since other readers cut at it (security §2.E).
    #[error("the JSON has a NUL in a string at byte {offset}")]
    Nul { offset: usize },
    /// Nested deeper than the limit (security §2.E).
    #[error("the JSON is nested deeper than {max} levels")]
    TooDeep { max: usize },
    /// More values than the limit (security §2.E).
    #[error("the JSON has more than {max} values")]
    TooManyNodes { max: usize },
    /// A number of more than 128 bytes (security §2.E).
    #[error("the number at byte {offset} of the JSON has more than {max} bytes")]
    NumberTooLong { offset: usize, max: usize },
    /// Breaks the grammar (RFC 8259).
    #[error("the JSON has no {expected} at byte {offset}")]
    Syntax { offset: usize, expected: &'static str },
    /// Something follows the value.
    #[error("something follows the JSON value at byte {offset}")]
    TrailingData { offset: usize },
    /// A number that OLPC canonical JSON cannot express: a fraction, an exponent, or `-0` (in-toto R11). Shortened for printing.
    #[error("the number {number} has no canonical form, which only integers have")]
    NotCanonical { number: String },
}

/// The text as an error may show it: short, and printable ASCII only, since anybody may have written it.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(160).flat_map(char::escape_default).collect()
}

/// The text as a terminal may show it, in whatever script: without what moves a cursor, ends a line or turns the direction of writing.
pub(crate) fn readable(text: &str) -> String {
    let plain = |c: char| matches!(c, '"' | '\'' | '\\');
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if plain(c) {
            out.push(c)
        } else {
            out.extend(c.escape_debug())
        }
        out
    })
}

impl Value {
    /// The member of that name, of an object.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(a) => Some(a),
            _ => None,
        }
    }

    /// The members of an object, in their order.
    pub fn as_object(&self) -> Option<&[(String, Value)]> {
        match self {
            Value::Object(m) => Some(m),
            _ => None,
        }
    }

    /// The members of an object by their names. The order they stand in has no meaning (RFC 8259 4), nor may it choose which of two faults
    /// is told.
    pub(crate) fn by_name(&self) -> Option<BTreeMap<&String, &Value>> {
        Some(self.as_object()?.iter().map(|(name, value)| (name, value)).collect())
    }

    /// Whether a NUL stands in any of its strings or names.
    pub(crate) fn has_nul(&self) -> bool {
        match self {
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
            Value::String(text) => text.contains('\0'),
            Value::Array(elements) => elements.iter().any(Value::has_nul),
            Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || value.has_nul()),
        }
    }

    /// The first member by name that is none of those known, of an object.
    pub(crate) fn unknown_member(&self, known: &[&str]) -> Option<&String> {
        self.as_object()?.iter().map(|(name, _)| name).filter(|name| !known.contains(&name.as_str())).min()
    }

    /// The truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// An integer without fraction or exponent that fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Number(n) => n.parse().ok(),
            _ => None,
        }
    }

    /// An integer without fraction or exponent that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Number(n) => n.parse().ok(),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

/// For answers and printing. A number with a fraction or an exponent becomes the nearest float; what no number of
/// `serde_json` can hold (an integer beyond 64 bits, a float beyond the largest) becomes a string of its digits.
impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Number(n) => number(n).map_or_else(|| n.as_str().into(), serde_json::Value::Number),
            Value::String(s) => s.as_str().into(),
            Value::Array(a) => serde_json::Value::Array(a.iter().map(Into::into).collect()),
            Value::Object(m) => serde_json::Value::Object(m.iter().map(|(k, v)| (k.clone(), v.into())).collect()),
        }
    }
}

fn number(text: &str) -> Option<serde_json::Number> {
    if let Ok(n) = text.parse::<i64>() {
        return Some(n.into());
    }
    if let Ok(n) = text.parse::<u64>() {
        return Some(n.into());
    }
    match text.contains(['.', 'e', 'E']) {
        true => text.parse().ok().and_then(serde_json::Number::from_f64),
        false => None,
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(n) => Value::Number(n.to_string()),
            serde_json::Value::String(s) => Value::String(s.clone()),
            serde_json::Value::Array(a) => Value::Array(a.iter().map(Into::into).collect()),
            serde_json::Value::Object(m) => Value::Object(m.iter().map(|(k, v)| (k.clone(), v.into())).collect()),
        }
    }
}

#[cfg(test)]
mod tests;
