//! Reading a value as a tree.

use super::{
    JsonError, Limits, Value,
    reader::{Reader, Token},
};

/// Parses strictly: UTF-8 without BOM, no duplicate keys at any depth (after unescaping), no lone surrogates, NUL in strings only where the
/// limits allow it, JSON's number grammar, bounded depth and node count, no trailing data.
///
/// # Errors
/// Every [`JsonError`] but [`JsonError::NotCanonical`].
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    whole(Reader::new(bytes, limits)?)
}

/// The whole document as a tree.
pub(crate) fn whole(mut reader: Reader<'_>) -> Result<Value, JsonError> {
    let value = value(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The next value as a tree.
pub(crate) fn value(reader: &mut Reader<'_>) -> Result<Value, JsonError> {
    let token = reader.token()?;
    rest(reader, token)
}

/// The value that begins with the token, as a tree.
fn rest<'a>(reader: &mut Reader<'a>, token: Token<'a>) -> Result<Value, JsonError> {
    Ok(match token {
        Token::Null => Value::Null,
        Token::Bool(bool) => Value::Bool(bool),
        Token::Number(text) => Value::Number(text.to_owned()),
        Token::String(text) => Value::String(text.into_owned()),
        Token::Array(mut elements) => {
            let mut array = Vec::new();
            while reader.element(&mut elements)? {
                array.push(value(reader)?);
            }
            Value::Array(array)
        }
        Token::Object(mut members) => {
            // Most objects of signed metadata are hash objects with one member.
            let mut object = Vec::with_capacity(1);
            while let Some(key) = reader.key(&mut members)? {
                object.push((key.into_owned(), value(reader)?));
            }
            Value::Object(object)
        }
    })
}
