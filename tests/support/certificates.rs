//! Certificates as a test describes them: a JSON object whose members are certificates, each an object with, all optional, `key` (by
//! default that of its own name), `by` (the issuer's name; by default itself), `ca` (true, or how many authorities may follow), `cn` (text,
//! texts or null; by default the name), `o`, `dns`, `emails`, `uris`, `ips`, `from`, `until`, `usage`, `purposes`, `permitted` (DNS names an
//! authority may certify), `critical` (an extension that nobody knows).

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use serde_json::Value;
use std::time::Duration;

/// The certificate of that name, as PEM; `key` gives private keys by their names, as PEM too.
pub fn certificate(described: &Value, name: &str, key: &dyn Fn(&str) -> String) -> String {
    let (parameters, pair) = (parameters(described, name), pair(described, name, key));
    let made = match described[name]["by"].as_str() {
        None => parameters.self_signed(&pair),
        Some(by) => {
            let issuer = self::parameters(described, by);
            parameters.signed_by(&pair, &Issuer::from_params(&issuer, self::pair(described, by, key)))
        }
    };
    made.unwrap_or_else(|error| panic!("{name}: {error}")).pem()
}

fn pair(described: &Value, name: &str, key: &dyn Fn(&str) -> String) -> KeyPair {
    KeyPair::from_pem(&key(described[name]["key"].as_str().unwrap_or(name))).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(|value| value.as_str().unwrap().to_owned()).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn parameters(described: &Value, name: &str) -> CertificateParams {
    let one = described.get(name).unwrap_or_else(|| panic!("no certificate {name}"));
    for member in one.as_object().unwrap().keys() {
        let known = "key by ca cn o dns emails uris ips from until usage purposes permitted critical";
        assert!(known.split(' ').any(|word| word == member), "{name}: {member}?");
    }
    let mut made = CertificateParams::default();
    made.distinguished_name = DistinguishedName::new();
    let common = if one.get("cn").is_some() { texts(&one["cn"]) } else { vec![name.to_owned()] };
    // The same attribute twice is spelt in two ways, since the library keeps one of each.
    let kinds = [DnType::CommonName, DnType::CustomDnType(vec![2, 5, 4, 3])];
    kinds.into_iter().zip(common).for_each(|(kind, value)| made.distinguished_name.push(kind, value));
    let kinds = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
    kinds.into_iter().zip(texts(&one["o"])).for_each(|(kind, value)| made.distinguished_name.push(kind, value));
    let ia5 = |text: String| text.try_into().unwrap();
    let names = &mut made.subject_alt_names;
    names.extend(texts(&one["dns"]).into_iter().map(|text| SanType::DnsName(ia5(text))));
    names.extend(texts(&one["emails"]).into_iter().map(|text| SanType::Rfc822Name(ia5(text))));
    names.extend(texts(&one["uris"]).into_iter().map(|text| SanType::URI(ia5(text))));
    names.extend(texts(&one["ips"]).into_iter().map(|text| SanType::IpAddress(text.parse().unwrap())));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |member: &str, default: &str| {
        let time: jiff::Timestamp = one[member].as_str().unwrap_or(default).parse().unwrap();
        epoch + Duration::from_secs(time.as_second().try_into().unwrap())
    };
    made.not_before = at("from", "2026-01-01T00:00:00Z");
    made.not_after = at("until", "2027-01-01T00:00:00Z");
    made.is_ca = match &one["ca"] {
        Value::Bool(true) => IsCa::Ca(BasicConstraints::Unconstrained),
        Value::Number(len) => IsCa::Ca(BasicConstraints::Constrained(len.as_u64().unwrap().try_into().unwrap())),
        _ => IsCa::ExplicitNoCa,
    };
    made.key_usages = texts(&one["usage"])
        .iter()
        .map(|usage| match usage.as_str() {
            "digitalSignature" => KeyUsagePurpose::DigitalSignature,
            "keyEncipherment" => KeyUsagePurpose::KeyEncipherment,
            "keyCertSign" => KeyUsagePurpose::KeyCertSign,
            other => panic!("no usage {other}"),
        })
        .collect();
    made.extended_key_usages = texts(&one["purposes"])
        .iter()
        .map(|purpose| match purpose.as_str() {
            "codeSigning" => ExtendedKeyUsagePurpose::CodeSigning,
            "serverAuth" => ExtendedKeyUsagePurpose::ServerAuth,
            "clientAuth" => ExtendedKeyUsagePurpose::ClientAuth,
            "timeStamping" => ExtendedKeyUsagePurpose::TimeStamping,
            other => panic!("no purpose {other}"),
        })
        .collect();
    let permitted: Vec<_> = texts(&one["permitted"]).into_iter().map(GeneralSubtree::DnsName).collect();
    if !permitted.is_empty() {
        made.name_constraints = Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: vec![] });
    }
    if one["critical"] == true {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(true);
        made.custom_extensions.push(extension);
    }
    made
}
