//! Signed envelopes to the metadata store: `PUT /v1/records/sha256:{hex}`, several at once by `POST /v1/records:batch` (docs/store.md).

use crate::{envelope::Envelope, file, registry, source};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};
use url::Url;
use zeroize::Zeroizing;

/// Where records go.
#[derive(Clone, Debug)]
pub struct Store {
    pub url: String,
    pub credential: Credential,
    pub ca_file: Option<PathBuf>,
}

/// Who writes.
#[derive(Clone, Default)]
pub enum Credential {
    #[default]
    Nobody,
    /// A file that holds a bearer token.
    File(PathBuf),
    Token(Zeroizing<String>),
}
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::Nobody => "nobody",
            Credential::File(_) => "the token of a file",
            Credential::Token(_) => "a token",
        })
    }
}

/// What the store is told beside the record; none of it is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belongs {
    /// The chain, where the store could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The run of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The step of a statement, which names none itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Images, `sha256:…`, that the record itself does not name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
}

/// One record is small; a store that takes longer is down.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer names a record in some hundred bytes; the rest of a longer one is not read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What a problem says is shown as far as a person reads it.
const DETAIL_CHARS_MAX: usize = 400;

/// Whether the store had the record already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    New,
    Known,
}

/// Why the store has not got it.
#[derive(Debug)]
pub enum NotSent {
    /// The record is not wanted there, now or later.
    Refused(Refusal),
    /// The store does not know who sends; the record is not to blame.
    Unauthenticated(Refusal),
    /// Not now: it is down, slow, full, or not reached.
    Later(anyhow::Error),
}
impl std::fmt::Display for NotSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotSent::Refused(refusal) | NotSent::Unauthenticated(refusal) => write!(f, "{refusal}"),
            NotSent::Later(error) => write!(f, "{error:#}"),
        }
    }
}
impl std::error::Error for NotSent {}

/// What the store said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub status: u16,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the store answered {}", self.status)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if !self.reason.is_empty() {
            write!(f, " [{}]", self.reason)?;
        }
        Ok(())
    }
}
impl Refusal {
    /// Which of the three it is. What is about the request as a whole, and not about this record, may pass another time.
    fn not_sent(self) -> NotSent {
        match self.status {
            400 | 403 | 409 | 413 | 415 | 422 => NotSent::Refused(self),
            401 => NotSent::Unauthenticated(self),
            _ => NotSent::Later(anyhow::anyhow!("{self}")),
        }
    }
}

/// One of several records.
#[derive(Serialize)]
pub struct Item<'a> {
    pub digest: &'a str,
    /// In base64.
    pub envelope: &'a str,
    #[serde(flatten)]
    pub belongs: &'a Belongs,
}

/// Sends the envelope under its own name. Repeating it is harmless.
pub async fn put(store: &Store, envelope: &Envelope, belongs: &Belongs) -> Result<Stored, NotSent> {
    let client = Client::new(store).map_err(NotSent::Later)?;
    client.put(&envelope.digest().to_string(), envelope.to_bytes(), belongs).await
}

/// A connection to one store.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Zeroizing<String>>,
}

impl Client {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// The URL is none of a store's, or a file cannot be read.
    pub fn new(store: &Store) -> anyhow::Result<Self> {
        let (base, loopback) = source::store::base(&store.url)?;
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(registry::USER_AGENT);
        // What is on this machine is not behind a proxy, whatever the environment says of the rest.
        if loopback {
            builder = builder.no_proxy();
        }
        if let Some(path) = &store.ca_file {
            builder = builder.tls_certs_only(source::store::authorities(path)?);
        }
        let token = match &store.credential {
            Credential::Nobody => None,
            Credential::File(path) => Some(Zeroizing::new(file::read_text(path, file::SMALL_BYTES_MAX)?)),
            Credential::Token(token) => Some(token.clone()),
        };
        let token = token.map(|token| Zeroizing::new(token.trim().to_owned()));
        Ok(Client { http: builder.build()?, base, token })
    }

    /// One record under its name, `sha256:…`.
    pub async fn put(&self, name: &str, envelope: Vec<u8>, belongs: &Belongs) -> Result<Stored, NotSent> {
        let url = self.url(&format!("v1/records/{name}"))?;
        let words = [("chain", &belongs.chain), ("run", &belongs.run), ("step", &belongs.step)];
        let mut query: Vec<(&str, &str)> =
            words.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        query.extend(belongs.subjects.iter().map(|subject| ("subject", subject.as_str())));
        let request =
            self.http.put(url.clone()).query(&query).header("content-type", "application/json").body(envelope);
        let (status, answer) = self.answer(request, &url).await?;
        stored(status, &answer).map_err(Refusal::not_sent)
    }

