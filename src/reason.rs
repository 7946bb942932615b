//! The closed list of reasons (design §7): metric label, audit annotation, `status.reason`, JSON, and the word in `tests/attacks/`.

use serde::{Deserialize, Serialize};

/// What kind of no it is; decides the exit code of everything that judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The evidence, or the request, says no: exit code 1.
    Invalid,
    /// There is no evidence: exit code 3.
    Missing,
    /// We could not look: exit code 4.
    Unavailable,
}

impl Class {
    /// What a command that judges exits with (design §11).
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Invalid => 1,
            Class::Missing => 3,
            Class::Unavailable => 4,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $class:ident;)*) => {
        /// Why an image, or a request, is not allowed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }
        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];
            /// The stable word.
            pub fn as_str(self) -> &'static str { match self { $(Reason::$variant => $text),* } }
            /// Whether the evidence says no, is missing, or could not be looked at.
            pub fn class(self) -> Class { match self { $(Reason::$variant => Class::$class),* } }
        }
    };
}

reasons! {
    /// Signed, but by nobody we trust for this.
    SignatureUntrusted = "signature_untrusted", Invalid;
    /// A signature of a trusted key does not verify, or covers something else.
    SignatureInvalid = "signature_invalid", Invalid;
    /// The layout is not signed by enough of its owners.
    LayoutUntrusted = "layout_untrusted", Invalid;
    /// The layout's `expires` has passed.
    LayoutExpired = "layout_expired", Invalid;
    /// The layout breaks the grammar of the specification.
    LayoutMalformed = "layout_malformed", Invalid;
    /// The layout asks for something this verifier does not implement.
    LayoutUnsupported = "layout_unsupported", Invalid;
    /// The layout asks to run a command; only the built-ins are judged.
    InspectionNotSupported = "inspection_not_supported", Invalid;
    /// The layout would cost more than one decision may.
    LayoutTooComplex = "layout_too_complex", Invalid;
    /// A signed link breaks the grammar of the specification.
    LinkMalformed = "link_malformed", Invalid;
    /// Functionaries of one step report different results.
    LinksDisagree = "links_disagree", Invalid;
    /// An artifact rule failed.
    RuleViolation = "rule_violation", Invalid;
    /// A step was done by another command than the layout expects, and the policy insists on it.
    CommandMismatch = "command_mismatch", Invalid;
    /// A list of artifact rules lets in what is left over, and the policy insists that none does.
    RuleListOpen = "rule_list_open", Invalid;
    /// No MATCH of an inspection consumed the admitted digest itself.
    SubjectNotBound = "subject_not_bound", Invalid;
    /// An attestation does not verify.
    AttestationInvalid = "attestation_invalid", Invalid;
    /// An attestation verifies, and its rule says no.
    AttestationRejected = "attestation_rejected", Invalid;
    /// Bytes do not hash to the digest they were asked for by.
    DigestMismatch = "digest_mismatch", Invalid;
    /// No signature at all.
    NoSignature = "no_signature", Missing;
    /// No layout at all.
    NoLayout = "no_layout", Missing;
    /// Links by authorised functionaries are missing.
    ThresholdNotMet = "threshold_not_met", Missing;
    /// No attestation of the demanded type.
    NoAttestation = "no_attestation", Missing;
    /// The registry could not be connected to.
    RegistryUnreachable = "registry_unreachable", Unavailable;
    /// The registry did not answer in time.
    RegistryTimeout = "registry_timeout", Unavailable;
    /// The registry refuses us (401, 403).
    RegistryAuth = "registry_auth", Unavailable;
    /// The registry answers with an error, or with something that is no answer.
    RegistryUnavailable = "registry_unavailable", Unavailable;
    /// An address or redirect we will not follow.
    RegistryRefused = "registry_refused", Unavailable;
    /// The metadata store could not be asked.
    StoreUnavailable = "store_unavailable", Unavailable;
    /// The review's own time ran out.
    DeadlineExceeded = "deadline_exceeded", Unavailable;
    /// Too much to do at once.
    Overloaded = "overloaded", Unavailable;
    /// A policy names trust material that holds no key.
    NoTrustRoot = "no_trust_root", Unavailable;
    /// The namespace of the request is not known.
    NamespaceUnknown = "namespace_unknown", Unavailable;
    /// The cluster's policies have not been read yet.
    PoliciesUnknown = "policies_unknown", Unavailable;
    /// The clock went backwards.
    ClockSuspect = "clock_suspect", Unavailable;
    /// The reference has no digest where the policy requires one.
    ImageNotPinned = "image_not_pinned", Invalid;
    /// The reference breaks the grammar.
    ImageRefInvalid = "image_ref_invalid", Invalid;
    /// Parsers disagree about what the reference names.
    ImageRefAmbiguous = "image_ref_ambiguous", Invalid;
    /// The registry does not have the image, or does not show it to us.
    ImageNotFound = "image_not_found", Invalid;
    /// No policy selects the image, and the installation denies such.
    UnmatchedImage = "unmatched_image", Invalid;
    /// More distinct images than one review may have.
    TooManyImages = "too_many_images", Invalid;
    /// A field that may carry an image and that we do not know.
    UnsupportedField = "unsupported_field", Invalid;
    /// A kind or version we do not know.
    UnsupportedResource = "unsupported_resource", Invalid;
    /// The body is no AdmissionReview.
    ReviewMalformed = "review_malformed", Invalid;
    /// The body is larger than 8 MiB.
    ReviewTooLarge = "review_too_large", Invalid;
    /// A policy document is in error.
    PolicyInvalid = "policy_invalid", Invalid;
    /// A defect of ours.
    InternalError = "internal_error", Invalid;
}

/// A reason with the sentence that says what happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} [{}]", reason.as_str())]
pub struct Fault {
    pub reason: Reason,
    /// One clause, lower case, no full stop: names the thing, expected and found.
    pub message: String,
}

impl Fault {
    /// A reason with its sentence: one lower-case clause, no full stop.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Fault { reason, message: message.into() }
    }
}
