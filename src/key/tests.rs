use super::*;
use crate::json::Value;

/// Public keys made for these tests, whose ids were computed once with securesystemslib: K1 by 0.28.0, K2 by 1.6.0.
const ED25519_HEX: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECIu5/yKrKRp0yG/Gd7qJe6re43DM
YSm4LRcLo/wmQVxELamnFgZ5VtkeqgK5OtQJSQ6HzV51jqajMaHet1uoRg==
-----END PUBLIC KEY-----
";
const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEeunh2xFgeUxwwe8HG+UZH2xmJA9GCPvo
pE7NNsPtXbl1APLk2E4/tFhQ/W9DAzAr2KwhREzYDSQVONgDSzmaDe42NutcsAuU
mdBhpXHbDxS7R+15RTlI7WPzpsy79udP
-----END PUBLIC KEY-----
";
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvIhvVICiA8aOOHHJVv4u
a7NohrKMKJ8PQeFQ71niWFBnBf6STRmHiYzXPXmMPXUa4K0p33k6KQ3Xcj2v/Dce
Pzpfr25eSbJ5na8Ww2JG87oqN540we97Pr+Lh6Q48QxTl/4dgU2z0QLXvdCR+Yl0
yppARDXEYe2x4FvYx3LN/jFF0hwJD7++ZodCBn1h4tdTClgdAsAkzMt+U9YaxWFO
kZMH1fi9xIHNDTQf60YIbK+QU4qwU85Wd+PgFuw+PiJwkXcTYTfN0QWSgqXco2mD
QFotxUu+qs3p5DsfpU2swZEtKjAaen6pY8ReMqAY/u8j+a3HZSW26iaFGbVwB41Y
kQIDAQAB
-----END PUBLIC KEY-----
";
const P521: &str = "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAuZsyaRsy5yesa09wQONRU/l87rQ1
hnMiuddTm19BJfyNAJ/zJHpvzwK3hu3pkVTh6LznbUM02tV26LuO5noQWIwBj/T+
ODATaVL+PXNxObQ187mUOdMy2tt/g3JXnNviJuOe1hZwMuwbll0NEBhf50eQa/8s
bFGxjXtIPeZq6y+SmDE=
-----END PUBLIC KEY-----
";

fn object(keytype: &str, scheme: &str, public: &str) -> Value {
    Value::from(&serde_json::json!({"keytype": keytype, "scheme": scheme, "keyval": {"public": public}}))
}

fn ed25519() -> PublicKey {
    PublicKey::from_layout(&object("ed25519", "ed25519", ED25519_HEX)).unwrap()
}

#[test]
fn ids_are_those_of_the_reference() {
    let cases = [
        (
            ed25519(),
            "eab68a81e62173a71a44258d69ff4876569e173ae1d73ce908b7c8079b744ada",
            "bfe1a83869e5bf574e3ff3acbb83f840de84a990d10059f3096f0bf4f2b90c10",
        ),
        (
            PublicKey::from_pem(P256).unwrap(),
            "695131408105759fb36cac01ec39e500f1c91fc71f989e55e9f25cc123749a61",
            "5d93078ec2ccd9a67518997954aa45440788ad249477cd7f330512f0ca897bba",
        ),
        (
            PublicKey::from_pem(P384).unwrap(),
            "3dd8770179e463e4f43cc2e1968e4091e27bfe09075a987afcecec2a9a4d1530",
            "cf62478856853056d70742c533c3be321b4a27579ea6f64d087985c7ec7816ef",
        ),
        (
            PublicKey::from_pem(RSA).unwrap(),
            "8afa4a35073c8c4747e31dbb0c2e125263d870808299076e4185c088b4dcdbfc",
            "feea1d9750735fd89a37a6e2bd49507cccfb7e93334784713323989540ebfa7c",
        ),
    ];
    for (key, k1, k2) in cases {
        assert_eq!(key.id(), k2);
        assert!(key.ids().contains(k1) && key.ids().contains(k2), "{:?}", key.scheme());
        let k4 = crate::digest::Digest::sha256(key.to_pem().as_bytes());
        assert!(key.ids().contains(k4.hex()));
    }
}

