//! `registration.yaml`: the two configurations as they are to be, without what is only known at run time. The API server checks every
//! field when they are applied; here is refused what it would accept and we must not ask for.

use crate::{digest::Digest, resource};
use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;
use std::fmt;

/// Which of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Validating,
    Mutating,
}

/// One configuration object.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    pub kind: Kind,
    pub name: String,
    /// As written, each with a name and a Service.
    pub webhooks: Vec<Value>,
    /// Of `webhooks`, in hexadecimal.
    pub hash: String,
}

/// The Service an API server is to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

impl fmt::Display for Desired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.name)
    }
}
impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Validating => "ValidatingWebhookConfiguration",
            Kind::Mutating => "MutatingWebhookConfiguration",
        }
    }
}
/// Of both kinds.
pub const API_VERSION: &str = "admissionregistration.k8s.io/v1";

impl Desired {
    /// The Service of the first webhook.
    pub fn service(&self) -> Option<Service> {
        let service = self.webhooks.first()?.pointer("/clientConfig/service")?;
        let text = |key| service.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let port = service.get("port").and_then(Value::as_u64).unwrap_or(443);
        Some(Service { namespace: text("namespace")?, name: text("name")?, port: u16::try_from(port).ok()? })
    }
}

/// Reads the file.
///
/// # Errors
/// What is wrong and where; nothing of the file is used then.
pub fn parse(text: &str) -> anyhow::Result<Vec<Desired>> {
    let documents = resource::text::read(text).map_err(|(number, error)| anyhow!("document {number}: {error}"))?;
    let mut found: Vec<Desired> = Vec::new();
    for (number, document) in documents {
        let desired = object(&document).with_context(|| format!("document {number}"))?;
        ensure!(
            !found.iter().any(|other| other.kind == desired.kind),
            "document {number}: a second {}",
            desired.kind.name()
        );
        found.push(desired);
    }
    ensure!(!found.is_empty(), "no document");
    Ok(found)
}

fn object(document: &Value) -> anyhow::Result<Desired> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    ensure!(text("/apiVersion") == API_VERSION, "apiVersion is \"{}\", expected {API_VERSION}", text("/apiVersion"));
    let kinds = [Kind::Validating, Kind::Mutating];
    let Some(kind) = kinds.into_iter().find(|kind| kind.name() == text("/kind")) else {
        bail!("kind is \"{}\", expected a webhook configuration", text("/kind"));
    };
    ensure!(!text("/metadata/name").is_empty(), "metadata.name is missing");
    let webhooks = document.get("webhooks").and_then(Value::as_array).filter(|list| !list.is_empty());
    let webhooks = webhooks.context("webhooks is missing or empty")?.clone();
    let mut names: Vec<&str> = Vec::new();
    for (index, webhook) in webhooks.iter().enumerate() {
        let name = entry(webhook).with_context(|| format!("webhooks[{index}]"))?;
        ensure!(!names.contains(&name), "webhooks[{index}]: a second {name}");
        names.push(name);
    }
    // The keys of an object are sorted, so equal documents have equal text.
    let hash = Digest::sha256(serde_json::to_string(&webhooks)?.as_bytes()).hex().to_owned();
    Ok(Desired { kind, name: text("/metadata/name").to_owned(), webhooks, hash })
}

fn entry(webhook: &Value) -> anyhow::Result<&str> {
    let text = |pointer: &str| webhook.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("/name").context("name is missing")?;
    for field in ["namespace", "name", "path"] {
        text(&format!("/clientConfig/service/{field}"))
            .with_context(|| format!("clientConfig.service.{field} is missing"))?;
    }
    ensure!(webhook.pointer("/clientConfig/url").is_none(), "clientConfig.url is not for a Service");
    ensure!(webhook.pointer("/clientConfig/caBundle").is_none(), "clientConfig.caBundle is filled in at run time");
    // Who may label an object would choose whether it is judged.
    ensure!(webhook.get("objectSelector").is_none(), "objectSelector would let objects choose not to be judged");
    let versions = webhook.get("admissionReviewVersions").and_then(Value::as_array);
    ensure!(
        versions.is_some_and(|versions| versions.iter().any(|version| version == "v1")),
        "admissionReviewVersions lacks v1"
    );
    ensure!(
        webhook.get("rules").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty()),
        "rules is missing or empty"
    );
    Ok(name)
}
