//! What is read of a layout stands in it, by another reader; what is read strictly is read compatibly; its canonical form, which is what a
//! Metablock signs, says the same, of a fault too; and a field that nobody knows is not overlooked. (security §4.4 `layout`)

use serde_json::Value as Theirs;
use std::collections::BTreeSet;
use tidewaiter::{
    Layout,
    intoto::{
        Profile, Rule, Step,
        layout::{LayoutError, Place},
    },
    json::{self, Limits, Value},
};

/// Whether it is a layout.
pub fn check(bytes: &[u8]) -> bool {
    let Ok(value) = json::parse(bytes, &Limits::METADATA) else { return false };
    let read = Layout::from_value(&value);
    if let Ok(canonical) = json::canonical(&value) {
        let again = json::parse(&json::canonical_to_text(&canonical), &Limits::METADATA).expect("it is JSON");
        assert_eq!(Layout::from_value(&again), read, "its canonical form");
    }
    let Ok(layout) = read else { return false };
    let theirs: Theirs = serde_json::from_slice(bytes).expect("it is JSON");
    stands_there(&layout, &theirs);
    holds_together(&layout);

    // Certificates are what the compatible profile does not know, nor ids of other letters.
    let hex = |id: &String| !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit());
    if layout.steps.iter().all(|step| step.cert_constraints.is_empty() && step.pubkeys.iter().all(hex)) {
        let compat = Layout::read(&value, Profile::Compat).expect("what is read strictly is read compatibly");
        assert_eq!((&compat.steps, &compat.inspections), (&layout.steps, &layout.inspections));
        assert_eq!(compat.expires, layout.expires);
        // A key, or a subkey, with a member that nobody knows is one to the reference alone.
        assert!(compat.keys.keys().eq(layout.keys.keys()));
        for (id, key) in &layout.keys {
            let Ok(key) = key else { continue };
            let theirs = compat.keys[id].as_ref().expect("a key to us is one to the reference");
            assert_eq!((key.spki(), key.scheme()), (theirs.spki(), theirs.scheme()));
            assert!(key.covers().all(|spki| theirs.covers().any(|other| other == spki)), "{id} signs by fewer keys");
        }
    }
    // Written anew, where every key goes by the id that we derive.
    let by_own_id = |(id, key): (&String, &Result<tidewaiter::PublicKey, _>)| {
        key.as_ref().is_ok_and(|key| key.id() == id && !key.is_openpgp() && !key.is_subkey())
    };
    if layout.keys.iter().all(by_own_id) && layout.authorities == Default::default() {
        let again = Layout::from_value(&layout.to_value()).expect("what is written can be read");
        // The end of time has a fraction of a second, which no layout has.
        assert_eq!(again.expires.as_second(), layout.expires.as_second());
        assert_eq!((&again.steps, &again.inspections), (&layout.steps, &layout.inspections));
    }
    for pointer in 0..=layout.steps.len() + layout.inspections.len() {
        let (more, at) = with_a_field_more(&value, &layout, pointer);
        let field = "a field of the future".to_owned();
        assert_eq!(Layout::from_value(&more), Err(LayoutError::UnknownField { at, field }));
    }
    true
}

