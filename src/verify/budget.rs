//! What one verification may cost. Everything a layout or a link can blow up is counted here before it is worked on.

use super::Piece;
use crate::intoto::{Artifacts, Layout, Link, Rule};

/// The bounds, each with its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Envelopes of one verification. Ours: `links_per_step_max` for each of `steps_max`.
    pub envelopes_max: usize,
    /// Their bytes. Twice what one review may fetch (security §2.D8), since two sources may hold the same.
    pub evidence_bytes_max: usize,
    /// Steps of a layout, and inspections of a layout (security §2.D9).
    pub steps_max: usize,
    /// Valid links of one step (security §2.D9).
    pub links_per_step_max: usize,
    /// Artifact rules of a layout. Ours: to name each of a thousand files in every list of 25 steps. What rules cost is bounded below.
    pub rules_max: usize,
    /// Materials and products of one link (security §2.E5).
    pub artifacts_max: usize,
    /// Rules times the artifacts they look at, over the whole layout (security §2.E5). Where names are long, or a rule looks at them more
    /// than once, so many of their bytes are one.
    pub rules_times_artifacts_max: usize,
    /// Layouts of the owners that are tried for one image, newest first. Ours: owners publish few at a time.
    pub layouts_max: usize,
    /// Layouts inside layouts inside layouts (R27). Ours: deeper than any organisation is.
    pub sublayouts_deep_max: usize,
    /// Sublayouts that are judged for one root layout (R27). Ours: one for each of many vendors.
    pub sublayouts_max: usize,
    /// Distinct certificates that come with the evidence, counted again for each sublayout. Ours: several for each of `steps_max`; to look
    /// at one costs up to a millisecond.
    pub certificates_max: usize,
    /// Signatures of one envelope that are looked at (security §2.D9).
    pub signatures_max: usize,
    /// Verifications of one envelope's signatures under all keys. Ours: 128 of a short message cost some 10 ms, whoever made it. One under a
    /// key of DSA counts as several.
    pub attempts_max: usize,
    /// Every verification hashes its message anew. Ours: so many bytes in all cost less than a second, and as many for all sublayouts
    /// together; where there is much evidence, each envelope gets fewer attempts …
    pub hashed_bytes_max: usize,
    /// … but these: one for each owner or functionary of a step, as good envelopes name their keys.
    pub attempts_min: usize,
    /// Bytes hashed to say why something does not count, for all layouts together; what is more is not said. Ours: as two large links.
    pub explained_bytes_max: usize,
}

impl Limits {
    /// What the webhook and every command verify with.
    pub const DEFAULT: Limits = Limits {
        envelopes_max: 8_192,
        evidence_bytes_max: 64 << 20,
        steps_max: 128,
        links_per_step_max: 64,
        rules_max: 50_000,
        artifacts_max: 100_000,
        rules_times_artifacts_max: 10_000_000,
        layouts_max: 16,
        sublayouts_deep_max: 8,
        sublayouts_max: 64,
        certificates_max: 2_048,
        signatures_max: 64,
        attempts_max: 128,
        hashed_bytes_max: 256 << 20,
        attempts_min: 16,
        explained_bytes_max: 16 << 20,
    };
}

/// What a rule costs that names its artifact, to be read and looked up, in artifacts that another looks at. Ours: measured.
const LOOKS_OF_A_NAME: usize = 20;
/// How many bytes of names are looked at for the price of one artifact. Ours: longer than names of files are.
const BYTES_OF_A_LOOK: usize = 64;

/// What there is too much of (→ `layout_too_complex`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} {what}, more than {max}")]
pub struct Excess {
    /// Steps, inspections, rules, …, and of what.
    pub what: String,
    pub found: usize,
    pub max: usize,
}

