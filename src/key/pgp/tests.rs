//! What the walls of the reader are made of; whole certificates are in `tests/openpgp.rs`.

use super::*;

#[test]
fn lengths_of_both_formats() {
    let body = |len: usize| vec![7; len];
    let cases: [(_, Option<(u8, usize)>); 11] = [
        ([&[0xcd, 3][..], &body(3)].concat(), Some((13, 3))),
        ([&[0xcd, 192, 0][..], &body(192)].concat(), Some((13, 192))),
        ([&[0xcd, 255, 0, 0, 0, 3][..], &body(3)].concat(), Some((13, 3))),
        ([&[0xb4, 3][..], &body(3)].concat(), Some((13, 3))),
        ([&[0xb5, 0, 3][..], &body(3)].concat(), Some((13, 3))),
        ([&[0xb6, 0, 0, 0, 3][..], &body(3)].concat(), Some((13, 3))),
        // Of no stated length, in parts, cut short, no packet.
        ([&[0xb7][..], &body(3)].concat(), None),
        ([&[0xcd, 0xe1][..], &body(3)].concat(), None),
        ([&[0xcd, 4][..], &body(3)].concat(), None),
        (vec![0xcd], None),
        (vec![0x4d, 1, 0], None),
    ];
    for (bytes, expected) in cases {
        let read = packet::read(&bytes).ok().map(|packets| (packets[0].tag, packets[0].body.len()));
        assert_eq!(read, expected, "{:02x?}", &bytes[..bytes.len().min(8)]);
    }
}

#[test]
fn integers_lose_their_zeros_and_end_where_they_say() {
    assert_eq!(packet::integer(&[0, 17, 1, 0, 1, 9]), Some((&[1, 0, 1][..], &[9][..])));
    assert_eq!(packet::integer(&[0, 16, 0, 5]), Some((&[5][..], &[][..])));
    assert_eq!(packet::integer(&[0, 0]), Some((&[][..], &[][..])));
    assert_eq!(packet::integer(&[0, 17, 1, 0]), None);
}

#[test]
fn headers_are_read_to_their_last_byte() {
    let headers = |subpackets: &[u8]| {
        let len = u16::try_from(subpackets.len()).unwrap().to_be_bytes();
        Headers::read(&[&[4, 0, 1, 8], &len[..], subpackets].concat())
    };
    const MADE: [u8; 6] = [5, 2, 0, 0, 0, 9];
    let with = |more: &[u8]| headers(&[&MADE, more].concat());
    assert_eq!(headers(&MADE).unwrap().created, 9);
    assert_eq!(with(&[5, 3, 0, 0, 0, 1]).unwrap().expires(), Some(10));
    assert_eq!(with(&[5, 3, 0, 0, 0, 0]).unwrap().expires(), None);
    // A remark that nobody must know; the same, critical.
    assert!(with(&[2, 99, 0]).is_ok() && with(&[2, 20, 0]).is_ok());
    assert_eq!(with(&[2, 0x80 | 99, 0]).unwrap_err(), "it has a critical subpacket of a kind that is not known");
    assert_eq!(with(&[2, 0x80 | 20, 0]).unwrap_err(), "it has a critical subpacket of a kind that is not known");
    for (broken, why) in [
        (with(&MADE), "a subpacket stands twice"),
        (with(&[4, 3, 0, 0, 1]), "a subpacket is malformed"),
        (with(&[3, 33, 6, 0]), "a subpacket is malformed"),
        (with(&[9, 99]), "a subpacket is cut short"),
        (with(&[0]), "a subpacket is empty"),
        (headers(&[2, 99, 0]), "it does not say when it was made"),
        (Headers::read(&[4, 0, 1, 8, 0, 7, 5, 2, 0, 0, 0, 9]), "its hashed part is not as long as it says"),
        (Headers::read(&[4, 0, 1, 8, 0, 6, 5, 2, 0, 0, 0, 9, 0]), "its hashed part is not as long as it says"),
        (Headers::read(&[4]), "its hashed part is not as long as it says"),
        (Headers::read(&[3, 5, 0, 0, 0, 0, 9]), "it is not of version 4"),
        (Headers::read(&[]), "it is not of version 4"),
    ] {
        assert_eq!(broken, Err(why));
    }
}
