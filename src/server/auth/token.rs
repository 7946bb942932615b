//! Static tokens: random texts that a Chain document names by their SHA-256.

use crate::digest::Digest;
use http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;

/// A token longer than this is nobody's. Tokens of CI systems have one to three KiB.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// SHA-256 of a bearer token. Unsalted, for tokens of 128 random bits cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of a token that came with a request.
    pub fn of(token: &[u8]) -> Self {
        use sha2::Digest as _;
        Hash(sha2::Sha256::digest(token).into())
    }

    /// `sha256:<hex>` of a document.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let bytes = hex::decode(text.parse::<Digest>()?.hex())?;
        bytes.try_into().map(Hash).map_err(|_| anyhow::anyhow!("tokenHash is not sha256"))
    }

    /// In constant time.
    pub fn is(&self, other: &Hash) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

/// What a request has in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer<'h> {
    /// No such header.
    None,
    Token(&'h [u8]),
    /// Something else, or twice.
    Other,
}

impl<'h> Bearer<'h> {
    /// `Authorization: Bearer …` (RFC 6750; the scheme in any case), once.
    pub fn of(headers: &'h HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Bearer::None,
            (Some(value), None) => bearer(value.as_bytes()).map_or(Bearer::Other, Bearer::Token),
            (Some(_), Some(_)) => Bearer::Other,
        }
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    let fits = scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX;
    fits.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_one() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"Basic abcd"), None);
        assert_eq!(bearer(b"Bearer "), None);
        assert_eq!(bearer(b"Bear"), None);
        assert_eq!(bearer(&[b"Bearer ".as_slice(), &[b'x'; TOKEN_BYTES_MAX + 1]].concat()), None);
        let mut headers = HeaderMap::new();
        assert_eq!(Bearer::of(&headers), Bearer::None);
        headers.append("authorization", "Bearer a".parse().unwrap());
        assert_eq!(Bearer::of(&headers), Bearer::Token(b"a"));
        headers.append("authorization", "Bearer b".parse().unwrap());
        assert_eq!(Bearer::of(&headers), Bearer::Other);
    }
}
