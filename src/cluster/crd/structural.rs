//! A JSON schema as the API server wants it: one type a node, nothing said twice, no `oneOf` that holds properties.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The structural schema of a type.
pub fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::openapi3();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    rewrite(&mut schema);
    schema
}

fn rewrite(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else {
        // "Anything": the parser says what it is, and refuses it where it is not supported.
        *schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        return;
    };
    for word in ["$schema", "title", "nullable", "components"] {
        node.remove(word);
    }
    // Known to JSON Schema's world, not to Kubernetes'; `minimum: 0` says the same.
    if node.get("format").and_then(Value::as_str).is_some_and(|it| it.starts_with("uint")) {
        node.insert("format".into(), json!("int64"));
    }
    // Unknown fields are refused by strict clients and by the parser; a structural schema prunes them.
    if node.get("additionalProperties") == Some(&Value::Bool(false)) {
        node.remove("additionalProperties");
    }
    merge_variants(node);
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = for_people(text);
    }
    if node.is_empty() || (node.len() == 1 && node.contains_key("description")) {
        node.insert("type".into(), json!("object"));
        node.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
    }
    for word in ["properties"] {
        for (_, child) in node.get_mut(word).and_then(Value::as_object_mut).into_iter().flatten() {
            rewrite(child);
        }
    }
    for word in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(word) {
            rewrite(child);
        }
    }
}

/// An enum of words becomes `enum`; one of objects, each with one field, becomes the fields and the rule that there is one.
fn merge_variants(node: &mut Map<String, Value>) {
    for word in ["oneOf", "anyOf", "allOf"] {
        let Some(Value::Array(variants)) = node.remove(word) else { continue };
        let (mut words, mut fields) = (Vec::new(), Map::new());
        for variant in variants {
            if let Some(word) = variant.get("const") {
                words.push(word.clone());
            }
            words.extend(variant.get("enum").and_then(Value::as_array).into_iter().flatten().cloned());
            let described = variant.get("description").cloned();
            for (name, field) in variant.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let mut field = field.clone();
                if let (Some(about), Some(field)) = (&described, field.as_object_mut()) {
                    field.entry("description").or_insert_with(|| about.clone());
                }
                fields.insert(name.clone(), field);
            }
            // What wraps a single schema only to describe it.
            if variant.get("properties").is_none() && variant.get("const").is_none() {
                for (key, value) in variant.as_object().into_iter().flatten() {
                    node.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        words.retain(|word| !word.is_null());
        if !words.is_empty() {
            node.insert("type".into(), json!("string"));
            node.insert("enum".into(), Value::Array(words));
        }
        if !fields.is_empty() {
            let names: Vec<String> = fields.keys().map(|name| format!("has(self.{name})")).collect();
            let rule = format!("[{}].filter(it, it).size() == 1", names.join(", "));
            let words = fields.keys().cloned().collect::<Vec<_>>().join(", ");
            node.insert("type".into(), json!("object"));
            node.insert("properties".into(), Value::Object(fields));
            let message = format!("expected exactly one of {words}");
            node.insert("x-kubernetes-validations".into(), json!([{ "rule": rule, "message": message }]));
        }
        // A variant may itself hold variants.
        merge_variants(node);
    }
}

/// One line of a comment, without the marks of the source and where it points for whoever reads that: `(security §2.D1)`.
fn for_people(comment: &str) -> String {
    let mut text = comment.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ");
    while let Some(section) = text.find('\u{a7}') {
        let Some((start, end)) = text[..section].rfind(" (").zip(text[section..].find(')')) else { break };
        text.replace_range(start..=section + end, "");
    }
    text
}
