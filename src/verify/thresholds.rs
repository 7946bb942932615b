//! Which answers count for a step: selected by verified key and signed name, never by file name alone (R22), and how many functionaries
//! it has (R24). What does not count never blocks (R8); it is said why it did not when its step falls short.

use super::{
    Rejection,
    budget::Budget,
    certificates::Certified,
    evidence::{Content, Evidence, Held, Record},
    quorum::{self, Signer},
    rejection::{Ignored, short},
    trace::Answer,
};
use crate::{
    intoto::{Layout, Link, Profile, Reported, Step, layout::LayoutError, link::Reading, statement::StatementError},
    json::Value,
};
use functionary::{authorised, distinct_keys, functionaries, has_signed};
use ignored::ignored;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

mod functionary;
mod ignored;

/// How many ignored envelopes a message tells of.
const IGNORED_MAX: usize = 5;

/// A valid link, or what stands for one, and the functionaries who signed it, by key id as the layout writes it.
pub(super) struct Report {
    pub signers: Vec<String>,
    pub link: Link,
    /// What it is, for a person.
    pub kind: &'static str,
}

/// A layout that functionaries of the step gave for a link.
pub(super) struct Sublayout<'e> {
    pub held: &'e Held<'e>,
    pub signers: Vec<String>,
}

/// What was reported for one step.
#[derive(Default)]
pub(super) struct Reports<'e> {
    pub links: Vec<Report>,
    /// Not judged yet.
    pub sublayouts: Vec<Sublayout<'e>>,
    /// What bears a functionary's signature and still does not count.
    pub ignored: Vec<Ignored>,
    /// Sublayouts that did not hold: who gave them, and why not.
    pub failed: Vec<(String, Rejection)>,
    /// When the first of the signatures ceases to count; only OpenPGP's do.
    pub until: Option<Timestamp>,
}

/// What one layout is judged by: where its links lie, and as what they are read.
pub(super) struct View<'e> {
    pub evidence: &'e Evidence<'e>,
    /// The directories of the layout's links (specification 4.5.2): none for the root layout.
    pub directories: &'e [String],
    /// The layouts around: no layout is an answer to itself.
    pub around: &'e [Record<'e>],
    pub profile: Profile,
    pub now: Timestamp,
    /// Who is a functionary by certificate.
    pub certified: Certified<'e>,
}

impl<'e> View<'e> {
    pub fn envelopes(&self) -> impl Iterator<Item = &'e Held<'e>> {
        let seen = |held: &&Held<'_>| held.is_in(self.directories, self.profile);
        self.evidence.envelopes.iter().filter(seen)
    }
}

/// Where the answers stand that count already, by step and place among its links.
type Known<'e> = BTreeMap<Record<'e>, BTreeMap<&'e str, usize>>;

/// The steps that the names of a record's copies speak of.
type Hints<'e> = BTreeMap<Record<'e>, BTreeSet<&'e str>>;

/// Finds the answers to every step among the envelopes (in-toto 5.2.4 and 5.2.5).
pub(super) fn collect<'e>(
    layout: &'e Layout,
    view: &View<'e>,
    budget: &mut Budget,
) -> Result<BTreeMap<&'e str, Reports<'e>>, Rejection> {
    let ring = functionaries(layout, &view.certified);
    let mut steps: BTreeMap<&str, Reports<'e>> =
        layout.steps.iter().map(|step| (step.name.as_str(), Reports::default())).collect();
    let (mut known, mut stated) = (Known::new(), Known::new());
    let mut hints = Hints::new();
    for held in view.envelopes() {
        if let Some((step, _)) = held.hint() {
            hints.entry(held.record()).or_default().insert(step);
        }
    }
    for held in view.envelopes() {
        let mut attempts = view.evidence.attempts_max;
        let signers = quorum::every_signer(&held.envelope, &ring, &mut attempts, view.now);
        if !view.around.is_empty() {
            budget.hashed(view.evidence.attempts_max - attempts, held.envelope.signed_len())?;
        }
        if signers.is_empty() || view.around.contains(&held.record()) {
            continue;
        }
        let (certified, profile) = (&view.certified, view.profile);
        let by = Signers { layout, held, signers: &signers, certified, profile, hints: &hints };
        if by.known_link(&known, &mut steps) {
            continue;
        }
        // Its signature was checked: now its content may be read (R4).
        match Content::of(held, view.profile) {
            Content::Link(reading) => by.link(*reading, &mut known, &mut steps),
            Content::Layout(_) => by.sublayout(&mut steps),
            Content::Statement(value) if view.profile == Profile::Strict => {
                by.statement(&value, &mut stated, &mut steps)
            }
            // The reference reads links alone; what holds with statements held when it was judged strictly.
            Content::Statement(_) => {
                let kind = Some("a statement".to_owned());
                by.ignore(&mut steps, |key| Ignored::NotALink { key, kind: kind.clone() });
            }
            // These name no step: said wherever their signer might have meant it.
            Content::Other(kind) => by.ignore(&mut steps, |key| Ignored::NotALink { key, kind: kind.clone() }),
            Content::Unparsable(cause) => {
                by.ignore(&mut steps, |key| Ignored::Unparsable { key, cause: cause.clone() });
            }
        }
    }
    Ok(steps)
}

