//! The registry that is published to. Blobs and the login go by the publishing library; manifests by requests of our own,
//! because what matters about them is in headers that it hides, and because we bound what we read.

use super::Options;
use crate::{digest::Digest, file, oci, reference::Reference};
use anyhow::{Context, anyhow, bail, ensure};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_distribution::{
    Client, Reference as OciReference, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};
use reqwest::{StatusCode, header};
use std::{fs::File, time::Duration};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// What an error body may add to a message.
const ERROR_BYTES_MAX: usize = 512;

/// One repository, logged in for pushing.
pub struct Remote {
    library: Client,
    http: reqwest::Client,
    image: OciReference,
    base: String,
    auth: RegistryAuth,
}

impl Remote {
    /// Reads the credentials, and logs in where the registry asks for it.
    pub async fn connect(image: &Reference, options: &Options) -> anyhow::Result<Self> {
        let image = OciReference::with_digest(
            image.registry().into(),
            image.repository().into(),
            // The library's own operations name blobs by digest; this one is never asked for.
            image.digest().cloned().unwrap_or_else(|| Digest::sha256(b"")).to_string(),
        );
        let host = image.resolve_registry().to_owned();
        let auth = credentials(&host, options)?;
        if options.plain_http && auth != RegistryAuth::Anonymous {
            ensure!(is_this_machine(&host), "credentials for {host} are not sent over plain http");
        }
        let roots = match (&options.ca_bundle, &options.ca_file) {
            (None, None) => Vec::new(),
            (Some(bundle), _) => pem_blocks(bundle.as_bytes())?,
            (None, Some(path)) => pem_blocks(&file::read(path, file::SMALL_BYTES_MAX)?)?,
        };
        let http = http_client(&roots, options.plain_http)?;
        let scheme = if options.plain_http { "http" } else { "https" };
        let remote = Remote {
            library: library(&roots, options.plain_http)?,
            http,
            base: format!("{scheme}://{host}"),
            image,
            auth,
        };
        remote.log_in(options.plain_http).await
    }

    async fn log_in(mut self, plain_http: bool) -> anyhow::Result<Self> {
        let url = format!("{}/v2/", self.base);
        let hint = if plain_http { "" } else { " (a registry without TLS: --plain-http)" };
        let answer = self.http.get(&url).send().await.with_context(|| format!("{url} cannot be reached{hint}"))?;
        let challenge =
            answer.headers().get(header::WWW_AUTHENTICATE).and_then(|text| text.to_str().ok()).unwrap_or_default();
        if let Some((_, realm)) = challenge.split_once("realm=\"http://") {
            let realm = realm.split('"').next().unwrap_or_default();
            ensure!(plain_http, "the registry wants the login sent to http://{realm}, not over https");
        }
        let wants_basic = challenge.to_ascii_lowercase().starts_with("basic");
        let token = self.library.auth(&self.image, &self.auth, RegistryOperation::Push).await;
        match token.with_context(|| format!("the login at {} failed", self.base))? {
            Some(token) => self.auth = RegistryAuth::Bearer(token),
            None if wants_basic => {
                ensure!(
                    self.auth != RegistryAuth::Anonymous,
                    "{} wants a user, and the docker configuration names none",
                    self.base
                );
            }
            // The registry asks for nothing: nothing is sent.
            None => self.auth = RegistryAuth::Anonymous,
        }
        Ok(self)
    }

    /// Pushes a blob unless it is there.
    pub async fn push_blob(&self, digest: &Digest, bytes: &[u8]) -> anyhow::Result<()> {
        let name = digest.to_string();
        let push = async {
            if !self.library.blob_exists(&self.image, &name).await? {
                self.library.push_blob(&self.image, bytes.to_vec(), &name).await?;
            }
            Ok::<_, oci_distribution::errors::OciDistributionError>(())
        };
        push.await.with_context(|| format!("blob {name} cannot be pushed"))
    }