#[test]
fn ids_hash_the_key_object_that_the_layout_carries() {
    for key in [ed25519(), PublicKey::from_pem(P256).unwrap(), PublicKey::from_pem(RSA).unwrap()] {
        let mut object = key.to_layout();
        let stated = object.as_object_mut().unwrap().remove("keyid").unwrap();
        let canonical = crate::json::canonical(&Value::from(&object)).unwrap();
        assert_eq!(stated.as_str(), Some(crate::digest::Digest::sha256(&canonical).hex()));
        object.as_object_mut().unwrap().remove("scheme");
        let public = object["keyval"]["public"].as_str().unwrap().trim_end().to_owned();
        object["keyval"]["public"] = public.into();
        let k0 = crate::json::canonical(&Value::from(&object)).unwrap();
        assert!(key.ids().contains(crate::digest::Digest::sha256(&k0).hex()));
    }
}

#[test]
fn every_scheme_signs_and_verifies_and_nothing_else_does() {
    for scheme in [
        Scheme::Ed25519,
        Scheme::EcdsaP256,
        Scheme::EcdsaP384,
        Scheme::EcdsaP521,
        Scheme::MlDsa(MlDsa::Set44),
        Scheme::MlDsa(MlDsa::Set65),
        Scheme::MlDsa(MlDsa::Set87),
        Scheme::RsaPssSha256,
        Scheme::RsaPssSha512,
        Scheme::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha384,
    ] {
        let key = SecretKey::generate(scheme).unwrap();
        let other = SecretKey::generate(Scheme::Ed25519).unwrap();
        let signature = key.sign(b"message").unwrap();
        assert_eq!(key.public().scheme(), scheme);
        assert_eq!(key.public().verify(b"message", &signature), Ok(()), "{scheme:?}");
        assert_eq!(key.public().verify(b"massage", &signature), Err(BadSignature));
        assert_eq!(key.public().verify(b"message", b""), Err(BadSignature));
        assert_eq!(key.public().verify(b"message", &[signature.as_slice(), &[0]].concat()), Err(BadSignature));
        assert_eq!(other.public().verify(b"message", &signature), Err(BadSignature));
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            assert_eq!(key.public().verify(b"message", &flipped), Err(BadSignature), "{scheme:?} byte {at}");
        }
        let again = SecretKey::from_pem(&key.to_pem()).unwrap().with_scheme(scheme).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(again.public().verify(b"m", &again.sign(b"m").unwrap()), Ok(()));
        assert_eq!(PublicKey::from_layout(&Value::from(&key.public().to_layout())).as_ref(), Ok(key.public()));
        assert_eq!(PublicKey::from_pem(&key.public().to_pem()).unwrap().spki(), key.public().spki());
    }
}

/// Signed by securesystemslib 1.6.0, whose key ids these are.
#[test]
fn signatures_of_the_reference_verify() {
    let p521 = PublicKey::from_pem(P521).unwrap();
    assert_eq!(p521.id(), "14fec1ea1055031394a4c7c5c944b0abbeeccad3cf882780506ec1cf9bba264c");
    let signature = hex::decode(
        "308188024201812c914e73c20eefb0f63ff83a1aca96dbca854581385038982df8a3a693bb30babbdf9b87749102e23d32b37c3464ad9846ae9b02daa165f5da3ed900af8c598d024201addc4400d60918f93860e3a61da5c60e283801086b482fc79021faafd11bbcdf4d432b633a877c5946d59b91afd7b7d62818d9f68767f1e654c6053c039cd44a12",
    )
    .unwrap();
    assert_eq!(p521.verify(b"message", &signature), Ok(()));
    assert_eq!(p521.verify(b"massage", &signature), Err(BadSignature));
    assert_eq!(p521.verify_cosign(b"message", &signature), Err(BadSignature), "signed with SHA-512");

    // The seed is 32 sevens.
    let pem = "-----BEGIN PRIVATE KEY-----\nMDQCAQAwCwYJYIZIAWUDBAMRBCKAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\nBwcHBwcH\n-----END PRIVATE KEY-----\n";
    let secret = SecretKey::from_pem(pem).unwrap();
    assert_eq!(secret.to_pem(), pem);
    let ml_dsa = secret.public();
    assert_eq!(ml_dsa.id(), "e90d293cf7cfecfef0c5207bbe05faa9a087bc02d18c1a688f1ef1b6026f87b7");
    let text: String = include_str!("tests/ml-dsa-44.sig").split_whitespace().collect();
    let signature = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    assert_eq!(ml_dsa.verify(b"message", &signature), Ok(()));
    assert_eq!(ml_dsa.verify(b"massage", &signature), Err(BadSignature));
    assert_eq!(ml_dsa.verify_cosign(b"message", &signature), Err(BadSignature));
    // The message itself was not signed: TAP 21 puts a prefix and a hash in its place.
    let bare = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ML_DSA_44, ml_dsa.spki());
    assert!(bare.verify(b"message", &signature).is_err());
    assert!(bare.verify(&super::ml_dsa::to_sign(b"message"), &signature).is_ok());
}

