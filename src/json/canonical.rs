//! The canonical form written while reading, without a tree between (in-toto R12).

use super::{
    JsonError,
    reader::{Reader, Token},
    shown,
    write::{is_canonical_integer, write_raw},
};
use std::borrow::Cow;

/// The canonical form of the value that begins with the token, as [`super::canonical()`] gives it.
///
/// The outer error is what the reader refuses; the inner one says that a value, which was read to its end, has no canonical form.
pub(crate) fn rest<'a>(reader: &mut Reader<'a>, token: Token<'a>) -> Result<Result<Vec<u8>, JsonError>, JsonError> {
    let mut writer = Writer { out: Vec::with_capacity(reader.left()), ..Writer::default() };
    writer.rest(reader, token)?;
    Ok(writer.refused.map_or(Ok(writer.out), Err))
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// Where the members of the objects that are open begin in `out`.
    starts: Vec<usize>,
    refused: Option<JsonError>,
}

impl Writer {
    fn value(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if let Some(hex) = reader.sha256() {
            self.out.extend_from_slice(b"{\"sha256\":\"");
            self.out.extend_from_slice(hex.as_bytes());
            self.out.extend_from_slice(b"\"}");
            return Ok(());
        }
        let token = reader.token()?;
        self.rest(reader, token)
    }

    fn rest<'a>(&mut self, reader: &mut Reader<'a>, token: Token<'a>) -> Result<(), JsonError> {
        match token {
            Token::Null => self.out.extend_from_slice(b"null"),
            Token::Bool(true) => self.out.extend_from_slice(b"true"),
            Token::Bool(false) => self.out.extend_from_slice(b"false"),
            Token::Number(text) => {
                if !is_canonical_integer(text) {
                    self.refused.get_or_insert_with(|| JsonError::NotCanonical { number: shown(text) });
                }
                self.out.extend_from_slice(text.as_bytes());
            }
            Token::String(text) => self.string(text),
            Token::Array(mut elements) => {
                self.out.push(b'[');
                let start = self.out.len();
                while reader.element(&mut elements)? {
                    self.comma(start);
                    self.value(reader)?;
                }
                self.out.push(b']');
            }
            Token::Object(mut members) => {
                self.out.push(b'{');
                let (start, first) = (self.out.len(), self.starts.len());
                while let Some(key) = reader.key(&mut members)? {
                    self.comma(start);
                    self.starts.push(self.out.len());
                    self.string(key);
                    self.out.push(b':');
                    self.value(reader)?;
                }
                if let Some(order) = members.order() {
                    self.reorder(start, first, order);
                }
                self.starts.truncate(first);
                self.out.push(b'}');
            }
        }
        Ok(())
    }

    /// Between the elements of what begins at `start`.
    fn comma(&mut self, start: usize) {
        if self.out.len() > start {
            self.out.push(b',');
        }
    }

    fn string(&mut self, text: Cow<'_, str>) {
        match text {
            // Nothing in it had to be escaped in JSON, so nothing has to be here.
            Cow::Borrowed(text) => {
                self.out.push(b'"');
                self.out.extend_from_slice(text.as_bytes());
                self.out.push(b'"');
            }
            Cow::Owned(text) => write_raw(&text, &mut self.out),
        }
    }

    /// Brings the members of an object into the order of their keys. Each was written once; each is moved once for every object
    /// around it that is not sorted, and those are no more than the depth.
    fn reorder(&mut self, start: usize, first: usize, order: &[usize]) {
        let starts = self.starts.get(first..).unwrap_or_default();
        let mut ordered = Vec::with_capacity(self.out.len().saturating_sub(start));
        for at in order {
            if !ordered.is_empty() {
                ordered.push(b',');
            }
            let end = starts.get(at + 1).map_or(self.out.len(), |next| next.saturating_sub(1));
            let member = starts.get(*at).and_then(|start| self.out.get(*start..end));
            ordered.extend_from_slice(member.unwrap_or_default());
        }
        self.out.truncate(start);
        self.out.append(&mut ordered);
    }
}
