use super::*;

/// The packing where any difference pays.
fn pack(bytes: &[u8], base: Option<&Base>) -> Packed {
    super::pack(bytes, base.map(std::slice::from_ref).unwrap_or_default(), |_, _| true).0
}
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

/// A DSSE envelope of a link with so many artifacts, of which those named by `changed` have another content in this build.
fn envelope(artifacts: usize, build: usize, changed: &[usize]) -> Vec<u8> {
    let one = |number: usize| {
        let content = if changed.contains(&number) { format!("{number} {build}") } else { number.to_string() };
        format!(
            "\"src/{}/file-{number}.rs\":{{\"sha256\":\"{}\"}}",
            number / 20,
            Digest::sha256(content.as_bytes()).hex()
        )
    };
    let materials: Vec<String> = (0..artifacts).map(one).collect();
    let payload = format!("{{\"_type\":\"link\",\"materials\":{{{}}},\"name\":\"build\"}}", materials.join(","));
    let signature = STANDARD.encode(Digest::sha256(payload.as_bytes()).hex());
    let payload = STANDARD.encode(payload);
    format!("{{\"payload\":\"{payload}\",\"payloadType\":\"t\",\"signatures\":[{{\"sig\":\"{signature}\"}}]}}")
        .into_bytes()
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    hex::decode(Digest::sha256(bytes).hex()).unwrap()
}

fn unpacked(packed: &Packed, bytes: &[u8], base: Option<&Base>) -> Result<Vec<u8>, Damage> {
    unpack(packed.codec, &packed.bytes, bytes.len(), &digest(bytes), base)
}

#[test]
fn a_build_costs_what_it_changed() {
    let first = envelope(1_000, 0, &[1, 300, 600, 900]);
    let second = envelope(1_000, 1, &[1, 300, 600, 900]);
    let keyframe = pack(&first, None);
    assert_eq!(keyframe.codec, Codec::Zstd);
    let base = Base::unpack(keyframe.codec, &keyframe.bytes, first.len()).unwrap();
    assert_eq!(base, Base::of(&first));
    let delta = pack(&second, Some(&base));
    assert_eq!(delta.codec, Codec::Delta);
    assert_eq!(unpacked(&delta, &second, Some(&base)), Ok(second.clone()));
    println!("raw {} zstd {} delta {}", second.len(), keyframe.bytes.len(), delta.bytes.len());
    assert!(delta.bytes.len() < 1_000, "{}", delta.bytes.len());
}

/// One byte more in front shifts all base64 behind it; in the parted form it is one byte.
#[test]
fn a_build_that_shifts_its_bytes_costs_no_more() {
    let first = envelope(1_000, 0, &[]);
    let payload = |bytes: &[u8]| {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        STANDARD.decode(value["payload"].as_str().unwrap()).unwrap()
    };
    let shifted =
        format!("{{\"payload\":\"{}\"}}", STANDARD.encode([b"x", &payload(&first)[..]].concat())).into_bytes();
    let delta = pack(&shifted, Some(&Base::of(&first)));
    assert!(delta.codec == Codec::Delta && delta.bytes.len() < 100, "{}", delta.bytes.len());
    assert_eq!(unpacked(&delta, &shifted, Some(&Base::of(&first))), Ok(shifted));
}

#[test]
fn what_is_unlike_its_keyframe_is_kept_whole() {
    let (one, other) = (envelope(100, 0, &[]), envelope(100, 1, &(0..100).collect::<Vec<_>>()));
    assert_eq!(pack(&other, Some(&Base::of(&one))).codec, Codec::Zstd);
    assert_eq!(pack(b"short", None), Packed { codec: Codec::Raw, bytes: b"short".to_vec() });
}

