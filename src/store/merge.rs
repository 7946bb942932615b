//! More signatures for a record that is known: what was signed is the same, so only the list of signatures grows.

use super::StoreError;
use crate::{
    json::{self, Limits, Value},
    verify::budget,
};

/// The stored envelope with these signatures of another envelope of the same payload added at its end. All else of the
/// stored one stays as it was received, member for member.
///
/// # Errors
/// `TooLarge` where readers would not look at what is added, or not at the record any more; `Corrupt` when either has no list
/// of signatures.
pub fn add_signatures(stored: &[u8], other: &[u8], indexes: &[usize]) -> Result<Vec<u8>, StoreError> {
    let (merged, many) = add(stored, other, indexes)
        .ok_or_else(|| StoreError::Corrupt("a record to be signed further has no list of signatures".into()))?;
    match many <= budget::Limits::DEFAULT.signatures_max && merged.len() <= Limits::METADATA.bytes_max {
        true => Ok(merged),
        false => Err(StoreError::TooLarge),
    }
}

/// The envelope, and how many signatures it then has.
fn add(stored: &[u8], other: &[u8], indexes: &[usize]) -> Option<(Vec<u8>, usize)> {
    let mut stored = json::parse(stored, &Limits::METADATA).ok()?;
    let other = json::parse(other, &Limits::METADATA).ok()?;
    let theirs = other.get("signatures")?.as_array()?;
    let Value::Object(members) = &mut stored else { return None };
    let (_, Value::Array(ours)) = members.iter_mut().find(|(name, _)| name == "signatures")? else { return None };
    for index in indexes {
        ours.push(theirs.get(*index)?.clone());
    }
    let many = ours.len();
    Some((json::to_text(&stored).into_bytes(), many))
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
        assert!(matches!(add_signatures(envelope, envelope, &[0]), Err(StoreError::Corrupt(_))));
        assert!(matches!(add_signatures(b"[]", envelope, &[]), Err(StoreError::Corrupt(_))));
    }

    /// Whoever sends a record first may put anything beside its signature: it must not keep the next one out of sight unnoticed.
    #[test]
    fn a_signature_that_nobody_would_look_at_is_refused() {
        let envelope = |many: usize, note: usize| {
            let signature = r#"{"sig":"YQ=="}"#;
            let note = "x".repeat(note);
            let signatures = vec![signature; many].join(",");
            format!(r#"{{"payload":"eA==","payloadType":"t","note":"{note}","signatures":[{signatures}]}}"#)
                .into_bytes()
        };
        let one = envelope(1, 0);
        assert!(add_signatures(&envelope(63, 0), &one, &[0]).is_ok());
        assert_eq!(add_signatures(&envelope(64, 0), &one, &[0]), Err(StoreError::TooLarge));
        let room = Limits::METADATA.bytes_max - one.len();
        assert_eq!(add_signatures(&envelope(1, room), &one, &[0]), Err(StoreError::TooLarge));
    }
}
