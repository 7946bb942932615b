//! `tidewaiter verify IMAGE`: the webhook's very verdict, anywhere.

use super::ui::{self, Credentials, DocumentArgs, JudgeArgs, Output};
use crate::{
    file,
    json::Limits,
    policy::{Decision, Workload, WorkloadImage},
    webhook::{admit, config, namespace},
};
use anyhow::Context;
use jiff::Timestamp;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Judge an image as the admission webhook would
///
/// The image is judged as if a pod of the namespace named it, after the mutating webhook: where the policy pins digests,
/// a tag is resolved first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 allowed   1 denied, the evidence is invalid   2 usage or configuration
  3 denied, evidence is missing   4 denied, we could not look

Examples:
  tidewaiter verify registry.example.com/shop/api@sha256:3f9a... \\
      --policy policy.yaml
  tidewaiter verify registry.example.com/shop/api:1.4 --policy policies/ \\
      --namespace shop-eu --explain
  tidewaiter verify registry.example.com/shop/api:1.4 --policy policy.yaml \\
      --output json --at 2026-11-23T12:00:00Z")]
pub struct Args {
    /// The image reference
    pub image: String,
    #[command(flatten)]
    pub documents: DocumentArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Namespace of the pod
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// The namespace's object, for the exceptions in its annotations (`kubectl get namespace N -o json`)
    #[arg(long, value_name = "FILE")]
    pub namespace_object: Option<PathBuf>,
    /// Judge as of this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// Say how every policy and requirement came out
    #[arg(long)]
    pub explain: bool,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
    /// Output format
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(args: Args) -> anyhow::Result<u8> {
    let Args { image, documents, judge, namespace, namespace_object, at, explain, timeout, output } = args;
    let namespace_object = namespace_object.map(|path| read_namespace(&path)).transpose()?;
    if let Some(object) = &namespace_object
        && object.name != namespace
    {
        anyhow::bail!("the namespace object is of \"{}\", --namespace is \"{namespace}\"", object.name);
    }
    let snapshot = config::load(&documents.policy, &judge.settings(Credentials::OfThePerson)?)?;
    let now = at.unwrap_or_else(Timestamp::now);
    let deadline = Instant::now() + Duration::from_secs(timeout);
    let workload = Workload {
        namespace,
        kind: "Pod".into(),
        name: "verify".into(),
        images: vec![WorkloadImage {
            field: "spec.containers[0].image".into(),
            name: "verify".into(),
            image,
            unchanged: false,
        }],
        is_pod: true,
        ..Workload::default()
    };
    let decision =
        admit::verify(&snapshot.judge, &snapshot.set, workload, namespace_object.as_ref(), deadline, now).await?;
    match output {
        Output::Json => anstream::println!("{}", serde_json::to_string_pretty(&decision)?),
        Output::Text => print(&decision, explain),
    }
    Ok(decision.exit_code())
}

/// The namespace whose object a person saved to a file.
///
/// # Errors
/// It cannot be read, or is no Namespace.
pub(super) fn read_namespace(path: &std::path::Path) -> anyhow::Result<crate::policy::Namespace> {
    let bytes = file::read_cut(path, Limits::REVIEW.bytes_max)?;
    namespace::parse(&bytes).with_context(|| path.display().to_string())
}

fn print(decision: &Decision, explain: bool) {
    for image in &decision.images {
        let digest = image.digest.as_deref().filter(|digest| !image.reference.contains(digest));
        let digest = digest.map(|digest| format!(" ({digest})")).unwrap_or_default();
        anstream::println!("{} {}{digest}", ui::verdict(decision.allowed), image.reference);
    }
    if explain {
        anstream::print!("{}", decision.explain());
        return;
    }
    if !decision.allowed {
        anstream::println!("{}", decision.message());
    }
    for warning in &decision.warnings {
        anstream::println!("warning: {warning}");
    }
}