#[test]
fn of_several_keyframes_the_nearest_is_taken_where_it_pays() {
    let changed: Vec<usize> = (0..20).collect();
    let (far, near, bytes) = (envelope(100, 0, &changed), envelope(100, 0, &changed[..10]), envelope(100, 1, &[]));
    let bases = [Base::of(&far), Base::of(&near)];
    let (packed, base) = super::pack(&bytes, &bases, |_, _| true);
    assert_eq!((packed.codec, base), (Codec::Delta, Some(1)));
    let (packed, base) = super::pack(&bytes, &bases, |place, size| place != 1 || size > 1_000);
    assert_eq!((packed.codec, base), (Codec::Zstd, None));
    // One that is tiny is taken at once.
    let like = [Base::of(&envelope(100, 0, &[1])), Base::of(&envelope(100, 0, &[]))];
    let (packed, base) = super::pack(&bytes, &like, |_, _| true);
    assert_eq!((packed.codec, base), (Codec::Delta, Some(0)));
}

#[test]
fn damage_is_told_apart() {
    let bytes = envelope(100, 0, &[]);
    let base = Base::of(&envelope(100, 0, &[3]));
    let delta = pack(&bytes, Some(&base));
    assert_eq!(delta.codec, Codec::Delta);
    assert_eq!(unpacked(&delta, &bytes, None), Err(Damage::Base));
    let other = Base::of(&envelope(100, 0, &[4]));
    assert_eq!(unpacked(&delta, &bytes, Some(&other)), Err(Damage::Digest));
    let raw = Packed { codec: Codec::Raw, bytes: bytes.clone() };
    assert_eq!(
        unpacked(&raw, &bytes[1..], None),
        Err(Damage::Length { found: bytes.len(), expected: bytes.len() - 1 })
    );
    assert_eq!(Base::unpack(Codec::Delta, &delta.bytes, bytes.len()), Err(Damage::Base));
    assert_eq!(Codec::from_code(3), None);
    assert_eq!((size(-1), size(1 << 40)), (Err(Damage::Size(-1)), Err(Damage::Size(1 << 40))));
    assert_eq!(size(BLOB_BYTES_MAX as i64), Ok(BLOB_BYTES_MAX));
}

/// 64 MiB of zeros in some kilobytes: never more than the recorded size is made.
#[test]
fn a_bomb_does_not_go_off() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    assert!(bomb.len() < 16 << 10);
    assert_eq!(unpack(Codec::Zstd, &bomb, 1_000, &[0; 32], None), Err(Damage::Packing));
    assert_eq!(Base::unpack(Codec::Zstd, &bomb, 1_000), Err(Damage::Packing));
}

proptest! {
    #[test]
    fn packing_loses_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), base in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let base = Base::of(&base);
        for base in [None, Some(&base)] {
            let packed = pack(&bytes, base);
            prop_assert!(packed.bytes.len() <= bytes.len());
            prop_assert_eq!(unpacked(&packed, &bytes, base), Ok(bytes.clone()));
        }
    }

    /// Whatever is done to packed bytes, what comes out is what was packed, or nothing.
    #[test]
    fn damage_gives_no_other_bytes(
        repeated in proptest::collection::vec(any::<u8>(), 1..60), times in 1usize..60, at in any::<proptest::sample::Index>(),
        to in any::<u8>(), cut in any::<proptest::sample::Index>(), in_base in any::<bool>(),
    ) {
        let bytes = repeated.repeat(times);
        let kept = Base::of(&[&bytes[..bytes.len() / 2], b"else"].concat());
        for base in [None, Some(&kept)] {
            let packed = pack(&bytes, base);
            let (mut damaged, mut base) = (packed.clone(), base.cloned());
            match &mut base {
                Some(base) if in_base => { let at = at.index(base.0.len()); base.0[at] = to; }
                _ => { let at = at.index(damaged.bytes.len()); damaged.bytes[at] = to; }
            }
            for length in [damaged.bytes.len(), cut.index(damaged.bytes.len())] {
                let part = Packed { bytes: damaged.bytes[..length].to_vec(), ..damaged.clone() };
                if let Ok(found) = unpacked(&part, &bytes, base.as_ref()) {
                    prop_assert_eq!(found, bytes.clone());
                }
            }
        }
    }
}
