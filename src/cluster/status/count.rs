//! What one replica counted since its last report, policy by policy.

use super::Status;
use crate::policy::Decision;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Policies that are counted between two reports; a cluster has fewer.
const POLICIES_MAX: usize = 4096;

/// Since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Images of requests that the policy selects.
    pub matched: i64,
    /// Those of them that do not meet it.
    pub unmet: i64,
    pub last: Timestamp,
}
impl Count {
    fn add(&mut self, other: Count) {
        self.matched = self.matched.saturating_add(other.matched);
        self.unmet = self.unmet.saturating_add(other.unmet);
        self.last = self.last.max(other.last);
    }

    /// The status with this added.
    pub fn added(&self, before: &Status) -> Status {
        let mut status = before.clone();
        let sum = |before: Option<i64>, more: i64| Some(before.unwrap_or_default().saturating_add(more));
        status.images_matched = sum(before.images_matched, self.matched);
        status.images_unmet = sum(before.images_unmet, self.unmet);
        // RFC 3339 to the second, as Kubernetes writes times.
        let last = Timestamp::from_second(self.last.as_second()).unwrap_or(self.last);
        status.last_matched = before.last_matched.max(Some(last));
        status
    }
}

/// The counts by the policy's label, `ClusterImagePolicy/shop` or `ImagePolicy/ns/shop`.
#[derive(Debug, Default)]
pub struct Counting(Mutex<BTreeMap<String, Count>>);

impl Counting {
    /// Counts a decision, after it was answered; a dry run counts for nothing (B11).
    pub fn decided(&self, decision: &Decision, dry_run: bool, now: Timestamp) {
        if dry_run {
            return;
        }
        for policy in decision.images.iter().flat_map(|image| &image.policies) {
            self.add(&policy.policy, Count { matched: 1, unmet: i64::from(!policy.met), last: now });
        }
    }

    /// What was counted; from here on it starts at nought.
    pub fn take(&self) -> BTreeMap<String, Count> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds; what could not be reported comes back this way.
    pub fn add(&self, policy: &str, count: Count) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = counts.len() >= POLICIES_MAX;
        match counts.get_mut(policy) {
            Some(there) => there.add(count),
            None if full => {}
            None => drop(counts.insert(policy.to_owned(), count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{ImageDecision, Mode, PolicyDecision};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn counts_add_up_and_nothing_is_reported_twice() {
        let counting = Counting::default();
        counting.add("ClusterImagePolicy/shop", Count { matched: 1, unmet: 0, last: at(5) });
        counting.add("ClusterImagePolicy/shop", Count { matched: 1, unmet: 1, last: at(4) });
        counting.add("ImagePolicy/a/shop", Count { matched: 1, unmet: 1, last: at(6) });
        let taken = counting.take();
        assert_eq!(taken.len(), 2);
        assert_eq!(taken["ClusterImagePolicy/shop"], Count { matched: 2, unmet: 1, last: at(5) });
        assert!(counting.take().is_empty());
        // A report that failed is in the next one.
        counting.add("ClusterImagePolicy/shop", taken["ClusterImagePolicy/shop"]);
        counting.add("ClusterImagePolicy/shop", Count { matched: 1, unmet: 0, last: at(9) });
        assert_eq!(counting.take()["ClusterImagePolicy/shop"], Count { matched: 3, unmet: 1, last: at(9) });
    }

    #[test]
    fn a_status_is_added_to() {
        let count = Count { matched: 2, unmet: 1, last: at(5) };
        let first = count.added(&Status { observed_generation: Some(3), ..Status::default() });
        assert_eq!((first.images_matched, first.images_unmet, first.last_matched), (Some(2), Some(1), Some(at(5))));
        assert_eq!(first.observed_generation, Some(3));
        let late = Count { last: at(1), ..count }.added(&first);
        assert_eq!((late.images_matched, late.images_unmet, late.last_matched), (Some(4), Some(2), Some(at(5))));
        let most = Status { images_matched: Some(i64::MAX), ..Status::default() };
        assert_eq!(count.added(&most).images_matched, Some(i64::MAX));
    }

    #[test]
    fn each_image_counts_under_each_policy_and_a_dry_run_not_at_all() {
        let policy = |name: &str, met| PolicyDecision {
            policy: format!("ClusterImagePolicy/{name}"),
            mode: Mode::Audit,
            met,
            requirements: Vec::new(),
        };
        let image = |met| ImageDecision {
            field: "spec.containers[0].image".into(),
            name: "api".into(),
            reference: "registry.example.com/a:1".into(),
            digest: None,
            policies: vec![policy("shop", met), policy("base", true)],
            fault: None,
            denied: false,
        };
        let decision = Decision {
            api_version: "tidewaiter.dev/v1alpha1",
            kind: "Decision",
            allowed: true,
            images: vec![image(true), image(false)],
            warnings: Vec::new(),
            exceptions: Vec::new(),
            policy_hash: "sha256:1".into(),
            decided_at: at(1).to_string(),
            namespace: "shop".into(),
        };
        let counting = Counting::default();
        counting.decided(&decision, true, at(1));
        assert!(counting.take().is_empty());
        counting.decided(&decision, false, at(1));
        let counted = counting.take();
        assert_eq!(counted["ClusterImagePolicy/shop"], Count { matched: 2, unmet: 1, last: at(1) });
        assert_eq!(counted["ClusterImagePolicy/base"], Count { matched: 2, unmet: 0, last: at(1) });
    }

    #[test]
    fn it_is_bounded() {
        let counting = Counting::default();
        (0..5000).for_each(|at_| counting.add(&format!("p{at_}"), Count { matched: 1, unmet: 0, last: at(1) }));
        assert_eq!(counting.take().len(), POLICIES_MAX);
    }
}
