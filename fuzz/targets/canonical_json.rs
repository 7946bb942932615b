//! Canonical JSON equals a second, plain writer byte for byte, whatever the order the members came in, and loses nothing:
//! a reader of the canonical form has the value again. (security §4.4 `canonical_json`)
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use tidewaiter::json::{self, JsonError, Limits, Value};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = json::parse(bytes, &Limits::METADATA) else { return };
    match json::canonical(&value) {
        Ok(canonical) => {
            let text = String::from_utf8(canonical).expect("canonical JSON is UTF-8");
            assert_eq!(Some(&text), plain(&value).as_ref());
            let mut reversed = value.clone();
            reverse(&mut reversed);
            assert_eq!(json::canonical(&reversed).as_deref(), Ok(text.as_bytes()));
            let escaped: String = text.chars().map(escape).collect();
            let again = json::parse(escaped.as_bytes(), &Limits::METADATA).expect("it is JSON but for raw characters");
            assert_eq!(sorted(again), sorted(value));
        }
        Err(JsonError::NotCanonical { .. }) => assert_eq!(plain(&value), None),
        Err(other) => panic!("{other}"),
    }
});

/// Control characters stand raw in canonical JSON, and nothing but strings can hold one.
fn escape(c: char) -> String {
    if u32::from(c) < 0x20 { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
}

fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) if n == "-0" || n.contains(['.', 'e', 'E']) => return None,
        Value::Number(n) => n.clone(),
        Value::String(s) => quoted(s),
        Value::Array(a) => format!("[{}]", a.iter().map(plain).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Object(m) => {
            let mut by_code_points = BTreeMap::new();
            for (key, member) in m {
                let order: Vec<u32> = key.chars().map(u32::from).collect();
                by_code_points.insert(order, format!("{}:{}", quoted(key), plain(member)?));
            }
            format!("{{{}}}", by_code_points.into_values().collect::<Vec<_>>().join(","))
        }
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn reverse(value: &mut Value) {
    match value {
        Value::Array(a) => a.iter_mut().for_each(reverse),
        Value::Object(m) => {
            m.reverse();
            m.iter_mut().for_each(|(_, member)| reverse(member));
        }
        _ => {}
    }
}

fn sorted(mut value: Value) -> Value {
    match &mut value {
        Value::Array(a) => *a = std::mem::take(a).into_iter().map(sorted).collect(),
        Value::Object(m) => {
            *m = std::mem::take(m).into_iter().map(|(key, member)| (key, sorted(member))).collect();
            m.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        _ => {}
    }
    value
}
