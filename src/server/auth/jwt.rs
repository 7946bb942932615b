//! Signed tokens (RFC 7519) in their compact form, and the keys that verify them (RFC 7517). Pure: keys and times are
//! given. What a token says may be looked at before its signature was checked, to find the issuer; only [`Jwt::verify`] makes
//! a [`Token`].

use super::refusal::Refusal;
use crate::json::{self, Limits, Value, shown};
use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};

/// A part of a token; a nested claim is none that we match.
const TOKEN_LIMITS: Limits = Limits { bytes_max: 16 << 10, depth_max: 16, nodes_max: 1_024, nul: false };
const JWKS_LIMITS: Limits = Limits { bytes_max: JWKS_BYTES_MAX, depth_max: 8, nodes_max: 8_192, nul: false };
/// Bytes of a key set.
pub const JWKS_BYTES_MAX: usize = 256 << 10;
const KEYS_MAX: usize = 64;
const KID_BYTES_MAX: usize = 256;
/// RSA below this is not signed with by anybody who should be believed (NIST SP 800-131A).
const RSA_BYTES_MIN: usize = 256;

/// What an issuer may sign with. No `none`, and no secret shared with those who verify.
fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// A token that is not believed yet.
#[derive(Debug)]
pub struct Jwt<'t> {
    message: &'t str,
    signature: &'t str,
    algorithm: Algorithm,
    kid: Option<String>,
    claims: Value,
}

/// A token whose signature verified under a key of its issuer.
#[derive(Debug)]
pub struct Token {
    claims: Value,
}

impl<'t> Jwt<'t> {
    /// Whether it could be one: three parts between dots.
    pub fn is_like(token: &[u8]) -> bool {
        token.iter().filter(|byte| **byte == b'.').count() == 2
    }

    /// Header and claims, strictly: no duplicate members, no critical header fields, an algorithm of the list.
    ///
    /// # Errors
    /// `Malformed` or `Algorithm`.
    pub fn parse(token: &'t [u8]) -> Result<Self, Refusal> {
        let malformed = |why: &str| Refusal::Malformed(why.to_owned());
        let text = std::str::from_utf8(token).map_err(|_| malformed("it is not ASCII"))?;
        let (message, signature) = text.rsplit_once('.').ok_or_else(|| malformed("it has no parts"))?;
        let (header, claims) = message.split_once('.').ok_or_else(|| malformed("it has no three parts"))?;
        let header = part(header)?;
        let name = header.get("alg").and_then(Value::as_str).ok_or_else(|| malformed("its header has no alg"))?;
        let algorithm = algorithm(name).ok_or_else(|| Refusal::Algorithm(shown(name)))?;
        if header.get("crit").is_some() {
            return Err(malformed("its header has critical fields"));
        }
        let typ = header.get("typ").map(|typ| typ.as_str().unwrap_or_default().to_ascii_lowercase());
        if typ.is_some_and(|typ| !matches!(typ.as_str(), "jwt" | "at+jwt" | "application/jwt")) {
            return Err(malformed("its typ is not JWT"));
        }
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => Some(kid.clone()),
            Some(_) => return Err(malformed("its kid is no short text")),
        };
        Ok(Jwt { message, signature, algorithm, kid, claims: part(claims)? })
    }

    /// Who it says signed it.
    pub fn issuer(&self) -> &str {
        self.claims.get("iss").and_then(Value::as_str).unwrap_or_default()
    }

    /// Which key, where it says so.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Believes it under a key of the set: the one it names, or the only one.
    ///
    /// # Errors
    /// `Key`, `Algorithm` or `Signature`.
    pub fn verify(&self, keys: &KeySet) -> Result<Token, Refusal> {
        let named: Vec<&Key> = keys.named(self.kid.as_deref()).collect();
        if named.is_empty() {
            return Err(Refusal::Key(shown(self.kid.as_deref().unwrap_or_default())));
        }
        let mut fit = named.into_iter().filter(|key| key.algorithms.contains(&self.algorithm)).peekable();
        if fit.peek().is_none() {
            return Err(Refusal::Algorithm(format!("{:?} (of another key)", self.algorithm)));
        }
        let verifies = |key: &Key| {
            let message = self.message.as_bytes();
            jsonwebtoken::crypto::verify(self.signature, message, &key.key, self.algorithm).unwrap_or(false)
        };
        if fit.any(verifies) { Ok(Token { claims: self.claims.clone() }) } else { Err(Refusal::Signature) }
    }
}

fn part(text: &str) -> Result<Value, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed("a part is not base64url".into()))?;
    match json::parse(&bytes, &TOKEN_LIMITS) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Refusal::Malformed("a part is no JSON object".into())),
        Err(error) => Err(Refusal::Malformed(error.to_string())),
    }
}

impl Token {
    /// The claim, as it was signed.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// The claim's text: a string, an integer, true or false.
    pub fn text(&self, name: &str) -> Option<String> {
        text(self.get(name)?)
    }

    /// Seconds since 1970 (RFC 7519 §2 NumericDate; parts of seconds are cut).
    pub fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let seconds = match value {
            Value::Number(text) => text.parse::<i64>().ok().or_else(|| whole(text)),
            _ => None,
        };
        // Years 1970 to 9999.
        let sane = seconds.filter(|seconds| (0..253_402_300_800).contains(seconds));
        sane.map(Some).ok_or_else(|| Refusal::Malformed(format!("its {name} is no time")))
    }
}

/// The integer part of a number with a fraction.
fn whole(text: &str) -> Option<i64> {
    let number = text.parse::<f64>().ok()?;
    (0.0..1e12).contains(&number).then_some(number as i64)
}

/// A value as a text to compare.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(text) if !text.contains(['.', 'e', 'E']) => Some(text.clone()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

/// An issuer's keys that can sign tokens.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// A JWK set. Keys that are for something else (encryption, a shared secret, a curve of no algorithm of ours) are left
    /// out; a set that is none is an error.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let value = json::parse(bytes, &JWKS_LIMITS)?;
        let keys = value.get("keys").and_then(Value::as_array).context("a key set has a list \"keys\"")?;
        if keys.len() > KEYS_MAX {
            bail!("the key set has {} keys, more than {KEYS_MAX}", keys.len());
        }
        let read = |value: &Value| key(&serde_json::from_str::<Jwk>(&json::to_text(value)).ok()?);
        Ok(KeySet { keys: keys.iter().filter_map(read).collect() })
    }

    /// Whether it holds the key a token names.
    pub fn has(&self, kid: Option<&str>) -> bool {
        self.named(kid).next().is_some()
    }

    /// Those a token may mean: those of that name; without one, the only key there is.
    fn named<'k>(&'k self, kid: Option<&'k str>) -> impl Iterator<Item = &'k Key> {
        let only = self.keys.len() == 1;
        self.keys.iter().filter(move |key| if kid.is_some() { key.kid.as_deref() == kid } else { only })
    }
}

/// The key, with what it may be used for; `None`: nothing here.
fn key(jwk: &Jwk) -> Option<Key> {
    use Algorithm::*;
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|kind| *kind == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|may| may.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return None;
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
            let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
            (bytes >= RSA_BYTES_MIN).then(|| vec![RS256, RS384, RS512, PS256, PS384, PS512])?
        }
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => vec![ES256],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => vec![ES384],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => vec![EdDSA],
        _ => return None,
    };
    if let Some(only) = common.key_algorithm {
        let only = algorithm(&only.to_string())?;
        algorithms.retain(|algorithm| *algorithm == only);
    }
    Some(Key { kid: common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(jwk).ok()? })
}
