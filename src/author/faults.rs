//! What a layout's reader refuses (in-toto §1.11 R31, and the rest), all of it: a verifier has enough with the first fault, who writes a
//! layout wants to hear of each.

use super::lint::{Finding, Severity};
use crate::{
    intoto::{Layout, Rule, layout::LayoutError},
    json::{self, Value},
};
use std::{collections::BTreeSet, slice::from_ref};

/// The members of a step or inspection that are lists of rules, and their names for a person.
const LISTS: [(&str, &str); 2] = [("expected_materials", "materials"), ("expected_products", "products")];

/// Of a layout that is refused with `error`: every rule that is none or names no step, every name that stands twice, and the first other
/// fault of each step, each inspection and the layout itself.
pub fn faults(value: &Value, error: &LayoutError) -> Vec<Finding> {
    let layout = Refused::new(value);
    let mut findings = layout.of_rules();
    let mut seen = Vec::new();
    for (place, error) in layout.of_the_rest() {
        if !seen.contains(&error) {
            findings.push(told(&place, &error));
            seen.push(error);
        }
    }
    // Whatever was overlooked here, nothing that is refused passes for good.
    if findings.is_empty() {
        findings.push(told("layout", error));
    }
    findings
}

/// The items of a layout that cannot be read.
struct Refused<'v> {
    value: &'v Value,
    steps: &'v [Value],
    inspections: &'v [Value],
}

impl<'v> Refused<'v> {
    fn new(value: &'v Value) -> Self {
        let list = |name| value.get(name).and_then(Value::as_array).unwrap_or_default();
        Refused { value, steps: list("steps"), inspections: list("inspect") }
    }

    /// What is wrong with each rule alone.
    fn of_rules(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let steps: BTreeSet<&str> = self.steps.iter().map(name).collect();
        let all: BTreeSet<&str> = steps.iter().copied().chain(self.inspections.iter().map(name)).collect();
        for (items, kind, known, nowhere) in
            [(self.steps, "step", &steps, "no step"), (self.inspections, "inspection", &all, "no step or inspection")]
        {
            for (item, (list, side)) in items.iter().flat_map(|item| LISTS.map(|list| (item, list))) {
                let place = format!("{kind} {:?}: {side}", name(item));
                for words in item.get(list).and_then(Value::as_array).unwrap_or_default() {
                    let Some(elements) = words.as_array() else { continue };
                    match Rule::parse(elements) {
                        Err(cause) => findings.push(finding(&place, format!("{}: {cause}", written(elements)))),
                        Ok(Rule::Match { from, .. }) if !known.contains(from.as_str()) && is_closed(&from) => {
                            findings.push(finding(&place, format!("{}: {from:?} is {nowhere}", written(elements))));
                        }
                        Ok(_) => {}
                    }
                }
            }
        }
        findings
    }

    /// What is wrong beside the rules, and where: of the layout with each item alone, then with all of them.
    fn of_the_rest(&self) -> Vec<(String, LayoutError)> {
        let one = |steps: &[Value], inspections: &[Value]| Layout::from_value(&self.with(steps, inspections)).err();
        let at = |kind: &str, item: &Value| format!("{kind} {:?}", name(item));
        let steps = self.steps.iter().map(|step| (at("step", step), one(from_ref(step), &[])));
        let inspections = self.inspections.iter().map(|item| {
            // It alone is a layout without steps, which says nothing of the inspection.
            let error = one(&[], from_ref(item)).filter(|error| *error != LayoutError::NoSteps);
            (at("inspection", item), error)
        });
        let whole = one(self.steps, self.inspections);
        let layout = self.twice().map(Some).chain([whole]).map(|error| ("layout".to_owned(), error));
        steps.chain(inspections).chain(layout).filter_map(|(place, error)| Some((place, error?))).collect()
    }

    /// Every name that two items have.
    fn twice(&self) -> impl Iterator<Item = LayoutError> {
        let mut seen = BTreeSet::new();
        let names = self.steps.iter().chain(self.inspections).map(name).filter(|name| !name.is_empty());
        let again: BTreeSet<&str> = names.filter(|name| !seen.insert(*name)).collect();
        again.into_iter().map(|name| LayoutError::DuplicateName(name.to_owned()))
    }

    /// The layout with these items alone, and without their rules: those have been told of. What is no list of lists stays.
    fn with(&self, steps: &[Value], inspections: &[Value]) -> Value {
        let members = self.value.as_object().unwrap_or_default().iter().map(|(member, value)| {
            let items = match (member.as_str(), value) {
                ("steps", Value::Array(_)) => steps,
                ("inspect", Value::Array(_)) => inspections,
                _ => return (member.clone(), value.clone()),
            };
            (member.clone(), Value::Array(items.iter().map(without_rules).collect()))
        });
        Value::Object(members.collect())
    }
}

fn without_rules(item: &Value) -> Value {
    let Some(members) = item.as_object() else { return item.clone() };
    let lists =
        |value: &Value| value.as_array().is_some_and(|rules| rules.iter().all(|rule| rule.as_array().is_some()));
    let member = |(member, value): &(String, Value)| {
        let told = LISTS.iter().any(|(list, _)| list == member) && lists(value);
        (member.clone(), if told { Value::Array(Vec::new()) } else { value.clone() })
    };
    Value::Object(members.iter().map(member).collect())
}

/// As it stands there, or nothing.
fn name(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether no parameter stands in it: what one will name is seen when it is put in.
fn is_closed(from: &str) -> bool {
    !from.contains(['{', '}'])
}

/// The rule on one line, as its author wrote it.
fn written(elements: &[Value]) -> String {
    let word = |element: &Value| element.as_str().map_or_else(|| json::to_text(element), str::to_owned);
    match elements {
        [] => "[]".to_owned(),
        elements => elements.iter().map(word).collect::<Vec<_>>().join(" "),
    }
}

/// An error of the reader names its place in front; one that names another than this is about the layout.
fn told(place: &str, error: &LayoutError) -> Finding {
    let error = error.to_string();
    for place in [place, "layout"] {
        if let Some(message) = error.strip_prefix(place).and_then(|rest| rest.strip_prefix(": ")) {
            return finding(place, message.to_owned());
        }
    }
    finding("layout", error)
}

fn finding(place: &str, message: String) -> Finding {
    Finding { severity: Severity::Error, place: place.to_owned(), message }
}
