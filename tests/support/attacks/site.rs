//! From what a case gives to the answer: a world, its documents, the bytes of a review, and the straight line of the webhook.

use crate::{
    bodies,
    case::{self, Expect, Given},
    evidence,
    registry::Hostile,
    world::World,
};
use axum::{
    body::{Body, Bytes},
    http::{Method, Request as HttpRequest},
};
use futures::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tidewaiter::{
    cache::Cache,
    envelope::Envelope,
    policy::{Namespace, PolicySet, Unmatched, exception},
    registry::{HostConfig, Limits, Lookup, Registries},
    resource,
    source::Sources,
    webhook::{
        Judge, admit,
        config::Directory,
        http::Webhook,
        images,
        metrics::Metrics,
        namespace,
        policies::Settings,
        review::{self, Answer, Unreadable},
    },
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// What all cases share.
pub struct Bench {
    full: World,
}

/// What came back.
pub struct Answered {
    status: u16,
    text: String,
    requests: u64,
}

impl Bench {
    pub fn new() -> Self {
        Bench { full: World::full() }
    }

    /// The reviews before, and then the review; the last one's answer.
    pub async fn ask(&self, given: &Given) -> Answered {
        let asked = AssertUnwindSafe(self.asked(given)).catch_unwind().await;
        asked.unwrap_or_else(|_| Answered { status: 0, text: "a panic, told above".into(), requests: 0 })
    }

    async fn asked(&self, given: &Given) -> Answered {
        let hostile = match &given.registry {
            Some(registry) => Some(Hostile::start(registry).await),
            None => None,
        };
        let crafted = given.evidence.as_deref().map(evidence::named);
        let world = hostile.as_ref().map(|it| &it.world).or(crafted.as_ref()).unwrap_or(&self.full);
        if given.http.is_some() {
            return over_http(world, given).await;
        }
        let resources = resource::parse("world.yaml", &documents(world, given)).expect("documents");
        let registries = Arc::new(match &hostile {
            Some(hostile) => {
                let turns = given.in_turn();
                let does = turns.iter().filter_map(|turn| Some(turn.registry.as_ref()?.does.as_str()));
                hostile.registries(&does.collect::<Vec<_>>())
            }
            None => {
                // No name leads anywhere: no test asks the network.
                let nowhere = Lookup::new(|_| {
                    Box::pin(async { Err(std::io::Error::new(std::io::ErrorKind::NotFound, "no such name")) })
                });
                let hosts = HostConfig::of(&resources).expect("hosts");
                Registries::with(hosts, None, Limits::default(), nowhere).expect("registries")
            }
        });
        let cache = Arc::new(Cache::default());
        let mut last = None;
        for given in given.in_turn() {
            if let (Some(hostile), Some(registry)) = (&hostile, &given.registry) {
                hostile.now_does(&registry.does);
            }
            let sources = Sources { registries: Arc::clone(&registries), store: None };
            let judge = Judge::with_cache(sources, Arc::clone(&cache));
            last = Some(straight(world, &given, &judge).await);
        }
        let (status, text) = last.expect("an answer");
        let requests = hostile.as_ref().map_or_else(|| registries.requests(), Hostile::requests);
        Answered { status, text, requests }
    }
}

/// Parse, validate, respond.
async fn straight(world: &World, given: &Given, judge: &Judge) -> (u16, String) {
    let set = Arc::new(policy_set(world, given));
    let now = given.at.as_ref().map_or_else(Timestamp::now, |text| text.parse().expect("a time"));
    let deadline = Instant::now() + Duration::from_secs(30);
    let bytes = match review::parse(&body(world, given)) {
        Err(Unreadable::NotAReview(why)) => return (400, why),
        Err(Unreadable::Denied { uid, fault }) => review::respond(&uid, &Answer::refused(&fault)),
        Ok(request) => {
            let namespace = namespace_of(world, given);
            let subject = images::subject(&request);
            let outcome =
                admit::validate(judge, &set, &request.namespace, subject, namespace.as_ref(), deadline, now).await;
            let answer = outcome.map_or_else(|fault| Answer::refused(&fault), |outcome| outcome.answer());
            review::respond(&request.uid, &answer)
        }
    };
    (200, String::from_utf8(bytes).expect("text"))
}

/// The same by the routes of the admission port.
async fn over_http(world: &World, given: &Given) -> Answered {
    let http = given.http.clone().unwrap_or_default();
    let folder = tempfile::tempdir().expect("a folder");
    let text = http.policies.unwrap_or_else(|| documents(world, given));
    std::fs::write(folder.path().join("policy.yaml"), text).expect("written");
    let settings = Settings { unmatched: unmatched(given), audit_only: false, store: None, docker_config: None };
    let policies = Directory::open(folder.path().into(), settings).policies();
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let webhook = Webhook::new(policies, metrics, http.reviews_max.unwrap_or(8), CancellationToken::new());
    let bytes = body(world, given);
    let body = match http.endless {
        true => {
            let head = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes).slice(..200))]);
            Body::from_stream(head.chain(futures::stream::pending()))
        }
        false => Body::from(bytes),
    };
    let method: Method = http.method.as_deref().unwrap_or("POST").parse().expect("a method");
    let path = http.path.as_deref().unwrap_or("/validate");
    let request = HttpRequest::builder().method(method).uri(path).body(body).expect("a request");
    let response = webhook.router().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    Answered { status, text: String::from_utf8(bytes.to_vec()).expect("text"), requests: 0 }
}