    /// A manifest by tag or digest with its Content-Type, at most 4 MiB. `None`: 404.
    pub async fn manifest(&self, name: &str) -> anyhow::Result<Option<(Vec<u8>, Option<String>)>> {
        let request = self.http.get(self.url("manifests", name)).header(header::ACCEPT, oci::media::ACCEPT_DOCUMENT);
        let answer = self.send(request, name).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(refusal(answer, name).await),
        }
        let content_type =
            answer.headers().get(header::CONTENT_TYPE).and_then(|text| text.to_str().ok()).map(String::from);
        let (bytes, whole) = body(answer, oci::DOCUMENT_BYTES_MAX).await?;
        ensure!(whole, "manifest {name} has more than {} bytes", oci::DOCUMENT_BYTES_MAX);
        Ok(Some((bytes, content_type)))
    }

    /// Pushes a manifest by tag or digest. True: the registry says that it understood the subject.
    pub async fn push_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) -> anyhow::Result<bool> {
        let request = self.http.put(self.url("manifests", name));
        let request = request.header(header::CONTENT_TYPE, media_type).body(bytes.to_vec());
        let answer = self.send(request, name).await?;
        match answer.status().is_success() {
            true => Ok(answer.headers().contains_key("OCI-Subject")),
            false => Err(refusal(answer, name).await),
        }
    }

    /// Whether the registry lists referrers by the API.
    pub async fn has_referrers_api(&self, image: &Digest) -> anyhow::Result<bool> {
        let request = self.http.get(self.url("referrers", &image.to_string()));
        let request = request.header(header::ACCEPT, oci::media::OCI_INDEX);
        let answer = self.send(request, "the referrers").await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            // What registries without the API say (signatures §2.2, rule 2).
            StatusCode::NOT_FOUND
            | StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE => Ok(false),
            status if status.is_redirection() => Ok(false),
            _ => Err(refusal(answer, "the referrers").await),
        }
    }

    fn url(&self, what: &str, name: &str) -> String {
        format!("{}/v2/{}/{what}/{name}", self.base, self.image.repository())
    }

    async fn send(&self, request: reqwest::RequestBuilder, what: &str) -> anyhow::Result<reqwest::Response> {
        let request = match &self.auth {
            RegistryAuth::Anonymous => request,
            RegistryAuth::Basic(user, password) => request.basic_auth(user, Some(password)),
            RegistryAuth::Bearer(token) => request.bearer_auth(token),
        };
        request.send().await.with_context(|| format!("{}: {what} could not be asked for", self.base))
    }
}

fn http_client(roots: &[Vec<u8>], plain_http: bool) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(crate::registry::USER_AGENT);
    // Without this a machine that has no roots at all could not even talk plain http (reqwest's platform verifier).
    if plain_http || !roots.is_empty() {
        let roots = roots.iter().map(|pem| reqwest::Certificate::from_pem(pem)).collect::<Result<Vec<_>, _>>()?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().context("the HTTP client cannot be made")
}

/// `Client::new` goes on with other settings when one is bad: `try_from` alone tells.
fn library(roots: &[Vec<u8>], plain_http: bool) -> anyhow::Result<Client> {
    let certificate = |pem: &Vec<u8>| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone() };
    Client::try_from(ClientConfig {
        protocol: if plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
        tls_certs_only: roots.iter().map(certificate).collect(),
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        ..ClientConfig::default()
    })
    .context("the registry client cannot be made")
}

fn credentials(host: &str, options: &Options) -> anyhow::Result<RegistryAuth> {
    // What docker itself writes down for Docker Hub.
    let server = if host == "index.docker.io" { "https://index.docker.io/v1/" } else { host };
    let Some(file) = options.docker_config.clone().or_else(crate::registry::default_docker_config) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let reader = File::open(&file).with_context(|| format!("{} cannot be opened", file.display()))?;
    let found = docker_credential::get_credential_from_reader(reader, server);
    match found {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => {
            bail!("the credentials of {host} are an identity token; log in with a password")
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(anyhow!("the credentials of {host} cannot be read from {}: {error}", file.display())),
    }
}

fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Each certificate of a bundle by itself: the libraries take one at a time.
fn pem_blocks(bytes: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = std::str::from_utf8(bytes).context("the CA file is no text")?;
    let blocks: Vec<_> = text
        .split_inclusive(END)
        .filter_map(|part| Some(part.get(part.find("-----BEGIN CERTIFICATE-----")?..)?.as_bytes().to_vec()))
        .collect();
    ensure!(!blocks.is_empty(), "the CA file holds no certificate");
    Ok(blocks)
}

/// At most so many bytes, and whether that was all.
async fn body(mut answer: reqwest::Response, bytes_max: usize) -> anyhow::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > bytes_max {
            bytes.truncate(bytes_max);
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

async fn refusal(answer: reqwest::Response, what: &str) -> anyhow::Error {
    let (url, status) = (answer.url().clone(), answer.status());
    let body = body(answer, ERROR_BYTES_MAX).await.map(|(bytes, _)| bytes).unwrap_or_default();
    let text: String = String::from_utf8_lossy(&body).chars().filter(|letter| !letter.is_control()).collect();
    anyhow!("{what}: {url} answers {status} {text}")
}
