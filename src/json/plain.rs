//! Where the plain part of a string ends: eight bytes at a time, as most of signed metadata is the inside of strings.

/// `byte` in each of the eight places.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// How many bytes come before the first `"`, `\` or byte below `raw_min` (which is at most 0x20).
pub(super) fn length(bytes: &[u8], raw_min: u8) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let low = u64::from(raw_min).wrapping_mul(eight(1));
    for (at, word) in words.iter().enumerate() {
        let marks = marks(*word, low);
        if marks != 0 {
            // The first byte is the lowest, and each byte's mark its highest bit.
            return at * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let start = words.len() * 8;
    let tail = bytes.get(start..).unwrap_or_default();
    let end = tail.iter().position(|b| matches!(b, b'"' | b'\\') || *b < raw_min);
    start + end.unwrap_or(tail.len())
}

/// Whether there is none of these.
pub(super) fn is_plain(bytes: &[u8; 64], raw_min: u8) -> bool {
    let (words, _) = bytes.as_chunks::<8>();
    let low = u64::from(raw_min).wrapping_mul(eight(1));
    words.iter().fold(0, |found, word| found | marks(*word, low)) == 0
}

/// What stops a plain run among eight bytes, as [`below`] marks it.
fn marks(word: [u8; 8], low: u64) -> u64 {
    let word = u64::from_le_bytes(word);
    below(word, low) | below(word ^ eight(b'"'), eight(1)) | below(word ^ eight(b'\\'), eight(1))
}

/// The highest bit of each byte that is below that of `limit` (at most 0x80), and perhaps of bytes above the first such: a
/// borrow runs upwards only, so the lowest mark is right.
fn below(word: u64, limit: u64) -> u64 {
    word.wrapping_sub(limit) & !word & eight(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_where_a_plain_search_finds_it() {
        let specials = [b'"', b'\\', 0, 1, 0x1f];
        let plain = [0x20, 0x21, b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff];
        for raw_min in [0x20, 1, 0] {
            for len in 0..40_usize {
                for at in 0..len {
                    for special in specials {
                        for (n, filler) in plain.iter().enumerate() {
                            let mut bytes = vec![*filler; len];
                            bytes[at] = special;
                            // What stands behind the first plays no part.
                            bytes[(at + 1).min(len - 1).max(at)..]
                                .iter_mut()
                                .skip(1)
                                .for_each(|b| *b = specials[n % 5]);
                            let slow = bytes.iter().position(|b| matches!(b, b'"' | b'\\') || *b < raw_min);
                            assert_eq!(length(&bytes, raw_min), slow.unwrap_or(len), "{bytes:?}");
                            bytes.resize(64, b'x');
                            let is_plain = is_plain(&bytes.try_into().unwrap(), raw_min);
                            assert_eq!(is_plain, slow.is_none());
                        }
                    }
                }
                assert_eq!(length(&vec![b'x'; len], raw_min), len);
            }
        }
    }
}
