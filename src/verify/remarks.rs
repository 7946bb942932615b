//! What the owners of a layout should know about it, though it is valid: for `verify`, not for whoever deploys.

use super::rejection::short;
use crate::intoto::{Layout, Rule, layout::Place, rule::Side};

/// Keys that cannot be used or whose id is nobody's derivation (R16), patterns that mean something else (R30), lists whose end lets in
/// whatever is left (R32).
pub(super) fn of(layout: &Layout) -> Vec<String> {
    let mut remarks = Vec::new();
    for (id, key) in &layout.keys {
        match key {
            Err(cause) => remarks.push(format!("the layout's key {} cannot be used: {cause}", short(id))),
            Ok(key) if !key.ids().contains(id) => {
                remarks.push(format!("the layout's key {} has an id that no known way derives from it", short(id)));
            }
            Ok(_) => {}
        }
    }
    for step in &layout.steps {
        let at = Place::Step(step.name.clone());
        list(&at, Side::Materials, &step.expected_materials, &mut remarks);
        list(&at, Side::Products, &step.expected_products, &mut remarks);
    }
    for inspection in &layout.inspections {
        let at = Place::Inspection(inspection.name.clone());
        list(&at, Side::Materials, &inspection.expected_materials, &mut remarks);
        // What a built-in sees is the same before and after: one list is enough.
        if !inspection.expected_products.is_empty() {
            list(&at, Side::Products, &inspection.expected_products, &mut remarks);
        }
    }
    remarks
}

fn list(at: &Place, side: Side, rules: &[Rule], remarks: &mut Vec<String>) {
    for rule in rules {
        if let Some(lint) = rule.pattern().and_then(|pattern| pattern.lint()) {
            remarks.push(format!("{at}: {rule}: {lint}"));
        }
    }
    if !matches!(rules.last(), Some(Rule::Disallow(pattern)) if pattern.as_str() == "*") {
        remarks.push(format!(
            "{at}: the rules for the {} do not end in DISALLOW *: what is left is let in",
            side.as_str()
        ));
    }
}