/// Steps and inspections, their names, thresholds, functionaries, commands and rules.
fn stands_there(layout: &Layout, theirs: &Theirs) {
    let texts = |value: &Theirs| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let rules = |value: &Theirs, found: &[Rule]| {
        let lists = value.as_array().expect("a list");
        assert_eq!(lists.len(), found.len());
        for (list, rule) in lists.iter().zip(found) {
            // But for small letters, and a slash behind a folder.
            let (written, found) = (texts(list), rule.words());
            let same = |(one, other): (&String, &String)| {
                one.eq_ignore_ascii_case(other) || one.strip_suffix('/') == Some(other.as_str())
            };
            assert!(written.len() == found.len() && written.iter().zip(&found).all(same), "{written:?} is {found:?}");
        }
    };
    let steps = theirs["steps"].as_array().expect("a list");
    assert!(steps.len() == layout.steps.len() && !steps.is_empty(), "R36");
    for (there, step) in steps.iter().zip(&layout.steps) {
        assert_eq!((there["_type"].as_str(), there["name"].as_str()), (Some("step"), Some(step.name.as_str())));
        assert_eq!(there["threshold"].as_u64(), Some(step.threshold.into()));
        assert_eq!(texts(&there["pubkeys"]), step.pubkeys);
        assert_eq!(texts(&there["expected_command"]), step.expected_command);
        rules(&there["expected_materials"], &step.expected_materials);
        rules(&there["expected_products"], &step.expected_products);
    }
    let inspections = theirs["inspect"].as_array().expect("a list");
    assert_eq!(inspections.len(), layout.inspections.len());
    for (there, inspection) in inspections.iter().zip(&layout.inspections) {
        assert_eq!(there["name"].as_str(), Some(inspection.name.as_str()));
        assert_eq!(texts(&there["run"]), inspection.run);
        rules(&there["expected_materials"], &inspection.expected_materials);
        rules(&there["expected_products"], &inspection.expected_products);
    }
    // A year has no more than four digits there.
    let expires = theirs["expires"].as_str().expect("a text");
    assert!(layout.expires.to_string() == expires || expires.starts_with("9999"), "{expires} is {}", layout.expires);
}

/// R23, R25, R31: what a layout may not say.
fn holds_together(layout: &Layout) {
    let steps: Vec<&str> = layout.steps.iter().map(|step| step.name.as_str()).collect();
    let inspections = layout.inspections.iter().map(|inspection| inspection.name.as_str());
    let names: Vec<&str> = steps.iter().copied().chain(inspections).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name stands for one");
    for name in &names {
        assert!(!name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.'), "{name:?} is a path");
    }
    let open = |text: &str| text.contains('{') || text.contains('}');
    let from = |rules: &[Rule], of: &[&str]| {
        for rule in rules {
            let Rule::Match { from, .. } = rule else { continue };
            assert!(of.contains(&from.as_str()) || open(from), "MATCH FROM {from:?}, which is nowhere");
        }
    };
    for step in &layout.steps {
        assert!(
            step.threshold >= 1 && (!step.cert_constraints.is_empty() || step.threshold <= functionaries(layout, step))
        );
        from(&step.expected_materials, &steps);
        from(&step.expected_products, &steps);
    }
    for inspection in &layout.inspections {
        from(&inspection.expected_materials, &names);
        from(&inspection.expected_products, &names);
    }
}

/// How many distinct keys, by their SubjectPublicKeyInfo; OpenPGP's subkeys are their masters'.
fn functionaries(layout: &Layout, step: &Step) -> u32 {
    let keys: BTreeSet<&[u8]> =
        step.pubkeys.iter().map(|id| layout.keys[id].as_ref().map_or(id.as_bytes(), |key| key.functionary())).collect();
    u32::try_from(keys.len()).expect("few")
}

/// The layout with a field that nobody knows: in itself, a step, an inspection.
fn with_a_field_more(value: &Value, layout: &Layout, at: usize) -> (Value, Place) {
    let mut value = value.clone();
    let (list, place, at) = match at {
        0 => (None, Place::Layout, 0),
        at if at <= layout.steps.len() => (Some("steps"), Place::Step(layout.steps[at - 1].name.clone()), at - 1),
        at => {
            let at = at - 1 - layout.steps.len();
            (Some("inspect"), Place::Inspection(layout.inspections[at].name.clone()), at)
        }
    };
    let more = |value: &mut Value| match value {
        Value::Object(members) => members.push(("a field of the future".to_owned(), Value::Null)),
        _ => panic!("an object"),
    };
    match (list, &mut value) {
        (Some(list), Value::Object(members)) => match members.iter_mut().find(|(name, _)| name == list) {
            Some((_, Value::Array(items))) => more(&mut items[at]),
            _ => panic!("a list"),
        },
        (_, value) => more(value),
    }
    (value, place)
}
