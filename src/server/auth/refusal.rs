//! Why nobody is believed to be who they say.

use crate::server::problem::Problem;
use http::StatusCode;

/// In the order in which a credential is looked at: of several grants that refuse, the one that got furthest is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// No document names it.
    #[error("nobody has this token")]
    Stranger,
    /// No JWT of RFC 7519, or one with what we do not take; the clause says what.
    #[error("the token is no signed token: {0}")]
    Malformed(String),
    /// `none`, `HS256`, or any other algorithm that is not an issuer's signature, or not one of its key.
    #[error("the token's algorithm {0} is not taken")]
    Algorithm(String),
    /// No writer or reader has this issuer.
    #[error("no chain knows the token's issuer")]
    Issuer,
    /// The keys of an issuer cannot be had: nothing is said about the token. Why is for the log: it names files and addresses of ours.
    #[error("the keys of issuer {issuer} cannot be had")]
    Unavailable { issuer: String },
    /// The issuer's keys were looked up, and this is none of them.
    #[error("the token's issuer has no key \"{0}\"")]
    Key(String),
    #[error("the token's signature does not verify")]
    Signature,
    #[error("the token expired at {0}")]
    Expired(jiff::Timestamp),
    #[error("the token is not valid before {0}")]
    NotYetValid(jiff::Timestamp),
    #[error("the token is for another audience")]
    Audience,
    /// RFC 8725 §3: a token that lives for days is a password.
    #[error("the token lives for {seconds} s, more than the {max} s that are taken")]
    Lifetime { seconds: i64, max: i64 },
    #[error("the token has no jti, and this writer's tokens write once")]
    NoJti,
    /// Names the claim and what it says; what was expected is the chain's affair.
    #[error("no chain grants anything to a token whose claim \"{name}\" is {found}")]
    Claim { name: String, found: String },
    /// The client certificate is no workload's: not exactly one URI, or none of SPIFFE.
    #[error("the client certificate names no SPIFFE ID: {0}")]
    Certificate(String),
    #[error("the client certificate is not valid now")]
    CertificateExpired,
    #[error("no chain grants anything to {0}")]
    Workload(String),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, reason) = match &refusal {
            Refusal::Stranger => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Refusal::Malformed(_) | Refusal::NoJti => (StatusCode::UNAUTHORIZED, "token_malformed"),
            Refusal::Algorithm(_) => (StatusCode::UNAUTHORIZED, "token_algorithm"),
            Refusal::Issuer => (StatusCode::UNAUTHORIZED, "token_issuer"),
            Refusal::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "issuer_unavailable"),
            Refusal::Key(_) => (StatusCode::UNAUTHORIZED, "token_key"),
            Refusal::Signature => (StatusCode::UNAUTHORIZED, "token_signature"),
            Refusal::Expired(_) => (StatusCode::UNAUTHORIZED, "token_expired"),
            Refusal::NotYetValid(_) => (StatusCode::UNAUTHORIZED, "token_not_yet_valid"),
            Refusal::Audience => (StatusCode::UNAUTHORIZED, "token_audience"),
            Refusal::Lifetime { .. } => (StatusCode::UNAUTHORIZED, "token_lifetime"),
            Refusal::Certificate(_) => (StatusCode::UNAUTHORIZED, "certificate_malformed"),
            Refusal::CertificateExpired => (StatusCode::UNAUTHORIZED, "certificate_expired"),
            Refusal::Claim { .. } | Refusal::Workload(_) => (StatusCode::FORBIDDEN, "forbidden"),
        };
        Problem::new(status, reason, refusal.to_string())
    }
}
