use super::*;

fn node<'v>(value: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(value, |value, key| &value[*key])
}

#[test]
fn every_kind_has_a_schema_without_what_the_api_server_refuses() {
    for definition in all().unwrap() {
        let text = serde_json::to_string(&definition).unwrap();
        for word in ["oneOf", "anyOf", "allOf", "$ref", "nullable", "\"additionalProperties\":false", "uint32"] {
            assert!(!text.contains(word), "{word} in {}", definition.spec.names.kind);
        }
    }
}

#[test]
fn a_requirement_is_one_of_three_and_a_combination_one_of_three() {
    let policy = serde_json::to_value(definition(Kind::ClusterImagePolicy).unwrap()).unwrap();
    let spec = &policy["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let require = node(spec, &["properties", "require"]);
    let names: Vec<&String> = require["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["all", "any", "atLeast"]);
    assert_eq!(require["x-kubernetes-validations"][0]["message"], "expected exactly one of all, any, atLeast");
    let mode = node(spec, &["properties", "mode"]);
    assert_eq!(mode["enum"], json!(["Enforce", "Warn", "Audit"]));
    assert_eq!(mode["default"], "Enforce");
}

/// `kubectl explain` says nothing else.
#[test]
fn every_field_is_described_for_people() {
    fn undescribed(at: &str, node: &Value, found: &mut Vec<String>) {
        let text = node["description"].as_str().unwrap_or_default();
        // A condition's fields are Kubernetes' own.
        if !at.contains(".conditions.") && (text.len() < 5 || text.contains(['`', '\u{a7}'])) {
            found.push(format!("{at}: {text:?}"));
        }
        for (name, field) in node["properties"].as_object().into_iter().flatten() {
            undescribed(&format!("{at}.{name}"), field, found);
        }
        // Of an item only what it holds: the list is described.
        for (name, field) in node["items"]["properties"].as_object().into_iter().flatten() {
            undescribed(&format!("{at}.{name}"), field, found);
        }
    }
    let mut found = Vec::new();
    for kind in Kind::ALL {
        undescribed(kind.as_str(), &serde_json::to_value(schema(kind).unwrap()).unwrap(), &mut found);
    }
    assert!(found.is_empty(), "{found:#?}");
}
