use super::*;
use crate::key::{Scheme, SecretKey};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::LazyLock, sync::Mutex};

const NOW: &str = "2026-11-25T12:00:00Z";

/// A key for each name, made once; the beginning of the name is its scheme.
fn key(name: &str) -> String {
    static KEYS: LazyLock<Mutex<BTreeMap<String, String>>> = LazyLock::new(Mutex::default);
    let scheme = match name.split('-').next() {
        Some("rsa") => Scheme::RsaPssSha256,
        Some("p384") => Scheme::EcdsaP384,
        Some("p521") => Scheme::EcdsaP521,
        Some("ed") => Scheme::Ed25519,
        _ => Scheme::EcdsaP256,
    };
    let mut keys = KEYS.lock().unwrap();
    keys.entry(name.to_owned()).or_insert_with(|| SecretKey::generate(scheme).unwrap().to_pem()).clone()
}

fn read(described: &Value, name: &str) -> Result<Certificate, CertificateError> {
    Certificate::from_pem(&made::certificate(described, name, &key))
}

/// Root, two authorities below it, a functionary; changed as the case says.
fn chain(changes: Value) -> Value {
    let mut chain = json!({
        "root": {"ca": true, "usage": ["keyCertSign"]},
        "mid": {"ca": true, "by": "root"},
        "low": {"ca": true, "by": "mid"},
        "leaf": {"by": "low", "usage": ["digitalSignature"]},
    });
    for (name, members) in changes.as_object().unwrap() {
        for (member, value) in members.as_object().unwrap() {
            chain[name][member] = value.clone();
        }
    }
    chain
}

fn path(chain: &Value, now: &str) -> Result<Timestamp, CertificateError> {
    let one = |name: &str| read(chain, name).unwrap();
    let intermediates = [one("low"), one("mid")];
    one("leaf").check_path(&one("root"), &intermediates, now.parse().unwrap())
}

/// What an authority beside the path says of its end is nobody's matter; what one on it says is.
#[test]
fn a_path_ends_with_the_first_that_is_on_it() {
    let described = json!({
        "root": {"ca": true, "usage": ["keyCertSign"]},
        "mid": {"ca": true, "by": "root", "until": "2026-12-10T00:00:00Z"},
        "beside": {"ca": true, "by": "root", "until": "2026-12-01T00:00:00Z"},
        "leaf": {"by": "mid", "usage": ["digitalSignature"]},
    });
    let one = |name: &str| read(&described, name).unwrap();
    let until = one("leaf").check_path(&one("root"), &[one("beside"), one("mid")], NOW.parse().unwrap());
    assert_eq!(until, Ok("2026-12-10T00:00:00Z".parse().unwrap()));
}

#[test]
fn a_certificate_says_what_it_says() {
    let described = json!({"leaf": {"cn": ["Bob", "Robert"], "o": ["Example", "Other"], "dns": ["b.example.com", "*.example.com"],
        "emails": ["bob@example.com"], "uris": ["spiffe://example.com/b", "https://example.com"], "ips": ["192.0.2.1"]}});
    let leaf = read(&described, "leaf").unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let names = leaf.names();
    assert_eq!(names.common_names, texts(&["Bob", "Robert"]));
    assert_eq!(names.organizations, texts(&["Example", "Other"]));
    assert_eq!(names.dns_names, texts(&["b.example.com", "*.example.com"]));
    assert_eq!(names.emails, texts(&["bob@example.com"]));
    assert_eq!(names.uris, texts(&["spiffe://example.com/b", "https://example.com"]));
    assert_eq!(leaf.subject(), "spiffe://example.com/b");
    assert_eq!(leaf.validity().0.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(leaf.public_key().unwrap(), *SecretKey::from_pem(&key("leaf")).unwrap().public());
    let none = read(&json!({"leaf": {"cn": null}}), "leaf").unwrap();
    assert_eq!(*none.names(), Names::default());
    let endless = read(&json!({"leaf": {"until": "9999-12-30T00:00:00Z"}}), "leaf").unwrap();
    assert_eq!(endless.validity().1.to_string(), "9999-12-30T00:00:00Z");
    for name in ["rsa-a", "p256-a", "p384-a", "p521-a", "ed-a"] {
        let leaf = read(&json!({name: {}}), name).unwrap();
        assert_eq!(leaf.public_key().unwrap().spki(), SecretKey::from_pem(&key(name)).unwrap().public().spki());
    }
}

/// A name that cannot be read could be any: whoever must have no other names would have it beside those that are read.
#[test]
fn a_name_that_cannot_be_read_is_no_certificate() {
    let with = |names: &[&[u8]]| {
        let names: Vec<u8> = names.iter().flat_map(|name| [&[0x82, name.len() as u8][..], name].concat()).collect();
        let content = [&[0x30, names.len() as u8][..], &names].concat();
        let mut described = rcgen::CertificateParams::default();
        described.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], content)];
        let made = described.self_signed(&rcgen::KeyPair::from_pem(&key("leaf")).unwrap()).unwrap();
        Certificate::from_der(made.der())
    };
    assert_eq!(with(&[b"a.example.com"]).unwrap().names().dns_names, ["a.example.com"]);
    assert_eq!(
        with(&[b"a.example.com", &[0xff, 0xfe]]),
        Err(CertificateError::Malformed { what: "a name in it cannot be read" })
    );
}

