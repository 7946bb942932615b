//! The strict reader: the grammar, and everything that is refused, in one place. What is read is made of its tokens: a tree
//! (`parse`), the canonical form (`canonical`), a link (`intoto::link`).

use super::{JsonError, Limits, NUMBER_BYTES_MAX, plain, shown};
use std::borrow::Cow;

/// Reads one document from front to back: UTF-8 without BOM, no duplicate keys at any depth (after unescaping), no lone
/// surrogates, NUL in strings only where the limits allow it, JSON's number grammar, bounded depth and node count.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
    /// How many arrays and objects are open.
    depth: usize,
    limits: Limits,
    /// Bytes below this cannot stand in a string as they are.
    raw_min: u8,
    /// The keys of the objects that are open.
    keys: Vec<Cow<'a, str>>,
}

/// A value, or the beginning of one.
pub(crate) enum Token<'a> {
    Null,
    Bool(bool),
    /// The number's text.
    Number(&'a str),
    String(Cow<'a, str>),
    /// Goes on with [`Reader::element`].
    Array(Elements),
    /// Goes on with [`Reader::key`].
    Object(Members),
}

impl Token<'_> {
    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Token::Null => "null",
            Token::Bool(_) => "a boolean",
            Token::Number(_) => "a number",
            Token::String(_) => "a string",
            Token::Array(_) => "an array",
            Token::Object(_) => "an object",
        }
    }
}

/// An array that is being read.
#[derive(Default)]
pub(crate) struct Elements {
    begun: bool,
}

/// An object that is being read.
pub(crate) struct Members {
    begun: bool,
    /// Where its keys begin among those of the reader.
    keys: usize,
    /// Whether each key so far comes behind the one before it.
    sorted: bool,
    order: Option<Vec<usize>>,
}

impl Members {
    /// When all were read: the order of the members by key, where they did not come in it. The order of UTF-8 bytes is the order
    /// of code points.
    pub(crate) fn order(&self) -> Option<&[usize]> {
        self.order.as_deref()
    }
}

impl<'a> Reader<'a> {
    /// Reads JSON.
    pub(crate) fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, JsonError> {
        if bytes.len() > limits.bytes_max {
            return Err(JsonError::TooLarge { found: bytes.len(), max: limits.bytes_max });
        }
        let text = std::str::from_utf8(bytes).map_err(|e| JsonError::NotUtf8 { offset: e.valid_up_to() })?;
        if text.starts_with('\u{feff}') {
            return Err(JsonError::ByteOrderMark);
        }
        Ok(Reader { text, at: 0, nodes: 0, depth: 0, limits: *limits, raw_min: 0x20, keys: Vec::new() })
    }

    /// Reads OLPC canonical JSON, which differs from JSON only in that control characters stand raw in strings (in-toto §1.2).
    pub(crate) fn of_canonical(bytes: &'a [u8], limits: &Limits) -> Result<Self, JsonError> {
        let raw_min = if limits.nul { 0 } else { 1 };
        Ok(Reader { raw_min, ..Reader::new(bytes, limits)? })
    }

    /// The same document, and from here on a NUL may stand in strings, or may not. Of JSON, where none stands raw.
    pub(crate) fn allow_nul(&mut self, nul: bool) {
        self.limits.nul = nul;
    }

    /// Nothing follows.
    pub(crate) fn end(mut self) -> Result<(), JsonError> {
        self.skip_space();
        match self.at == self.text.len() {
            true => Ok(()),
            false => Err(JsonError::TrailingData { offset: self.at }),
        }
    }

    /// The next value; an array or object is entered.
    pub(crate) fn token(&mut self) -> Result<Token<'a>, JsonError> {
        self.skip_space();
        self.nodes += 1;
        if self.nodes > self.limits.nodes_max {
            return Err(JsonError::TooManyNodes { max: self.limits.nodes_max });
        }
        match self.peek() {
            Some(b'"') => self.string().map(Token::String),
            Some(b'{') => {
                self.enter()?;
                Ok(Token::Object(Members { begun: false, keys: self.keys.len(), sorted: true, order: None }))
            }
            Some(b'[') => {
                self.enter()?;
                Ok(Token::Array(Elements::default()))
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(Token::Number),
            Some(b't') => self.word("true", Token::Bool(true)),
            Some(b'f') => self.word("false", Token::Bool(false)),
            Some(b'n') => self.word("null", Token::Null),
            _ => self.expect("value"),
        }
    }

    /// Whether another element follows, to be read next.
    pub(crate) fn element(&mut self, elements: &mut Elements) -> Result<bool, JsonError> {
        self.skip_space();
        if self.take(b']') {
            self.depth -= 1;
            return Ok(false);
        }
        if elements.begun && !self.take(b',') {
            return self.expect("\",\" or \"]\"");
        }
        elements.begun = true;
        Ok(true)
    }

