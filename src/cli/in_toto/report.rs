//! What a person, or a program, reads of a verification.

use crate::{
    cli::ui,
    reason::{Fault, Reason},
    verify::{Trace, VerifiedChain},
};
use std::path::Path;

/// For a person. `trace` where it was asked for.
pub(super) fn print_text(
    layout: &Path,
    image_given: bool,
    verdict: &Result<VerifiedChain, Fault>,
    trace: Option<&Trace>,
) {
    match verdict {
        Ok(chain) => {
            let owners = chain.owners().join(", ");
            anstream::println!("verified {}: signed by {owners}, expires {}", layout.display(), chain.expires());
            for step in chain.steps() {
                anstream::println!("  step {:?}: by {}", step.name, step.signers.join(", "));
            }
            print_trace(trace);
            for warning in chain.warnings() {
                anstream::println!("warning: {warning}");
            }
            for remark in chain.remarks() {
                anstream::println!("remark: {remark}");
            }
        }
        Err(fault) => {
            // The one cause that a flag of this command removes.
            let hint = if fault.reason == Reason::InspectionNotSupported && !image_given {
                "\ngive the image: --image REF or --image-layout DIR"
            } else {
                ""
            };
            let class = format!("{:?}", fault.reason.class()).to_lowercase();
            anstream::println!("{} {}: {class}: {fault}{hint}", ui::verdict(false), layout.display());
            print_trace(trace);
        }
    }
}

fn print_trace(trace: Option<&Trace>) {
    for event in trace.into_iter().flat_map(Trace::events) {
        anstream::println!("  {event}");
    }
}

/// The same as data.
pub(super) fn to_json(verdict: &Result<VerifiedChain, Fault>, trace: Option<&Trace>) -> serde_json::Value {
    let mut value = serde_json::json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "InTotoVerification", "verified": verdict.is_ok()});
    let more = match verdict {
        Ok(chain) => {
            let steps =
                chain.steps().iter().map(|step| serde_json::json!({"name": step.name, "signers": step.signers}));
            serde_json::json!({
                "layout": chain.layout().to_string(),
                "owners": chain.owners(),
                "expires": chain.expires().to_string(),
                "steps": steps.collect::<Vec<_>>(),
                "warnings": chain.warnings(),
                "remarks": chain.remarks(),
            })
        }
        Err(fault) => serde_json::json!({
            "class": fault.reason.class(),
            "reason": fault.reason,
            "message": fault.message,
        }),
    };
    if let Some(trace) = trace {
        value["trace"] = serde_json::json!(trace);
    }
    if let (Some(value), serde_json::Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}