#[test]
fn pem_is_one_block_or_the_first_of_several() {
    let chain = chain(json!({}));
    let pem = |name: &str| made::certificate(&chain, name, &key);
    let (leaf, low) = (pem("leaf"), pem("low"));
    let read = Certificate::from_pem(&leaf).unwrap();
    assert_eq!(read.to_pem(), leaf.replace("\r\n", "\n"));
    assert_eq!(Certificate::first_of_pem(&format!("\n{leaf}{low}")).unwrap(), read);
    assert_eq!(Certificate::from_pem(&format!("{leaf}{low}")), Err(CertificateError::NotPem));
    let public = read.public_key().unwrap().to_pem();
    for text in [
        "",
        "x",
        &public,
        &format!("x{leaf}"),
        &format!("{leaf}x"),
        &leaf[..leaf.len() - 10],
        &format!("{public}{leaf}"),
    ] {
        assert_eq!(Certificate::first_of_pem(text), Err(CertificateError::NotPem), "{text:?}");
    }
}

#[test]
fn what_is_not_exactly_a_certificate_is_malformed() {
    let der = pem::read_certificate(&made::certificate(&chain(json!({})), "leaf", &key)).unwrap();
    let malformed = |der: &[u8]| matches!(Certificate::from_der(der), Err(CertificateError::Malformed { .. }));
    assert!(Certificate::from_der(&der).is_ok());
    assert!(malformed(&[]) && malformed(&[0x30, 0x80]) && malformed(&der[..der.len() - 1]));
    assert!(malformed(&[der.as_slice(), &[0]].concat()));
    assert_eq!(
        Certificate::from_der(&[0; 12_289]),
        Err(CertificateError::TooLarge { what: "bytes", found: 12_289, max: 12_288 })
    );
    assert!(matches!(
        read(&json!({"leaf": {"critical": true}}), "leaf"),
        Err(CertificateError::Malformed { what }) if what.contains("critical")
    ));
    let uris: Vec<String> = (0..65).map(|at| format!("u:{at}")).collect();
    assert_eq!(
        read(&json!({"leaf": {"cn": null, "uris": uris}}), "leaf"),
        Err(CertificateError::TooLarge { what: "names", found: 65, max: 64 })
    );
    // A name in the old encodings of X.520 has no letters that two readers must agree on.
    let teletex = |name: &str| {
        let mut der = pem::read_certificate(&made::certificate(&chain(json!({})), name, &key)).unwrap();
        let at = der.windows(name.len()).rposition(|window| window == name.as_bytes()).unwrap();
        der[at - 2] = 0x14;
        der
    };
    assert_eq!(*Certificate::from_der(&teletex("low")).unwrap().names(), Names::default(), "of an authority");
    let teletex = teletex("leaf");
    assert_eq!(
        Certificate::from_der(&teletex),
        Err(CertificateError::Malformed { what: "a name in it cannot be read" })
    );
}

