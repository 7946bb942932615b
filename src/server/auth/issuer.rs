//! The keys of an issuer: of the document, of a file, or discovered over https, bounded and cached. A token that names a
//! key we do not have makes us look again, but not often, whoever sends it.

use super::{
    jwt::{JWKS_BYTES_MAX, KeySet},
    refusal::Refusal,
};
use crate::{
    file, registry,
    resource::{KeySource, chain::identity::check_issuer},
};
use anyhow::{Context as _, bail};
use arc_swap::ArcSwapOption;
use serde::Deserialize;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Discovery and key set together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const DISCOVERY_BYTES_MAX: usize = 64 << 10;

/// How long keys are good for, and how often an issuer is asked.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After this keys are looked up again, which keeps one request waiting.
    pub fresh: Duration,
    /// So long they are taken while the issuer cannot be reached.
    pub stale: Duration,
    /// Between two looks for a key that was not there.
    pub again: Duration,
    /// After a look that failed.
    pub failed: Duration,
}

impl Patience {
    pub const DEFAULT: Patience = Patience {
        fresh: Duration::from_secs(300),
        stale: Duration::from_secs(3_600),
        again: Duration::from_secs(10),
        failed: Duration::from_secs(5),
    };
}

/// One issuer with one source of keys.
#[derive(Debug)]
pub struct Issuer {
    pub url: String,
    pub source: KeySource,
    /// `None` for keys that nobody is asked for.
    http: Option<reqwest::Client>,
    patience: Patience,
    current: ArcSwapOption<Known>,
    /// Who holds it looks the keys up; the others wait for what is found. When a look failed.
    looking: Mutex<Option<Instant>>,
    /// The last look failed: nobody waits for the next, so that an issuer that is silent does not keep all places taken.
    troubled: AtomicBool,
}

#[derive(Debug)]
struct Known {
    keys: KeySet,
    at: Instant,
}

impl Issuer {
    /// Keys of a document or a file are read now, so that a bad one starts nothing; nobody is asked anything yet.
    ///
    /// # Errors
    /// A key set or a bundle that is none.
    pub fn new(url: &str, source: KeySource, patience: Patience) -> anyhow::Result<Self> {
        let mut known = None;
        let mut http = None;
        match &source {
            KeySource::Inline(text) => known = Some(KeySet::parse(text.as_bytes()).context("jwks")?),
            KeySource::File(path) => known = Some(read(path)?),
            KeySource::Discovery { ca_bundle } => http = Some(client(ca_bundle.as_deref())?),
        }
        let current = known.map(|keys| Arc::new(Known { keys, at: Instant::now() }));
        let current = ArcSwapOption::from(current);
        Ok(Issuer {
            url: url.to_owned(),
            source,
            http,
            patience,
            current,
            looking: Mutex::new(None),
            troubled: AtomicBool::new(false),
        })
    }

    /// Keys among which the one of this name is, should the issuer have it.
    ///
    /// # Errors
    /// `Unavailable` where that cannot be found out.
    pub async fn keys(&self, kid: Option<&str>) -> Result<KeySet, Refusal> {
        if let Some(keys) = self.good(kid, self.patience.fresh) {
            return Ok(keys);
        }
        let stale = self.good(kid, self.patience.stale);
        let mut failed = match (self.looking.try_lock(), &stale) {
            (Ok(looking), _) => looking,
            // Somebody looks already, and what we have will do.
            (Err(_), Some(keys)) => return Ok(keys.clone()),
            (Err(_), None) if self.troubled.load(Ordering::Relaxed) => {
                return Err(self.unavailable());
            }
            (Err(_), None) => self.looking.lock().await,
        };
        // While we waited another may have found it.
        if let Some(keys) = self.good(kid, self.patience.fresh) {
            return Ok(keys);
        }
        if let Some(known) = self.current.load_full().filter(|known| known.at.elapsed() < self.patience.again) {
            return Ok(known.keys.clone());
        }
        if failed.is_none_or(|at| at.elapsed() >= self.patience.failed) {
            match self.look().await {
                Ok(keys) => {
                    *failed = None;
                    self.troubled.store(false, Ordering::Relaxed);
                    self.current.store(Some(Arc::new(Known { keys: keys.clone(), at: Instant::now() })));
                    return Ok(keys);
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(issuer = self.url, error, "keys of an issuer");
                    *failed = Some(Instant::now());
                    self.troubled.store(true, Ordering::Relaxed);
                }
            }
        }
        stale.ok_or_else(|| self.unavailable())
    }

    fn unavailable(&self) -> Refusal {
        Refusal::Unavailable { issuer: self.url.clone() }
    }

    /// The keys we have, where they are younger than that and hold the one that is asked for.
    fn good(&self, kid: Option<&str>, age: Duration) -> Option<KeySet> {
        let known = self.current.load();
        let known = known.as_ref()?;
        // What the document says does not age.
        let young = matches!(self.source, KeySource::Inline(_)) || known.at.elapsed() < age;
        (young && known.keys.has(kid)).then(|| known.keys.clone())
    }

    async fn look(&self) -> anyhow::Result<KeySet> {
        match (&self.source, &self.http) {
            (KeySource::Inline(text), _) => KeySet::parse(text.as_bytes()),
            (KeySource::File(path), _) => read(path),
            (KeySource::Discovery { .. }, Some(http)) => tokio::time::timeout(FETCH_TIMEOUT, discover(http, &self.url))
                .await
                .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {FETCH_TIMEOUT:?}"))),
            (KeySource::Discovery { .. }, None) => bail!("there is nobody to ask"),
        }
    }
}

fn read(path: &str) -> anyhow::Result<KeySet> {
    let bytes = file::read(Path::new(path), JWKS_BYTES_MAX)?;
    KeySet::parse(&bytes).with_context(|| path.to_owned())
}

fn client(ca_bundle: Option<&str>) -> anyhow::Result<reqwest::Client> {
    let mut http = reqwest::Client::builder()
        // The issuer is whom the document names: neither who it sends us to, nor a proxy of the environment.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(FETCH_TIMEOUT)
        .user_agent(registry::USER_AGENT);
    if let Some(pem) = ca_bundle {
        let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).context("caBundle")?;
        if authorities.is_empty() {
            bail!("caBundle holds no certificate");
        }
        http = http.tls_certs_only(authorities);
    }
    http.build().context("a client of the issuer")
}

/// OpenID Connect Discovery 1.0 §4: the document's `issuer` is the one asked for, and its keys are where tokens may be sent
/// for as well: https, or this machine.
async fn discover(http: &reqwest::Client, issuer: &str) -> anyhow::Result<KeySet> {
    #[derive(Deserialize)]
    struct Discovered {
        issuer: String,
        jwks_uri: String,
    }
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document = get(http, &url, DISCOVERY_BYTES_MAX).await?;
    let found: Discovered = serde_json::from_slice(&document).context("its configuration does not read")?;
    if found.issuer != issuer {
        bail!("its configuration is of another issuer");
    }
    if let Err(why) = check_issuer(&found.jwks_uri) {
        bail!("its jwks_uri {why}");
    }
    KeySet::parse(&get(http, &found.jwks_uri, JWKS_BYTES_MAX).await?).context("its keys do not read")
}

async fn get(http: &reqwest::Client, url: &str, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let mut response = http.get(url).header(reqwest::header::ACCEPT, "application/json").send().await?;
    if response.status() != reqwest::StatusCode::OK {
        bail!("it answered {}", response.status().as_u16());
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await? {
        if body.len() + part.len() > bytes_max {
            bail!("its answer has more than {bytes_max} bytes");
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
