//! What a person, or a program, reads of a verification.

use super::Denied;
use crate::{
    cli::ui,
    verify::{Rejection, Trace, VerifiedChain, trace::Event},
};
use std::path::Path;

/// For a person: what was verified, or why not. `explain`: every rule with what it consumed, on a line of its own.
pub(super) fn print_text(layout: &Path, verdict: &Result<VerifiedChain, Denied>, trace: &Trace, explain: bool) {
    match verdict {
        Ok(chain) => {
            let owners = chain.owners().join(", ");
            anstream::println!("verified {}: signed by {owners}, expires {}", layout.display(), chain.expires());
            for step in chain.steps() {
                anstream::println!("  step {:?}: by {}", step.name, step.signers.join(", "));
            }
            if explain {
                print_trace(trace);
            } else {
                for list in trace.events().iter().filter_map(Event::in_short) {
                    anstream::println!("  {list}");
                }
            }
            for warning in chain.warnings() {
                anstream::println!("warning: {warning}");
            }
            for remark in chain.remarks() {
                anstream::println!("remark: {remark}");
            }
        }
        Err(Denied { fault, cause }) => {
            // The one cause that a flag of this command removes.
            let hint = match cause {
                Some(Rejection::InspectionWithoutImage { .. }) => "\ngive the image: --image REF or --image-layout DIR",
                _ => "",
            };
            let class = format!("{:?}", fault.reason.class()).to_lowercase();
            anstream::println!("{} {}: {class}: {fault}{hint}", ui::verdict(false), layout.display());
            if explain {
                print_trace(trace);
            }
        }
    }
}

fn print_trace(trace: &Trace) {
    for event in trace.events() {
        anstream::println!("  {event}");
    }
}

/// The same as data.
pub(super) fn to_json(verdict: &Result<VerifiedChain, Denied>, trace: Option<&Trace>) -> serde_json::Value {
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
        Err(Denied { fault, cause }) => serde_json::json!({
            "class": fault.reason.class(),
            "reason": fault.reason,
            "message": fault.message,
            "details": cause.as_ref().map_or(serde_json::json!({}), Rejection::details),
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
