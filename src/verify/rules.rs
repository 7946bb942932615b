//! Artifact rules on a queue of names (specification 4.3.3; in-toto §1.11). Names are compared as they are; nothing is normalised.
//!
//! Names are sorted once. A rule with a literal is a binary search, one with a literal beginning looks only at the names that begin so.

use super::rejection::names;
use crate::{
    digest::DigestSet,
    intoto::{Artifacts, Profile, Rule, artifacts::Cursor, rule::Side},
    json::readable,
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
        let (rule, side, names) = (&self.rule, self.side.as_str(), names(&self.artifacts));
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
            (Some(from), Some(first)) => write!(f, " ({} is not what {from:?} has under that name)", readable(first)),
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
        // A queue offers its names in their order, so each table is walked through once.
        let (mut before, mut after) = (item.materials.cursor(), item.products.cursor());
        let mut consumed = Vec::new();
        match rule {
            Rule::Create(pattern) => {
                let created = |name: &str, _: &DigestSet| before.seek(name).is_none() && after.seek(name).is_some();
                consumed = queue.consume(pattern, "", created);
            }
            Rule::Delete(pattern) => {
                let deleted = |name: &str, _: &DigestSet| before.seek(name).is_some() && after.seek(name).is_none();
                consumed = queue.consume(pattern, "", deleted);
            }
            Rule::Modify(pattern) => {
                let changed = |name: &str, _: &DigestSet| match (before.seek(name), after.seek(name)) {
                    (Some(before), Some(after)) => !profile.same(before, after),
                    _ => false,
                };
                consumed = queue.consume(pattern, "", changed);
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
                let mut there = Counterparts::new(&prefix, destination_prefix.as_deref(), there);
                consumed = queue.consume(pattern, &prefix, |name, hashes| {
                    there.of(name).is_some_and(|other| profile.same(other, hashes))
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
            let other = Counterparts::new(&prefix, destination_prefix.as_deref(), there).of(name)?;
            (pattern.matches(rest) && !profile.same(other, hashes)).then(|| from.clone())
        }
        _ => None,
    })
}

/// What the destination of a MATCH has, asked for by the names of the source in their order: the prefix exchanged, the rest as it is.
struct Counterparts<'a, 't> {
    source_prefix: &'a str,
    /// The destination's prefix, and behind it room for the rest of a name.
    name: String,
    prefix_len: usize,
    there: Option<Cursor<'t>>,
}

impl<'a, 't> Counterparts<'a, 't> {
    fn new(source_prefix: &'a str, destination_prefix: Option<&str>, there: Option<&'t Artifacts>) -> Self {
        let name = slashed(destination_prefix);
        Counterparts { source_prefix, prefix_len: name.len(), name, there: there.map(Artifacts::cursor) }
    }

    fn of(&mut self, name: &str) -> Option<&'t DigestSet> {
        let rest = name.strip_prefix(self.source_prefix)?;
        // Strictly there are no such names. The reference joins them to a prefix as the operating system joins paths, which leads it
        // out of the folder, or into a crash (in-toto §2.2, case 26).
        let exchanged = !self.source_prefix.is_empty() || self.prefix_len > 0;
        if exchanged && (rest.starts_with('/') || rest.contains('\\')) {
            return None;
        }
        if self.prefix_len == 0 {
            return self.there.as_mut()?.seek(rest);
        }
        self.name.truncate(self.prefix_len);
        self.name.push_str(rest);
        self.there.as_mut()?.seek(&self.name)
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
        let names: Vec<_> = artifacts.iter().collect();
        Queue { consumed: vec![false; names.len()], names }
    }

    /// Takes out the names that begin with `prefix`, whose rest matches, and that `takes` wants. It is asked in their order.
    fn consume(
        &mut self,
        pattern: &Pattern,
        prefix: &str,
        mut takes: impl FnMut(&str, &DigestSet) -> bool,
    ) -> Vec<&'a str> {
        let Candidates { range, all_match } = self.candidates(pattern, prefix);
        let names = self.names.get(range.clone()).unwrap_or_default();
        let consumed = self.consumed.get_mut(range).unwrap_or_default();
        let mut taken = Vec::new();
        for ((name, hashes), consumed) in names.iter().zip(consumed) {
            if !*consumed && (all_match || fits(pattern, prefix, name)) && takes(name, hashes) {
                *consumed = true;
                taken.push(*name);
            }
        }
        taken
    }

    fn matching(&self, pattern: &Pattern) -> Vec<&'a str> {
        let Candidates { range, all_match } = self.candidates(pattern, "");
        let names = self.names.get(range.clone()).unwrap_or_default();
        let consumed = self.consumed.get(range).unwrap_or_default();
        let left = names.iter().zip(consumed).filter(|(_, consumed)| !**consumed).map(|((name, _), _)| *name);
        left.filter(|name| all_match || pattern.matches(name)).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_ok_and(|at| self.consumed.get(at) == Some(&false))
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.names.binary_search_by(|(other, _)| (*other).cmp(name))
    }

    /// Where the names stand that can match: the one of a literal, or those with the prefix and the pattern's own literal beginning.
    fn candidates(&self, pattern: &Pattern, prefix: &str) -> Candidates {
        if let Some(literal) = pattern.literal() {
            let found = if prefix.is_empty() { self.find(literal) } else { self.find(&format!("{prefix}{literal}")) };
            return Candidates { range: found.map_or(0..0, |at| at..at + 1), all_match: true };
        }
        let beginning = format!("{prefix}{}", pattern.beginning());
        let start = self.names.partition_point(|(name, _)| *name < beginning.as_str());
        let tail = self.names.get(start..).unwrap_or_default();
        let end = start + tail.partition_point(|(name, _)| name.starts_with(&beginning));
        Candidates { range: start..end, all_match: pattern.is_beginning() }
    }
}

/// The names that a rule has to look at, and whether it needs to: all there may match for where they stand.
struct Candidates {
    range: Range<usize>,
    all_match: bool,
}

fn fits(pattern: &Pattern, prefix: &str, name: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| pattern.matches(rest))
}

#[cfg(test)]
mod tests;
