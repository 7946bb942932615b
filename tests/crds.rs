//! Our resources in a real API server: for each field a document in which only that field is wrong is refused by its name (T-16), by the
//! schema where it can say so and by our webhook where it cannot, and always by the loader.
//!
//! `tests/attacks/T16-*/resource.yaml` says `kind`, the field's place (`at`, a JSON pointer), the wrong `value` (none: the field is taken
//! away), the `field` that the refusal names, and who refuses it first (`by`): the API server's `schema`, its `strict` reading of fields
//! that nobody knows, or our `webhook`.

#[allow(dead_code)]
#[path = "support/apiserver.rs"]
mod apiserver;

use apiserver::ApiServer;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};
use tidewaiter::{
    Reason, resource,
    webhook::{
        resources::{Known, answer},
        review,
    },
};

/// The corpus only grows.
const CASES_MIN: usize = 51;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[allow(dead_code)] // for the reader
    source: String,
    #[allow(dead_code)]
    why: String,
    kind: String,
    at: String,
    value: Option<Value>,
    field: String,
    by: By,
}
#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum By {
    Schema,
    Strict,
    Webhook,
}

const PEM: [&str; 2] = [
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n-----END PUBLIC KEY-----\n",
];

/// A good document of the kind, with every field in it.
fn good(kind: &str) -> Value {
    let signed = |trust: &str| json!({ "name": "released", "signature": { "cosign": { "trust": trust } } });
    let chain = json!({ "layout": { "owners": "shop-owners", "threshold": 2 }, "evidence": ["oci", "store"] });
    let mut metadata = json!({ "name": "subject" });
    let spec = match kind {
        "ClusterImagePolicy" => json!({
            "images": ["registry.example.com/shop/**"], "exclude": ["registry.example.com/shop/sandbox/**"],
            "namespaces": ["shop-*"], "mode": "Warn", "digest": "Require",
            "require": { "all": [signed("release-keys"), { "name": "built", "supplyChain": chain }] },
            "exceptions": { "maxDuration": "30d", "signers": "security-team" },
        }),
        "ImagePolicy" => {
            metadata["namespace"] = json!("default");
            json!({ "images": ["registry.example.com/**"], "require": { "any": [signed("release-keys")] } })
        }
        "TrustRoot" => json!({ "keys": [{ "name": "alice", "pem": PEM[0] }, { "name": "bob", "pem": PEM[1] }] }),
        "RegistryConfig" => json!({
            "host": "registry.example.com:5000", "allowPrivate": true, "insecure": false,
            "mirrors": ["mirror.example.com/proxy"], "authRealms": ["auth.example.com"],
            "credentials": { "dockerConfig": "/etc/docker/config.json" },
        }),
        other => panic!("no such kind: {other}"),
    };
    json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec })
}

const KINDS: [&str; 4] = ["ClusterImagePolicy", "ImagePolicy", "TrustRoot", "RegistryConfig"];

fn corpus() -> BTreeMap<String, Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let cases = folders.filter_map(|folder| {
        let text = fs::read_to_string(folder.join("resource.yaml")).ok()?;
        let id = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let case = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{id}: {error}"));
        Some((id, case))
    });
    cases.collect()
}

/// The good document with one field wrong.
fn wrong(case: &Case) -> Value {
    let mut document = good(&case.kind);
    let (parent, name) = case.at.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{}: no such place", case.at));
    match (parent, &case.value) {
        (Value::Object(members), Some(value)) => drop(members.insert(name.into(), value.clone())),
        (Value::Object(members), None) => drop(members.remove(name).expect("a field to take away")),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value.clone(),
        _ => panic!("{}: no object and no list", case.at),
    }
    document
}

fn asked(document: &Value) -> review::Answer {
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "operation": "CREATE", "name": "subject", "object": document,
        "kind": { "group": "tidewaiter.dev", "version": "v1alpha1", "kind": document["kind"] },
    }});
    answer(&review::parse(review.to_string().as_bytes()).unwrap(), &Known::default())
}

