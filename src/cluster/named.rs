//! One object by its name, in bounded memory and time. Secrets and service accounts are read like this and never listed (security §2.H3).

use crate::registry::Secret;
use base64::Engine;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt, time::Instant};
use zeroize::Zeroizing;

/// Bytes of one value of a Secret that are looked at.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer: a value in base64, once more in what `kubectl apply` notes, and what surrounds them.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Why something was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unread {
    Missing,
    /// The API server's rules do not let us.
    Forbidden,
    /// The API server is not there, too slow, or in trouble: this says nothing about the object.
    Unreachable,
    TooLarge,
    /// What came is not the object.
    Garbled,
}

impl Unread {
    /// Whether the API server has told us how things are.
    pub fn is_definite(self) -> bool {
        !matches!(self, Unread::Unreachable | Unread::Forbidden)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unread::Missing => "it is not there",
            Unread::Forbidden => "tidewaiter may not read it",
            Unread::Unreachable => "the API server gave no answer",
            Unread::TooLarge => "it is larger than 64 KiB",
            Unread::Garbled => "the API server's answer is not it",
        })
    }
}

/// A Secret, as far as it matters.
#[derive(Deserialize)]
pub struct SecretObject {
    pub metadata: Meta,
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    data: BTreeMap<String, Base64>,
}

/// What tells one version of an object from another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    #[serde(default)]
    pub uid: String,
    #[serde(default)]
    pub resource_version: String,
}

struct Base64(Secret);
impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Base64(Secret::new(text)))
    }
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl SecretObject {
    /// The bytes under a key; `None`: there is no such key.
    pub fn value(&self, key: &str) -> Option<Result<Zeroizing<Vec<u8>>, Unread>> {
        let Base64(text) = self.data.get(key)?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(text.expose()).map(Zeroizing::new);
        Some(match decoded {
            Ok(bytes) if bytes.len() > VALUE_BYTES_MAX => Err(Unread::TooLarge),
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(Unread::Garbled),
        })
    }
}

/// Which object: the plural of its kind in the core group, its namespace and name.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub plural: &'static str,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// The object, by GET. Boxed, since the client's own future is large.
pub fn get<'a, T: DeserializeOwned + 'a>(
    client: &'a kube::Client,
    named: Named<'a>,
    deadline: Instant,
) -> BoxFuture<'a, Result<T, Unread>> {
    Box::pin(async move {
        tokio::time::timeout_at(deadline.into(), asked(client, named)).await.unwrap_or(Err(Unread::Unreachable))
    })
}

async fn asked<T: DeserializeOwned>(client: &kube::Client, named: Named<'_>) -> Result<T, Unread> {
    let Named { plural, namespace, name } = named;
    // Both become part of a path: what is no name in Kubernetes is not there.
    if ![namespace, name].into_iter().all(crate::resource::is_dns_name) {
        return Err(Unread::Missing);
    }
    let request = http::Request::get(format!("/api/v1/namespaces/{namespace}/{plural}/{name}"))
        .header(http::header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|_| Unread::Missing)?;
    let answer = client.send(request).await.map_err(|error| {
        tracing::warn!(plural, namespace, name, %error, "the API server cannot be asked");
        Unread::Unreachable
    })?;
    match answer.status().as_u16() {
        200 => {}
        404 => return Err(Unread::Missing),
        401 | 403 => return Err(Unread::Forbidden),
        _ => return Err(Unread::Unreachable),
    }
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let bytes = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => Unread::TooLarge,
        false => Unread::Unreachable,
    })?;
    // The parser's message could quote a secret.
    serde_json::from_slice(&bytes.to_bytes()).map_err(|_| Unread::Garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(data: &str) -> Result<SecretObject, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"metadata":{{"uid":"u"}},"type":"Opaque","data":{data}}}"#))
    }

    #[test]
    fn a_value_is_decoded_and_bounded() {
        let held = secret(r#"{"a":"aGVsbG8=","b":"%%"}"#).unwrap();
        assert_eq!(held.value("a").map(|value| value.map(|bytes| bytes.to_vec())), Some(Ok(b"hello".to_vec())));
        assert_eq!(held.value("b").map(|value| value.map(drop)), Some(Err(Unread::Garbled)));
        assert!(held.value("c").is_none());
        let of = |bytes: usize| base64::engine::general_purpose::STANDARD.encode(vec![b'x'; bytes]);
        for (bytes, expected) in [(VALUE_BYTES_MAX, Ok(())), (VALUE_BYTES_MAX + 1, Err(Unread::TooLarge))] {
            let held = secret(&format!(r#"{{"a":"{}"}}"#, of(bytes))).unwrap();
            assert_eq!(held.value("a").map(|value| value.map(drop)), Some(expected), "{bytes}");
        }
    }

    #[test]
    fn no_data_is_no_error() {
        assert!(secret("null").unwrap().value("a").is_none());
        assert!(serde_json::from_str::<SecretObject>(r#"{"metadata":{}}"#).unwrap().value("a").is_none());
    }
}