    /// The key of another member, whose value is to be read next.
    pub(crate) fn key(&mut self, members: &mut Members) -> Result<Option<Cow<'a, str>>, JsonError> {
        self.skip_space();
        if self.take(b'}') {
            self.depth -= 1;
            if !members.sorted {
                members.order = Some(self.sort(members)?);
            }
            self.keys.truncate(members.keys);
            return Ok(None);
        }
        if members.begun {
            if !self.take(b',') {
                return self.expect("\",\" or \"}\"");
            }
            self.skip_space();
        }
        if self.peek() != Some(b'"') {
            return self.expect("key");
        }
        let key = self.string()?;
        self.skip_space();
        if !self.take(b':') {
            return self.expect("\":\"");
        }
        if members.begun && members.sorted {
            members.sorted = self.keys.last().is_some_and(|last| *last < key);
        }
        members.begun = true;
        self.keys.push(key.clone());
        Ok(Some(key))
    }

    /// Reads a value and lets it go.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        let token = self.token()?;
        self.skip_rest(token)
    }

    /// Reads what is left of a value and lets it go.
    pub(crate) fn skip_rest(&mut self, token: Token<'a>) -> Result<(), JsonError> {
        match token {
            Token::Array(mut elements) => {
                while self.element(&mut elements)? {
                    self.skip()?;
                }
            }
            Token::Object(mut members) => {
                while self.key(&mut members)?.is_some() {
                    self.skip()?;
                }
            }
            Token::Null | Token::Bool(_) | Token::Number(_) | Token::String(_) => {}
        }
        Ok(())
    }

    /// Puts the keys in order, so that one that stands twice is found. Where they come in order, as recorders write them, neither is
    /// needed.
    fn sort(&self, members: &Members) -> Result<Vec<usize>, JsonError> {
        let keys = self.keys.get(members.keys..).unwrap_or_default();
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|at| keys.get(*at));
        let sorted = order.iter().filter_map(|at| keys.get(*at));
        match sorted.clone().zip(sorted.skip(1)).find(|(key, next)| key == next) {
            Some((key, _)) => Err(JsonError::DuplicateKey { key: shown(key) }),
            None => Ok(order),
        }
    }

    /// A hash object that holds a SHA-256 alone, `{"sha256":"…"}`, in one step: the 64 bytes that stand for its hex. Nearly every
    /// one is such; of anything else nothing is read.
    pub(crate) fn sha256(&mut self) -> Option<&'a str> {
        self.skip_space();
        let value = self.rest().strip_prefix(b"{\"sha256\":")?;
        let value = value.strip_prefix(b" ").unwrap_or(value).strip_prefix(b"\"")?;
        let (hex, behind) = value.split_first_chunk::<64>()?;
        // Where a limit is reached, the slow way says which.
        let within_limits = self.depth < self.limits.depth_max && self.nodes + 2 <= self.limits.nodes_max;
        if !behind.starts_with(b"\"}") || !plain::is_plain(hex, self.raw_min) || !within_limits {
            return None;
        }
        let start = self.text.len() - value.len();
        let hex = self.text.get(start..start + hex.len())?;
        self.nodes += 2;
        self.at = start + hex.len() + 2;
        Some(hex)
    }

    /// How many bytes were not read yet: the canonical form of what comes is never longer.
    pub(crate) fn left(&self) -> usize {
        self.text.len() - self.at
    }

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

    /// Takes the bracket that opens an array or object.
    fn enter(&mut self) -> Result<(), JsonError> {
        if self.depth >= self.limits.depth_max {
            return Err(JsonError::TooDeep { max: self.limits.depth_max });
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &'static str, token: Token<'a>) -> Result<Token<'a>, JsonError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return self.expect("value");
        }
        self.at += word.len();
        Ok(token)
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
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
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.rest().iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.expect("digit") } else { Ok(()) }
    }

    /// A string, from its opening quote to behind its closing one. Borrowed exactly where it holds no escape.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let first = self.plain();
        if self.take(b'"') {
            return Ok(Cow::Borrowed(first));
        }
        let mut out = first.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(0) if !self.limits.nul => return Err(JsonError::Nul { offset: self.at }),
                Some(_) => return self.expect("escape for a control character"),
                None => return self.expect("closing quote"),
            }
            out.push_str(self.plain());
        }
    }

    /// Everything before the next character that means something.
    fn plain(&mut self) -> &'a str {
        let start = self.at;
        self.at += plain::length(self.rest(), self.raw_min);
        // `"`, `\` and control characters are no part of a longer character, so the cut is at a boundary.
        self.text.get(start..self.at).unwrap_or_default()
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
            0 if !self.limits.nul => return Err(JsonError::Nul { offset: start }),
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