/// An envelope, and which keys of the layout signed it.
struct Signers<'a, 'e> {
    layout: &'e Layout,
    held: &'e Held<'e>,
    signers: &'a [Signer<'a>],
    certified: &'a Certified<'e>,
    profile: Profile,
    hints: &'a Hints<'e>,
}

impl<'e> Signers<'_, 'e> {
    /// Adds the signers to a link that counts already, which is not read again. Off-spec: for the reference a file's name makes another answer of it.
    fn known_link(&self, known: &Known<'e>, steps: &mut BTreeMap<&'e str, Reports<'e>>) -> bool {
        let Some(places) = known.get(&self.held.record()).filter(|_| self.profile == Profile::Strict) else {
            return false;
        };
        for (step, at) in places {
            let step = self.layout.steps.iter().find(|known| known.name == **step);
            let reports = step.and_then(|step| Some((self.authorised(step), steps.get_mut(step.name.as_str())?)));
            let Some((signers, reports)) = reports.filter(|(signers, _)| !signers.is_empty()) else { continue };
            reports.count_until(self.signers);
            if let Some(report) = reports.links.get_mut(*at) {
                add(&mut report.signers, signers);
            }
        }
        true
    }

    fn link(&self, reading: Reading, known: &mut Known<'e>, steps: &mut BTreeMap<&'e str, Reports<'e>>) {
        // Off-spec: the reference goes by the file's name alone (in-toto §2.2, case 2).
        let name = match (self.profile, self.held.hint()) {
            (Profile::Compat, Some((step, _))) => step,
            _ => &reading.step,
        };
        let Some(step) = self.layout.steps.iter().find(|step| step.name == name) else { return };
        let signers = self.authorised(step);
        let (Some(first), Some(reports)) = (signers.first(), steps.get_mut(name)) else { return };
        reports.count_until(self.signers);
        let places = known.entry(self.held.record()).or_default();
        if let Some(known) = places.get(name).and_then(|at| reports.links.get_mut(*at)) {
            add(&mut known.signers, signers);
            return;
        }
        match reading.link {
            Ok(link) => {
                places.insert(&step.name, reports.links.len());
                reports.links.push(Report { signers, link, kind: "link" });
            }
            Err(cause) => reports.ignored.push(Ignored::Malformed { key: first.clone(), cause }),
        }
    }

    /// A statement counts as the link it reads as (R42), for the step it names. A provenance names none: as with layouts, it is for the
    /// step of its signer if he has one alone.
    fn statement(&self, value: &Value, stated: &mut Known<'e>, steps: &mut BTreeMap<&'e str, Reports<'e>>) {
        let reported = match Reported::from_value(value) {
            Ok(reported) => reported,
            // It may have been meant for any step of its signer.
            Err(StatementError::NotALink { predicate_type }) => {
                return self.ignore(steps, |key| Ignored::NotALink { key, kind: Some(predicate_type.clone()) });
            }
            Err(cause) => return self.ignore(steps, |key| Ignored::BadStatement { key, cause: cause.clone() }),
        };
        let meant = match &reported.step {
            None => self.answered(),
            Some(name) => {
                let Some(step) = self.layout.steps.iter().find(|step| step.name == *name) else { return };
                Some((step, self.authorised(step))).filter(|(_, signers)| !signers.is_empty())
            }
        };
        match meant {
            Some((step, signers)) => {
                let Some(reports) = steps.get_mut(step.name.as_str()) else { return };
                let places = stated.entry(self.held.record()).or_default();
                match places.get(step.name.as_str()).and_then(|at| reports.links.get_mut(*at)) {
                    Some(known) => add(&mut known.signers, signers),
                    None => {
                        places.insert(&step.name, reports.links.len());
                        let link = Link { name: step.name.clone(), ..reported.link };
                        reports.links.push(Report { signers, link, kind: "statement" });
                    }
                }
            }
            None if reported.step.is_none() => self.ignore(steps, |key| Ignored::NoStep { key, kind: "statement" }),
            None => {}
        }
    }

    /// A layout does not say which step it answers. Its name does; without one, it is the step of its signer if he has one alone.
    fn sublayout(&self, steps: &mut BTreeMap<&'e str, Reports<'e>>) {
        match self.answered() {
            Some((step, signers)) => {
                let Some(reports) = steps.get_mut(step.name.as_str()) else { return };
                reports.count_until(self.signers);
                let record = self.held.record();
                match reports.sublayouts.iter_mut().find(|known| known.held.record() == record) {
                    Some(known) => add(&mut known.signers, signers),
                    None => reports.sublayouts.push(Sublayout { held: self.held, signers }),
                }
            }
            None => self.ignore(steps, |key| Ignored::NoStep { key, kind: "layout" }),
        }
    }

    /// The one step that an envelope can be meant for which names none: a name chooses among those of its signers, and adds none. Copies
    /// whose names say several choose nothing: names are anybody's.
    fn answered(&self) -> Option<(&'e Step, Vec<String>)> {
        let hint = self.held.hint().map(|(step, _)| step);
        let hints = self.hints.get(&self.held.record());
        if self.profile == Profile::Strict && hints.is_some_and(|steps| steps.len() > 1) {
            return None;
        }
        let mut steps = self.layout.steps.iter().filter_map(|step| {
            let signers = self.authorised(step);
            (hint.is_none_or(|hint| step.name == hint) && !signers.is_empty()).then_some((step, signers))
        });
        let found = steps.next()?;
        steps.next().is_none().then_some(found)
    }

    fn ignore(&self, steps: &mut BTreeMap<&'e str, Reports<'e>>, ignored: impl Fn(String) -> Ignored) {
        for step in &self.layout.steps {
            let key = self.authorised(step).into_iter().next();
            if let (Some(key), Some(reports)) = (key, steps.get_mut(step.name.as_str())) {
                reports.ignored.push(ignored(key));
            }
        }
    }

    fn authorised(&self, step: &Step) -> Vec<String> {
        match self.profile {
            Profile::Strict => authorised(self.layout, step, self.certified, self.signers),
            Profile::Compat => {
                let key = |id: &String| self.layout.keys.get(id)?.as_ref().ok();
                // OpenPGP's subkeys go by the id of their master.
                let is = |id: &String, what: &dyn Fn(&String) -> bool| {
                    what(id) || key(id).is_some_and(|key| key.is_openpgp() && key.ids().iter().any(what))
                };
                let signature =
                    |id: &String| self.held.envelope.signatures.iter().any(|s| s.keyid.as_ref() == Some(id));
                let claimed = |id: &String| is(id, &signature);
                let any = step.pubkeys.iter().any(claimed);
                let named =
                    |id: &&String| self.held.hint().is_none_or(|(_, name)| is(id, &|id: &String| id.starts_with(name)));
                let signed = |id: &&String| key(id).is_some_and(|key| has_signed(key, self.signers));
                // The reference counts ids, each by a signature and a file of its own (in-toto §2.2, case 18), but for OpenPGP's.
                let mut seen = BTreeSet::new();
                let mut once = |id: &&String| match key(id) {
                    Some(key) if key.is_openpgp() => seen.insert(key.functionary()),
                    _ => true,
                };
                let counted = step.pubkeys.iter().filter(named).filter(|id| !any || claimed(id)).filter(signed);
                counted.filter(|id| once(id)).cloned().collect()
            }
        }
    }
}

