use super::*;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn set(pairs: &[(&str, &str)]) -> DigestSet {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

#[test]
fn a_digest_is_read_and_written_as_it_stands() {
    let digest: Digest = EMPTY.parse().unwrap();
    assert_eq!((digest.algorithm(), digest.to_string().as_str()), (Algorithm::Sha256, EMPTY));
    assert_eq!(digest, Digest::sha256(b""));
    assert!(digest.matches(b"") && !digest.matches(b"x"));
    let long = format!("sha512:{}", "0a".repeat(64));
    assert_eq!(long.parse::<Digest>().unwrap().to_string(), long);
    assert_eq!(Algorithm::Sha384.hex_of(b"").len(), 96);
}

#[test]
fn anything_else_is_no_digest() {
    let upper = EMPTY.to_uppercase();
    let mixed = EMPTY.replace('e', "E");
    let md5 = format!("md5:{}", "0".repeat(32));
    let short = &EMPTY[..70];
    let long = format!("{EMPTY}0");
    for text in
        ["", ":", "sha256", "sha256:", &upper, &mixed, &md5, short, &long, &EMPTY[7..], " sha256:00", "sha512:00"]
    {
        assert!(matches!(text.parse::<Digest>(), Err(DigestError::Malformed(_))), "{text}");
    }
}

#[test]
fn an_error_shows_no_control_characters() {
    assert_eq!("a\u{1b}[2J".parse::<Digest>(), Err(DigestError::Malformed("a\\u{1b}[2J".into())));
}

#[test]
fn serde_is_as_strict_as_parsing() {
    let text = format!("\"{EMPTY}\"");
    let digest: Digest = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&digest).unwrap(), text);
    assert!(serde_json::from_str::<Digest>("\"sha256:00\"").is_err());
}

#[test]
fn sets_agree_on_all_they_share() {
    let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(128));
    let one = set(&[("sha256", &a)]);
    assert!(one.agrees_with(&one));
    assert!(one.agrees_with(&set(&[("sha256", &a), ("sha512", &c)])));
    assert!(!one.agrees_with(&set(&[("sha256", &b)])));
    assert!(!one.agrees_with(&set(&[("sha512", &c)])), "nothing shared");
    let with_md5 = set(&[("sha256", &a), ("md5", "00")]);
    assert!(one.agrees_with(&with_md5));
    assert!(!with_md5.agrees_with(&set(&[("sha256", &a), ("md5", "11")])), "all shared ones count");
    assert!(!set(&[]).agrees_with(&set(&[])));
    assert!(!set(&[("md5", "00")]).agrees_with(&set(&[("md5", "00")])));
    assert!(!set(&[("sha256", "ab")]).agrees_with(&set(&[("sha256", "ab")])), "too short to mean anything");
}

#[test]
fn a_sha256_is_kept_as_it_is_written_and_nothing_else_is_one() {
    let hex = "00ff0123456789abcdeffedcba9876543210a0f90f9a8b7c6d5e4f3021104a5b";
    let one = set(&[("sha256", hex)]);
    assert_eq!(one.get("sha256").as_deref(), Some(hex));
    assert_eq!(
        one.iter().map(|(name, hex)| (name, hex.into_owned())).collect::<Vec<_>>(),
        [("sha256", hex.to_owned())]
    );
    assert_eq!(serde_json::to_string(&one).unwrap(), format!("{{\"sha256\":\"{hex}\"}}"));
    for at in 0..64 {
        for byte in 0..=0x7f_u8 {
            let mut other = hex.to_owned();
            other.replace_range(at..=at, std::str::from_utf8(&[byte]).unwrap());
            let found = DigestSet::sha256(&other);
            assert_eq!(found.is_some(), matches!(byte, b'0'..=b'9' | b'a'..=b'f'), "{other}");
            assert_eq!(
                found.and_then(|set| set.get("sha256").map(|hex| hex.into_owned())).unwrap_or(other.clone()),
                other
            );
        }
    }
    assert!(DigestSet::sha256(&"\u{e9}".repeat(32)).is_none());
    assert!(DigestSet::sha256(&hex[..62]).is_none());
}

#[test]
fn what_two_sets_know_they_know_together() {
    let (a, c) = ("a".repeat(64), "c".repeat(128));
    let mut one = set(&[("sha256", &a)]);
    one.merge(&set(&[("sha512", &c)]));
    assert_eq!(one, set(&[("sha512", &c), ("sha256", &a)]));
    one.merge(&set(&[("md5", "00")]));
    assert_eq!(one.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["md5", "sha256", "sha512"]);
}

#[test]
fn a_set_needs_an_accepted_digest_of_the_right_form() {
    let a = "a".repeat(64);
    assert!(set(&[("sha256", &a)]).is_well_formed());
    assert!(set(&[("sha256", &a), ("gitBlob", "?")]).is_well_formed());
    assert!(DigestSet::of(&Digest::sha256(b"")).is_well_formed());
    for bad in [set(&[]), set(&[("md5", &a)]), set(&[("sha256", "ab")]), set(&[("sha256", &a.to_uppercase())])] {
        assert!(!bad.is_well_formed(), "{bad:?}");
    }
    assert!(!set(&[("sha256", &a), ("sha512", &a)]).is_well_formed(), "each accepted one must fit");
    assert_eq!(DigestSet::of(&Digest::sha256(b"")).digests().collect::<Vec<_>>(), [Digest::sha256(b"")]);
}
