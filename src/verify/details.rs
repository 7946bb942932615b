//! A rejection as data: which step, which rule, which artifacts and how many, whose keys (design §11, `--output json`).

use super::Rejection;
use crate::intoto::layout::Place;
use serde_json::{Value, json};

impl Rejection {
    /// What the message says, each under a name of its own; an empty object where the message says all.
    pub fn details(&self) -> Value {
        match self {
            Rejection::LayoutUntrusted { signed_by, invalid, needed } => {
                json!({ "signedBy": signed_by, "notValid": invalid, "needed": needed })
            }
            Rejection::LayoutExpired { expires, now } => {
                json!({ "expires": expires.to_string(), "now": now.to_string() })
            }
            Rejection::TooComplex(excess) => json!({ "what": excess.what, "found": excess.found, "max": excess.max }),
            Rejection::ThresholdNotMet { step, threshold, counted, missing, ignored } => json!({
                "step": step, "threshold": threshold, "counted": counted, "missing": missing,
                "ignored": ignored.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }),
            Rejection::Sublayout { step, key, cause } => json!({
                "step": step, "keys": key.split('+').collect::<Vec<_>>(),
                "sublayout": { "reason": cause.reason(), "message": cause.to_string(), "details": cause.details() },
            }),
            Rejection::LinksDisagree { step, keys, side, artifacts, count } => {
                json!({ "step": step, "keys": keys, "side": side.as_str(), "artifacts": artifacts, "count": count })
            }
            Rejection::OtherCommand { step, found, expected } => {
                json!({ "step": step, "found": found, "expected": expected })
            }
            Rejection::OpenList { at, side } => with_place(at, json!({ "side": side.as_str() })),
            Rejection::Rule { at, by, violation } => with_place(
                at,
                json!({
                    "rule": violation.rule.words(), "side": violation.side.as_str(), "artifacts": violation.artifacts,
                    "count": violation.count, "differsFrom": violation.differs_from, "keys": by,
                }),
            ),
            Rejection::InspectionNotSupported { inspection, run, signed, needed } => {
                json!({ "inspection": inspection, "run": run, "signed": signed, "needed": needed })
            }
            Rejection::InspectionsDisagree { inspection, side, artifacts, count } => {
                json!({ "inspection": inspection, "side": side.as_str(), "artifacts": artifacts, "count": count })
            }
            Rejection::InspectionWithoutImage { inspection } => json!({ "inspection": inspection }),
            Rejection::ManifestsMissing { inspection, missing } => {
                json!({ "inspection": inspection, "missing": missing })
            }
            Rejection::SubjectNotBound { subjects } => json!({ "subjects": subjects }),
            Rejection::NoOwners
            | Rejection::NoLayout { .. }
            | Rejection::LayoutUnreadable { .. }
            | Rejection::NotALayout { .. }
            | Rejection::Layout(_) => json!({}),
        }
    }
}

fn with_place(at: &Place, details: Value) -> Value {
    let place = match at {
        Place::Step(name) => json!({ "step": name }),
        Place::Inspection(name) => json!({ "inspection": name }),
        Place::Layout | Place::Key(_) | Place::Authority(_) => json!({}),
    };
    match (place, details) {
        (Value::Object(place), Value::Object(details)) => place.into_iter().chain(details).collect(),
        (_, details) => details,
    }
}
