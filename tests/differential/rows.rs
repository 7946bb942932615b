//! Hostile and borderline chains by hand, each with the verdict that the strict profile owes. Those that are numbered are known as such
//! to `docs/in-toto.md`, which a test writes from here.

use super::case::{By, Case, Doc, file_name, layout, link, step};
use serde_json::{Value, json};

#[path = "rows/layouts.rs"]
mod layouts;
#[path = "rows/links.rs"]
mod links;
#[path = "rows/rules.rs"]
mod rules;
#[path = "rows/sublayouts.rs"]
mod sublayouts;

pub struct Row {
    pub id: &'static str,
    pub what: &'static str,
    /// Our reason, or `verified`.
    pub strict: &'static str,
    pub case: Case,
    /// An inspection that the peers would execute: given to ours alone.
    pub executes: bool,
}

/// All rows, those with numbers first.
pub fn all() -> Vec<Row> {
    let mut rows: Vec<Row> =
        [links::rows(), rules::rows(), layouts::rows(), sublayouts::rows()].into_iter().flatten().collect();
    rows.sort_by_key(|row| row.id.parse().unwrap_or(u32::MAX));
    rows
}

/// `fetch` by fred makes two files, `build` by bea or ben makes `api` of them.
fn two_steps() -> Case {
    let steps = vec![
        step("fetch", &["fred"], json!([["DISALLOW", "*"]]), json!([["CREATE", "src/*"], ["DISALLOW", "*"]])),
        step(
            "build",
            &["bea", "ben"],
            json!([["MATCH", "src/*", "WITH", "PRODUCTS", "FROM", "fetch"], ["DISALLOW", "*"]]),
            json!([["CREATE", "api"], ["DISALLOW", "*"]]),
        ),
    ];
    let sources = super::case::artifacts(&["src/main.c", "src/util.c"]);
    let mut case = of_layout(layout(&["fred", "bea", "ben", "dora"], steps));
    case.add_link("fetch", "fred", Doc::new(link("fetch", json!({}), sources.clone()), &["fred"], true));
    let api = super::case::artifacts(&["api"]);
    case.add_link("build", "bea", Doc::new(link("build", sources, api), &["bea"], true));
    case
}

fn of_layout(signed: Value) -> Case {
    let layout = Doc::layout(signed, &["olga"], true);
    Case {
        owners: vec!["olga".to_owned()],
        layout,
        did: Vec::new(),
        parameters: Default::default(),
        files: Default::default(),
    }
}

/// One step, `a` by fred, with these products and the rules for them.
fn one_step(products: Value, rules: Value) -> Case {
    let mut case = of_layout(layout(&["fred", "bea", "ben", "dora"], vec![step("a", &["fred"], json!([]), rules)]));
    case.add_link("a", "fred", Doc::new(link("a", json!({}), products), &["fred"], true));
    case
}

/// The products of `a`, the materials of `b`, and the rules for these.
fn matched(products: Value, materials: Value, rules: Value) -> Case {
    let mut case = one_step(products, json!([]));
    case.layout.signed["steps"].as_array_mut().unwrap().push(step("b", &["bea"], rules, json!([])));
    case.add_link("b", "bea", Doc::new(link("b", materials, json!({})), &["bea"], true));
    case
}

fn row(id: &'static str, what: &'static str, strict: &'static str, case: Case) -> Row {
    Row { id, what, strict, case: with(case, |case| case.did.push(id)), executes: false }
}

/// The chain, changed.
fn with(mut case: Case, change: impl FnOnce(&mut Case)) -> Case {
    change(&mut case);
    case
}
