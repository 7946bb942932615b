//! AdmissionReview v1: bytes to a typed request, an answer to bytes (Kubernetes `admission.k8s.io/v1`).
//!
//! Not here: which images an object carries (`images`), what is thought of them (`Judge`).

use crate::{
    json::{self, Limits, Value},
    policy::Decision,
    reason::{Fault, Reason},
};
use base64::Engine;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

// The path, for a fuzz target that takes this file alone.
#[path = "review/bounds.rs"]
mod bounds; // what the API server keeps of an answer

use bounds::cut;
pub use bounds::printable;

/// A group, version and kind, or resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gvk {
    pub group: String,
    pub version: String,
    pub kind: String,
}
impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => write!(f, "{} {}", self.version, self.kind),
            group => write!(f, "{group}/{} {}", self.version, self.kind),
        }
    }
}

/// What is being done to the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
    /// One we do not know: denied (B12).
    Other(String),
}
impl Operation {
    fn new(text: &str) -> Self {
        match text {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            "CONNECT" => Operation::Connect,
            other => Operation::Other(other.into()),
        }
    }
    /// As the API server writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
            Operation::Other(text) => text,
        }
    }
}

/// The request of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub uid: String,
    pub kind: Gvk,
    /// `kind` holds the plural, e.g. `pods`.
    pub resource: Gvk,
    pub sub_resource: Option<String>,
    /// Of the request, never of the object (B10).
    pub namespace: String,
    pub name: String,
    pub operation: Operation,
    pub dry_run: bool,
    pub object: Option<Value>,
    pub old_object: Option<Value>,
    /// `userInfo.username`.
    pub user: String,
}

/// Why there is no request to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Answered with a review, denied; `uid` is empty where none could be had.
    Denied { uid: String, fault: Fault },
    /// No review at all: the one case for HTTP 400.
    NotAReview(String),
}

/// Parses a review of at most 8 MiB (B13).
///
/// # Errors
/// `review_too_large`, `review_malformed`, or no review at all.
pub fn parse(bytes: &[u8]) -> Result<Request, Unreadable> {
    if bytes.len() > Limits::REVIEW.bytes_max {
        return Err(too_large(bytes));
    }
    let review = match json::parse(bytes, &Limits::REVIEW) {
        Ok(review) => review,
        Err(error) => {
            return Err(match peek_uid(bytes) {
                Some(uid) => malformed(uid, error.to_string()),
                None => Unreadable::NotAReview(format!("the body is no AdmissionReview: {error}")),
            });
        }
    };
    let text = |key| review.get(key).and_then(Value::as_str).unwrap_or_default();
    let request = review.get("request").filter(|request| request.as_object().is_some());
    let uid = request.and_then(|request| request.get("uid")).and_then(Value::as_str).unwrap_or_default();
    let (Some(request), "AdmissionReview") = (request, text("kind")) else {
        let why = "the body is no AdmissionReview: it has no such kind, or no request";
        return Err(if uid.is_empty() { Unreadable::NotAReview(why.into()) } else { malformed(uid.into(), why) });
    };
    if uid.is_empty() {
        return Err(Unreadable::NotAReview("the review's request has no uid".into()));
    }
    if text("apiVersion") != "admission.k8s.io/v1" {
        let why = format!("apiVersion is \"{}\", expected \"admission.k8s.io/v1\"", text("apiVersion"));
        return Err(malformed(uid.into(), why));
    }
    read(request, uid).map_err(|why| malformed(uid.into(), why))
}

fn read(request: &Value, uid: &str) -> Result<Request, String> {
    let operation = Operation::new(string(request, "operation", "request.operation")?);
    let dry_run = match request.get("dryRun") {
        None | Some(Value::Null) => false,
        Some(value) => value.as_bool().ok_or("request.dryRun is no boolean")?,
    };
    let optional = |key: &str| match request.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(value) => value.as_str().map(str::to_owned).ok_or(format!("request.{key} is no string")),
    };
    let sub_resource = Some(optional("subResource")?).filter(|text| !text.is_empty());
    let user = request.get("userInfo").and_then(|user| user.get("username")).and_then(Value::as_str);
    Ok(Request {
        uid: uid.into(),
        kind: gvk(request, "kind", "kind")?,
        resource: if request.get("resource").is_some() {
            gvk(request, "resource", "resource")?
        } else {
            Gvk::default()
        },
        sub_resource,
        namespace: optional("namespace")?,
        name: optional("name")?,
        operation,
        dry_run,
        object: object(request, "object")?,
        old_object: object(request, "oldObject")?,
        user: user.unwrap_or_default().into(),
    })
}

fn gvk(request: &Value, field: &str, last: &str) -> Result<Gvk, String> {
    let value = request.get(field).ok_or_else(|| format!("request.{field} is missing"))?;
    let group = match value.get("group") {
        None => "",
        Some(group) => group.as_str().ok_or_else(|| format!("request.{field}.group is no string"))?,
    };
    let part = |key| string(value, key, &format!("request.{field}.{key}")).map(str::to_owned);
    Ok(Gvk { group: group.into(), version: part("version")?, kind: part(last)? })
}

fn string<'v>(value: &'v Value, key: &str, path: &str) -> Result<&'v str, String> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| format!("{path} is missing or no string"))
}

fn object(request: &Value, key: &str) -> Result<Option<Value>, String> {
    match request.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value @ Value::Object(_)) => Ok(Some(value.clone())),
        Some(_) => Err(format!("request.{key} is no object")),
    }
}

fn malformed(uid: String, why: impl Into<String>) -> Unreadable {
    Unreadable::Denied { uid, fault: Fault::new(Reason::ReviewMalformed, why) }
}

