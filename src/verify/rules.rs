//! Artifact rules on a queue of names (specification 4.3.3; in-toto §1.11). Names are compared as they are; nothing is normalised.
//!
//! Names are sorted once. A rule with a literal is a binary search, one with a literal beginning looks only at the names that begin so.

use crate::{
    digest::DigestSet,
    intoto::{Artifacts, Profile, Rule, rule::Side},
    pattern::Pattern,
};
use std::ops::Range;

/// How many artifacts a message names.
pub(super) const NAMED_MAX: usize = 3;

/// Materials and products of one step or inspection.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    pub materials: &'a Artifacts,
    pub products: &'a Artifacts,
}

impl<'a> Sides<'a> {
    /// The artifacts of one side.
    pub fn of(self, side: Side) -> &'a Artifacts {
        match side {
            Side::Materials => self.materials,
            Side::Products => self.products,
        }
    }
}

/// The rule that failed, and the artifacts it failed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// As written.
    pub rule: Rule,
    pub side: Side,
    /// The first few artifacts, sorted: what DISALLOW found, or the one that REQUIRE missed.
    pub artifacts: Vec<String>,
    /// How many there are.
    pub count: usize,
    /// Where the first of them was looked for by a MATCH of the same list, and found with other hashes: that step or inspection.
    pub differs_from: Option<String>,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (rule, side, names) = (&self.rule, self.side.as_str(), self.artifacts.join(", "));
        match &self.rule {
            Rule::Require(_) => write!(f, "{rule} is not met: no such name is left in the {side}")?,
            _ => write!(f, "{rule} left {names}")?,
        }
        match self.count.saturating_sub(self.artifacts.len()) {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        if !matches!(self.rule, Rule::Require(_)) {
            write!(f, " in the {side}")?;
        }
        match (&self.differs_from, self.artifacts.first()) {
            (Some(from), Some(first)) => write!(f, " ({first} is not what {from:?} has under that name)"),
            _ => Ok(()),
        }
    }
}

/// What one rule did.
#[derive(Debug)]
pub struct Run<'a> {
    pub rule: &'a Rule,
    /// What it consumed, sorted; of a rule that failed: what it failed over.
    pub artifacts: Vec<&'a str>,
    pub failed: bool,
}

/// Applies the rules of one side in their order. `destination` gives the link of a step (or inspection) by name. What each rule did goes to
/// `runs`, the one that failed last.
pub fn apply<'a>(
    rules: &'a [Rule],
    side: Side,
    item: Sides<'a>,
    destination: impl Fn(&str) -> Option<Sides<'a>>,
    profile: Profile,
    runs: &mut Vec<Run<'a>>,
) -> Result<(), Box<Violation>> {
    let mut queue = Queue::new(item.of(side));
    for rule in rules {
        let mut consumed = Vec::new();
        match rule {
            Rule::Create(pattern) => {
                consumed = queue.consume(pattern, "", |name, _| {
                    !item.materials.contains_key(name) && item.products.contains_key(name)
                });
            }
            Rule::Delete(pattern) => {
                consumed = queue.consume(pattern, "", |name, _| {
                    item.materials.contains_key(name) && !item.products.contains_key(name)
                });
            }
            Rule::Modify(pattern) => {
                let changed = |name: &str| match (item.materials.get(name), item.products.get(name)) {
                    (Some(before), Some(after)) => !profile.same(before, after),
                    _ => false,
                };
                consumed = queue.consume(pattern, "", |name, _| changed(name));
            }
            Rule::Allow(pattern) => {
                consumed = queue.consume(pattern, "", |_, _| true);
            }
            Rule::Disallow(pattern) => {
                let left = queue.matching(pattern);
                if let Some(first) = left.first() {
                    let differs_from = differs_from(rules, rule, item.of(side), first, &destination, profile);
                    let violation = violation(rule, side, &left, differs_from);
                    runs.push(Run { rule, artifacts: left, failed: true });
                    return Err(violation);
                }
            }
            Rule::Require(name) => {
                if !queue.has(name) {
                    runs.push(Run { rule, artifacts: Vec::new(), failed: true });
                    return Err(violation(rule, side, &[name], None));
                }
            }
            Rule::Match { pattern, source_prefix, side, destination_prefix, from } => {
                let prefix = slashed(source_prefix.as_deref());
                let there = destination(from).map(|sides| sides.of(*side));
                consumed = queue.consume(pattern, &prefix, |name, hashes| {
                    counterpart(name, &prefix, destination_prefix.as_deref(), there)
                        .is_some_and(|other| profile.same(other, hashes))
                });
            }
        }
        runs.push(Run { rule, artifacts: consumed, failed: false });
    }
    Ok(())
}

