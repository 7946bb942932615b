//! A secret's value as it is, and as it travels: in base64, at each of the three places where it can begin, in hexadecimal,
//! percent-encoded, in JSON, and the lines of a long one.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use std::collections::BTreeSet;

/// A shorter value would be found everywhere.
const BYTES_MIN: usize = 6;
/// A line of a secret that has several is looked for from this length on.
const LINE_BYTES_MIN: usize = 16;

/// What to look for; nothing for a value too short to be told from other text.
pub(super) fn encodings(value: &str) -> BTreeSet<String> {
    let value = value.trim();
    let mut all = BTreeSet::new();
    if value.len() < BYTES_MIN {
        return all;
    }
    encode(value, &mut all);
    let lines: Vec<&str> = value.lines().map(str::trim).collect();
    if lines.len() > 1 {
        let long = lines.into_iter().filter(|line| line.len() >= LINE_BYTES_MIN && !line.starts_with("-----"));
        long.for_each(|line| encode(line, &mut all));
    }
    all
}

fn encode(value: &str, into: &mut BTreeSet<String>) {
    for at in 0..3 {
        let core = base64_core(value.as_bytes(), at);
        into.insert(core.replace('+', "-").replace('/', "_"));
        into.insert(core);
    }
    let percent = percent_encoded(value);
    into.insert(percent.replace("%20", "+"));
    into.insert(percent.to_lowercase());
    into.insert(percent);
    into.insert(hex::encode(value));
    into.insert(hex::encode_upper(value));
    let json = serde_json::Value::from(value).to_string();
    into.insert(json.trim_matches('"').to_owned());
    into.insert(value.to_owned());
    into.retain(|text| text.len() >= BYTES_MIN);
}

/// The characters of a base64 text that this value alone decides, where it begins `at` bytes behind a multiple of three.
fn base64_core(value: &[u8], at: usize) -> String {
    let padded: Vec<u8> = std::iter::repeat_n(0, at).chain(value.iter().copied()).collect();
    let text = STANDARD_NO_PAD.encode(&padded);
    let (first, end) = ((at * 8).div_ceil(6), padded.len() * 8 / 6);
    text.get(first..end).unwrap_or_default().to_owned()
}

fn percent_encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let encoded =
        value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_value_is_not_looked_for() {
        assert!(encodings("12345").is_empty() && encodings(" 12345 \n").is_empty());
        assert!(encodings("123456\n").contains("123456"));
    }

    #[test]
    fn a_line_of_a_key_is_looked_for() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\n-----END PRIVATE KEY-----\n";
        assert!(encodings(pem).contains("MC4CAQAwBQYDK2VwBCIEIJ"));
        assert!(!encodings(pem).contains("-----BEGIN PRIVATE KEY-----"));
    }

    proptest! {
        #[test]
        fn base64_is_found_wherever_the_secret_begins(before in prop::collection::vec(any::<u8>(), 0..7), secret in "[ -~]{6,20}", after in prop::collection::vec(any::<u8>(), 0..7)) {
            prop_assume!(secret.trim() == secret);
            let text = STANDARD_NO_PAD.encode([&before[..], secret.as_bytes(), &after[..]].concat());
            prop_assert!(encodings(&secret).iter().any(|needle| text.contains(needle.as_str())), "{text}");
        }
    }
}