/// Whether a message is about the field: it, or what is missing there; where we name a list's item the API server may name another.
fn names(message: &str, field: &str) -> bool {
    let missing = |(parent, last): (&str, &str)| message.contains(&format!("{parent}: missing field `{last}`"));
    message.contains(field)
        || field.rsplit_once('.').is_some_and(missing)
        || field.rsplit_once('[').is_some_and(|(list, _)| message.contains(&format!("{list}[")))
}

#[test]
fn the_loader_and_the_webhook_refuse_each_field_by_its_name() {
    for kind in KINDS {
        assert_eq!(asked(&good(kind)).denial, None, "{kind}");
        resource::parse("f", &good(kind).to_string()).unwrap();
    }
    let cases = corpus();
    assert!(cases.len() >= CASES_MIN, "{} cases, fewer than {CASES_MIN}", cases.len());
    for (id, case) in cases {
        let document = wrong(&case);
        let errors = resource::parse("f", &document.to_string()).expect_err(&id);
        let told = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert!(names(&told, &case.field), "{id}: {told}");
        let (reason, message) = asked(&document).denial.unwrap_or_else(|| panic!("{id} is let in"));
        assert_eq!(reason, Reason::PolicyInvalid, "{id}");
        assert!(names(&message, &case.field), "{id}: {message}");
    }
}

fn kubectl(server: &ApiServer, arguments: &[&str], input: &str) -> Output {
    let mut command = server.kubectl();
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn succeeds(server: &ApiServer, arguments: &[&str], input: &str) -> String {
    let output = kubectl(server, arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_api_server_refuses_what_a_schema_can_say() {
    let server = ApiServer::start(&[]);
    let definitions = Command::new(env!("CARGO_BIN_EXE_tidewaiter")).arg("crds").output().unwrap().stdout;
    succeeds(&server, &["apply", "--server-side", "-f", "-"], &String::from_utf8(definitions).unwrap());
    succeeds(&server, &["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"], "");

    for kind in KINDS {
        succeeds(&server, &["create", "-f", "-"], &good(kind).to_string());
    }
    // The last word of a pipe table is for those who look at a list.
    let listed = succeeds(&server, &["get", "tidewaiter", "-A"], "");
    for word in
        ["clusterimagepolicy.tidewaiter.dev/subject", "trustroot.tidewaiter.dev/subject", "READY", "MODE", "HOST"]
    {
        assert!(listed.contains(word), "{listed}");
    }
    let explained = succeeds(&server, &["explain", "cimgpol.spec.mode"], "");
    assert!(explained.contains("What follows when the policy is not met") || explained.contains("ENUM"), "{explained}");

    for (id, case) in corpus() {
        let document = wrong(&case).to_string();
        let output = kubectl(&server, &["create", "--dry-run=server", "-f", "-"], &document);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        match case.by {
            By::Webhook => assert!(output.status.success() || told.contains("AlreadyExists"), "{id}: {told}"),
            By::Schema | By::Strict => {
                assert!(!output.status.success() && !told.contains("AlreadyExists"), "{id} is let in: {told}");
                assert!(names(&told, &case.field), "{id}: {told}");
            }
        }
    }

    status(&server);
    for example in ["policy", "registries"] {
        let file = format!("{}/examples/{example}.yaml", env!("CARGO_MANIFEST_DIR"));
        succeeds(&server, &["apply", "--dry-run=server", "--validate=strict", "-f", &file], "");
    }
}

/// What we write into the status is what the schema keeps.
fn status(server: &ApiServer) {
    let condition = json!({ "type": "Ready", "status": "True", "reason": "Loaded", "message": "in use",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1 });
    for (kind, own) in [
        ("clusterimagepolicy", json!({ "imagesMatched": 3, "imagesUnmet": 1, "lastMatched": "2026-01-01T00:00:00Z" })),
        ("trustroot", json!({ "keys": 2, "keyNames": ["alice", "bob"], "expires": "2026-01-01T00:00:00Z" })),
    ] {
        let mut expected = own;
        expected["conditions"] = json!([condition]);
        expected["observedGeneration"] = json!(1);
        let patch = json!({ "status": expected }).to_string();
        succeeds(server, &["patch", kind, "subject", "--subresource=status", "--type=merge", "-p", &patch], "");
        let kept = succeeds(server, &["get", kind, "subject", "-o", "jsonpath={.status}"], "");
        assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), expected);
    }
}