#[test]
fn cosign_hashes_with_sha256_whatever_the_key() {
    use aws_lc_rs::{rand::SystemRandom, signature::*};
    // By the key of `P384`, SHA-256, of pyca/cryptography.
    let by_python = hex::decode(
        "30650231009985b3f65b7d463f3d62d373f22c9310810bd01cb2e8f1b40d1197bf66371a02a569b8825b936853c6ae5540063b4d8f023046aee95df947c664cc2f608e040caf286bb61f0bc32ff9e877d94c6313d00ef60e703aff2e322c37faa259615c6ea5ce",
    )
    .unwrap();
    assert_eq!(PublicKey::from_pem(P384).unwrap().verify_cosign(b"m", &by_python), Ok(()));
    assert_eq!(PublicKey::from_pem(P384).unwrap().verify_cosign(b"n", &by_python), Err(BadSignature));
    assert_eq!(PublicKey::from_pem(P384).unwrap().verify(b"m", &by_python), Err(BadSignature));
    let p384 = SecretKey::generate(Scheme::EcdsaP384).unwrap();
    let sha384 = p384.sign(b"m").unwrap();
    assert_eq!(p384.public().verify(b"m", &sha384), Ok(()));
    assert_eq!(p384.public().verify_cosign(b"m", &sha384), Err(BadSignature));
    let rsa = SecretKey::generate(Scheme::RsaPssSha256).unwrap();
    assert_eq!(rsa.public().verify_cosign(b"m", &rsa.sign(b"m").unwrap()), Ok(()));
    let pair = aws_lc_rs::rsa::KeyPair::from_pkcs8(&super::pem::read_private(&rsa.to_pem()).unwrap()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"m", &mut signature).unwrap();
    assert_eq!(rsa.public().verify_cosign(b"m", &signature), Ok(()));
    assert_eq!(rsa.public().verify(b"m", &signature), Err(BadSignature), "in-toto's scheme is PSS");
    let ed = SecretKey::generate(Scheme::Ed25519).unwrap();
    assert_eq!(ed.public().verify_cosign(b"m", &ed.sign(b"m").unwrap()), Ok(()));
    assert_eq!(ed.public().verify_cosign(b"n", &ed.sign(b"m").unwrap()), Err(BadSignature));
}

