//! The documents of cosign and Sigstore: simple-signing payload, bundle (signatures §2.1–§2.3).
//!
//! Parsing says what is written, not whether it is true: the payload is read after its signature was checked, and nothing in a
//! bundle beside the signed statement is believed.

use crate::{
    digest::Digest,
    envelope::{Envelope, EnvelopeError},
    json::{self, JsonError, Value},
};

/// Media type of the layers under the tag `sha256-<hex>.sig`.
pub const LEGACY_LAYER: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The layer annotation that holds the signature, in base64.
pub const LEGACY_SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// `critical.type` of a payload that signs an image, exactly.
pub const LEGACY_TYPE: &str = "cosign container image signature";
/// The predicate type of a statement that signs an image, exactly (signatures §2.3, step 10).
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// The media types of a bundle, v0.1 to v0.3.
pub const BUNDLE_TYPES: &[&str] = &[
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
];

/// What a payload or bundle may cost: 4 MiB (signatures §2.2, rule 5).
pub const LIMITS: json::Limits = json::Limits { bytes_max: 4 << 20, depth_max: 64, nodes_max: 100_000, nul: false };

/// One signature of an image as found, unjudged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// Layer of the `sha256-<hex>.sig` tag: payload blob (already checked against the layer's digest) and its annotation (base64).
    Legacy { payload: Vec<u8>, signature: String },
    /// A Sigstore bundle among the referrers, bytes as they are.
    Bundle(Vec<u8>),
}

/// Why bytes are no document of cosign's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CosignError {
    /// Not strict JSON, or too much of it.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member is missing or of another type.
    #[error("{member} is missing or of another type")]
    Member { member: &'static str },
    /// `critical.type` is another than [`LEGACY_TYPE`].
    #[error("critical.type is {found:?}, not {LEGACY_TYPE:?}")]
    PayloadType { found: String },
    /// `docker-manifest-digest` is no digest.
    #[error("docker-manifest-digest {found:?} is no digest")]
    PayloadDigest { found: String },
    /// `mediaType` is none of [`BUNDLE_TYPES`].
    #[error("the bundle's media type {found:?} is not one of v0.1 to v0.3")]
    BundleType { found: String },
    /// None or several of the alternatives of one choice.
    #[error("the bundle holds {found} of {alternatives}, not one")]
    BundleChoice { alternatives: &'static str, found: usize },
    /// The envelope within the bundle does not parse.
    #[error("the bundle's envelope does not parse: {0}")]
    Envelope(EnvelopeError),
}

/// The simple-signing payload of the legacy layout. `docker-reference` and `optional` are not kept: nothing may be decided by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimpleSigning {
    /// The digest of the manifest that was signed.
    pub image: Digest,
}

impl SimpleSigning {
    /// Strict JSON, `critical.type` exact, `critical.image.docker-manifest-digest` well formed.
    pub fn parse(payload: &[u8]) -> Result<Self, CosignError> {
        let value = json::parse(payload, &LIMITS)?;
        let critical = value.get("critical").ok_or(CosignError::Member { member: "critical" })?;
        let found = text(critical, "type", "critical.type")?;
        if found != LEGACY_TYPE {
            return Err(CosignError::PayloadType { found: found.into() });
        }
        let image = critical.get("image").ok_or(CosignError::Member { member: "critical.image" })?;
        let found = text(image, "docker-manifest-digest", "critical.image.docker-manifest-digest")?;
        let image = found.parse().map_err(|_| CosignError::PayloadDigest { found: found.into() })?;
        Ok(SimpleSigning { image })
    }

    /// The payload as `cosign sign` writes it.
    pub fn payload(repository: &str, image: &Digest) -> Vec<u8> {
        let (repository, kind) = (Value::String(repository.into()), LEGACY_TYPE);
        let repository = json::to_text(&repository);
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":{repository}}},"image":{{"docker-manifest-digest":"{image}"}},"type":"{kind}"}},"optional":null}}"#
        )
        .into_bytes()
    }
}

