//! `publish`: the chain's evidence, beside its images in their registries (docs/store.md).

use super::FieldError;
use crate::reference::ImagePattern;
use serde::{Deserialize, Serialize};

/// Which images' evidence is published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Publish {
    /// Host/path patterns, of those of `images`; absent: all of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
}

/// What is written to is named: a host that a pattern leaves open would be the writer's choice.
pub(super) fn validate(publish: &Publish, images: &[String], errors: &mut Vec<FieldError>) {
    let (field, patterns) = match publish.repositories.as_slice() {
        [] => ("spec.images", images),
        repositories => ("spec.publish.repositories", repositories),
    };
    for (index, text) in patterns.iter().enumerate() {
        let at = || format!("{field}[{index}]");
        match text.parse::<ImagePattern>() {
            Ok(pattern) if pattern.host().is_none() => {
                errors.push(FieldError::new(
                    at(),
                    format!("\"{text}\" leaves the registry open, and evidence is published there"),
                ));
            }
            Ok(_) => {}
            // Of `images` it is said already.
            Err(_) if publish.repositories.is_empty() => {}
            Err(error) => errors.push(FieldError::new(at(), error.to_string())),
        }
    }
}
