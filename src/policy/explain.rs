//! The longer text of `verify --explain`: every policy, each requirement, who signed, what was checked.

use super::{Decision, Mode, message};
use std::fmt::Write as _;

impl Decision {
    /// Everything the decision knows but its last word, for a terminal: printable, a line a fact. Not bounded as a denial is.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        let mut line = |depth: usize, words: String| {
            let _ = writeln!(text, "{:width$}{}", "", message::printable(&words), width = depth * 2);
        };
        for image in &self.images {
            line(0, format!("{} {}", message::place(image), image.reference));
            if let Some(digest) = &image.digest {
                line(1, format!("judged as {digest}"));
            }
            if let Some(fault) = &image.fault {
                line(1, format!("{}: {} [{}]", message::class_word(fault.class), fault.message, fault.reason.as_str()));
            }
            if image.policies.is_empty() && image.fault.is_none() {
                line(1, "no policy has a say in it".into());
            }
            for policy in &image.policies {
                let waived = policy.requirements.iter().any(|requirement| requirement.waived);
                let outcome = match (policy.met, waived, policy.mode) {
                    (true, false, _) => "met",
                    (true, true, _) => "met by an exception",
                    (false, _, Mode::Enforce) => "not met: denies",
                    (false, _, Mode::Warn) => "not met: warns",
                    (false, _, Mode::Audit) => "not met: recorded",
                };
                line(1, format!("{} ({:?}): {outcome}", message::policy(&policy.policy), policy.mode));
                for requirement in &policy.requirements {
                    let words = match (requirement.met, requirement.waived) {
                        (true, _) => format!("{}: met by {}", requirement.name, requirement.by.join(", ")),
                        (false, true) => format!("{} (waived)", message::requirement(requirement)),
                        (false, false) => message::requirement(requirement),
                    };
                    line(2, words);
                    for detail in requirement.details.iter() {
                        line(3, detail.clone());
                    }
                }
            }
        }
        for exception in &self.exceptions {
            let word = if exception.honoured { "used" } else { "ignored" };
            line(0, format!("exception from {} {word}: {}", exception.policy, exception.message));
        }
        for warning in &self.warnings {
            line(0, format!("warning: {warning}"));
        }
        line(0, format!("policies {}, decided at {}", self.policy_hash, self.decided_at));
        text
    }
}