/// By what a bundle says it can be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// A key that the verifier has; the hint may choose the words of a denial and nothing else.
    PublicKey { hint: String },
    /// A certificate or a chain: keyless, nothing a key can answer for.
    Certificate,
}

/// What a bundle's signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A DSSE envelope: in bundles of images, a statement.
    Dsse(Envelope),
    /// A signature over bytes that are elsewhere.
    MessageSignature,
}

/// A Sigstore bundle, v0.1 to v0.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// By what it says it can be verified.
    pub material: Material,
    /// What is signed.
    pub content: Content,
    /// Transparency log entries it carries. No trusted root is configured, so they are neither checked nor counted.
    pub log_entries: usize,
}

impl Bundle {
    /// Strict JSON; exactly one of the media types, one material and one content.
    pub fn parse(bytes: &[u8]) -> Result<Self, CosignError> {
        let value = json::parse(bytes, &LIMITS)?;
        let media_type = text(&value, "mediaType", "mediaType")?;
        if !BUNDLE_TYPES.contains(&media_type) {
            return Err(CosignError::BundleType { found: media_type.into() });
        }
        let member = "verificationMaterial";
        let material = value.get(member).ok_or(CosignError::Member { member })?;
        let log_entries = match material.get("tlogEntries") {
            None | Some(Value::Null) => 0,
            Some(entries) => entries.as_array().ok_or(CosignError::Member { member: "tlogEntries" })?.len(),
        };
        let material = match one_of(material, &["publicKey", "certificate", "x509CertificateChain"], "materials")? {
            // An absent hint is the empty one, as protobuf writes it.
            ("publicKey", key) => {
                Material::PublicKey { hint: key.get("hint").and_then(Value::as_str).unwrap_or_default().into() }
            }
            _ => Material::Certificate,
        };
        let content = match one_of(&value, &["dsseEnvelope", "messageSignature"], "contents")? {
            ("dsseEnvelope", envelope) => {
                Content::Dsse(Envelope::parse(json::to_text(envelope).as_bytes()).map_err(CosignError::Envelope)?)
            }
            _ => Content::MessageSignature,
        };
        Ok(Bundle { material, content, log_entries })
    }
}

/// Whether a layer of this media type is a bundle. The bundle's own `mediaType` decides whether we read it.
pub fn is_bundle(media_type: &str) -> bool {
    let spaced: String = media_type.chars().filter(|letter| *letter != ' ').collect();
    BUNDLE_TYPES.contains(&spaced.as_str()) || spaced == "application/vnd.dev.sigstore.bundle+json"
}

/// The one member of a protobuf choice that is there.
fn one_of<'v>(
    value: &'v Value,
    names: &[&'static str],
    alternatives: &'static str,
) -> Result<(&'static str, &'v Value), CosignError> {
    let there = |name: &&'static str| Some((*name, value.get(name).filter(|member| **member != Value::Null)?));
    let mut found = names.iter().filter_map(there);
    match (found.next(), found.count()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(CosignError::BundleChoice { alternatives, found: 0 }),
        (Some(_), more) => Err(CosignError::BundleChoice { alternatives, found: more + 1 }),
    }
}

