//! Strict JSON for everything signed or stored, and OLPC canonical JSON over the value as received.
//! (tests and helpers may live in json/…)

/// A JSON value as received: members in the order they came, numbers as their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// What a document may cost before it is decoded (security §2.E).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes_max: usize,
    pub depth_max: usize,
    pub nodes_max: usize,
}
impl Limits {
    /// Signed metadata: 8 MiB, depth 64. Sources of the numbers in `limits`.
    pub const METADATA: Limits = Limits { bytes_max: 8 << 20, depth_max: 64, nodes_max: 500_000 };
    /// Admission reviews: 8 MiB (security §2.B13).
    pub const REVIEW: Limits = Limits { bytes_max: 8 << 20, depth_max: 64, nodes_max: 1_000_000 };
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    #[error("{0}")]
    Placeholder(String), // owner replaces with a closed list: TooLarge, NotUtf8, ByteOrderMark, DuplicateKey{key}, LoneSurrogate, TooDeep, TooManyNodes, Number, Syntax{offset}, TrailingData, Nul, NotCanonical…
}

/// Parses strictly: UTF-8 without BOM, no duplicate keys at any depth (after unescaping), no lone surrogates, no NUL in strings, JSON's
/// number grammar, bounded depth and node count, no trailing data.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    let _ = (bytes, limits);
    todo!()
}

/// OLPC canonical JSON (in-toto §1.2): integers only, keys by code point, only `"` and `\` escaped.
pub fn canonical(value: &Value) -> Result<Vec<u8>, JsonError> {
    let _ = value;
    todo!()
}

/// Ordinary JSON text (compact), escapes as RFC 8259.
pub fn to_text(value: &Value) -> String {
    let _ = value;
    todo!()
}

impl Value {
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(m) => m.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(a) => Some(a),
            _ => None,
        }
    }
    pub fn as_object(&self) -> Option<&[(String, Value)]> {
        match self {
            Value::Object(m) => Some(m),
            _ => None,
        }
    }
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
}
/// To serde_json's value, for answers and printing (floats kept as f64, big integers as text are an error → string).
impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        let _ = value;
        todo!()
    }
}
impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        let _ = value;
        todo!()
    }
}
