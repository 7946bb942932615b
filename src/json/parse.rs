//! The strict reader.

use super::{JsonError, Limits, NUMBER_BYTES_MAX, Value, shown};
use std::collections::HashSet;

/// Parses strictly: UTF-8 without BOM, no duplicate keys at any depth (after unescaping), no lone surrogates, no NUL in strings, JSON's
/// number grammar, bounded depth and node count, no trailing data.
///
/// # Errors
/// Every [`JsonError`] but [`JsonError::NotCanonical`].
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.bytes_max {
        return Err(JsonError::TooLarge { found: bytes.len(), max: limits.bytes_max });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| JsonError::NotUtf8 { offset: e.valid_up_to() })?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let mut reader = Reader { text, at: 0, nodes: 0, limits };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.at == text.len() {
        true => Ok(value),
        false => Err(JsonError::TrailingData { offset: reader.at }),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
    limits: &'a Limits,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect<T>(&self, expected: &'static str) -> Result<T, JsonError> {
        Err(JsonError::Syntax { offset: self.at, expected })
    }

    /// Takes the byte if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    /// One value; `depth` is the number of arrays and objects around it.
    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes_max {
            return Err(JsonError::TooManyNodes { max: self.limits.nodes_max });
        }
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.object(self.deeper(depth)?),
            Some(b'[') => self.array(self.deeper(depth)?),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.expect("value"),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, JsonError> {
        match depth < self.limits.depth_max {
            true => Ok(depth + 1),
            false => Err(JsonError::TooDeep { max: self.limits.depth_max }),
        }
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return self.expect("value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut elements = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::Array(elements));
        }
        loop {
            self.skip_space();
            elements.push(self.value(depth)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Array(elements));
            }
            if !self.take(b',') {
                return self.expect("\",\" or \"]\"");
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        // Most objects of signed metadata are hash objects with one member.
        let mut members = Vec::with_capacity(1);
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.expect("key");
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return self.expect("\":\"");
            }
            self.skip_space();
            members.push((key, self.value(depth)?));
            self.skip_space();
            if self.take(b'}') {
                return unique(members).map(Value::Object);
            }
            if !self.take(b',') {
                return self.expect("\",\" or \"}\"");
            }
        }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.take(b'-');
        // A leading zero stands alone.
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        if self.at - start > NUMBER_BYTES_MAX {
            return Err(JsonError::NumberTooLong { offset: start, max: NUMBER_BYTES_MAX });
        }
        Ok(Value::Number(self.text.get(start..self.at).unwrap_or_default().to_owned()))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.rest().iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.expect("digit") } else { Ok(()) }
    }

    /// A string, from its opening quote to behind its closing one.
    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let plain = self.rest().iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f));
            let end = self.at + plain.unwrap_or_else(|| self.rest().len());
            // `"`, `\` and control characters are no part of a longer character, so the cut is at a boundary.
            out.push_str(self.text.get(self.at..end).unwrap_or_default());
            self.at = end;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(0) => return Err(JsonError::Nul { offset: self.at }),
                Some(_) => return self.expect("escape for a control character"),
                None => return self.expect("closing quote"),
            }
        }
    }

    /// One escape sequence, from its backslash; a surrogate pair is one.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => return self.expect("escape"),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, JsonError> {
        let lone = JsonError::LoneSurrogate { offset: start };
        let first = self.hex4()?;
        let code = match first {
            0 => return Err(JsonError::Nul { offset: start }),
            0xd800..=0xdbff => {
                if !self.rest().starts_with(b"\\u") {
                    return Err(lone);
                }
                self.at += 1;
                match self.hex4()? {
                    second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => return Err(lone),
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or(lone)
    }

    /// `uXXXX`, from the `u`.
    fn hex4(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(16)) else {
                return self.expect("hexadecimal digit");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// The members, if no key stands twice. Linear where the keys are sorted already, which recorders do; else by a
/// set whose hash is seeded, so that chosen keys cannot make it slow.
fn unique(members: Vec<(String, Value)>) -> Result<Vec<(String, Value)>, JsonError> {
    if members.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Ok(members);
    }
    let mut seen = HashSet::with_capacity(members.len());
    match members.iter().find(|(key, _)| !seen.insert(key.as_str())) {
        Some((key, _)) => Err(JsonError::DuplicateKey { key: shown(key) }),
        None => Ok(members),
    }
}
