//! The token by which a job proves who it is to the store, got from where the CI system has it. It is sent, and never recorded.

use super::{
    ci::{TokenSource, TokenUrl},
    upload,
};
use crate::{file, registry, signer};
use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncReadExt as _, process::Command};
use url::{Host, Url};
use zeroize::Zeroizing;

/// A token has one or two kilobytes.
const TOKEN_BYTES_MAX: usize = 64 << 10;
const TIMEOUT: Duration = Duration::from_secs(20);

/// The token for who is named by `audience`.
///
/// # Errors
/// There is none to be had, or what was had is none.
pub async fn token(source: &TokenSource, audience: &str) -> anyhow::Result<Zeroizing<String>> {
    let token = match source {
        TokenSource::Variable { value, .. } => Zeroizing::new(value.clone()),
        TokenSource::File(path) => Zeroizing::new(file::read_text(path, TOKEN_BYTES_MAX)?),
        TokenSource::Url(request) => ask(request, audience).await.context("ask the CI system for a token")?,
        TokenSource::Command(words) => printed(words, audience).await.context("have a token printed")?,
    };
    let token = Zeroizing::new(token.trim().to_owned());
    let plain =
        !token.is_empty() && token.len() <= TOKEN_BYTES_MAX && token.bytes().all(|byte| byte.is_ascii_graphic());
    anyhow::ensure!(plain, "what {} gave is no token", source.described());
    Ok(token)
}

/// Over https, or to this machine.
async fn ask(request: &TokenUrl, audience: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut url = Url::parse(&request.url).context("the URL for tokens")?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    anyhow::ensure!(
        url.scheme() == "https" || url.scheme() == "http" && loopback,
        "the URL for tokens is neither https nor on this machine"
    );
    if let Some(parameter) = &request.audience {
        url.query_pairs_mut().append_pair(parameter, audience);
    }
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(registry::USER_AGENT);
    if loopback {
        builder = builder.no_proxy();
    }
    let http = builder.build()?;
    let call = if request.post { http.post(url).header("content-length", "0") } else { http.get(url) };
    // The URL may carry what is nobody's business.
    let response = call.bearer_auth(&request.bearer).header("accept", "application/json").send().await;
    let response = response.map_err(reqwest::Error::without_url)?;
    let status = response.status();
    anyhow::ensure!(status.is_success(), "it answered {}", status.as_u16());
    let answer = upload::json(response).await;
    let token = answer.get(&request.member).and_then(serde_json::Value::as_str);
    token
        .map(|token| Zeroizing::new(token.to_owned()))
        .with_context(|| format!("its answer has no \"{}\"", request.member))
}

/// What a command prints; its own words to standard error are the person's to read.
async fn printed(words: &[String], audience: &str) -> anyhow::Result<Zeroizing<String>> {
    let (program, arguments) = words.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|word| word.replace("{audience}", audience)));
    // A key in our environment is not for this command either.
    command.env_remove(signer::PEM_VARIABLE).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let run = async {
        let mut child = command.spawn().with_context(|| format!("\"{program}\""))?;
        let mut output = Zeroizing::new(String::new());
        let stdout = child.stdout.take().context("no output")?;
        stdout.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut output).await?;
        let status = child.wait().await?;
        anyhow::ensure!(status.success(), "\"{program}\" ended with {status}");
        Ok(output)
    };
    tokio::time::timeout(TIMEOUT, run).await.with_context(|| format!("\"{program}\" took longer than {TIMEOUT:?}"))?
}

/// What a token claims, for people; whether it is true is the store's to find out.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// The claims of a JWT; `None` for a token of another kind.
pub fn claims(token: &str) -> Option<Claims> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    let audience = match value.get("aud") {
        Some(serde_json::Value::String(one)) => vec![one.clone()],
        Some(serde_json::Value::Array(several)) => {
            several.iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
        }
        _ => Vec::new(),
    };
    let expires = value.get("exp").and_then(serde_json::Value::as_i64);
    let expires = expires.and_then(|second| jiff::Timestamp::from_second(second).ok()).map(|time| time.to_string());
    Some(Claims { issuer: text("iss"), subject: text("sub"), audience, expires })
}

#[cfg(test)]
mod tests;
