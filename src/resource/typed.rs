//! Values → types, with the path of what is wrong: serde says what, this says where.

use super::FieldError;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Decodes a value; an error names the field, `spec.images[2]: invalid type: …`.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    T::deserialize(At(value)).map_err(|error| FieldError { path: error.path(), message: error.message })
}

/// Serde's error with the way to it, innermost step first.
#[derive(Debug)]
struct Error {
    message: String,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Error {
    fn under(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.push_str(&format!(".{key}")),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Error {}
impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Error { message: message.to_string(), steps: Vec::new() }
    }
    /// Told at the place where it should stand.
    fn missing_field(field: &'static str) -> Self {
        Error { message: "is missing".into(), steps: vec![Step::Key(field.into())] }
    }
}

/// A value being read.
struct At(Value);

impl<'de> de::Deserializer<'de> for At {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::String(value) => visitor.visit_string(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., Some(value)) => visitor.visit_f64(value),
                _ => Err(de::Error::custom("a number out of range")),
            },
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), index: 0 }),
            Value::Object(members) => visitor.visit_map(Members { members: members.into_iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// A struct is written as a mapping, never as a sequence of its fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(_) => Err(de::Error::custom(format!("invalid type: sequence, expected struct {name}"))),
            _ => self.deserialize_any(visitor),
        }
    }

    /// A word, or a mapping with exactly one key that says which.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(word.into_deserializer()),
            Value::Object(members) => visitor.visit_enum(Choice { members, variants }),
            _ => Err(de::Error::custom(format!("expected one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items {
    items: std::vec::IntoIter<Value>,
    index: usize,
}
impl<'de> SeqAccess<'de> for Items {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(At(item)).map(Some).map_err(|error| error.under(Step::Index(index)))
    }
}

struct Members {
    members: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
}
impl<'de> MapAccess<'de> for Members {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        self.value = Some((key.clone(), value));
        seed.deserialize(key.clone().into_deserializer()).map(Some).map_err(|error: Error| error.under(Step::Key(key)))
    }
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let (key, value) = self.value.take().ok_or_else(|| -> Error { de::Error::custom("a value without a key") })?;
        seed.deserialize(At(value)).map_err(|error| error.under(Step::Key(key)))
    }
}

struct Choice {
    members: Map<String, Value>,
    variants: &'static [&'static str],
}
impl<'de> de::EnumAccess<'de> for Choice {
    type Error = Error;
    type Variant = Chosen;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Chosen), Error> {
        let count = self.members.len();
        let mut members = self.members.into_iter();
        match (members.next(), count) {
            (Some((key, value)), 1) => {
                let variant = seed
                    .deserialize(key.clone().into_deserializer())
                    .map_err(|error: Error| error.under(Step::Key(key.clone())))?;
                Ok((variant, Chosen { key, value }))
            }
            _ => Err(de::Error::custom(format!("expected exactly one of {}, found {count}", self.variants.join(", ")))),
        }
    }
}

struct Chosen {
    key: String,
    value: Value,
}
impl<'de> de::VariantAccess<'de> for Chosen {
    type Error = Error;
    fn unit_variant(self) -> Result<(), Error> {
        Err(de::Error::custom(format!("\"{}\" takes no value", self.key)))
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(At(self.value)).map_err(|error| error.under(Step::Key(self.key)))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(At(self.value), visitor).map_err(|error| error.under(Step::Key(self.key)))
    }
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(At(self.value), visitor).map_err(|error| error.under(Step::Key(self.key)))
    }
}
