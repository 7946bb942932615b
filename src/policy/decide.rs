//! Joins readings, verdicts, exceptions and modes into the answer (design §3, §6).

use super::{
    Decision, ExceptionUse, FaultDecision, ImageDecision, ImageOutcome, ImageVerdict, Mode, Namespace, PolicyDecision,
    PolicySet, Reading, RequirementDecision, Unmatched, Workload, WorkloadImage,
    exception::{self, Judged},
    message::{self, Rank},
    select::{self, Policy},
};
use crate::{
    digest::Digest,
    reason::{Fault, Reason},
    reference::{Reference, without_user},
    resource::{API_VERSION, DigestRule, image_policy::DIGEST_REQUIREMENT},
};
use jiff::Timestamp;

impl PolicySet {
    /// Joins everything into the answer: verdicts by image field (same order; `Err` = could not even resolve), exceptions of the namespace,
    /// modes, warnings. What is missing or does not fit together is a denial with `internal_error`.
    pub fn decide(
        &self,
        workload: &Workload,
        namespace: Option<&Namespace>,
        readings: Vec<Reading>,
        verdicts: Vec<Option<ImageOutcome>>,
        now: Timestamp,
    ) -> Decision {
        // An annotation of another namespace than the workload's is none.
        let namespace = namespace.filter(|namespace| namespace.name == workload.namespace);
        let exceptions = namespace.map(|namespace| exception::judge(self, namespace, now)).unwrap_or_default();
        let mut deciding =
            Deciding { set: self, workload, exceptions: &exceptions, warnings: Vec::new(), uses: Vec::new() };
        for judged in &exceptions {
            if let Err(ignored) = &judged.outcome {
                deciding
                    .warn(Rank::Ignored, format!("exception for policy \"{}\" ignored: {ignored}", judged.policy()));
                deciding.uses.push(ExceptionUse {
                    policy: judged.policy().to_owned(),
                    field: String::new(),
                    honoured: false,
                    message: ignored.to_string(),
                });
            }
        }
        let (mut readings, mut verdicts) = (readings.into_iter(), verdicts.into_iter());
        let images: Vec<ImageDecision> = workload
            .images
            .iter()
            .map(|image| deciding.image(image, readings.next(), verdicts.next().flatten()))
            .collect();
        Decision {
            api_version: API_VERSION,
            kind: "Decision",
            allowed: images.iter().all(|image| !image.denied),
            images,
            warnings: message::in_order(deciding.warnings),
            exceptions: deciding.uses,
            policy_hash: self.hash.to_string(),
            decided_at: now.to_string(),
            namespace: workload.namespace.clone(),
        }
    }
}

struct Deciding<'d> {
    set: &'d PolicySet,
    workload: &'d Workload,
    exceptions: &'d [Judged],
    warnings: Vec<(Rank, String)>,
    uses: Vec<ExceptionUse>,
}

impl<'d> Deciding<'d> {
    /// Bounded, printable, said once.
    fn warn(&mut self, rank: Rank, text: impl AsRef<str>) {
        let text = message::warning(text.as_ref());
        if self.warnings.len() < message::WARNINGS_GATHERED_MAX && !self.warnings.iter().any(|(_, it)| *it == text) {
            self.warnings.push((rank, text));
        }
    }

    fn image(
        &mut self,
        image: &WorkloadImage,
        reading: Option<Reading>,
        verdict: Option<ImageOutcome>,
    ) -> ImageDecision {
        let mut decision = ImageDecision {
            field: image.field.clone(),
            name: image.name.clone(),
            reference: message::clip(&without_user(&image.image), message::REFERENCE_MAX),
            digest: None,
            policies: Vec::new(),
            fault: None,
            denied: false,
        };
        match reading {
            Some(Reading::Settled) => self.settled(image, &mut decision),
            Some(Reading::Refused(fault)) => self.refused(image, fault, &mut decision),
            Some(Reading::Judge { reference }) => match verdict {
                Some(Ok((digest, verdict))) => self.judged(&reference, &digest, &verdict, &mut decision),
                Some(Err(fault)) => self.unresolved(&reference, fault, &mut decision),
                None => self.unresolved(&reference, broken("a selected image has no verdict"), &mut decision),
            },
            None => {
                decision.fault = Some(broken("an image was not read").into());
                decision.denied = true;
            }
        }
        decision
    }