/// The bytes of the review, the uid first as the API server writes it.
fn body(world: &World, given: &Given) -> Vec<u8> {
    let namespace = given.namespace.as_deref().unwrap_or("shop");
    let container = |(n, image): (usize, String)| json!({"name": format!("c{n}"), "image": image});
    let containers = |images: Vec<String>| {
        let containers: Vec<Value> = images.into_iter().enumerate().map(container).collect();
        json!({ "containers": containers })
    };
    let spec = match (&given.pod, &given.images, &given.image, &given.many) {
        (Some(spec), ..) => spec.clone(),
        (_, Some(images), ..) => containers(images.clone()),
        (.., Some(image), _) => containers(vec![image.clone()]),
        (.., Some(many)) => {
            containers((0..many.count).map(|n| many.image.replace("{n}", &format!("{n:064x}"))).collect())
        }
        _ => json!(null),
    };
    let object = given.object.clone().unwrap_or_else(|| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": namespace}, "spec": spec})
    });
    let (group, version) = object["apiVersion"].as_str().unwrap_or("v1").rsplit_once('/').map_or_else(
        || (String::new(), object["apiVersion"].as_str().unwrap_or("v1").to_owned()),
        |(group, version)| (group.to_owned(), version.to_owned()),
    );
    let kind = object["kind"].as_str().unwrap_or("Pod");
    let mut request = json!({
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": format!("{}s", kind.to_lowercase())},
        "namespace": namespace, "name": "pod", "operation": "CREATE", "userInfo": {"username": "someone"},
        "object": object, "dryRun": false,
    });
    if let Some(patch) = &given.request {
        case::merge(&mut request, patch);
    }
    fill(world, &mut request);
    let request = request.to_string();
    let members = request.strip_prefix('{').expect("an object");
    let review = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{UID}",{members}}}"#
    );
    bodies::named(given.body.as_deref().unwrap_or("honest"), &review)
}

fn unmatched(given: &Given) -> Unmatched {
    match given.unmatched.as_deref() {
        None | Some("Warn") => Unmatched::Warn,
        Some("Allow") => Unmatched::Allow,
        Some("Deny") => Unmatched::Deny,
        Some(other) => panic!("unmatched is {other}"),
    }
}

