//! One layout from top to bottom, and the layouts inside it (in-toto 5.2.2 to 5.2.9, in the order of in-toto §1.4).

use super::{
    Insist, Rejection, VerifiedStep, agreement,
    budget::Budget,
    certificates::Certified,
    evidence::{Content, Evidence, Record},
    inspection::{self, Seen},
    remarks,
    rules::{self, Sides},
    thresholds::{self, Report, Sublayout, View},
    told::Told,
    trace::Trace,
};
use crate::{
    image::ImageFacts,
    intoto::{
        Artifacts, Layout, Link, Parameters, Profile,
        layout::Place,
        rule::{Rule, Side},
    },
    json::Value,
    key::{KeyRing, NamedKey},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What all layouts of one verification are judged with.
pub(super) struct Judge<'e> {
    pub evidence: &'e Evidence<'e>,
    pub image: Option<&'e ImageFacts>,
    pub parameters: &'e Parameters,
    pub profile: Profile,
    pub insist: Insist,
    pub now: Timestamp,
    pub budget: Budget,
    pub trace: Trace,
}

/// How long before its end a layout is warned of. Ours: a working week and a weekend, to renew it in.
const EXPIRY_NEAR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Who stands for a layout: the keys that signed it, and how many of them it takes.
pub(super) struct Authority<'a> {
    pub ring: &'a KeyRing,
    pub needed: usize,
}

/// Where a layout stands: the root layout nowhere.
#[derive(Default)]
pub(super) struct Nest<'e> {
    /// For a message: the steps it is the answer to.
    path: String,
    directories: Vec<String>,
    around: Vec<Record<'e>>,
}

/// A layout that held.
pub(super) struct Held {
    pub steps: Vec<VerifiedStep>,
    /// Until when: the earliest end of the layouts inside, and of the OpenPGP signatures that counted.
    pub expires: Timestamp,
    /// See [`super::VerifiedChain::warnings`].
    pub warnings: Vec<String>,
    /// See [`super::VerifiedChain::remarks`].
    pub remarks: Vec<String>,
    /// What it says as one link (in-toto §1.14).
    pub summary: Link,
    /// What built-in inspections matched with what a step reported.
    pub tied: BTreeSet<String>,
}