/// Checks the evidence before any of it is read. Gives how often the signatures of each envelope may be tried.
pub(super) fn evidence(pieces: &[Piece<'_>], limits: &Limits) -> Result<usize, Excess> {
    let bytes: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
    at_most("envelopes", pieces.len(), limits.envelopes_max)?;
    at_most("bytes of evidence", bytes, limits.evidence_bytes_max)?;
    Ok((limits.hashed_bytes_max / bytes.max(1)).clamp(limits.attempts_min, limits.attempts_max))
}

/// Counts what a root layout costs, its sublayouts with it.
pub(super) struct Budget {
    limits: Limits,
    rules_times_artifacts: usize,
    hashed: usize,
    explained: usize,
    sublayouts: usize,
    certificates: usize,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Budget {
        Budget { limits, rules_times_artifacts: 0, hashed: 0, explained: 0, sublayouts: 0, certificates: 0 }
    }

    /// Checks a layout itself.
    pub(super) fn layout(&self, layout: &Layout) -> Result<(), Excess> {
        let limits = &self.limits;
        at_most("steps", layout.steps.len(), limits.steps_max)?;
        at_most("inspections", layout.inspections.len(), limits.steps_max)?;
        let of_steps = layout.steps.iter().map(|step| step.expected_materials.len() + step.expected_products.len());
        let of_inspections =
            layout.inspections.iter().map(|item| item.expected_materials.len() + item.expected_products.len());
        at_most("artifact rules", of_steps.chain(of_inspections).sum(), limits.rules_max)
    }

    /// Pays for one more sublayout, so many layouts deep.
    pub(super) fn sublayout(&mut self, depth: usize) -> Result<(), Excess> {
        self.sublayouts += 1;
        at_most("layouts inside one another", depth, self.limits.sublayouts_deep_max)?;
        at_most("sublayouts", self.sublayouts, self.limits.sublayouts_max)
    }

    /// Pays for verifications of signatures over so many bytes each, in sublayouts.
    pub(super) fn hashed(&mut self, attempts: usize, bytes: usize) -> Result<(), Excess> {
        self.hashed = self.hashed.saturating_add(attempts.saturating_mul(bytes));
        at_most("bytes hashed for sublayouts", self.hashed, self.limits.hashed_bytes_max)
    }

    /// Pays for saying why an envelope of so many bytes does not count. False: it is not said.
    pub(super) fn explains(&mut self, attempts: usize, bytes: usize) -> bool {
        self.explained = self.explained.saturating_add(attempts.saturating_mul(bytes));
        self.explained <= self.limits.explained_bytes_max
    }

    /// Pays for certificates before any of them is read.
    pub(super) fn certificates(&mut self, found: usize) -> Result<(), Excess> {
        self.certificates = self.certificates.saturating_add(found);
        at_most("certificates", self.certificates, self.limits.certificates_max)
    }

    pub(super) fn links(&self, step: &str, links: usize) -> Result<(), Excess> {
        at_most(&format!("links of step {step:?}"), links, self.limits.links_per_step_max)
    }

    pub(super) fn artifacts(&self, link: &Link) -> Result<(), Excess> {
        let found = link.materials.len() + link.products.len();
        at_most(&format!("artifacts in a link of step {:?}", link.name), found, self.limits.artifacts_max)
    }

    /// Pays for applying a list of rules to a list of artifacts. A rule that names its artifact looks it up, whatever their number.
    pub(super) fn rules(&mut self, rules: &[Rule], artifacts: &Artifacts) -> Result<(), Excess> {
        let looks = |rule: &Rule| match rule.pattern() {
            Some(pattern) if pattern.literal().is_none() => {
                let bytes = artifacts.name_bytes().saturating_mul(pattern.weight());
                artifacts.len().max(bytes / BYTES_OF_A_LOOK)
            }
            _ => LOOKS_OF_A_NAME,
        };
        let looks = rules.iter().map(looks).fold(0, usize::saturating_add);
        self.rules_times_artifacts = self.rules_times_artifacts.saturating_add(looks);
        at_most("rules times artifacts", self.rules_times_artifacts, self.limits.rules_times_artifacts_max)
    }
}

fn at_most(what: &str, found: usize, max: usize) -> Result<(), Excess> {
    if found <= max { Ok(()) } else { Err(Excess { what: what.to_owned(), found, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        intoto::{Inspection, Step},
        json::Value,
    };

    fn open(layout: &Layout) -> Result<Budget, Excess> {
        let budget = Budget::new(Limits::DEFAULT);
        budget.layout(layout).map(|()| budget)
    }

    fn attempts(sizes: &[usize], limits: &Limits) -> Result<usize, Excess> {
        let bytes: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0; *size]).collect();
        evidence(&bytes.iter().map(|bytes| Piece::of(bytes)).collect::<Vec<_>>(), limits)
    }

    fn layout(steps: usize, rules: usize) -> Layout {
        let rule = Rule::parse(&["ALLOW", "*"].map(|word| Value::String(word.to_owned()))).unwrap();
        let step = |at: usize| Step {
            name: format!("s{at}"),
            threshold: 1,
            pubkeys: Vec::new(),
            cert_constraints: Vec::new(),
            expected_command: Vec::new(),
            expected_materials: if at == 0 { vec![rule.clone(); rules / 2] } else { Vec::new() },
            expected_products: Vec::new(),
        };
        let inspection = Inspection {
            name: "image".to_owned(),
            run: Vec::new(),
            expected_materials: Vec::new(),
            expected_products: vec![rule.clone(); rules - rules / 2],
        };
        Layout {
            expires: jiff::Timestamp::UNIX_EPOCH,
            readme: String::new(),
            keys: Default::default(),
            authorities: Default::default(),
            steps: (0..steps).map(step).collect(),
            inspections: vec![inspection],
        }
    }

    fn artifacts(count: usize) -> Artifacts {
        (0..count).map(|at| (format!("a{at}"), Default::default())).collect()
    }

    fn link(materials: usize, products: usize) -> Link {
        Link {
            name: "s0".to_owned(),
            command: Vec::new(),
            materials: artifacts(materials),
            products: artifacts(products),
            byproducts: Value::Null,
            environment: Value::Null,
        }
    }

    #[test]
    fn steps_and_rules_of_a_layout_are_counted() {
        assert!(open(&layout(128, 50_000)).is_ok());
        let excess = open(&layout(129, 0)).err().unwrap();
        assert_eq!((excess.what.as_str(), excess.found, excess.max), ("steps", 129, 128));
        let excess = open(&layout(1, 50_001)).err().unwrap();
        assert_eq!((excess.what.as_str(), excess.found, excess.max), ("artifact rules", 50_001, 50_000));
    }

    #[test]
    fn links_and_their_artifacts_are_counted() {
        let budget = open(&layout(1, 0)).unwrap();
        assert!(budget.links("s0", 64).is_ok());
        assert_eq!(budget.links("s0", 65).err().unwrap().to_string(), "65 links of step \"s0\", more than 64");
        assert!(budget.artifacts(&link(50_000, 50_000)).is_ok());
        assert_eq!(budget.artifacts(&link(50_000, 50_001)).err().unwrap().found, 100_001);
    }

    #[test]
    fn rules_times_artifacts_add_up() {
        let layout = layout(1, 2_000 / 2);
        let rules = &layout.steps[0].expected_materials;
        let mut budget = open(&layout).unwrap();
        let artifacts = artifacts(10_000);
        assert_eq!(rules.len() * artifacts.len(), 5_000_000);
        assert!(budget.rules(rules, &artifacts).is_ok());
        assert!(budget.rules(rules, &artifacts).is_ok());
        assert_eq!(budget.rules(&rules[..1], &artifacts).err().unwrap().found, 10_010_000);
    }

    #[test]
    fn rules_that_name_their_artifact_cost_the_same_among_many() {
        let mut budget = Budget::new(Limits::DEFAULT);
        let artifacts = artifacts(10_000);
        for words in [&["ALLOW", "a"][..], &["REQUIRE", "a*"], &["MATCH", "a[*]", "WITH", "PRODUCTS", "FROM", "s0"]] {
            let words: Vec<Value> = words.iter().map(|word| Value::from(*word)).collect();
            budget.rules(&vec![Rule::parse(&words).unwrap(); 1_000], &artifacts).unwrap();
        }
        assert_eq!(budget.rules_times_artifacts, 60_000);
        let rule = Rule::parse(&["ALLOW", "a"].map(Value::from)).unwrap();
        assert!(budget.rules(&vec![rule; 500_000], &artifacts).is_err(), "and still something");
    }

    #[test]
    fn long_names_and_heavy_patterns_cost_more() {
        let long: Artifacts = (0..100).map(|at| (format!("{at:0640}"), Default::default())).collect();
        for (pattern, looks) in [("*a*", 1_000), ("a*", 1_000), ("*a?b*", 3_000), ("a", 20)] {
            let mut budget = Budget::new(Limits::DEFAULT);
            budget.rules(&[Rule::parse(&["ALLOW", pattern].map(Value::from)).unwrap()], &long).unwrap();
            assert_eq!(budget.rules_times_artifacts, looks, "{pattern}");
        }
        // Some 8 MB of names, the most that a link has, against a thousand rules.
        let names: Artifacts = (0..10_000).map(|at| (format!("{at:0800}"), Default::default())).collect();
        let rule = Rule::parse(&["ALLOW", "*x*"].map(Value::from)).unwrap();
        let excess = Budget::new(Limits::DEFAULT).rules(&vec![rule; 1_000], &names).unwrap_err();
        assert_eq!(excess.found, 125_000_000);
    }

    #[test]
    fn sublayouts_have_a_depth_a_number_and_a_cost() {
        let limits = Limits { sublayouts_deep_max: 2, sublayouts_max: 3, hashed_bytes_max: 10, ..Limits::DEFAULT };
        let mut budget = Budget::new(limits);
        assert!(budget.sublayout(2).is_ok());
        assert_eq!(budget.sublayout(3).unwrap_err().to_string(), "3 layouts inside one another, more than 2");
        assert!(budget.sublayout(1).is_ok());
        assert_eq!(budget.sublayout(1).unwrap_err().to_string(), "4 sublayouts, more than 3");
        assert!(budget.hashed(2, 5).is_ok());
        assert!(budget.hashed(1, 1).is_err());
    }

    #[test]
    fn what_is_said_of_strangers_has_a_cost() {
        let limits = Limits { explained_bytes_max: 10, ..Limits::DEFAULT };
        let mut budget = Budget::new(limits);
        assert!(budget.explains(2, 5));
        assert!(!budget.explains(1, 1));
    }

    #[test]
    fn evidence_is_counted_before_it_is_read() {
        let limits = Limits { envelopes_max: 2, evidence_bytes_max: 5, ..Limits::DEFAULT };
        assert!(attempts(&[2, 3], &limits).is_ok());
        assert!(attempts(&[3, 3], &limits).is_err());
        assert!(attempts(&[0, 0, 0], &limits).is_err());
    }

    #[test]
    fn much_evidence_is_hashed_less_often() {
        let attempts = |bytes: usize| attempts(&[bytes], &Limits::DEFAULT).unwrap();
        assert_eq!((attempts(0), attempts(2 << 20), attempts(4 << 20), attempts(64 << 20)), (128, 128, 64, 16));
    }
}
