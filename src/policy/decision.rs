//! The decision: a value that can be printed as text and JSON, logged, annotated and replayed (design §11).
use crate::{
    policy::Mode,
    reason::{Class, Reason},
};
use serde::{Deserialize, Serialize};

/// The answer to one request, field for field the JSON of `verify --output json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    pub api_version: &'static str, // "tidewaiter.dev/v1alpha1"
    pub kind: &'static str,        // "Decision"
    pub allowed: bool,
    pub images: Vec<ImageDecision>,
    pub warnings: Vec<String>,
    /// Exceptions used or ignored, each with its why.
    pub exceptions: Vec<ExceptionUse>,
    pub policy_hash: String,
    pub decided_at: String,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDecision {
    pub field: String,
    #[serde(skip)]
    pub name: String,
    pub reference: String,
    pub digest: Option<String>,
    pub policies: Vec<PolicyDecision>,
    /// A fault of the image itself, before any policy's requirement: reference, resolution.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultDecision>,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultDecision {
    pub class: Class,
    pub reason: Reason,
    pub message: String,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDecision {
    /// `ClusterImagePolicy/shop` or `ImagePolicy/ns/shop`.
    pub policy: String,
    pub mode: Mode,
    pub met: bool,
    pub requirements: Vec<RequirementDecision>,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct RequirementDecision {
    pub name: String,
    pub met: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionUse {
    pub policy: String,
    pub field: String,
    pub honoured: bool,
    pub message: String,
}

impl Decision {
    /// 0 allowed; else the first of 1, 3, 4 among the causes (design §11).
    pub fn exit_code(&self) -> u8 {
        todo!()
    }
    /// The first cause: what `status.reason` says.
    pub fn reason(&self) -> Option<Reason> {
        todo!()
    }
    /// What the person at kubectl reads (design §7): ≤ 1 KiB, printable ASCII, with the command that reproduces it.
    pub fn message(&self) -> String {
        todo!()
    }
}
