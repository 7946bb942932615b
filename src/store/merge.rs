//! More signatures for a record that is known: what was signed is the same, so only the list of signatures grows.

use crate::json::{self, Limits, Value};

/// The stored envelope with these signatures of another envelope of the same payload added at its end. All else of the
/// stored one stays as it was received, member for member. `None` when either has no list of signatures.
pub fn add_signatures(stored: &[u8], other: &[u8], indexes: &[usize]) -> Option<Vec<u8>> {
    let mut stored = json::parse(stored, &Limits::METADATA).ok()?;
    let other = json::parse(other, &Limits::METADATA).ok()?;
    let theirs = other.get("signatures")?.as_array()?;
    let Value::Object(members) = &mut stored else { return None };
    let (_, Value::Array(ours)) = members.iter_mut().find(|(name, _)| name == "signatures")? else { return None };
    for index in indexes {
        ours.push(theirs.get(*index)?.clone());
    }
    Some(json::to_text(&stored).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_signatures_are_added() {
        let stored = br#"{"payload":"eA==","payloadType":"t","note":1.50,"signatures":[{"sig":"YQ=="}]}"#;
        let other = br#"{"signatures":[{"sig":"Yg=="},{"sig":"Yw==","cert":"x"}],"payload":"eA==","payloadType":"t"}"#;
        let merged = add_signatures(stored, other, &[1]).unwrap();
        assert_eq!(
            String::from_utf8(merged).unwrap(),
            r#"{"payload":"eA==","payloadType":"t","note":1.50,"signatures":[{"sig":"YQ=="},{"sig":"Yw==","cert":"x"}]}"#
        );
    }

    #[test]
    fn a_signature_that_is_not_there_adds_nothing() {
        let envelope = br#"{"payload":"eA==","payloadType":"t","signatures":[]}"#;
        assert_eq!(add_signatures(envelope, envelope, &[0]), None);
        assert_eq!(add_signatures(b"[]", envelope, &[]), None);
    }
}