impl Report {
    pub fn of_sublayout(sublayout: Sublayout<'_>, link: Link) -> Report {
        Report { signers: sublayout.signers, link, kind: "sublayout" }
    }
}

fn add(known: &mut Vec<String>, more: Vec<String>) {
    for signer in more {
        if !known.contains(&signer) {
            known.push(signer);
        }
    }
}

impl Reports<'_> {
    /// An answer by another command than the step expects, where it expects one.
    pub fn other_command(&self, step: &Step) -> Option<&Report> {
        let other = |report: &&Report| report.link.command != step.expected_command;
        self.links.iter().find(other).filter(|_| !step.expected_command.is_empty())
    }

    fn count_until(&mut self, signers: &[Signer<'_>]) {
        let ends = signers.iter().filter_map(|signer| signer.verified.until);
        self.until = self.until.into_iter().chain(ends).min();
    }

    /// For a step that has enough: commands that differ from the expected one (R35), what did not count.
    pub fn remarks(&self, step: &Step) -> Vec<String> {
        let name = &step.name;
        let mut remarks = Vec::new();
        for report in &self.links {
            if !step.expected_command.is_empty() && report.link.command != step.expected_command {
                let (found, expected) = (report.link.command.join(" "), step.expected_command.join(" "));
                remarks.push(format!("step {name:?}: the command was {found:?}, expected {expected:?}"));
            }
        }
        let malformed =
            |ignored: &&Ignored| matches!(ignored, Ignored::Malformed { .. } | Ignored::BadStatement { .. });
        let counts_not = self.ignored.iter().filter(malformed);
        remarks.extend(counts_not.take(IGNORED_MAX).map(|ignored| format!("step {name:?}: ignored {ignored}")));
        let failed = self.failed.iter().take(IGNORED_MAX);
        remarks.extend(
            failed.map(|(key, cause)| format!("step {name:?}: ignored a sublayout by {}: {cause}", short(key))),
        );
        remarks
    }

    /// For a person: what was found.
    pub fn told(&self) -> (Vec<Answer>, Vec<String>) {
        let answers = self.links.iter().map(|report| Answer { by: report.signers.clone(), kind: report.kind.into() });
        let failed = self.failed.iter().map(|(key, cause)| format!("a sublayout by {}: {cause}", short(key)));
        (answers.collect(), self.ignored.iter().map(Ignored::to_string).chain(failed).take(IGNORED_MAX).collect())
    }
}