fn documents(world: &World, given: &Given) -> String {
    let mut spec = World::demands();
    if let Some(patch) = &given.policy {
        let mut patch = patch.clone();
        fill(world, &mut patch);
        if patch["require"].is_object() {
            // One combination or another, not both.
            spec["require"] = json!({});
        }
        case::merge(&mut spec, &patch);
    }
    let mut documents = world.documents(spec);
    if given.registry.is_some() {
        // Its rules are handed to the reader directly.
        documents.retain(|document| document["kind"] != "RegistryConfig");
    }
    documents.extend(given.documents.iter().cloned().map(|mut document| {
        fill(world, &mut document);
        document
    }));
    for (root, keys) in &given.trust {
        let keys: Vec<Value> = keys
            .iter()
            .enumerate()
            .map(|(n, key)| json!({"name": format!("{key}-{n}"), "pem": world.key(key).public().to_pem()}))
            .collect();
        let document = documents.iter_mut().find(|it| it["kind"] == "TrustRoot" && it["metadata"]["name"] == **root);
        document.unwrap_or_else(|| panic!("no TrustRoot {root}"))["spec"]["keys"] = Value::Array(keys);
    }
    documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

fn policy_set(world: &World, given: &Given) -> PolicySet {
    let resources = resource::parse_numbered("world.yaml", &documents(world, given)).expect("documents");
    let sources: Vec<_> = resources.into_iter().map(|(number, it)| ("world.yaml".to_owned(), number, it)).collect();
    PolicySet::compile(&sources, unmatched(given)).expect("a policy set")
}

/// The Namespace as the cluster would show it, where the case has one.
fn namespace_of(world: &World, given: &Given) -> Option<Namespace> {
    let name = given.namespace.as_deref().unwrap_or("shop");
    let uid = format!("uid-of-{name}");
    let mut object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": uid}});
    if let Some(exception) = &given.exception {
        let mut ask = exception.ask.clone();
        fill(world, &mut ask);
        let mut text = ask.to_string();
        let [name, uid] = exception.sealed_for.clone().unwrap_or([name.to_owned(), uid]);
        let keys: Vec<_> = exception.sealed_by.iter().map(|key| world.key(key)).collect();
        let sealed_at = exception.sealed_at.parse().expect("a time");
        let mut annotations = json!({});
        if !keys.is_empty() {
            let mut seal = exception::seal(&name, &uid, &text, sealed_at, &keys).expect("a seal");
            if let Some(payload_type) = &exception.payload_type {
                let payload = tidewaiter::json::to_text(&seal.value().expect("JSON")).into_bytes();
                seal = Envelope::sign_dsse(payload_type, payload, &keys).expect("a seal");
            }
            annotations[exception::SEAL_ANNOTATION] = json!(String::from_utf8(seal.to_bytes()).expect("text"));
        }
        if let Some([from, to]) = &exception.edited {
            assert!(text.contains(from), "{from} in {text}");
            text = text.replace(from, to);
        }
        annotations[exception::ANNOTATION] = json!(text);
        object["metadata"]["annotations"] = annotations;
    } else {
        given.namespace_object.as_ref()?;
    }
    if let Some(patch) = &given.namespace_object {
        case::merge(&mut object, patch);
    }
    fill(world, &mut object);
    Some(namespace::parse(object.to_string().as_bytes()).expect("a Namespace"))
}

impl Given {
    /// The reviews before, each a patch of this, and this.
    fn in_turn(&self) -> Vec<Given> {
        let mut all: Vec<Given> = self
            .before
            .iter()
            .map(|patch| {
                let mut value = self.value.clone();
                case::merge(&mut value, &json!({"before": null}));
                case::merge(&mut value, patch);
                Given::read(&value).expect("a review before")
            })
            .collect();
        all.push(self.clone());
        all
    }
}

/// `{good}` is an image's pinned reference; `{good:tag}`, `{good:repository}`, `{good:digest}`, `{good:hex}` and `{good:HEX}` are others of
/// its names, `{host}` is the registry's.
fn fill(world: &World, value: &mut Value) {
    match value {
        Value::String(text) => *text = filled(world, text),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(world, item)),
        Value::Object(members) => members.values_mut().for_each(|item| fill(world, item)),
        _ => {}
    }
}