fn text<'v>(value: &'v Value, name: &str, member: &'static str) -> Result<&'v str, CosignError> {
    value.get(name).and_then(Value::as_str).ok_or(CosignError::Member { member })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Digest {
        Digest::sha256(b"image")
    }
    fn payload() -> String {
        String::from_utf8(SimpleSigning::payload("registry.example.com/shop/api", &image())).unwrap()
    }

    #[test]
    fn the_payload_names_the_manifest() {
        assert_eq!(SimpleSigning::parse(payload().as_bytes()), Ok(SimpleSigning { image: image() }));
    }

    #[test]
    fn a_payload_of_another_type_is_refused() {
        let found = "atomic container signature";
        let text = payload().replace(LEGACY_TYPE, found);
        assert_eq!(SimpleSigning::parse(text.as_bytes()), Err(CosignError::PayloadType { found: found.into() }));
        let text = payload().replace(LEGACY_TYPE, "Cosign container image signature");
        assert!(matches!(SimpleSigning::parse(text.as_bytes()), Err(CosignError::PayloadType { .. })));
    }

    #[test]
    fn a_payload_without_a_digest_is_refused() {
        let text = payload().replace("docker-manifest-digest", "docker-manifest");
        let member = "critical.image.docker-manifest-digest";
        assert_eq!(SimpleSigning::parse(text.as_bytes()), Err(CosignError::Member { member }));
        let text = payload().replace("sha256:", "");
        assert!(matches!(SimpleSigning::parse(text.as_bytes()), Err(CosignError::PayloadDigest { .. })));
    }

    #[test]
    fn a_payload_with_a_member_twice_is_refused() {
        let other = Digest::sha256(b"other");
        let twice = format!(r#""docker-manifest-digest":"{other}","docker-manifest-digest":"#);
        let text = payload().replace("\"docker-manifest-digest\":", &twice);
        assert!(matches!(SimpleSigning::parse(text.as_bytes()), Err(CosignError::Json(_))));
    }

    const ENVELOPE: &str =
        r#"{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA","keyid":""}]}"#;

    fn bundle(media_type: &str, material: &str, content: &str) -> Result<Bundle, CosignError> {
        let text = format!(r#"{{"mediaType":"{media_type}","verificationMaterial":{{{material}}}{content}}}"#);
        Bundle::parse(text.as_bytes())
    }
    fn dsse() -> String {
        format!(r#","dsseEnvelope":{ENVELOPE}"#)
    }

    #[test]
    fn every_version_of_the_bundle_is_read() {
        for media_type in BUNDLE_TYPES {
            let bundle = bundle(media_type, r#""publicKey":{"hint":"abc"},"tlogEntries":[{}]"#, &dsse()).unwrap();
            assert_eq!(bundle.material, Material::PublicKey { hint: "abc".into() });
            assert_eq!(bundle.log_entries, 1);
            assert!(is_bundle(media_type));
        }
        let found = "application/vnd.dev.sigstore.bundle.v0.9+json";
        assert_eq!(bundle(found, r#""publicKey":{}"#, &dsse()), Err(CosignError::BundleType { found: found.into() }));
        assert!(!is_bundle(found));
    }

    #[test]
    fn certificates_are_no_keys() {
        let v3 = BUNDLE_TYPES[0];
        let material = |text: &str| bundle(v3, text, &dsse()).map(|bundle| bundle.material);
        assert_eq!(material(r#""publicKey":{}"#), Ok(Material::PublicKey { hint: String::new() }));
        assert_eq!(material(r#""certificate":{"rawBytes":""}"#), Ok(Material::Certificate));
        assert_eq!(material(r#""x509CertificateChain":{}"#), Ok(Material::Certificate));
    }

    #[test]
    fn one_material_and_one_content_and_no_more() {
        let v3 = BUNDLE_TYPES[0];
        let both = format!(r#","messageSignature":{{}}{}"#, dsse());
        let choice = |alternatives, found| Err(CosignError::BundleChoice { alternatives, found });
        assert_eq!(bundle(v3, r#""publicKey":{},"certificate":{}"#, &dsse()), choice("materials", 2));
        assert_eq!(bundle(v3, "", &dsse()), choice("materials", 0));
        assert_eq!(bundle(v3, r#""publicKey":{}"#, &both), choice("contents", 2));
        assert_eq!(bundle(v3, r#""publicKey":{}"#, ""), choice("contents", 0));
        let message = bundle(v3, r#""publicKey":{}"#, r#","messageSignature":{}"#).unwrap();
        assert_eq!(message.content, Content::MessageSignature);
    }

    #[test]
    fn a_broken_envelope_breaks_the_bundle() {
        let broken = r#","dsseEnvelope":{"payload":"e30="}"#;
        assert!(matches!(
            bundle(BUNDLE_TYPES[0], r#""publicKey":{}"#, broken),
            Err(CosignError::Envelope(_) | CosignError::Json(_))
        ));
    }
}
