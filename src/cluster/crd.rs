//! Our CustomResourceDefinitions, from the types that are parsed (design §6).
//!
//! The schema says what a field is; `rules` adds the bounds, and in CEL what the parser would say, so that most mistakes are named by the
//! API server itself. The parser has the last word all the same: the webhook for our own resources runs it on every write.

use crate::resource::{ImagePolicySpec, RegistryConfigSpec, TrustRootSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
};
use kube::api::ObjectMeta;
use serde_json::{Value, json};

mod rules; // bounds and CEL
mod structural; // a JSON schema as the API server wants it

/// Group of all our kinds.
pub const GROUP: &str = "tidewaiter.dev";
/// Their only version.
pub const VERSION: &str = "v1alpha1";

/// A kind of ours; what is seen of them goes by this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ClusterImagePolicy,
    ImagePolicy,
    TrustRoot,
    RegistryConfig,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::ClusterImagePolicy, Kind::ImagePolicy, Kind::RegistryConfig, Kind::TrustRoot];

    /// The word in `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::ImagePolicy => "ImagePolicy",
            Kind::ClusterImagePolicy => "ClusterImagePolicy",
            Kind::TrustRoot => "TrustRoot",
            Kind::RegistryConfig => "RegistryConfig",
        }
    }
    /// The word in a path of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::ImagePolicy => "imagepolicies",
            Kind::ClusterImagePolicy => "clusterimagepolicies",
            Kind::TrustRoot => "trustroots",
            Kind::RegistryConfig => "registryconfigs",
        }
    }
    fn short(self) -> &'static str {
        match self {
            Kind::ImagePolicy => "imgpol",
            Kind::ClusterImagePolicy => "cimgpol",
            Kind::TrustRoot => "troot",
            Kind::RegistryConfig => "regcfg",
        }
    }
    fn about(self) -> &'static str {
        match self {
            Kind::ImagePolicy => "What the images of this namespace must show, on top of the cluster's demands.",
            Kind::ClusterImagePolicy => "Which images must show what, before a workload may run them.",
            Kind::TrustRoot => "Named keys. What they are trusted for is said by the place that names the root.",
            Kind::RegistryConfig => "How one registry host is read.",
        }
    }
    fn is_policy(self) -> bool {
        matches!(self, Kind::ImagePolicy | Kind::ClusterImagePolicy)
    }
    /// What `kube` needs to ask for objects of the kind.
    pub fn api_resource(self) -> kube::core::ApiResource {
        kube::core::ApiResource {
            group: GROUP.into(),
            version: VERSION.into(),
            api_version: crate::resource::API_VERSION.into(),
            kind: self.as_str().into(),
            plural: self.plural().into(),
        }
    }
}

/// All of them.
///
/// # Errors
/// A schema that is none: a defect, found by any test.
pub fn all() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    Kind::ALL.into_iter().map(definition).collect()
}

fn definition(kind: Kind) -> Result<CustomResourceDefinition, serde_json::Error> {
    let plural = kind.plural();
    let names = CustomResourceDefinitionNames {
        kind: kind.as_str().into(),
        list_kind: Some(format!("{}List", kind.as_str())),
        plural: plural.into(),
        singular: Some(kind.as_str().to_lowercase()),
        short_names: Some(vec![kind.short().into()]),
        categories: Some(vec!["tidewaiter".into()]),
    };
    let version = CustomResourceDefinitionVersion {
        name: VERSION.into(),
        served: true,
        storage: true,
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(schema(kind)?) }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(json!({}))),
            scale: None,
        }),
        additional_printer_columns: Some(columns(kind)),
        ..CustomResourceDefinitionVersion::default()
    };
    Ok(CustomResourceDefinition {
        metadata: ObjectMeta { name: Some(format!("{plural}.{GROUP}")), ..ObjectMeta::default() },
        spec: CustomResourceDefinitionSpec {
            group: GROUP.into(),
            names,
            scope: if kind == Kind::ImagePolicy { "Namespaced" } else { "Cluster" }.into(),
            versions: vec![version],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    })
}