    /// Several records, each with its own result in their order. `None`: this store takes them one by one.
    pub async fn batch(&self, items: &[Item<'_>]) -> Result<Option<Vec<Result<Stored, NotSent>>>, NotSent> {
        #[derive(Serialize)]
        struct Batch<'a> {
            records: &'a [Item<'a>],
        }
        let url = self.url("v1/records:batch")?;
        let request = self.http.post(url.clone()).json(&Batch { records: items });
        let (status, answer) = self.answer(request, &url).await?;
        match status {
            200 => {
                let results = answer.get("results").and_then(serde_json::Value::as_array);
                let results = results.filter(|results| results.len() == items.len());
                let results =
                    results.context("the store's answer to a batch has other records").map_err(NotSent::Later)?;
                let result = |result: &serde_json::Value| {
                    let status = result.get("status").and_then(serde_json::Value::as_u64);
                    let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
                    stored(status, result).map_err(Refusal::not_sent)
                };
                Ok(Some(results.iter().map(result).collect()))
            }
            404 | 405 => Ok(None),
            _ => Err(refusal(status, &answer).not_sent()),
        }
    }

    fn url(&self, path: &str) -> Result<Url, NotSent> {
        self.base.join(path).map_err(|error| NotSent::Later(error.into()))
    }

    async fn answer(&self, request: reqwest::RequestBuilder, url: &Url) -> Result<(u16, serde_json::Value), NotSent> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.as_str()),
            None => request,
        };
        let response = request.send().await.with_context(|| format!("send to {url}")).map_err(NotSent::Later)?;
        Ok((response.status().as_u16(), json(response).await))
    }
}

fn stored(status: u16, answer: &serde_json::Value) -> Result<Stored, Refusal> {
    match status {
        // Kept, though not counted yet where it is 202.
        201 | 202 => Ok(Stored::New),
        200 => Ok(Stored::Known),
        _ => Err(refusal(status, answer)),
    }
}

/// `detail` and `reason` of a problem document.
fn refusal(status: u16, answer: &serde_json::Value) -> Refusal {
    let text = |key: &str| {
        let text = answer.get(key).and_then(serde_json::Value::as_str)?;
        Some(text.chars().take(DETAIL_CHARS_MAX).flat_map(char::escape_debug).collect::<String>())
    };
    let detail = text("detail").or_else(|| text("title")).unwrap_or_default();
    Refusal { status, reason: text("reason").unwrap_or_default(), detail }
}

/// The answer, or null where it is none that we read.
pub(super) async fn json(mut response: reqwest::Response) -> serde_json::Value {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ANSWER_BYTES_MAX {
            return serde_json::Value::Null;
        }
    }
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        envelope::INTOTO_PAYLOAD_TYPE,
        key::{Scheme, SecretKey},
    };

    #[tokio::test]
    async fn a_token_is_sent_over_plain_http_to_this_machine_alone() {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, b"{}".to_vec(), &[&key]).unwrap();
        let put = async |url: &str| {
            let store = Store { url: url.into(), credential: Credential::Nobody, ca_file: None };
            put(&store, &envelope, &Belongs::default()).await.unwrap_err().to_string()
        };
        for url in ["http://store.invalid", "http://192.0.2.1:1", "ftp://localhost"] {
            let error = put(url).await;
            assert!(error.contains("expected https, or http on loopback"), "{url}: {error}");
        }
        for url in ["https://ci:secret@store.invalid", "http://ci:secret@store.invalid"] {
            let error = put(url).await;
            assert!(error.contains("has credentials") && !error.contains("secret@"), "{url}: {error}");
        }
        // A port that was free a moment ago, and that nobody serves.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(put(&format!("http://127.0.0.1:{port}/")).await.contains("send to http://127.0.0.1"));
    }

    #[test]
    fn what_is_about_the_record_is_told_from_what_may_pass() {
        let kind = |status| Refusal { status, ..Refusal::default() }.not_sent();
        assert!([400, 403, 413, 422].into_iter().all(|status| matches!(kind(status), NotSent::Refused(_))));
        assert!(
            [302, 404, 408, 429, 500, 503, 507].into_iter().all(|status| matches!(kind(status), NotSent::Later(_)))
        );
        assert!(matches!(kind(401), NotSent::Unauthenticated(_)));
    }
}