fn violation(rule: &Rule, side: Side, artifacts: &[&str], differs_from: Option<String>) -> Box<Violation> {
    Box::new(Violation {
        rule: rule.clone(),
        side,
        artifacts: artifacts.iter().take(NAMED_MAX).map(|name| (*name).to_owned()).collect(),
        count: artifacts.len(),
        differs_from,
    })
}

/// For the message alone: the step in which an earlier MATCH found the same name with other hashes.
fn differs_from<'a>(
    rules: &[Rule],
    failed: &Rule,
    artifacts: &Artifacts,
    name: &str,
    destination: &impl Fn(&str) -> Option<Sides<'a>>,
    profile: Profile,
) -> Option<String> {
    let hashes = artifacts.get(name)?;
    rules.iter().take_while(|rule| !std::ptr::eq(*rule, failed)).find_map(|rule| match rule {
        Rule::Match { pattern, source_prefix, side, destination_prefix, from } => {
            let prefix = slashed(source_prefix.as_deref());
            let rest = name.strip_prefix(prefix.as_str())?;
            let there = destination(from).map(|sides| sides.of(*side));
            let other = counterpart(name, &prefix, destination_prefix.as_deref(), there)?;
            (pattern.matches(rest) && !profile.same(other, hashes)).then(|| from.clone())
        }
        _ => None,
    })
}

/// The hashes that the destination has for a name of the source: the prefix exchanged, the rest as it is.
fn counterpart<'t>(
    name: &str,
    source_prefix: &str,
    destination_prefix: Option<&str>,
    there: Option<&'t Artifacts>,
) -> Option<&'t DigestSet> {
    let rest = name.strip_prefix(source_prefix)?;
    // Strictly there are no such names. The reference joins them to a prefix as the operating system joins paths, which leads it out of
    // the folder, or into a crash (in-toto §2.2, case 26).
    let exchanged = !source_prefix.is_empty() || destination_prefix.is_some();
    if exchanged && (rest.starts_with('/') || rest.contains('\\')) {
        return None;
    }
    match destination_prefix {
        None => there?.get(rest),
        Some(prefix) => there?.get(&format!("{prefix}/{rest}")),
    }
}

/// A prefix as it stands in front of a name. Prefixes are not globbed.
fn slashed(prefix: Option<&str>) -> String {
    prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default()
}

/// The names that no rule has consumed yet, sorted.
struct Queue<'a> {
    names: Vec<(&'a str, &'a DigestSet)>,
    consumed: Vec<bool>,
}

impl<'a> Queue<'a> {
    fn new(artifacts: &'a Artifacts) -> Self {
        let names: Vec<_> = artifacts.iter().map(|(name, hashes)| (name.as_str(), hashes)).collect();
        Queue { consumed: vec![false; names.len()], names }
    }

    /// Takes out the names that begin with `prefix`, whose rest matches, and that `takes` wants.
    fn consume(&mut self, pattern: &Pattern, prefix: &str, takes: impl Fn(&str, &DigestSet) -> bool) -> Vec<&'a str> {
        let range = self.range(pattern, prefix);
        let names = self.names.get(range.clone()).unwrap_or_default();
        let consumed = self.consumed.get_mut(range).unwrap_or_default();
        let mut taken = Vec::new();
        for ((name, hashes), consumed) in names.iter().zip(consumed) {
            if !*consumed && fits(pattern, prefix, name) && takes(name, hashes) {
                *consumed = true;
                taken.push(*name);
            }
        }
        taken
    }

    fn matching(&self, pattern: &Pattern) -> Vec<&'a str> {
        let range = self.range(pattern, "");
        let names = self.names.get(range.clone()).unwrap_or_default();
        let consumed = self.consumed.get(range).unwrap_or_default();
        let left = names.iter().zip(consumed).filter(|((name, _), consumed)| !**consumed && fits(pattern, "", name));
        left.map(|((name, _), _)| *name).collect()
    }

    fn has(&self, name: &str) -> bool {
        let at = self.names.binary_search_by(|(other, _)| (*other).cmp(name));
        at.is_ok_and(|at| self.consumed.get(at) == Some(&false))
    }

    /// Where the names stand that can match at all: those with the prefix and the pattern's own literal beginning.
    fn range(&self, pattern: &Pattern, prefix: &str) -> Range<usize> {
        let text = pattern.as_str();
        let literal = pattern.literal().unwrap_or_else(|| text.split(['*', '?', '[']).next().unwrap_or_default());
        let beginning = format!("{prefix}{literal}");
        let start = self.names.partition_point(|(name, _)| *name < beginning.as_str());
        let tail = self.names.get(start..).unwrap_or_default();
        start..start + tail.partition_point(|(name, _)| name.starts_with(&beginning))
    }
}

fn fits(pattern: &Pattern, prefix: &str, name: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| match pattern.literal() {
        Some(literal) => rest == literal,
        None => pattern.matches(rest),
    })
}

#[cfg(test)]
mod tests;
