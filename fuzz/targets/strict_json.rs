//! Strict JSON against a lenient reader: what we accept it reads the same and has no key twice; what we call a fault of
//! syntax it refuses too. (security §4.4 `strict_json`)
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use tidewaiter::json::{self, JsonError, Limits, Value};

fuzz_target!(|bytes: &[u8]| {
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes);
    match json::parse(bytes, &Limits::METADATA) {
        Ok(ours) => {
            no_key_twice(&ours);
            let text = json::to_text(&ours);
            assert_eq!(json::parse(text.as_bytes(), &Limits::METADATA).as_ref(), Ok(&ours));
            match theirs {
                Ok(theirs) => same(&ours, &theirs),
                // It has no infinity, and reads `1e999` as one.
                Err(error) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
            }
        }
        Err(
            JsonError::Syntax { .. }
            | JsonError::TrailingData { .. }
            | JsonError::NotUtf8 { .. }
            | JsonError::LoneSurrogate { .. },
        ) => {
            assert!(theirs.is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        Err(_) => {}
    }
});

fn no_key_twice(value: &Value) {
    match value {
        Value::Array(elements) => elements.iter().for_each(no_key_twice),
        Value::Object(members) => {
            let distinct: BTreeSet<_> = members.iter().map(|(key, _)| key).collect();
            assert_eq!(distinct.len(), members.len());
            members.iter().for_each(|(_, member)| no_key_twice(member));
        }
        _ => {}
    }
}

fn same(ours: &Value, theirs: &serde_json::Value) {
    match (ours, theirs) {
        (Value::Null, serde_json::Value::Null) => {}
        (Value::Bool(a), serde_json::Value::Bool(b)) => assert_eq!(a, b),
        (Value::String(a), serde_json::Value::String(b)) => assert_eq!(a, b),
        (Value::Number(a), serde_json::Value::Number(b)) => match (b.as_i64(), b.as_u64()) {
            (Some(n), _) => assert_eq!(a, &n.to_string()),
            (_, Some(n)) => assert_eq!(a, &n.to_string()),
            // A fraction, an exponent, more digits than fit, or `-0`. It rounds in the last place.
            _ => {
                let (a, b) = (a.parse::<f64>().expect("a number"), b.as_f64().expect("a float"));
                assert!((a - b).abs() <= a.abs() * 4.0 * f64::EPSILON + f64::MIN_POSITIVE, "{a} {b}");
            }
        },
        (Value::Array(a), serde_json::Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| same(a, b));
        }
        (Value::Object(a), serde_json::Value::Object(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().for_each(|(key, value)| same(value, &b[key]));
        }
        _ => panic!("{ours:?} is not {theirs:?}"),
    }
}
