//! What the owners of a layout should know about it, though it is valid: for `verify`, not for whoever deploys.

use super::{inspection, rejection::short};
use crate::intoto::{Layout, Rule, layout::Place, rule::Side};
use jiff::Timestamp;

/// Keys that cannot be used or whose id is nobody's derivation (R16), patterns that mean something else (R30), lists whose end lets in
/// whatever is left (R32).
pub(super) fn of(layout: &Layout, now: Timestamp) -> Vec<String> {
    let mut remarks = Vec::new();
    for (id, key) in &layout.keys {
        match key.as_ref().map_err(Clone::clone).and_then(|key| key.usable_at(now).map(|()| key)) {
            Err(cause) => remarks.push(format!("the layout's key {} cannot be used: {cause}", short(id))),
            Ok(key) if !key.ids().contains(id) => {
                remarks.push(format!("the layout's key {} has an id that no known way derives from it", short(id)));
            }
            Ok(_) => {}
        }
    }
    for (at, side, rules) in lists(layout) {
        for rule in rules {
            if let Some(lint) = rule.pattern().and_then(|pattern| pattern.lint()) {
                remarks.push(format!("{at}: {rule}: {lint}"));
            }
        }
        if is_open(rules) {
            let side = side.as_str();
            remarks.push(format!("{at}: the rules for the {side} do not end in DISALLOW *: what is left is let in"));
        }
    }
    remarks
}

/// The first list of rules whose end lets in what is left.
pub(super) fn open_list(layout: &Layout) -> Option<(Place, Side)> {
    lists(layout).find(|(.., rules)| is_open(rules)).map(|(at, side, _)| (at, side))
}

/// The lists that judge something. What a built-in sees is the same before and after: one list is enough there.
fn lists(layout: &Layout) -> impl Iterator<Item = (Place, Side, &Vec<Rule>)> {
    let of_steps = layout.steps.iter().flat_map(|step| {
        let at = Place::Step(step.name.clone());
        [(at.clone(), Side::Materials, &step.expected_materials), (at, Side::Products, &step.expected_products)]
    });
    let of_inspections = layout.inspections.iter().flat_map(|item| {
        let at = Place::Inspection(item.name.clone());
        let both = !item.expected_products.is_empty() || !inspection::is_built_in(item);
        let products = both.then_some(&item.expected_products);
        let products = products.map(|rules| (at.clone(), Side::Products, rules));
        std::iter::once((at, Side::Materials, &item.expected_materials)).chain(products)
    });
    of_steps.chain(of_inspections)
}

fn is_open(rules: &[Rule]) -> bool {
    !matches!(rules.last(), Some(Rule::Disallow(pattern)) if pattern.as_str() == "*")
}