#[test]
fn a_key_has_one_encoding() {
    let pem = |der: &[u8]| super::pem::write("PUBLIC KEY", der);
    let der = super::pem::read_public(P256).unwrap();
    assert_eq!(PublicKey::from_pem(&format!("\n {}\r\n", P256.replace('\n', "\r\n"))).unwrap().to_pem(), P256);
    let mut long_form = vec![0x30, 0x81, 0x59];
    long_form.extend_from_slice(&der[2..]);
    let trailing = [der.as_slice(), &[0]].concat();
    let mut off_curve = der.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    let mut unused_bits = der.clone();
    unused_bits[25] = 1;
    for der in [long_form, trailing, off_curve, unused_bits, der[..der.len() - 1].to_vec(), vec![], vec![0x30, 0x80]] {
        assert!(matches!(PublicKey::from_spki(&der), Err(KeyError::Malformed { .. })), "{der:02x?}");
    }
    // A compressed point is the same key in fewer bytes, and compared as the same.
    let mut compressed = vec![0x30, 0x39];
    compressed.extend_from_slice(&der[2..23]);
    compressed.extend_from_slice(&[3, 0x22, 0, 2]);
    compressed.extend_from_slice(&der[27..59]);
    assert_eq!(PublicKey::from_pem(&pem(&compressed)), PublicKey::from_pem(P256));
    let with = |at: usize, byte: u8| {
        let mut der = compressed.clone();
        der[at] = byte;
        PublicKey::from_spki(&der)
    };
    // The other point of that first coordinate; no point, no sign of a compressed one, a bit that is not used, a length too long.
    assert!(with(26, 3).is_ok_and(|other| other.spki() != PublicKey::from_pem(P256).unwrap().spki()));
    for (at, byte) in [(58, compressed[58] ^ 1), (26, 5), (26, 4), (25, 1), (24, 0x21), (1, 0x38)] {
        assert!(matches!(with(at, byte), Err(KeyError::Malformed { .. })), "byte {at}");
    }
    for trailing in [[compressed.as_slice(), &[0]].concat(), [&[0x30, 0x81, 0x39], &compressed[2..]].concat()] {
        assert!(matches!(PublicKey::from_spki(&trailing), Err(KeyError::Malformed { .. })));
    }
    // Of another curve than it says.
    let p384 = SecretKey::generate(Scheme::EcdsaP384).unwrap();
    let other = super::pem::read_public(&p384.public().to_pem()).unwrap();
    let short =
        [&[0x30, 0x49], &compressed[2..23], &[3, 0x32, 0, 2], &other[other.len() - 96..other.len() - 48]].concat();
    assert!(matches!(PublicKey::from_spki(&short), Err(KeyError::Malformed { .. })));
    // An RSA modulus with a needless zero in front, or without the one it needs.
    let der = super::pem::read_public(RSA).unwrap();
    for bad in [
        [&der[..32], &[0x02, 0x82, 1, 2, 0, 0], &der[37..]].concat(),
        [&der[..32], &[0x02, 0x82, 1, 0], &der[37..]].concat(),
    ] {
        assert!(matches!(PublicKey::from_spki(&bad), Err(KeyError::Malformed { .. })));
    }
}

#[test]
fn pem_is_one_block_and_nothing_else() {
    let malformed = |pem: &str| matches!(PublicKey::from_pem(pem), Err(KeyError::Malformed { .. }));
    assert!(malformed(""));
    assert!(malformed(&format!("{P256}{P256}")));
    assert!(malformed(&format!("{P256}# a comment\n")));
    // Text in front is none of it, unless it could be meant.
    let p256 = PublicKey::from_pem(P256);
    for text in ["# a comment\n", "Public-Key: (256 bit)\npub:\n    04:08\n", "-----\r\n \t", "-----BEGINNING-----\n"] {
        assert_eq!(PublicKey::from_pem(&format!("{text}{P256}")), p256, "{text:?}");
        assert_eq!(PublicKey::from_file(format!("{text}{P256}").as_bytes()), p256, "{text:?}");
    }
    for text in [
        "# ",
        "a",
        "-----BEGIN X-----\n",
        "-----BEGIN X-----\nAAAA\n-----END X-----\n",
        "see -----BEGIN PUBLIC KEY-----\n",
    ] {
        assert!(PublicKey::from_pem(&format!("{text}{P256}")).is_err(), "{text:?}");
    }
    let secret = SecretKey::generate(Scheme::Ed25519).unwrap().to_pem();
    assert!(SecretKey::from_pem(&secret).is_ok() && SecretKey::from_pem(&format!("a\n{secret}")).is_err());
    assert!(malformed(&P256.replace("END PUBLIC", "END PRIVATE")));
    assert!(malformed(&P256.replace("==", "")));
    assert!(malformed(&P256.replace("MFk", "M!k")));
    assert!(malformed(&" ".repeat(20_000)));
    assert!(malformed(&SecretKey::generate(Scheme::Ed25519).unwrap().to_pem()));
    let certificate = P256.replace("PUBLIC KEY", "CERTIFICATE");
    assert_eq!(
        PublicKey::from_pem(&certificate),
        Err(KeyError::Unsupported { what: "the PEM block \"CERTIFICATE\"".into() })
    );
}