    /// No policy selects it, or it stays as it was.
    fn settled(&mut self, image: &WorkloadImage, decision: &mut ImageDecision) {
        if image.unchanged {
            return;
        }
        let Ok(reference) = select::parse(&image.image) else {
            decision.fault = Some(broken("a reference that cannot be read was settled").into());
            decision.denied = true;
            return;
        };
        decision.digest = reference.digest().map(Digest::to_string);
        if self.set.selecting(&reference, &self.workload.namespace).next().is_some() {
            decision.fault = Some(broken("a selected image was settled").into());
            decision.denied = true;
            return;
        }
        match self.set.unmatched {
            Unmatched::Allow => {}
            Unmatched::Warn => {
                self.warn(
                    Rank::Unjudged,
                    format!("{}: {}", message::place(decision), select::unmatched(&reference).message),
                );
            }
            Unmatched::Deny => {
                decision.fault = Some(select::unmatched(&reference).into());
                decision.denied = true;
            }
        }
    }

    /// Refused at the first look.
    fn refused(&mut self, image: &WorkloadImage, fault: Fault, decision: &mut ImageDecision) {
        let namespace = &self.workload.namespace;
        match fault.reason {
            // The reference cannot be matched, or was not: the stricter reading, all policies of the namespace.
            Reason::ImageRefInvalid | Reason::ImageRefAmbiguous | Reason::TooManyImages => {
                decision.denied = self.set.may_deny_in(namespace);
                if !decision.denied {
                    self.warn(Rank::WouldDeny, format!("{}: {fault}", message::place(decision)));
                }
                decision.fault = Some(fault.into());
            }
            Reason::ImageNotPinned => {
                // Each policy's own digest rule is what is not met; the requirements were not looked at.
                let Ok(reference) = select::parse(&image.image) else {
                    decision.fault = Some(fault.into());
                    decision.denied = true;
                    return;
                };
                for policy in self.set.selecting(&reference, namespace) {
                    let Some(fault) = policy.unpinned(&reference, self.workload.is_pod) else { continue };
                    decision.policies.push(PolicyDecision {
                        policy: policy.label.clone(),
                        mode: policy.mode,
                        met: false,
                        requirements: vec![digest_unmet(fault)],
                    });
                }
                if decision.policies.is_empty() {
                    decision.fault = Some(fault.into());
                }
                decision.denied = true;
                self.warn_unmet(decision);
            }
            _ => {
                decision.fault = Some(fault.into());
                decision.denied = true;
            }
        }
    }

    /// What the reference names could not be found out: no selecting policy is met. No exception waives that.
    fn unresolved(&mut self, reference: &Reference, fault: Fault, decision: &mut ImageDecision) {
        decision.digest = reference.digest().map(Digest::to_string);
        for policy in self.set.selecting(reference, &self.workload.namespace) {
            decision.denied |= policy.mode == Mode::Enforce;
            decision.policies.push(PolicyDecision {
                policy: policy.label.clone(),
                mode: policy.mode,
                met: false,
                requirements: Vec::new(),
            });
        }
        // Judged without a policy that selects it: something does not fit together.
        decision.denied |= decision.policies.is_empty() || fault.reason == Reason::InternalError;
        let place = message::place(decision);
        let warned: Vec<String> = decision
            .policies
            .iter()
            .filter(|policy| policy.mode == Mode::Warn)
            .map(|policy| format!("{} would deny {place}: {fault}", message::policy(&policy.policy)))
            .collect();
        for warning in warned {
            self.warn(Rank::WouldDeny, warning);
        }
        decision.fault = Some(fault.into());
    }

