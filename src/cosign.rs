//! The documents of cosign and Sigstore: simple-signing payload, bundle (signatures §2.1–§2.3).

pub const LEGACY_LAYER: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub const LEGACY_SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// One signature of an image as found, unjudged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// Layer of the `sha256-<hex>.sig` tag: payload blob (already checked against the layer's digest) and its annotation (base64).
    Legacy { payload: Vec<u8>, signature: String },
    /// A Sigstore bundle among the referrers, bytes as they are.
    Bundle(Vec<u8>),
}
// owner adds: SimpleSigning, Bundle (parsed) …
