//! The one-pass reader of links says what a slow one says that has all of it in a tree; what is read strictly is read compatibly, and what
//! is read is written and read back the same. (security §4.4 `link`)

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tidewaiter::{
    intoto::{Artifacts, Link, Profile},
    json::{self, Limits},
};

/// Name → algorithm → hex.
type Side = BTreeMap<String, BTreeMap<String, String>>;

/// Whether it is a link.
pub fn check(bytes: &[u8]) -> bool {
    let strict = Link::read(bytes, Profile::Strict);
    let compat = Link::read(bytes, Profile::Compat);
    // Whether it is JSON has nothing to do with links.
    let Ok(tree) = json::parse(bytes, &Limits::METADATA) else {
        assert!(strict.is_err() && compat.is_err(), "no JSON");
        return false;
    };
    let (strict, compat) = (strict.expect("it is JSON"), compat.expect("it is JSON"));
    // A reader of theirs has trouble with numbers alone, which stand where nobody looks.
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    assert_eq!(strict.step, value.get("name").and_then(Value::as_str).unwrap_or_default());
    assert_eq!(strict.step, compat.step);
    let slow = slow(&value);
    match &strict.link {
        Ok(link) => {
            let (name, command, materials, products) = slow.expect("a slow reader finds something wrong");
            assert_eq!((&link.name, &link.command), (&name, &command));
            assert_eq!((side(&link.materials), side(&link.products)), (materials, products));
            for (member, found) in [("byproducts", &link.byproducts), ("environment", &link.environment)] {
                assert_eq!(tree.get(member).unwrap_or(&json::Value::Object(Vec::new())), found);
            }
            // What the reference asks of hashes that we do not judge by.
            let sides = [&link.materials, &link.products].into_iter().flatten();
            let hexed = sides
                .flat_map(|(_, hashes)| hashes.iter())
                .all(|(_, hex)| !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit()));
            let opaque = [&link.byproducts, &link.environment].iter().all(|value| value.as_object().is_some());
            assert!(!hexed || !opaque || compat.link.as_ref() == Ok(link), "what is read strictly is read compatibly");
            let text = json::to_text(&link.to_value());
            assert_eq!(Link::read(text.as_bytes(), Profile::Strict).expect("JSON").link.as_ref(), Ok(link));
        }
        Err(cause) => assert_eq!(slow, None, "{cause}"),
    }
    strict.link.is_ok()
}

fn side(artifacts: &Artifacts) -> Side {
    let hashes = |hashes: &tidewaiter::digest::DigestSet| {
        hashes.iter().map(|(algorithm, hex)| (algorithm.to_owned(), hex.into_owned())).collect()
    };
    artifacts.iter().map(|(name, found)| (name.to_owned(), hashes(found))).collect()
}

type Slow = (String, Vec<String>, Side, Side);

fn slow(value: &Value) -> Option<Slow> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (value.get("_type")? == "link").then_some(())?;
    let command = value.get("command")?.as_array()?.iter().map(text).collect::<Option<_>>()?;
    let side = |name: &str| {
        value.get(name)?.as_object()?.iter().map(|(name, hashes)| artifact(name, hashes)).collect::<Option<Side>>()
    };
    let opaque = ["byproducts", "environment"].map(|member| value.get(member));
    opaque.into_iter().flatten().all(|value| value.is_object() || value.is_null()).then_some(())?;
    Some((text(value.get("name")?)?, command, side("materials")?, side("products")?))
}

fn artifact(name: &str, hashes: &Value) -> Option<(String, BTreeMap<String, String>)> {
    let hashes: &Map<String, Value> = hashes.as_object()?;
    let one = |(algorithm, hex): (&String, &Value)| Some((algorithm.clone(), hex.as_str()?.to_owned()));
    let hashes: BTreeMap<String, String> = hashes.iter().map(one).collect::<Option<_>>()?;
    let known = [("sha256", 64), ("sha384", 96), ("sha512", 128)];
    let found: Vec<bool> = known
        .iter()
        .filter_map(|(algorithm, len)| Some((hashes.get(*algorithm)?, len)))
        .map(|(hex, len)| hex.len() == *len && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)))
        .collect();
    (is_clean(name) && !found.is_empty() && found.iter().all(|whole| *whole)).then(|| (name.to_owned(), hashes))
}

/// R29 in other words: a name that no other spelling leads to.
pub fn is_clean(name: &str) -> bool {
    let scheme = name.find(':').filter(|end| {
        let scheme = &name.as_bytes()[..*end];
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        *end >= 2 && scheme[0].is_ascii_alphabetic() && scheme.iter().all(word) && *end + 1 < name.len()
    });
    let path = scheme.map_or(name, |end| &name[end + 1..]);
    let slashed = format!("/{path}/");
    let dots = slashed.contains("/./") || slashed.contains("/../");
    let doubled = scheme.is_none() && (slashed.contains("//") || name.is_empty());
    !name.is_empty() && !dots && !doubled && !name.contains('\\') && !name.chars().any(char::is_control)
}
