//! The attack corpus as data (security §2): a folder a trick, `tests/attacks/<row>-<name>/case.yaml`, each with its honest twin. Bytes go
//! in as the API server would send them, and bytes come out; what is asserted is the answer. `tests/support/attacks/case.rs` says what a
//! case may hold.

#[allow(dead_code)] // each test uses its part of the double
#[path = "support/hostile.rs"]
mod hostile;
#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

#[path = "support/attacks/bodies.rs"]
mod bodies;
#[path = "support/attacks/case.rs"]
mod case;
#[path = "support/attacks/evidence.rs"]
mod evidence;
#[path = "support/attacks/registry.rs"]
mod registry;
#[path = "support/attacks/site.rs"]
mod site;

use case::{Case, Expect, Given};
use futures::{StreamExt, future};
use serde_json::Value;
use site::Bench;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

/// The corpus only grows.
const CASES_MIN: usize = 257;
/// Several wait for a registry that hangs.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_answered_as_it_should_be() {
    let cases = corpus();
    assert!(cases.len() >= CASES_MIN, "{} cases, fewer than {CASES_MIN}", cases.len());
    for row in 'A'..='H' {
        assert!(cases.keys().any(|id| id.starts_with(row)), "no case of row {row}");
    }
    let bench = Arc::new(Bench::new());
    let mut asked = Vec::new();
    for (id, Case { given, expect, twin, .. }) in cases {
        if let Some(set) = &twin.set {
            let mut given = given.clone();
            case::merge(&mut given, set);
            asked.push((format!("{id} (twin)"), given, twin.expect.unwrap_or_else(Expect::allowed)));
        }
        asked.push((id, given, expect));
    }
    let asked = asked.into_iter().map(|(id, given, expect)| {
        let bench = Arc::clone(&bench);
        async move { tokio::spawn(async move { differs(&bench, id, &given, &expect).await }).await.expect("no panic") }
    });
    let mut wrong: Vec<[String; 3]> =
        futures::stream::iter(asked).buffer_unordered(AT_ONCE).filter_map(future::ready).collect().await;
    wrong.sort();
    let table: Vec<String> = wrong.iter().map(|[id, expected, got]| format!("{id} | {expected} | {got}")).collect();
    assert!(wrong.is_empty(), "{} answers differ\nid | expected | got\n{}", wrong.len(), table.join("\n"));
}

/// What no fault may be hidden behind: an unknown field, a case without a twin, a reason that is none.
#[test]
fn a_case_is_read_strictly() {
    let sound = "source: A1\nwhy: w\ngiven: {image: x}\nexpect: {allowed: false, reason: no_layout}\ntwin: {none: n}\n";
    let case = Case::read("A1-x", sound).expect("sound");
    assert!(Given::read(&case.given).is_ok());
    for (wrong, fault) in [
        (sound.replace("why: w", "why: w\nwhy: v"), "duplicate"),
        (sound.replace("why: w", "why: w\nwho: v"), "unknown field"),
        (sound.replace("{image: x}", "{image: x, imgae: y}"), "unknown field"),
        (sound.replace("reason: no_layout", "reason: no_lay"), "no reason"),
        (sound.replace("allowed: false", "allowed: true"), "allowed"),
        (sound.replace("twin: {none: n}", "twin: {}"), "twin"),
        (sound.replace("source: A1", "source: B1"), "A1"),
    ] {
        let error = Case::read("A1-x", &wrong).and_then(|case| Given::read(&case.given).map(drop)).expect_err(&wrong);
        assert!(error.contains(fault), "{error}\n{wrong}");
    }
}

/// Every folder's case, by the folder's name. A folder with a `resource.yaml` is about a document of ours: `tests/crds.rs` has those.
fn corpus() -> BTreeMap<String, Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let folders = fs::read_dir(root).expect("the corpus").map(|entry| entry.expect("a folder").path());
    folders
        .filter(|folder| !folder.join("resource.yaml").exists())
        .map(|folder| {
            let id = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            let text = fs::read_to_string(folder.join("case.yaml")).unwrap_or_else(|e| panic!("{id}: {e}"));
            let case = Case::read(&id, &text).unwrap_or_else(|e| panic!("{id}: {e}"));
            (id, case)
        })
        .collect()
}

/// The row of the table, where the answer is not the expected one.
async fn differs(bench: &Bench, id: String, given: &Value, expect: &Expect) -> Option<[String; 3]> {
    let given = Given::read(given).unwrap_or_else(|error| panic!("{id}: {error}"));
    let answered = bench.ask(&given).await;
    let faults = answered.differences(expect);
    (!faults.is_empty()).then(|| [id, expect.to_string(), format!("{answered}: {}", faults.join("; "))])
}