/// What OpenSSL calls `-RSAPublicKey_out`.
#[test]
fn pkcs1_is_the_same_key() {
    let rsa = PublicKey::from_pem(RSA).unwrap();
    let der = super::pem::read_public(RSA).unwrap();
    let pkcs1 = super::pem::write("RSA PUBLIC KEY", &der[24..]);
    assert_eq!(PublicKey::from_pem(&pkcs1), Ok(rsa.clone()));
    // Under an id of the text as it stands in the layout, too.
    let key = object("rsa", "rsassa-pss-sha256", &pkcs1);
    let id = crate::digest::Digest::sha256(&crate::json::canonical(&key).unwrap());
    let read = PublicKey::from_layout(&key).unwrap();
    assert_eq!((read.spki(), read.id()), (rsa.spki(), rsa.id()));
    assert!(read.ids().is_superset(rsa.ids()) && read.ids().contains(id.hex()) && !rsa.ids().contains(id.hex()));
    let quoted = object("rsa", "rsassa-pss-sha256", &format!("a \"key\" \\\n{pkcs1}"));
    let id = crate::digest::Digest::sha256(&crate::json::canonical(&quoted).unwrap());
    assert!(PublicKey::from_layout(&quoted).unwrap().ids().contains(id.hex()));
    for broken in [&der[..], &der[25..], &der[24..der.len() - 1], &[&der[24..], &[0]].concat(), &[0x30, 0]] {
        let pem = super::pem::write("RSA PUBLIC KEY", broken);
        assert!(matches!(PublicKey::from_pem(&pem), Err(KeyError::Malformed { .. })), "{broken:02x?}");
    }
    // Neither a private key nor another kind goes by that name.
    let ec = P256.replace("PUBLIC KEY", "RSA PUBLIC KEY");
    assert!(matches!(PublicKey::from_pem(&ec), Err(KeyError::Malformed { .. })));
    assert!(matches!(
        PublicKey::from_pem(&RSA.replace("PUBLIC KEY", "RSA PRIVATE KEY")),
        Err(KeyError::Malformed { .. })
    ));
}

#[test]
fn other_private_containers_are_refused_with_the_command_that_helps() {
    for label in ["EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY", "PUBLIC KEY"] {
        let error = SecretKey::from_pem(&P256.replace("PUBLIC KEY", label)).unwrap_err();
        assert_eq!(error, KeyError::NotPkcs8 { label: label.into() });
        assert!(error.to_string().contains("openssl pkcs8 -topk8 -nocrypt -in KEY"));
    }
    let not_private = P256.replace("PUBLIC KEY", "PRIVATE KEY");
    assert!(matches!(SecretKey::from_pem(&not_private), Err(KeyError::Malformed { .. })));
    let key = SecretKey::generate(Scheme::EcdsaP256).unwrap();
    assert!(!format!("{key:?}").contains("PRIVATE"));
}

#[test]
fn weak_and_unknown_keys_are_refused() {
    let rsa = |bytes: usize, e: &[u8]| super::der::write_spki(&Material::Rsa { n: vec![0xff; bytes], e: e.to_vec() });
    assert_eq!(PublicKey::from_spki(&rsa(128, &[1, 0, 1])), Err(KeyError::WeakRsa { bits: 1024 }));
    assert_eq!(PublicKey::from_spki(&rsa(2048, &[1, 0, 1])), Err(KeyError::WeakRsa { bits: 16384 }));
    assert!(PublicKey::from_spki(&rsa(256, &[1, 0, 1])).is_ok());
    for e in [&[][..], &[1], &[2], &[1, 0, 0], &[3, 0, 0, 0, 1]] {
        assert!(matches!(PublicKey::from_spki(&rsa(256, e)), Err(KeyError::Malformed { .. })), "{e:?}");
    }
    let p224 = hex::decode("301006072a8648ce3d020106052b81040021").unwrap();
    let spki = [&[0x30, 22][..], &p224, &[3, 2, 0, 4]].concat();
    assert_eq!(PublicKey::from_spki(&spki), Err(KeyError::Unsupported { what: "ECDSA P-224".into() }));
    let short = super::der::write_spki(&Material::MlDsa(MlDsa::Set65, vec![1; 1312]));
    assert!(matches!(PublicKey::from_spki(&short), Err(KeyError::Malformed { .. })));
    type OfPoint = fn(Vec<u8>) -> Material;
    for (material, len) in [(Material::P256 as OfPoint, 64), (Material::P384, 96), (Material::P521, 132)] {
        let point = |first: u8, len: usize| super::der::write_spki(&material([&[first][..], &vec![1; len]].concat()));
        let why = |spki: &[u8]| match PublicKey::from_spki(spki) {
            Err(KeyError::Malformed { what }) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(&point(4, len)), "its point is not on the curve");
        let shape = "it holds no uncompressed elliptic curve point of the right length";
        assert_eq!((why(&point(6, len)), why(&point(4, len - 1))), (shape, shape));
    }
    let spki = super::der::write_spki(&Material::MlDsa(MlDsa::Set44, vec![1; 1312]));
    assert!(PublicKey::from_spki(&spki).is_ok());
    let nested = super::der::write_spki(&Material::MlDsa(MlDsa::Set44, spki));
    assert!(matches!(PublicKey::from_spki(&nested), Err(KeyError::Malformed { .. })));
}