fn filled(world: &World, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        // A seal is JSON text; its braces are no placeholders.
        let name =
            after.split_once('}').filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphabetic() || "-:".contains(c)));
        let Some((name, after)) = name.filter(|(name, _)| !name.is_empty()) else {
            out.extend([before, "{"]);
            rest = after;
            continue;
        };
        out.push_str(before);
        let (image, part) = name.split_once(':').unwrap_or((name, ""));
        match (image, world.images.get(image)) {
            ("host", _) => out.push_str(&world.host),
            (_, Some(image)) => out.push_str(&match part {
                "" => image.pinned(),
                "tag" => image.tagged(),
                "repository" => image.repository.clone(),
                "digest" => image.digest.clone(),
                "hex" => image.hex().to_owned(),
                "HEX" => image.hex().to_uppercase(),
                other => panic!("an image has no {other}"),
            }),
            _ => panic!("no image is called {image}"),
        }
        rest = after;
    }
    out + rest
}

/// Every text of an answer, unescaped.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => {
            members.iter().flat_map(|(key, item)| [vec![key.clone()], texts(item)].concat()).collect()
        }
        _ => Vec::new(),
    }
}

impl Answered {
    fn response(&self) -> Value {
        serde_json::from_str::<Value>(&self.text).map_or(Value::Null, |review| review["response"].clone())
    }

    /// What is not as expected, or not as every answer must be.
    pub fn differences(&self, expect: &Expect) -> Vec<String> {
        let mut faults = Vec::new();
        let mut hold = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        let response = self.response();
        hold(self.status == expect.status.unwrap_or(200), "another HTTP status");
        hold(response["allowed"].as_bool() == expect.allowed, "another verdict");
        let message = response["status"]["message"].as_str().unwrap_or_default();
        let warnings: Vec<&str> =
            response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if expect.allowed.is_some() {
            let review: Value = serde_json::from_str(&self.text).unwrap_or_default();
            hold(review["apiVersion"] == "admission.k8s.io/v1" && review["kind"] == "AdmissionReview", "no review");
            hold(response["uid"] == UID, "another uid");
            hold(response["patch"].is_null(), "a patch");
        }
        if expect.allowed == Some(false) {
            let status = &response["status"];
            hold(status["reason"].as_str() == expect.reason.as_deref(), "another reason");
            hold(status["code"] == 403 && status["status"] == "Failure", "another code");
            hold(!message.is_empty(), "no message");
            hold(response["auditAnnotations"]["reason"].as_str() == expect.reason.as_deref(), "another audited reason");
        } else {
            hold(response["status"].is_null(), "a status beside an admission");
        }
        let printable = |text: &str| text.chars().all(|c| matches!(c, ' '..='~'));
        hold(message.len() <= 1024 && message.lines().all(printable), "a message that is long or not printable");
        hold(warnings.len() <= 10, "too many warnings");
        hold(warnings.iter().all(|w| w.len() <= 256 && printable(w)), "a warning that is long or not printable");
        let annotations = response["auditAnnotations"].as_object().into_iter().flatten();
        hold(annotations.filter_map(|(_, v)| v.as_str()).all(printable), "an annotation that is not printable");
        for text in &expect.says {
            let said = message.contains(text) || warnings.iter().any(|warning| warning.contains(text));
            hold(said, &format!("does not say {text:?}"));
        }
        let told = texts(&serde_json::from_str(&self.text).unwrap_or(Value::String(self.text.clone())));
        for text in expect.never.iter().map(String::as_str).chain([crate::registry::PASSWORD]) {
            hold(!told.iter().any(|it| it.contains(text)), &format!("says {text:?}"));
        }
        if let Some(most) = expect.requests {
            hold(self.requests <= most, &format!("{} requests left", self.requests));
        }
        faults
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let response = self.response();
        match response["allowed"].as_bool() {
            Some(true) => write!(f, "allowed {}", response["warnings"]),
            Some(false) => write!(f, "{} {}", response["status"]["reason"], response["status"]["message"]),
            None => write!(f, "HTTP {} {:?}", self.status, self.text.chars().take(120).collect::<String>()),
        }
    }
}
