//! The admission webhook: one AdmissionReview as a straight line (design §3).

use crate::{
    policy::{Decision, Namespace, PolicySet, Workload},
    source::Sources,
};
use jiff::Timestamp;
use std::{sync::Arc, time::Instant};

pub mod config; // policy directory → snapshot, watched
pub mod http;
pub mod images; // every image of every pod-bearing kind
pub mod metrics;
pub mod review; // bytes ⇄ types: parse, respond, patch // routes, health, metrics, panics

/// The one evaluation behind the webhook, `verify` and `review`.
pub struct Judge {
    pub sources: Sources, /* cache … */
}
impl Judge {
    pub fn new(sources: Sources) -> Self {
        let _ = sources;
        todo!()
    }
    /// Reads, resolves, drives, decides. `now` is taken once by the caller.
    pub async fn judge(
        &self,
        set: &Arc<PolicySet>,
        workload: &Workload,
        namespace: Option<&Namespace>,
        deadline: Instant,
        now: Timestamp,
    ) -> Decision {
        let _ = (set, workload, namespace, deadline, now);
        todo!()
    }
}