/// Enough distinct functionaries, whatever the number of files (R24). Gives their key ids.
pub(super) fn meet(
    layout: &Layout,
    step: &Step,
    reports: &mut Reports<'_>,
    view: &View<'_>,
    budget: &mut Budget,
) -> Result<Vec<String>, Rejection> {
    budget.links(&step.name, reports.links.len())?;
    for report in &reports.links {
        budget.artifacts(&report.link)?;
    }
    // `authorised` names each public key by one id, so ids can be counted here.
    let mut counted: Vec<String> = reports.links.iter().flat_map(|report| report.signers.iter().cloned()).collect();
    counted.sort();
    counted.dedup();
    if usize::try_from(step.threshold).is_ok_and(|threshold| counted.len() >= threshold) {
        return Ok(counted);
    }
    if !reports.failed.is_empty() {
        let (key, cause) = reports.failed.swap_remove(0);
        return Err(Rejection::Sublayout { step: step.name.clone(), key, cause: Box::new(cause) });
    }
    // Strictly such a layout was refused when it was read.
    let unusable = step.pubkeys.iter().find_map(|id| Some((id, layout.keys.get(id)?.as_ref().err()?)));
    let usable = distinct_keys(layout, step, &view.certified).len();
    if let Some((key, cause)) = unusable
        && step.cert_constraints.is_empty()
        && usize::try_from(step.threshold).map_or(true, |threshold| usable < threshold)
    {
        let (step, key, cause) = (step.name.clone(), key.clone(), cause.clone());
        return Err(LayoutError::KeyNeeded { step, key, cause }.into());
    }
    let mut missing: Vec<String> = distinct_keys(layout, step, &view.certified)
        .into_iter()
        .filter(|(id, _)| step.pubkeys.iter().any(|known| known == id) && !counted.iter().any(|known| known == id))
        .map(|(id, _)| id.to_owned())
        .collect();
    if !step.cert_constraints.is_empty() {
        missing.push("a certificate that meets the cert_constraints".to_owned());
    }
    Err(Rejection::ThresholdNotMet {
        step: step.name.clone(),
        threshold: step.threshold,
        missing,
        counted,
        ignored: ignored(layout, step, reports, view, budget),
    })
}

#[cfg(test)]
mod tests;