/// The denial of a body above the limit, from its beginning.
pub fn too_large(head: &[u8]) -> Unreadable {
    let why = format!("the review is larger than {} MiB", Limits::REVIEW.bytes_max >> 20);
    Unreadable::Denied { uid: peek_uid(head).unwrap_or_default(), fault: Fault::new(Reason::ReviewTooLarge, why) }
}

/// How much of a body `peek_uid` looks at.
pub const HEAD_BYTES: usize = 1024;

/// The request's uid from the first KiB of a body that is not going to be parsed: the API server writes it first.
pub fn peek_uid(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(body.get(..HEAD_BYTES).unwrap_or(body));
    let (_, request) = head.split_once("\"request\"")?;
    let (_, after) = request.split_once("\"uid\"")?;
    let value = after.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let (uid, _) = value.split_once('"')?;
    let plain =
        !uid.is_empty() && uid.len() <= 128 && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| uid.to_owned())
}

/// What a review is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub allowed: bool,
    /// Why not (`status.reason`), and what the person at kubectl reads (`status.message`).
    pub denial: Option<(Reason, String)>,
    pub warnings: Vec<String>,
    /// Keys without the webhook's name, which the API server puts before them.
    pub audit: BTreeMap<&'static str, String>,
    /// JSON patch operations of the mutating webhook.
    pub patch: Vec<serde_json::Value>,
}

impl Answer {
    /// Allowed, and nothing to say.
    pub fn allowed() -> Self {
        Answer { allowed: true, audit: BTreeMap::from([("decision", "allowed".into())]), ..Answer::default() }
    }

    /// Denied before any image was judged.
    pub fn refused(fault: &Fault) -> Self {
        let audit = BTreeMap::from([("decision", "denied".into()), ("reason", fault.reason.as_str().into())]);
        Answer { denial: Some((fault.reason, fault.message.clone())), audit, ..Answer::default() }
    }

    /// The same refusal where nothing is enforced: admitted, and said so.
    pub fn watched(fault: &Fault) -> Self {
        let word = |text: &str| text.to_owned();
        let reason = fault.reason.as_str();
        let audit =
            BTreeMap::from([("decision", word("allowed")), ("reason", word(reason)), (WOULD_DENY, word(reason))]);
        let warnings = vec![format!("not enforced: {fault}")];
        Answer { allowed: true, warnings, audit, ..Answer::default() }
    }

    /// What follows from a decision.
    pub fn of(decision: &Decision) -> Self {
        let word = if decision.allowed { "allowed" } else { "denied" };
        let mut audit = BTreeMap::from([("decision", word.to_owned()), ("policy-hash", decision.policy_hash.clone())]);
        let reason = decision.reason();
        if let Some(reason) = reason {
            audit.insert("reason", reason.as_str().into());
        }
        let policies = decision.images.iter().flat_map(|image| &image.policies);
        let policies = policies.map(|it| format!("{}={}", it.policy, if it.met { "met" } else { "unmet" })).collect();
        let digests = decision.images.iter().filter_map(|image| image.digest.clone()).collect();
        let exceptions = decision.exceptions.iter().map(|used| {
            format!("{} {}: {}", used.policy, if used.honoured { "honoured" } else { "ignored" }, used.message)
        });
        let would_deny = decision.unenforced();
        let would_deny = would_deny.iter().map(|it| match it.policy {
            Some(policy) => format!("{policy}={}", it.reason.as_str()),
            None => it.reason.as_str().to_owned(),
        });
        let lists: [(&str, BTreeSet<String>); 4] = [
            ("policies", policies),
            ("digests", digests),
            ("exceptions", exceptions.collect()),
            (WOULD_DENY, would_deny.collect()),
        ];
        for (key, list) in lists {
            if !list.is_empty() {
                audit.insert(key, bounds::list(&list));
            }
        }
        let denial = (!decision.allowed).then(|| (reason.unwrap_or(Reason::InternalError), decision.message()));
        Answer { allowed: decision.allowed, denial, warnings: decision.warnings.clone(), audit, patch: Vec::new() }
    }
}

/// What a policy that is not enforced, or a fault where nothing is enforced, would have denied: `policy=reason`, or the reason alone. An
/// auditor looks for this key to learn what enforcing would do.
const WOULD_DENY: &str = "would-deny";

/// The answering AdmissionReview. An answer that denies without saying why does not exist: it is `internal_error`.
pub fn respond(uid: &str, answer: &Answer) -> Vec<u8> {
    let audit: BTreeMap<&str, String> =
        answer.audit.iter().map(|(key, value)| (*key, printable(value, bounds::TEXT_CHARS_MAX))).collect();
    let mut response = json!({ "uid": uid, "allowed": answer.allowed, "auditAnnotations": audit });
    if !answer.allowed {
        let (reason, message) = answer.denial.clone().unwrap_or((Reason::InternalError, "no reason was given".into()));
        // Multi-line messages are meant (design §7): each line is made printable for itself.
        let message: Vec<String> = message.lines().map(|line| printable(line, bounds::TEXT_CHARS_MAX)).collect();
        let message = cut(&message.join("\n"), bounds::TEXT_CHARS_MAX);
        response["status"] = json!({ "status": "Failure", "code": 403, "reason": reason.as_str(), "message": message });
    }
    if !answer.warnings.is_empty() {
        response["warnings"] = bounds::warnings(&answer.warnings).into();
    }
    if answer.allowed && !answer.patch.is_empty() {
        let patch = serde_json::Value::from(answer.patch.clone()).to_string();
        response["patchType"] = "JSONPatch".into();
        response["patch"] = base64::engine::general_purpose::STANDARD.encode(patch).into();
    }
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests;