#[test]
fn a_path_holds_when_every_part_of_it_does() {
    let end: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(path(&chain(json!({})), NOW), Ok(end));
    for root in ["rsa-r", "p384-r", "p521-r", "ed-r"] {
        assert_eq!(path(&chain(json!({"root": {"key": root}, "low": {"key": root}})), NOW), Ok(end), "{root}");
    }
    let nothing = || CertificateError::NoIssuer;
    let says = |why: &str| CertificateError::Path { why: why.to_owned() };
    let expired = |name: &str| CertificateError::Expired {
        subject: format!("CN={name}"),
        until: "2026-11-25T11:59:59Z".parse().unwrap(),
    };
    let early = |name: &str| CertificateError::NotYetValid {
        subject: format!("CN={name}"),
        from: "2026-11-25T12:00:01Z".parse().unwrap(),
    };
    let over = json!({"until": "2026-11-25T11:59:59Z"});
    let before = json!({"from": "2026-11-25T12:00:01Z"});
    for (changes, expected) in [
        (json!({"leaf": over}), expired("leaf")),
        (json!({"leaf": before}), early("leaf")),
        (json!({"mid": over}), says("an authority between them has expired")),
        (json!({"low": before}), says("an authority between them is not valid yet")),
        (json!({"root": over}), expired("root")),
        (json!({"root": before}), early("root")),
        (json!({"leaf": {"ca": true}}), CertificateError::Authority),
        (json!({"low": {"ca": false}}), says("what issued a certificate is no authority")),
        (json!({"root": {"ca": false}}), CertificateError::NoAuthority),
        (json!({"root": {"usage": ["digitalSignature"]}}), CertificateError::NoAuthority),
        (json!({"leaf": {"usage": ["keyEncipherment"]}}), CertificateError::NotForSigning),
        (json!({"leaf": {"purposes": ["timeStamping"]}}), CertificateError::Purpose),
        (json!({"low": {"purposes": ["timeStamping"]}}), CertificateError::Purpose),
        (json!({"root": {"purposes": ["timeStamping"]}}), CertificateError::Purpose),
        (
            json!({"leaf": {"purposes": ["codeSigning"]}, "mid": {"purposes": ["clientAuth"]}}),
            CertificateError::Purpose,
        ),
        (json!({"leaf": {"by": null}}), nothing()),
        (json!({"leaf": {"by": "stranger"}, "stranger": {"ca": true}}), nothing()),
        (json!({"leaf": {"by": "other"}, "other": {"ca": true, "cn": "low"}}), says("a signature does not verify")),
        (json!({"mid": {"ca": 0}}), says("more authorities lie between them than one of them allows")),
        (json!({"root": {"ca": 1}}), says("more authorities lie between them than one of them allows")),
        (
            json!({"mid": {"permitted": ["example.org"]}, "leaf": {"dns": ["b.example.com"]}}),
            says("an authority may not certify that name"),
        ),
    ] {
        assert_eq!(path(&chain(changes.clone()), NOW), Err(expected), "{changes}");
    }
    for changes in [
        json!({"root": {"ca": 2}, "mid": {"ca": 1}, "low": {"ca": 0}}),
        json!({"leaf": {"purposes": ["serverAuth", "clientAuth"]}, "mid": {"purposes": ["clientAuth"]}}),
        json!({"leaf": {"purposes": ["codeSigning"]}, "root": {"purposes": ["codeSigning"]}}),
        json!({"leaf": {"usage": []}}),
        json!({"mid": {"permitted": ["example.com"]}, "leaf": {"dns": ["b.example.com"]}}),
        json!({"leaf": {"by": "root"}}),
    ] {
        assert_eq!(path(&chain(changes.clone()), NOW), Ok(end), "{changes}");
    }
    // It holds until the first of its certificates ends.
    let now = NOW.parse().unwrap();
    assert_eq!(path(&chain(json!({"leaf": {"until": NOW, "from": NOW}})), NOW), Ok(now));
    for name in ["leaf", "low", "mid", "root"] {
        let soon = "2026-11-25T13:00:00Z";
        assert_eq!(path(&chain(json!({name: {"until": soon}})), NOW), Ok(soon.parse().unwrap()), "{name}");
    }
    assert!(matches!(path(&chain(json!({})), "1960-01-01T00:00:00Z"), Err(CertificateError::NotYetValid { .. })));
}

#[test]
fn the_root_is_the_one_that_is_asked_for() {
    let chain = chain(json!({"other": {"ca": true}, "twin": {"ca": true, "cn": "root"}}));
    let one = |name: &str| read(&chain, name).unwrap();
    let all = [one("low"), one("mid"), one("root"), one("other"), one("twin")];
    let now = NOW.parse().unwrap();
    assert_eq!(one("leaf").check_path(&one("root"), &all, now).map(drop), Ok(()));
    assert_eq!(one("leaf").check_path(&one("mid"), &all, now).map(drop), Ok(()), "an anchor need not sign itself");
    for other in ["other", "twin"] {
        assert!(one("leaf").check_path(&one(other), &all, now).is_err(), "{other}");
    }
    assert_eq!(one("leaf").check_path(&one("root"), &[], now), Err(CertificateError::NoIssuer));
    // Each is its own root, and vouches for nobody else.
    assert_eq!(one("root").check_path(&one("root"), &[], now), Err(CertificateError::Authority));
}
