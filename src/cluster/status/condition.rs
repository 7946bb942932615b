//! The condition `Ready`: whether what the author wrote decides, and if not, what to do about it.

use super::Status;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Kubernetes' own bound of a condition's message is 32 KiB; nobody reads so much.
const MESSAGE_MAX: usize = 1024;
/// Names of a TrustRoot's keys that are shown.
const NAMES_MAX: usize = 64;
const READY: &str = "Ready";

/// The condition's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// In use as it stands.
    Loaded,
    /// In error, and there is no earlier version to go on with.
    Invalid,
    /// In error; the version before it goes on deciding.
    LastGoodInUse,
    /// It names a TrustRoot that is not there, or holds no key.
    TrustRootMissing,
    /// Another RegistryConfig is about the same host.
    DuplicateHost,
    /// It names a Secret that is not there, or is of the wrong type.
    SecretMissing,
    /// A RegistryConfig that parses and that nothing can be done by: a file that it names is not there, a CA in it is none.
    NotHonoured,
}
impl Why {
    /// As it stands in the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Loaded => "Loaded",
            Why::Invalid => "Invalid",
            Why::LastGoodInUse => "LastGoodInUse",
            Why::TrustRootMissing => "TrustRootMissing",
            Why::DuplicateHost => "DuplicateHost",
            Why::SecretMissing => "SecretMissing",
            Why::NotHonoured => "NotHonoured",
        }
    }
}

/// What a TrustRoot holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    pub names: Vec<String>,
    /// When the first of them ends; a bare public key has no end.
    pub expires: Option<Timestamp>,
}

/// What one object came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub generation: i64,
    pub why: Why,
    /// For the author: the field, and what is wrong there. May be empty where it is loaded.
    pub message: String,
    /// Of a TrustRoot.
    pub holds: Option<Holds>,
}

impl Finding {
    /// The status with this said in it; what the counts say stays. `lastTransitionTime` is the time at which `Ready` last changed.
    pub fn applied(&self, before: &Status, now: Timestamp) -> Status {
        let mut status = before.clone();
        status.observed_generation = Some(self.generation);
        let ready = if self.why == Why::Loaded { "True" } else { "False" };
        let told = status.conditions.iter().find(|it| it.type_ == READY);
        let since = told.filter(|it| it.status == ready).map(|it| it.last_transition_time.clone());
        let condition = Condition {
            type_: READY.into(),
            status: ready.into(),
            reason: self.why.as_str().into(),
            message: self.message(),
            observed_generation: Some(self.generation),
            last_transition_time: since.unwrap_or(Time(now)),
        };
        status.conditions.retain(|it| it.type_ != READY);
        status.conditions.push(condition);
        if let Some(holds) = &self.holds {
            status.keys = i64::try_from(holds.names.len()).ok();
            status.key_names = holds.names.iter().take(NAMES_MAX).cloned().collect();
            status.expires = holds.expires;
        }
        status
    }

    fn message(&self) -> String {
        let text = match (self.why, self.message.as_str()) {
            (Why::Loaded, "") => "in use",
            (_, text) => text,
        };
        crate::policy::clean(text, MESSAGE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(why: Why, message: &str, generation: i64) -> Finding {
        let (kind, name) = ("ClusterImagePolicy".into(), "shop".into());
        Finding { kind, namespace: None, name, generation, why, message: message.into(), holds: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_transition_is_when_ready_changes_and_nothing_else() {
        let loaded = finding(Why::Loaded, "", 1).applied(&Status::default(), at(1));
        let ready = &loaded.conditions[0];
        assert_eq!((ready.type_.as_str(), ready.status.as_str(), ready.reason.as_str()), ("Ready", "True", "Loaded"));
        assert_eq!((ready.message.as_str(), ready.last_transition_time.0), ("in use", at(1)));
        let again = finding(Why::Loaded, "", 2).applied(&loaded, at(2));
        assert_eq!((again.observed_generation, again.conditions[0].last_transition_time.0), (Some(2), at(1)));
        let broken = finding(Why::LastGoodInUse, "spec.images[0]: no host", 3).applied(&again, at(3));
        assert_eq!((broken.conditions.len(), broken.conditions[0].last_transition_time.0), (1, at(3)));
        assert_eq!(broken.conditions[0].status, "False");
        // Broken in another way: the message changes, the time does not.
        let worse = finding(Why::TrustRootMissing, "no TrustRoot \"owners\"", 3).applied(&broken, at(4));
        assert_eq!(
            (worse.conditions[0].reason.as_str(), worse.conditions[0].last_transition_time.0),
            ("TrustRootMissing", at(3))
        );
        // The same again is the same, whenever it is said.
        assert_eq!(finding(Why::TrustRootMissing, "no TrustRoot \"owners\"", 3).applied(&worse, at(9)), worse);
    }

    #[test]
    fn what_others_wrote_stays() {
        let other = Condition {
            type_: "Reviewed".into(),
            status: "True".into(),
            reason: "ByHand".into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(at(1)),
        };
        let before = Status { images_matched: Some(7), conditions: vec![other.clone()], ..Status::default() };
        let status = finding(Why::Loaded, "", 1).applied(&before, at(2));
        assert_eq!((status.images_matched, status.conditions.len()), (Some(7), 2));
        assert!(status.conditions.contains(&other));
    }

    #[test]
    fn a_trust_root_shows_what_it_holds_and_messages_are_printable() {
        let holds = Holds { names: vec!["alice".into(), "bob".into()], expires: Some(at(5)) };
        let root = Finding { holds: Some(holds), ..finding(Why::Loaded, "", 1) };
        let status = root.applied(&Status::default(), at(1));
        assert_eq!((status.keys, status.expires), (Some(2), Some(at(5))));
        assert_eq!(status.key_names, ["alice", "bob"]);
        let none = Finding { holds: Some(Holds::default()), ..finding(Why::Loaded, "", 2) }.applied(&status, at(2));
        assert_eq!((none.keys, none.key_names.len(), none.expires), (Some(0), 0, None));
        let odd = finding(Why::Invalid, &format!("\u{202e}{}", "x".repeat(5000)), 1).applied(&Status::default(), at(1));
        let message = &odd.conditions[0].message;
        assert!(message.len() <= 1024 && message.starts_with(r"\u{202e}x"), "{message}");
    }
}
