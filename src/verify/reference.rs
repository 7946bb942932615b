//! What the Python reference takes to be signed: its typed model of a Metablock, written anew (in-toto §1.1, R1). A field that the model
//! does not know is neither covered by the signature nor looked at; one that is missing is covered with its default.

use crate::{
    envelope::{Content, Envelope},
    json::{self, Value},
};

/// The envelope with the bytes that the reference verifies. One that has no such form stays as it is.
pub(super) fn as_signed(mut envelope: Envelope) -> Envelope {
    if envelope.payload_type().is_none()
        && let Some(model) = envelope.value().ok().as_ref().and_then(model)
        && let Ok(canonical) = json::canonical(&model)
    {
        envelope.content = Content::Metablock { canonical };
    }
    envelope
}

fn model(signed: &Value) -> Option<Value> {
    match signed.get("_type")?.as_str()? {
        "link" => Some(object(&[
            member("_type", signed, || "link".into()),
            member("name", signed, || Value::Null),
            member("materials", signed, empty_object),
            member("products", signed, empty_object),
            member("byproducts", signed, empty_object),
            member("command", signed, empty_array),
            member("environment", signed, empty_object),
        ])),
        "layout" => Some(object(&[
            member("_type", signed, || "layout".into()),
            ("expires", signed.get("expires")?.clone()),
            member("readme", signed, || "".into()),
            member("keys", signed, empty_object),
            ("steps", items(signed, "steps", step)?),
            ("inspect", items(signed, "inspect", inspection)?),
        ])),
        _ => None,
    }
}

fn step(value: &Value) -> Value {
    object(&[
        ("_type", "step".into()),
        member("name", value, || Value::Null),
        member("expected_materials", value, empty_array),
        member("expected_products", value, empty_array),
        member("pubkeys", value, empty_array),
        member("expected_command", value, empty_array),
        member("threshold", value, || Value::Number("1".into())),
    ])
}

fn inspection(value: &Value) -> Value {
    object(&[
        ("_type", "inspection".into()),
        member("name", value, || Value::Null),
        member("expected_materials", value, empty_array),
        member("expected_products", value, empty_array),
        member("run", value, empty_array),
    ])
}

fn items(layout: &Value, name: &str, model: fn(&Value) -> Value) -> Option<Value> {
    Some(Value::Array(layout.get(name)?.as_array()?.iter().map(model).collect()))
}

fn member<'n>(name: &'n str, from: &Value, default: fn() -> Value) -> (&'n str, Value) {
    (name, from.get(name).cloned().unwrap_or_else(default))
}

fn object(members: &[(&str, Value)]) -> Value {
    Value::Object(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn empty_array() -> Value {
    Value::Array(Vec::new())
}

fn empty_object() -> Value {
    Value::Object(Vec::new())
}
