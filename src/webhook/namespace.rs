//! The Namespace object: what an exception stands in.

use crate::{
    json::{self, Limits, Value},
    policy::Namespace,
};
use anyhow::{Context, bail};

/// From the JSON of `kubectl get namespace N -o json`.
///
/// # Errors
/// It is no JSON, or no Namespace.
pub fn parse(bytes: &[u8]) -> anyhow::Result<Namespace> {
    let object = json::parse(bytes, &Limits::REVIEW).context("the namespace object is no JSON")?;
    if object.get("kind").and_then(Value::as_str) != Some("Namespace") {
        bail!("the object is no Namespace");
    }
    let metadata = object.get("metadata").context("the namespace object has no metadata")?;
    let text = |key| metadata.get(key).and_then(Value::as_str);
    let annotations = metadata.get("annotations").and_then(Value::as_object).unwrap_or_default();
    Ok(Namespace {
        name: text("name").context("the namespace object has no metadata.name")?.into(),
        uid: text("uid").unwrap_or_default().into(),
        annotations: annotations
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_uid_and_annotations() {
        let text = r#"{"kind":"Namespace","metadata":{"name":"shop","uid":"u-1","annotations":{"a":"b"}}}"#;
        let namespace = parse(text.as_bytes()).unwrap();
        assert_eq!((namespace.name.as_str(), namespace.uid.as_str()), ("shop", "u-1"));
        assert_eq!(namespace.annotations.get("a").map(String::as_str), Some("b"));
    }

    #[test]
    fn a_pod_is_no_namespace() {
        let error = parse(br#"{"kind":"Pod","metadata":{"name":"shop"}}"#).unwrap_err();
        assert_eq!(error.to_string(), "the object is no Namespace");
    }
}