    fn judged(&mut self, reference: &Reference, digest: &Digest, verdict: &ImageVerdict, decision: &mut ImageDecision) {
        if reference.digest().is_some_and(|named| named != digest) {
            return self.unresolved(reference, broken("the verdict is of another digest"), decision);
        }
        decision.digest = Some(digest.to_string());
        let (set, workload) = (self.set, self.workload);
        for policy in set.selecting(reference, &workload.namespace) {
            let found = verdict.policies.iter().find(|found| found.policy == policy.label);
            let Some(mut judged) = found.cloned() else {
                // A verdict made under other policies admits nothing.
                return self.unresolved(reference, broken("the verdict leaves a policy out"), decision);
            };
            judged.mode = policy.mode;
            if !judged.met {
                self.except(policy, reference, digest, &mut judged, decision);
            }
            // After the exceptions: none waives it.
            if let Some(fault) = policy.unpinned(reference, workload.is_pod) {
                judged.met = false;
                judged.requirements.push(digest_unmet(fault));
            }
            if reference.digest().is_none() {
                self.warn_of_tag(policy, digest, decision);
            }
            decision.denied |= !judged.met && judged.mode == Mode::Enforce;
            decision.policies.push(judged);
        }
        for warning in &verdict.warnings {
            self.warn(Rank::Note, format!("{}: {warning}", message::place(decision)));
        }
        self.warn_unmet(decision);
    }

    /// Judged by a tag, which may name something else by the time a node pulls it.
    fn warn_of_tag(&mut self, policy: &Policy, digest: &Digest, decision: &ImageDecision) {
        let place = message::place(decision);
        match (policy.digest, policy.mode) {
            (DigestRule::Resolve, _) => {
                self.warn(
                    Rank::Note,
                    format!("{place}: judged as {digest}, what the tag names now; what runs may be another"),
                );
            }
            (DigestRule::Pin, Mode::Warn) if self.workload.is_pod => {
                self.warn(
                    Rank::Note,
                    format!("{place}: has no digest; {} enforced would pin it", message::policy(&policy.label)),
                );
            }
            _ => {}
        }
    }

    /// Each exception alone (security §2.C9): the first that would do for this image under this policy is used.
    fn except(
        &mut self,
        policy: &Policy,
        reference: &Reference,
        digest: &Digest,
        judged: &mut PolicyDecision,
        decision: &ImageDecision,
    ) {
        let granted = self.exceptions.iter().find_map(|exception| {
            let exception = exception.honoured()?;
            let covers = exception.policy == policy.name
                && policy.namespace.is_none()
                && exception.covers(reference, digest)
                && suffices(policy, judged, &exception.requirements);
            covers.then_some(exception)
        });
        let Some(exception) = granted else { return };
        judged.met = true;
        for requirement in &mut judged.requirements {
            requirement.waived = !requirement.met && exception.requirements.contains(&requirement.name);
        }
        let message = exception.to_string();
        self.warn(
            Rank::Excepted,
            format!(
                "{}: admitted by an exception from {}: {message}",
                message::place(decision),
                message::policy(&policy.label)
            ),
        );
        self.uses.push(ExceptionUse {
            policy: policy.label.clone(),
            field: decision.field.clone(),
            honoured: true,
            message,
        });
    }

    /// A policy in mode Warn says what it would have denied; one in mode Audit is only recorded.
    fn warn_unmet(&mut self, decision: &ImageDecision) {
        for policy in decision.policies.iter().filter(|policy| !policy.met && policy.mode == Mode::Warn) {
            for requirement in policy.requirements.iter().filter(|requirement| !requirement.met && !requirement.waived)
            {
                self.warn(
                    Rank::WouldDeny,
                    format!(
                        "{} would deny {}: {}",
                        message::policy(&policy.policy),
                        message::place(decision),
                        message::requirement(requirement)
                    ),
                );
            }
        }
    }
}

/// Whether the policy is met when the named requirements count as met.
fn suffices(policy: &Policy, judged: &PolicyDecision, waived: &[String]) -> bool {
    let met = judged.requirements.iter().filter(|item| item.met || waived.contains(&item.name)).count();
    policy.combination.is_met(met, policy.requirements.len())
}

fn digest_unmet(fault: Fault) -> RequirementDecision {
    let checked = "a digest in the reference itself".to_owned();
    RequirementDecision::of(DIGEST_REQUIREMENT, checked, Err(fault))
}

fn broken(what: &str) -> Fault {
    Fault::new(Reason::InternalError, what)
}

impl From<Fault> for FaultDecision {
    fn from(fault: Fault) -> Self {
        FaultDecision { class: fault.reason.class(), reason: fault.reason, message: fault.message }
    }
}
