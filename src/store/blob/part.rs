//! The parted form: an envelope whose base64 payload is decoded, so that what repeats in the payload repeats in the bytes. Base64
//! shifts everything behind one added byte; without it a hash that changed costs the hash.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Two little-endian lengths: of what stands before the payload, and of the decoded payload.
pub const HEADER_BYTES: usize = 8;

/// Header, what stands before, the decoded payload, what follows. Bytes without a payload have one of no bytes at their end.
pub fn part(bytes: &[u8]) -> Vec<u8> {
    let (before, payload, after) = payload(bytes).unwrap_or((bytes, Vec::new(), &[]));
    let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length(before)[..], &length(&payload), before, &payload, after].concat()
}

/// The bytes that were parted; `None` when they are not `size` bytes or nothing of this form.
pub fn join(parted: &[u8], size: usize) -> Option<Vec<u8>> {
    let (before, rest) = parted.split_first_chunk::<4>()?;
    let (payload, rest) = rest.split_first_chunk::<4>()?;
    let (before, rest) = rest.split_at_checked(u32::from_le_bytes(*before) as usize)?;
    let (payload, after) = rest.split_at_checked(u32::from_le_bytes(*payload) as usize)?;
    let encoded = payload.len().div_ceil(3) * 4;
    if before.len() + encoded + after.len() != size {
        return None;
    }
    Some([before, STANDARD.encode(payload).as_bytes(), after].concat())
}

/// The longest run of base64, decoded, between what stands around it. Only where it is most of the bytes, which a
/// fingerprint in hex is not, and where encoding it again gives the very same text.
fn payload(bytes: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let mut next = 0;
    let runs = bytes.split(|byte| !is_base64(byte)).map(|run| {
        let start = next;
        next += run.len() + 1;
        (start, run)
    });
    let (start, longest) = runs.max_by_key(|(_, run)| run.len())?;
    if longest.len() * 2 <= bytes.len() {
        return None;
    }
    let decoded = STANDARD.decode(longest).ok()?;
    if STANDARD.encode(&decoded).as_bytes() != longest {
        return None;
    }
    Some((bytes.get(..start)?, decoded, bytes.get(start + longest.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(bytes: &[u8]) -> Vec<u8> {
        join(&part(bytes), bytes.len()).unwrap()
    }

    #[test]
    fn a_payload_is_decoded_and_comes_back() {
        let payload = "{\"_type\":\"link\"}".repeat(9);
        let envelope = format!("{{\"payload\":\"{}\",\"signatures\":[]}}", STANDARD.encode(&payload)).into_bytes();
        let parted = part(&envelope);
        assert!(parted.windows(payload.len()).any(|window| window == payload.as_bytes()));
        assert_eq!(join(&parted, envelope.len()), Some(envelope));
    }

    #[test]
    fn what_would_not_come_back_is_left_alone() {
        // Bits behind the end, no padding, padding in the middle, not most of it, nothing.
        for text in ["\"QUJDRF==\"", "\"QUJDRE\"", "\"QUJD==QUJD\"", "{\"payload\": \"QUJD\", \"note\": [1, 2]}", ""] {
            assert_eq!(part(text.as_bytes()).len(), text.len() + HEADER_BYTES, "{text}");
            assert_eq!(there_and_back(text.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn other_sizes_and_broken_headers_are_nothing() {
        let parted = part(b"\"QUJD\"");
        assert_eq!(join(&parted, 7), None);
        assert_eq!(join(&parted[..7], 6), None);
        let mut long = parted.clone();
        long[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(join(&long, 6), None);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(there_and_back(&bytes), bytes);
        }

        #[test]
        fn any_base64_comes_back(before in "[\"{ ]{0,9}", text in "[A-Za-z0-9+/]{0,90}={0,2}", after in "[\"{ =]{0,9}") {
            let bytes = format!("{before}{text}{after}").into_bytes();
            prop_assert_eq!(there_and_back(&bytes), bytes);
        }
    }
}