impl Judge<'_> {
    /// Judges one layout. Its signatures were checked when it was taken.
    pub fn layout(&mut self, layout: &Layout, authority: &Authority<'_>, nest: &Nest<'_>) -> Result<Held, Rejection> {
        // 5.2.2: expiry. Off-spec: "the time after which" reads as if that very second were valid; the reference says no (R20).
        if layout.expires <= self.now {
            return Err(Rejection::LayoutExpired { expires: layout.expires, now: self.now });
        }
        // 5.2.3.
        let layout = &layout.clone().with_parameters(self.parameters, self.profile)?;
        self.budget.layout(layout)?;
        let mut warnings = Vec::new();
        let mut remarks = remarks::of(layout, self.now);
        if let Some((at, side)) = remarks::open_list(layout).filter(|_| self.insist.closed_lists) {
            return Err(Rejection::OpenList { at, side });
        }
        let mut expires = layout.expires;
        if expires.duration_since(self.now) < EXPIRY_NEAR {
            warnings.push(format!("the layout expires at {expires}"));
        }

        // 5.2.4, 5.2.5: answers by verified key and name; enough distinct functionaries for each step. Layouts among them hold first.
        let mut view = View {
            evidence: self.evidence,
            directories: &nest.directories,
            around: &nest.around,
            profile: self.profile,
            now: self.now,
            certified: Certified::default(),
        };
        let signatures = view.envelopes().map(|held| held.envelope.signatures.as_slice());
        view.certified = Certified::find(layout, signatures, self.now, &mut self.budget)?;
        let mut found = thresholds::collect(layout, &view, &mut self.budget)?;
        let mut steps = Vec::new();
        for step in &layout.steps {
            let reports = found.entry(&step.name).or_default();
            for sublayout in std::mem::take(&mut reports.sublayouts) {
                match self.sublayout(&step.name, layout, &view.certified, &sublayout, nest) {
                    Ok(held) => {
                        expires = expires.min(held.expires);
                        let told = |text: &String| format!("step {:?}: sublayout: {text}", step.name);
                        warnings.extend(held.warnings.iter().map(told));
                        remarks.extend(held.remarks.iter().map(told));
                        reports.links.push(Report::of_sublayout(sublayout, held.summary));
                    }
                    // Nothing that a functionary did wrong: ask for them.
                    Err(missing @ Rejection::ManifestsMissing { .. }) => return Err(missing),
                    Err(cause) => reports.failed.push((sublayout.signers.join("+"), cause)),
                }
            }
            let (answers, ignored) = reports.told();
            let at = format!("{}{}", nest.path, Place::Step(step.name.clone()));
            self.trace.step(at, step.threshold, answers, ignored);
            // 5.2.6: commands that differ are told, and deny nothing.
            warnings.extend(reports.remarks(step));
            let signers = thresholds::meet(layout, step, reports, &view, &mut self.budget)?;
            if let Some(report) = reports.other_command(step).filter(|_| self.insist.commands) {
                let (step, found, expected) = (step.name.clone(), report.link.command.clone(), &step.expected_command);
                return Err(Rejection::OtherCommand { step, found, expected: expected.clone() });
            }
            let ends = reports.until.into_iter().chain(view.certified.until(step, &signers));
            expires = ends.fold(expires, Timestamp::min);
            steps.push(VerifiedStep { name: step.name.clone(), signers });
        }

        // The functionaries of a step report the same results (R26).
        let mut links = BTreeMap::new();
        for step in &layout.steps {
            let reports = found.remove(step.name.as_str()).unwrap_or_default();
            links.insert(step.name.as_str(), agreement::agree(step, reports.links, self.profile)?);
        }

        // 5.2.7: the rules of the steps, in the order of the layout, materials before products.
        let of_steps = |name: &str| links.get(name).map(sides);
        for (step, VerifiedStep { signers, .. }) in layout.steps.iter().zip(&steps) {
            let Some(item) = of_steps(&step.name) else { continue };
            let at = Place::Step(step.name.clone());
            for (side, rules) in
                [(Side::Materials, &step.expected_materials), (Side::Products, &step.expected_products)]
            {
                let held = self.hold(nest, &at, side, rules, item, of_steps, &mut remarks);
                held.map_err(|rejection| rejection.reported_by(signers))?;
            }
        }

        // 5.2.8: all inspections, then 5.2.9: their rules, which may name one another.
        let told = match layout.inspections.iter().all(inspection::is_built_in) {
            true => Told::default(),
            false => Told::find(authority, &view, &mut self.budget)?,
        };
        let mut seen = BTreeMap::new();
        for inspection in &layout.inspections {
            let link = || {
                let (link, until) = told.of(inspection, authority.needed, self.profile)?;
                self.budget.artifacts(&link)?;
                expires = until.map_or(expires, |until| until.min(expires));
                Ok(link)
            };
            seen.insert(inspection.name.as_str(), inspection::see(inspection, self.image, link)?);
        }
        let of_all = |name: &str| of_steps(name).or_else(|| seen.get(name).map(sides_seen));
        let mut tied = BTreeSet::new();
        for inspection in &layout.inspections {
            let Some(what) = seen.get(inspection.name.as_str()) else { continue };
            let at = Place::Inspection(inspection.name.clone());
            for (side, rules) in
                [(Side::Materials, &inspection.expected_materials), (Side::Products, &inspection.expected_products)]
            {
                let matched = self.hold(nest, &at, side, rules, sides_seen(what), of_all, &mut remarks)?;
                // A MATCH between inspections compares the image with itself: only a step ties it. And only what was looked at is tied.
                if matches!(what, Seen::BuiltIn(_)) {
                    let of_steps = matched.into_iter().filter(|(_, from)| links.contains_key(from));
                    tied.extend(of_steps.map(|(name, _)| name.to_owned()));
                }
            }
        }

        let summary = summary(layout, &links);
        Ok(Held { steps, expires, warnings, remarks, summary, tied })
    }

    /// A layout in the place of a link: judged with those functionaries of the step who signed it as its owners (specification 4.5).
    fn sublayout<'s>(
        &mut self,
        step: &str,
        layout: &Layout,
        certified: &Certified<'_>,
        sublayout: &Sublayout<'s>,
        nest: &Nest<'s>,
    ) -> Result<Held, Rejection> {
        self.budget.sublayout(nest.around.len() + 1)?;
        let listed = |id: &String| layout.keys.get(id)?.as_ref().ok();
        let key = |id: &String| {
            let key = listed(id).or_else(|| certified.key(step, id))?;
            Some(NamedKey { name: id.clone(), key: key.clone() })
        };
        let ring = KeyRing::new(sublayout.signers.iter().filter_map(key).collect());
        let Content::Layout(value) = Content::of(sublayout.held, self.profile) else {
            return Err(Rejection::NotALayout { found: None });
        };
        let inner = Layout::read(&value, self.profile)?;
        let beginning: String = sublayout.signers.iter().flat_map(|id| id.chars().take(8)).take(8).collect();
        let directory = match sublayout.held.hint() {
            Some((step, key)) => format!("{step}.{key}"),
            None => format!("{step}.{beginning}"),
        };
        let nest = Nest {
            path: format!("{}{} / ", nest.path, Place::Step(step.to_owned())),
            directories: nest.directories.iter().cloned().chain([directory]).collect(),
            around: nest.around.iter().cloned().chain([sublayout.held.record()]).collect(),
        };
        self.layout(&inner, &Authority { ring: &ring, needed: 1 }, &nest)
    }

    /// Applies one list of rules. Gives what its MATCHes consumed, by name and where from.
    #[expect(clippy::too_many_arguments, reason = "one list of rules has so much around it")]
    fn hold<'a>(
        &mut self,
        nest: &Nest<'_>,
        at: &Place,
        side: Side,
        rules: &'a [Rule],
        item: Sides<'a>,
        destination: impl Fn(&str) -> Option<Sides<'a>>,
        remarks: &mut Vec<String>,
    ) -> Result<Vec<(&'a str, &'a str)>, Rejection> {
        self.budget.rules(rules, item.of(side))?;
        let mut runs = Vec::new();
        let outcome = rules::apply(rules, side, item, destination, self.profile, &mut runs);
        self.trace.rules(&nest.path, at, side, item.of(side).len(), &runs);
        outcome.map_err(|violation| Rejection::Rule { at: at.clone(), by: Vec::new(), violation })?;
        let mut matched = Vec::new();
        for run in runs {
            let Rule::Match { from, .. } = run.rule else { continue };
            if run.artifacts.is_empty() {
                remarks.push(format!("{at}: {} matched nothing in the {}", run.rule, side.as_str()));
            }
            matched.extend(run.artifacts.into_iter().map(|name| (name, from.as_str())));
        }
        Ok(matched)
    }
}

fn sides(link: &Link) -> Sides<'_> {
    Sides { materials: &link.materials, products: &link.products }
}

fn sides_seen(seen: &Seen) -> Sides<'_> {
    match seen {
        Seen::BuiltIn(artifacts) => Sides { materials: artifacts, products: artifacts },
        Seen::Told(link) => sides(link),
    }
}

/// The materials of the first step and what the last one made of them.
fn summary(layout: &Layout, links: &BTreeMap<&str, Link>) -> Link {
    let link = |step: Option<&crate::intoto::Step>| step.and_then(|step| links.get(step.name.as_str()));
    let (first, last) = (link(layout.steps.first()), link(layout.steps.last()));
    let empty = || Value::Object(Vec::new());
    Link {
        name: String::new(),
        command: last.map(|link| link.command.clone()).unwrap_or_default(),
        materials: first.map_or_else(Artifacts::new, |link| link.materials.clone()),
        products: last.map_or_else(Artifacts::new, |link| link.products.clone()),
        byproducts: last.map_or_else(empty, |link| link.byproducts.clone()),
        environment: last.map_or_else(empty, |link| link.environment.clone()),
    }
}
