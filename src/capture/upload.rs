//! A signed envelope to the metadata store: `PUT /v1/records/sha256:{hex}` (design §8).

use crate::{envelope::Envelope, file, registry, source};
use anyhow::Context as _;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Where records go.
#[derive(Clone, Debug)]
pub struct Store {
    pub url: String,
    /// The chain it belongs to, where the store could not tell.
    pub chain: Option<String>,
    pub token_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
}

/// One record is small; a store that takes longer is down.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A problem document is a few lines; the rest of a longer answer is not read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Whether the store had the record already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    New,
    Known,
}

/// Sends the envelope under its own name. Repeating it is harmless.
pub async fn put(store: &Store, envelope: &Envelope) -> anyhow::Result<Stored> {
    let (base, loopback) = source::store::base(&store.url)?;
    let url = base.join(&format!("v1/records/{}", envelope.digest()))?;
    let mut request = client(store, loopback)?
        .put(url.clone())
        .query(&store.chain.iter().map(|chain| ("chain", chain)).collect::<Vec<_>>())
        .header("content-type", "application/json")
        .body(envelope.to_bytes());
    if let Some(file) = &store.token_file {
        request = request.bearer_auth(token(file)?);
    }
    let response = request.send().await.with_context(|| format!("send to {url}"))?;
    match response.status().as_u16() {
        201 => Ok(Stored::New),
        200 => Ok(Stored::Known),
        status => anyhow::bail!("the store answered {status}{}", problem(response).await),
    }
}

fn client(store: &Store, loopback: bool) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(registry::USER_AGENT);
    // What is on this machine is not behind a proxy, whatever the environment says of the rest.
    if loopback {
        builder = builder.no_proxy();
    }
    if let Some(path) = &store.ca_file {
        builder = builder.tls_certs_only(source::store::authorities(path)?);
    }
    Ok(builder.build()?)
}

fn token(path: &Path) -> anyhow::Result<String> {
    Ok(file::read_text(path, file::SMALL_BYTES_MAX)?.trim().to_owned())
}

/// What the store says about it: `detail` and `reason` of a problem document.
async fn problem(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ANSWER_BYTES_MAX {
            return String::new();
        }
    }
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let text =
        |key: &str| value.get(key).and_then(serde_json::Value::as_str).map(|text| text.escape_debug().to_string());
    match (text("detail").or_else(|| text("title")), text("reason")) {
        (Some(detail), Some(reason)) => format!(": {detail} [{reason}]"),
        (Some(detail), None) => format!(": {detail}"),
        (None, Some(reason)) => format!(" [{reason}]"),
        (None, None) => String::new(),
    }
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
            let store = Store { url: url.into(), chain: None, token_file: None, ca_file: None };
            format!("{:#}", put(&store, &envelope).await.unwrap_err())
        };
        for url in ["http://store.invalid", "http://192.0.2.1:1", "ftp://localhost"] {
            let error = put(url).await;
            assert!(error.contains("expected https, or http on loopback"), "{url}: {error}");
        }
        assert!(put("https://ci:secret@store.invalid").await.contains("has credentials"));
        // A port that was free a moment ago, and that nobody serves.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(put(&format!("http://127.0.0.1:{port}/")).await.contains("send to http://127.0.0.1"));
    }
}
