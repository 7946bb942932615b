//! Steps that are answered with a layout.

use super::*;
use crate::keys::id;

/// bea answers `build` with a layout of one step, `inner` by dora, that reports what she would have.
fn answered(change: impl FnOnce(&mut Doc, &mut Doc)) -> Case {
    with(two_steps(), |case| {
        let allow = json!([["ALLOW", "*"]]);
        let signed = layout(&["dora"], vec![step("inner", &["dora"], allow.clone(), allow)]);
        let of_build = case.link("build", "bea").signed.clone();
        let inner = link("inner", of_build["materials"].clone(), of_build["products"].clone());
        let (mut layout, mut inner) = (Doc::new(signed, &["bea"], true), Doc::new(inner, &["dora"], true));
        change(&mut layout, &mut inner);
        let folder = format!("build.{}", &id("bea")[..8]);
        case.files.insert(format!("{folder}/{}", file_name("inner", &id("dora"))), inner);
        case.add_link("build", "bea", layout);
    })
}

/// Forty layouts, each the answer to the only step of the one before, and a link at the bottom.
fn forty_deep() -> Case {
    let allow = json!([["ALLOW", "*"]]);
    let mut deeper = layout(&["fred"], vec![step("a", &["fred"], allow.clone(), allow)]);
    let mut case = of_layout(deeper.clone());
    let mut folder = String::new();
    for depth in 1..=40 {
        deeper["readme"] = depth.to_string().into();
        let name = format!("{folder}{}", file_name("a", &id("fred")));
        case.files.insert(name, Doc::new(deeper.clone(), &["fred"], true));
        folder = format!("{folder}a.{}/", &id("fred")[..8]);
    }
    let bottom = link("a", json!({}), json!({}));
    case.files.insert(format!("{folder}{}", file_name("a", &id("fred"))), Doc::new(bottom, &["fred"], true));
    case
}

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            executes: true,
            ..row(
                "39",
                "sublayout with an inspection that touches a file",
                "inspection_not_supported",
                answered(|layout, _| {
                    layout.signed["inspect"] = json!([{"_type": "inspection", "name": "look", "run": ["touch", "owned"],
                    "expected_materials": [], "expected_products": []}]);
                }),
            )
        },
        row(
            "60",
            "step answered with a layout without steps",
            "layout_malformed",
            with(two_steps(), |case| {
                let answer = Doc::new(layout(&[], vec![]), &["fred"], true);
                case.step(0)["expected_products"] = json!([["DISALLOW", "*"]]);
                case.step(1)["expected_materials"] = json!([]);
                case.add_link("fetch", "fred", answer);
            }),
        ),
        row("61", "sublayouts forty deep", "layout_too_complex", forty_deep()),
        row("sublayout", "sublayout that reports what the step needs", "verified", answered(|_, _| {})),
        row(
            "sublayout expired",
            "expired sublayout",
            "layout_expired",
            answered(|layout, _| {
                layout.signed["expires"] = "2001-01-01T00:00:00Z".into();
            }),
        ),
        row(
            "sublayout stranger",
            "sublayout by a key that is not the step's",
            "threshold_not_met",
            answered(|layout, _| {
                layout.by[0].key = "mallory".to_owned();
            }),
        ),
    ]
}
