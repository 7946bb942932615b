//! The loader and our webhook, without any API server: what was stored before the webhook was there is refused all the same.

use crate::corpus::{self, KINDS, good};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command};
use tidewaiter::{
    cluster::crd,
    reason::Reason,
    resource,
    webhook::{
        resources::{self, Known},
        review::{self, Answer},
    },
};

/// As `/resources` answers.
pub fn answer(object: &Value) -> Answer {
    let request = json!({
        "uid": "u-1", "operation": "CREATE", "name": object["metadata"]["name"].as_str().unwrap(), "object": object,
        "kind": { "group": "tidewaiter.dev", "version": "v1alpha1", "kind": object["kind"] },
    });
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request });
    resources::answer(&review::parse(review.to_string().as_bytes()).unwrap(), &Known::default())
}

/// Denied for the field, or what instead.
pub fn denial(object: &Value, field: &str) -> Result<(), String> {
    match answer(object).denial {
        Some((Reason::PolicyInvalid, message)) if message.contains(field) => Ok(()),
        other => Err(format!("our webhook does not name {field}: {other:?}")),
    }
}

/// Let in, or why not.
pub fn admission(object: &Value) -> Result<(), String> {
    answer(object).denial.map_or(Ok(()), |denial| Err(format!("{denial:?}")))
}

#[test]
fn each_field_is_refused_by_its_name_and_by_nothing_else() {
    let mut faults = Vec::new();
    for case in corpus::everywhere() {
        let (id, wrong) = (&case.id, case.wrong());
        match resource::parse("f", &wrong.to_string()) {
            Err(errors) if errors.iter().any(|it| it.message.contains(&case.field)) => {}
            other => faults.push(format!("{id}: the loader does not name {}: {other:?}", case.field)),
        }
        faults.extend(denial(&wrong, &case.field).err().map(|fault| format!("{id}: {fault}")));
        faults.extend(admission(&case.right()).err().map(|fault| format!("{id} (right): {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_command_refuses_the_file_and_names_the_field() {
    let directory = tempfile::tempdir().unwrap();
    let image = format!("registry.example.com/shop/api@sha256:{}", "a".repeat(64));
    for case in corpus::cases() {
        let file = directory.path().join("policy.json");
        std::fs::write(&file, case.wrong().to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
        let output = command.args(["verify", &image, "--policy"]).arg(&file).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{}: {told}", case.id);
        assert!(told.contains("policy.json") && told.contains(&case.field), "{}: {told}", case.id);
    }
}

/// A field that is added comes with a document in which only it is wrong.
#[test]
fn no_field_is_without_such_a_document() {
    for definition in crd::all().unwrap() {
        let kind = definition.spec.names.kind.as_str();
        let value = serde_json::to_value(&definition).unwrap();
        let spec = &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut fields = BTreeSet::new();
        leaves("spec", spec, &mut fields);
        if kind == "ImagePolicy" {
            // These are there to be refused, whatever they hold.
            fields.retain(|it| !["spec.exceptions.", "spec.namespaces["].iter().any(|own| it.starts_with(own)));
        }
        let own: Vec<_> = corpus::everywhere().into_iter().filter(|it| it.kind == kind).collect();
        let tried: BTreeSet<String> =
            own.iter().flat_map(|it| [plain(&it.field), plain(&it.at[1..].replace('/', "."))]).collect();
        // A list is tried where its items are.
        let untried = |it: &&String| !tried.contains(*it) && !tried.contains(&format!("{it}[]"));
        let untried: Vec<&String> = fields.iter().filter(untried).collect();
        assert!(fields.len() >= 5 && untried.is_empty(), "{kind}: tests/attacks has no document for {untried:?}");
        assert!(answer(&good(kind)).allowed, "{kind}");
    }
    assert_eq!(KINDS.len(), crd::Kind::ALL.len());
}

/// Every field that holds something itself: `spec.keys[].name`.
fn leaves(at: &str, node: &Value, found: &mut BTreeSet<String>) {
    match (node["properties"].as_object(), node.get("items")) {
        (Some(fields), _) => fields.iter().for_each(|(name, field)| leaves(&format!("{at}.{name}"), field, found)),
        (_, Some(items)) => {
            if items.get("properties").is_none() {
                found.insert(at.to_owned());
            }
            leaves(&format!("{at}[]"), items, found);
        }
        _ => drop(found.insert(at.to_owned())),
    }
}

/// `spec.keys[1].name`, `spec.keys.1.name`: the same field of any item.
fn plain(field: &str) -> String {
    let parts = field.replace('[', ".").replace(']', "");
    let mut plain = String::new();
    for part in parts.split('.') {
        match part.parse::<usize>() {
            Ok(_) => plain.push_str("[]"),
            Err(_) if plain.is_empty() => plain.push_str(part),
            Err(_) => plain.push_str(&format!(".{part}")),
        }
    }
    plain
}
