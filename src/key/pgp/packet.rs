//! Packets (RFC 9580 4): a tag and a body of stated length, in the old and the new format.

use crate::key::KeyError;

/// People's certificates have some dozens; those that many certified, hundreds.
const PACKETS_MAX: usize = 4_096;

pub(super) const SIGNATURE: u8 = 2;
pub(super) const PUBLIC_KEY: u8 = 6;
pub(super) const USER_ID: u8 = 13;
pub(super) const PUBLIC_SUBKEY: u8 = 14;
pub(super) const USER_ATTRIBUTE: u8 = 17;
/// Secret keys and subkeys.
pub(super) const SECRET: [u8; 2] = [5, 7];
/// Marker, trust, padding: they say nothing to us.
pub(super) const IDLE: [u8; 3] = [10, 12, 21];

#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'b> {
    pub(super) tag: u8,
    pub(super) body: &'b [u8],
}

/// Every packet. Partial and indeterminate lengths are refused: no certificate needs them.
pub(super) fn read(mut bytes: &[u8]) -> Result<Vec<Packet<'_>>, KeyError> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (packet, rest) = one(bytes)
            .ok_or(KeyError::Malformed { what: "its OpenPGP packets are cut short, or of a length not stated" })?;
        if packets.len() == PACKETS_MAX {
            return Err(KeyError::Malformed { what: "the OpenPGP certificate has more than 4,096 packets" });
        }
        packets.push(packet);
        bytes = rest;
    }
    Ok(packets)
}

fn one(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (head, rest) = bytes.split_first()?;
    let (tag, (len, rest)) = match head {
        0xc0.. => (head & 0x3f, new_length(rest)?),
        0x80.. => (head >> 2 & 0x0f, old_length(head & 3, rest)?),
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    Some((Packet { tag, body }, rest))
}

fn new_length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [len @ ..192, rest @ ..] => Some((u32::from(*len), rest)),
        [high @ 192..224, low, rest @ ..] => Some((two_octets(*high, *low), rest)),
        [255, a, b, c, d, rest @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => None,
    }
}

fn old_length(kind: u8, bytes: &[u8]) -> Option<(u32, &[u8])> {
    match (kind, bytes) {
        (0, [len, rest @ ..]) => Some((u32::from(*len), rest)),
        (1, [a, b, rest @ ..]) => Some((u32::from(u16::from_be_bytes([*a, *b])), rest)),
        (2, [a, b, c, d, rest @ ..]) => Some((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => None,
    }
}

/// The content of the first subpacket of a signature, its type first, and what follows it (RFC 9580 5.2.3.7).
pub(super) fn subpacket(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = match bytes {
        [high @ 192..=254, low, rest @ ..] => (two_octets(*high, *low), rest),
        _ => new_length(bytes)?,
    };
    rest.split_at_checked(usize::try_from(len).ok()?)
}

fn two_octets(high: u8, low: u8) -> u32 {
    (u32::from(high.saturating_sub(192)) << 8) + u32::from(low) + 192
}

/// A multiprecision integer without leading zeros, and what follows it (RFC 9580 3.2).
pub(super) fn integer(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bits, rest) = bytes.split_first_chunk()?;
    let (number, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*bits)).div_ceil(8))?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    Some((number.get(zeros..)?, rest))
}