/// The whole object's schema.
fn schema(kind: Kind) -> Result<JSONSchemaProps, serde_json::Error> {
    let spec = match kind {
        Kind::ImagePolicy | Kind::ClusterImagePolicy => structural::of::<ImagePolicySpec>(),
        Kind::TrustRoot => structural::of::<TrustRootSpec>(),
        Kind::RegistryConfig => structural::of::<RegistryConfigSpec>(),
    };
    let mut schema = json!({
        "type": "object", "description": kind.about(), "required": ["spec"],
        "properties": { "spec": spec, "status": status(kind) },
    });
    rules::add(kind, &mut schema);
    serde_json::from_value(schema)
}

/// As `status` writes it.
fn status(kind: Kind) -> Value {
    let count = |about: &str| json!({ "type": "integer", "format": "int64", "minimum": 0, "description": about });
    let time = |about: &str| json!({ "type": "string", "format": "date-time", "description": about });
    let text = |max: u32| json!({ "type": "string", "maxLength": max });
    let mut fields = json!({
        "observedGeneration": count("The generation that the conditions are about."),
        "conditions": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
            "description": "Ready: whether it decides as it stands, and if not, why.",
            "items": {
                "type": "object", "required": ["type", "status", "reason", "message", "lastTransitionTime"],
                "properties": {
                    "type": text(316), "reason": text(1024), "message": text(32768),
                    "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                    "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
                    "lastTransitionTime": { "type": "string", "format": "date-time" },
                },
            },
        },
    });
    let own = match kind {
        Kind::ImagePolicy | Kind::ClusterImagePolicy => json!({
            "imagesMatched": count("Images of requests that it selected, as the replicas reported them."),
            "imagesUnmet": count("Those of them that did not meet it."),
            "lastMatched": time("When the last one came."),
        }),
        Kind::TrustRoot => json!({
            "keys": count("How many keys it holds."),
            "keyNames": { "type": "array", "items": { "type": "string" }, "description": "Their names." },
            "expires": time("When the first of them ends; a bare public key has no end."),
        }),
        Kind::RegistryConfig => json!({}),
    };
    for (name, field) in own.as_object().into_iter().flatten() {
        fields[name] = field.clone();
    }
    json!({ "type": "object", "description": "What tidewaiter made of it.", "properties": fields })
}

fn columns(kind: Kind) -> Vec<CustomResourceColumnDefinition> {
    let column = |name: &str, path: &str, type_: &str, priority: i32| CustomResourceColumnDefinition {
        name: name.into(),
        json_path: path.into(),
        type_: type_.into(),
        priority: Some(priority).filter(|it| *it > 0),
        ..CustomResourceColumnDefinition::default()
    };
    let ready = |field: &str| format!(".status.conditions[?(@.type==\"Ready\")].{field}");
    let mut columns = Vec::new();
    if kind.is_policy() {
        columns.push(column("Mode", ".spec.mode", "string", 0));
        columns.push(column("Matched", ".status.imagesMatched", "integer", 0));
        columns.push(column("Unmet", ".status.imagesUnmet", "integer", 0));
    }
    if kind == Kind::TrustRoot {
        columns.push(column("Keys", ".status.keys", "integer", 0));
        columns.push(column("Expires", ".status.expires", "date", 0));
    }
    if kind == Kind::RegistryConfig {
        columns.push(column("Host", ".spec.host", "string", 0));
    }
    columns.push(column("Ready", &ready("status"), "string", 0));
    columns.push(column("Reason", &ready("reason"), "string", 0));
    columns.push(column("Age", ".metadata.creationTimestamp", "date", 0));
    columns.push(column("Message", &ready("message"), "string", 1));
    columns
}

#[cfg(test)]
mod tests;
