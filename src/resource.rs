//! Our Kubernetes resources: the documents, nothing else (design §6, §8). One strict parser for YAML and JSON.
//! Types with serde(deny_unknown_fields, rename_all = camelCase) live in resource/{image_policy,trust_root,registry_config,chain}.rs.

/// One document of a file, typed.
#[derive(Clone, Debug)]
pub enum Resource {
    // ImagePolicy(ImagePolicy), ClusterImagePolicy(ClusterImagePolicy), TrustRoot(TrustRoot), RegistryConfig(RegistryConfig), Chain(Chain)
}
/// Names file, document (1-based), and field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: document {document}: {message}")]
pub struct ResourceError {
    pub file: String,
    pub document: usize,
    pub message: String,
}

/// YAML 1.2 (or JSON), several documents a file; ≤ 256 KiB; no anchors, aliases, tags, duplicate keys; unknown fields are errors.
pub fn parse(file: &str, text: &str) -> Result<Vec<Resource>, Vec<ResourceError>> {
    let _ = (file, text);
    todo!()
}