#[test]
fn ed25519_keys_of_small_order_are_refused() {
    let at = |hex: &str| PublicKey::from_layout(&object("ed25519", "ed25519", hex));
    let weak = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    for hex in weak {
        assert!(matches!(at(hex), Err(KeyError::Malformed { .. })), "{hex}");
    }
    assert!(at(ED25519_HEX).is_ok() && at(&ED25519_HEX.to_uppercase()).unwrap().spki() == ed25519().spki());
    // Which begin, or end, as those do.
    for like in ["01".repeat(32), format!("ec{}7f", "00".repeat(30)), format!("ef{}7f", "fe".repeat(30))] {
        assert!(at(&like).is_ok(), "{like}");
    }
    assert!(matches!(at(&ED25519_HEX[2..]), Err(KeyError::Malformed { .. })));
    assert!(matches!(at("zz"), Err(KeyError::Malformed { .. })));
}

#[test]
fn key_objects_say_type_and_scheme_that_fit() {
    let read = |keytype: &str, scheme: &str, public: &str| PublicKey::from_layout(&object(keytype, scheme, public));
    let old = read("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", P256.trim_end()).unwrap();
    assert_eq!(old, PublicKey::from_pem(P256).unwrap(), "the deprecated spelling, the newline stripped");
    assert_eq!(read("rsa", "rsa-pkcs1v15-sha512", RSA).unwrap().scheme(), Scheme::RsaPkcs1Sha512);
    assert_eq!(read("rsa", "rsassa-pss-sha224", RSA).unwrap().scheme(), Scheme::RsaPssSha224);
    assert_eq!(read("rsa", "rsa-pkcs1v15-sha224", RSA).unwrap().scheme(), Scheme::RsaPkcs1Sha224);
    assert_eq!(read("ed25519", "ed25519", &ed25519().to_pem()).unwrap().spki(), ed25519().spki());
    for (keytype, scheme, public) in [
        ("rsa", "ed25519", RSA),
        ("ed25519", "rsassa-pss-sha256", ED25519_HEX),
        ("ecdsa", "ecdsa-sha2-nistp384", P256),
        ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", P384),
        ("ecdsa", "ecdsa-sha2-nistp256", RSA),
        ("rsa", "rsassa-pss-sha256", P256),
        ("ecdsa", "ecdsa-sha2-nistp521", P384),
        ("ecdsa", "ml-dsa-44/1", P256),
        ("ml-dsa", "ml-dsa-44/1", RSA),
        ("ml-dsa", "ecdsa-sha2-nistp521", P521),
    ] {
        assert!(matches!(read(keytype, scheme, public), Err(KeyError::SchemeMismatch { .. })), "{keytype} {scheme}");
    }
    for (keytype, scheme) in [
        ("rsa", "rsassa-pss-sha1"),
        ("rsa", "rsa-pkcs1v15-md5"),
        ("ecdsa", "ecdsa-sha2-nistp224"),
        ("ml-dsa", "ml-dsa-44/2"),
        ("ml-dsa", "ml-dsa-44"),
    ] {
        let what = format!("the scheme \"{scheme}\"");
        assert_eq!(read(keytype, scheme, RSA), Err(KeyError::Unsupported { what }), "{keytype}");
    }
    for keytype in ["sigstore-oidc", "sphincs", "ml-dsa-44/1", "ecdsa-sha2-nistp224"] {
        let what = format!("the key type \"{keytype}\"");
        assert_eq!(read(keytype, "ml-dsa-44/1", RSA), Err(KeyError::Unsupported { what }));
    }
    let old = read("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", P521).unwrap();
    assert_eq!(old, PublicKey::from_pem(P521).unwrap());
    let parsed = |text: &str| {
        PublicKey::from_layout(&crate::json::parse(text.as_bytes(), &crate::json::Limits::METADATA).unwrap())
    };
    let openpgp = |more: &str| {
        let (id, public) = ("ab".repeat(20), r#"{"p":"07","q":"03","g":"02","y":"04"}"#);
        parsed(&format!(r#"{{"keyid":"{id}","hashes":["pgp+SHA2"],"keyval":{{"public":{public}}},{more}}}"#))
    };
    let dsa = r#""type":"dsa","method":"pgp+dsa-fips-180-2""#;
    assert_eq!(openpgp(dsa), Err(KeyError::WeakDsa { bits: 3 }));
    for unknown in [r#""type":"rsa","method":"pgp+x""#, r#""type":"rsa","method":"pgp+eddsa-ed25519""#] {
        assert!(matches!(openpgp(unknown), Err(KeyError::Unsupported { .. })), "{unknown}");
    }
    assert!(
        matches!(openpgp(&format!(r#"{dsa},"revoked":true"#)), Err(KeyError::Unsupported { what }) if what.contains("revoked"))
    );
    assert!(matches!(openpgp(r#""type":"rsa""#), Err(KeyError::Malformed { .. })));
    let private =
        format!(r#"{{"keytype":"ed25519","scheme":"ed25519","keyval":{{"public":"{ED25519_HEX}","private":"x"}}}}"#);
    assert!(matches!(parsed(&private), Err(KeyError::Malformed { .. })));
    assert_eq!(parsed(&private.replace("\"x\"", "\"\"")), Ok(ed25519()));
    for text in ["{}", "[]", r#"{"keytype":"rsa"}"#, r#"{"keytype":"rsa","scheme":"rsassa-pss-sha256","keyval":{}}"#] {
        assert!(matches!(parsed(text), Err(KeyError::Malformed { .. })), "{text}");
    }
}

/// R41: another member could say when, or for what, the key holds. The reference passes over it, and so does the compatible profile.
#[test]
fn members_of_a_key_that_nobody_knows_are_not_overlooked() {
    let with = |place: &str, name: &str, member: serde_json::Value| {
        let mut key = serde_json::json!({"keyid": "any", "keytype": "ed25519", "scheme": "ed25519",
            "keyval": {"public": ED25519_HEX, "private": ""}, "keyid_hash_algorithms": ["sha256", "sha512"]});
        key.pointer_mut(place).unwrap()[name] = member;
        Value::from(&key)
    };
    // What some writer puts there.
    for (place, name, member) in [
        ("", "keyid", serde_json::json!("other")),
        ("", "keyid_hash_algorithms", serde_json::json!(null)),
        ("/keyval", "private", serde_json::json!(null)),
        ("/keyval", "certificate", serde_json::json!("")),
    ] {
        let value = with(place, name, member);
        assert_eq!(PublicKey::from_layout(&value), Ok(ed25519()), "{name}");
        assert_eq!(PublicKey::from_layout_leniently(&value), Ok(ed25519()), "{name}");
    }
    for (place, name, of) in [
        ("", "revoked", "a key"),
        ("", "expires", "a key"),
        ("", "Keyid", "a key"),
        ("", "certificate", "a key"),
        ("/keyval", "usage", "a key's keyval"),
        ("/keyval", "scheme", "a key's keyval"),
    ] {
        for member in [serde_json::json!(true), serde_json::json!(false), serde_json::json!(null)] {
            let value = with(place, name, member);
            let what = format!("the member \"{name}\" of {of}");
            assert_eq!(PublicKey::from_layout(&value), Err(KeyError::Unsupported { what }), "{place}/{name}");
            assert_eq!(PublicKey::from_layout_leniently(&value), Ok(ed25519()), "{place}/{name}");
        }
    }
    // What is wrong with a known one is wrong for the lenient reader too.
    let private = with("/keyval", "private", serde_json::json!("x"));
    let error = KeyError::Malformed { what: "it holds a private key" };
    assert_eq!(
        (PublicKey::from_layout(&private), PublicKey::from_layout_leniently(&private)),
        (Err(error.clone()), Err(error))
    );
}

#[test]
fn a_ring_counts_keys_and_not_names() {
    let rsa = PublicKey::from_pem(RSA).unwrap();
    let named = |name: &str, key: &PublicKey| NamedKey { name: name.into(), key: key.clone() };
    let ring = KeyRing::new(vec![
        named("a", &rsa),
        named("b", &rsa.with_scheme(Scheme::RsaPkcs1Sha256).unwrap()),
        named("c", &ed25519()),
    ]);
    assert_eq!((ring.iter().count(), ring.distinct(), ring.is_empty()), (3, 2, false));
}
