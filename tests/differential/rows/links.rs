//! What can be wrong with links and their signatures.

use super::*;
use crate::{case::artifacts, keys, mutate::junk};

fn build(change: impl FnOnce(&mut Doc)) -> Case {
    with(two_steps(), |case| change(case.link("build", "bea")))
}

pub fn rows() -> Vec<Row> {
    let by = |key| {
        move |case: &mut Case| {
            let mut doc = case.files.remove(&file_name("build", &keys::id("bea"))).unwrap();
            doc.by = vec![By::new(key)];
            case.add_link("build", key, doc);
        }
    };
    let second =
        |signed: Value| with(two_steps(), |case| case.add_link("build", "ben", Doc::new(signed, &["ben"], true)));
    let spare = |change: fn(&mut Doc)| {
        let sources = artifacts(&["src/main.c", "src/util.c"]);
        let mut case = second(link("build", sources, artifacts(&["api"])));
        change(case.link("build", "ben"));
        case
    };
    vec![
        row(
            "1",
            "link by a key of the layout that is not the step's",
            "threshold_not_met",
            with(two_steps(), by("dora")),
        ),
        row(
            "2",
            "link whose name is another step's",
            "threshold_not_met",
            build(|doc| doc.signed["name"] = "fetch".into()),
        ),
        row(
            "11",
            "threshold 1, two valid links that disagree",
            "links_disagree",
            second(link("build", artifacts(&["src/main.c", "src/util.c"]), artifacts(&["api=evil"]))),
        ),
        row(
            "12",
            "field added to a signed link",
            "threshold_not_met",
            build(|doc| doc.edits.push(("\"_type\":\"link\"".into(), "\"_type\":\"link\",\"x\":1".into()))),
        ),
        row(
            "13",
            "unknown field that is signed",
            "verified",
            build(|doc| doc.signed["x-vendor"] = json!({"build": 7})),
        ),
        row(
            "14",
            "tab, carriage return and control characters in stdout",
            "verified",
            build(|doc| doc.signed["byproducts"]["stdout"] = "a\tb\rc\u{7}d\n".into()),
        ),
        row(
            "NUL",
            "a NUL in stdout, as `find -print0` leaves it",
            "verified",
            build(|doc| doc.signed["byproducts"]["stdout"] = "a\0b\0".into()),
        ),
        row(
            "NUL in a name",
            "a NUL in the name of an artifact, and `ALLOW *`",
            "threshold_not_met",
            one_step(artifacts(&["a\0"]), json!([["ALLOW", "*"]])),
        ),
        row(
            "minus zero",
            "`-0` in the byproducts",
            "threshold_not_met",
            build(|doc| doc.edits.push(("\"return-value\":0".into(), "\"return-value\":-0".into()))),
        ),
        row(
            "deep",
            "a list in a list, 70 deep, in the byproducts",
            "threshold_not_met",
            build(|doc| doc.signed["byproducts"]["deep"] = (0..70).fold(json!([]), |inner, _| json!([inner]))),
        ),
        row(
            "many digits",
            "an integer of 129 digits in the byproducts, in DSSE",
            "threshold_not_met",
            build(|doc| {
                doc.metablock = false;
                let many = format!("\"return-value\":1{}", "0".repeat(128));
                doc.text = Some(doc.signed.to_string().replace("\"return-value\":0", &many));
            }),
        ),
        row(
            "15",
            "a backslash and an n in stdout",
            "verified",
            build(|doc| doc.signed["byproducts"]["stdout"] = "a\\nb".into()),
        ),
        row(
            "16",
            "a JSON key twice",
            "threshold_not_met",
            build(|doc| doc.edits.push(("\"command\":".into(), "\"command\":[\"evil\"],\"command\":".into()))),
        ),
        row(
            "37",
            "unparsable spare link beside a met threshold",
            "verified",
            spare(|doc| doc.bytes = Some(b"{".to_vec())),
        ),
        row(
            "38",
            "signature that is not hex in a spare link",
            "verified",
            spare(|doc| doc.by[0].sig = Some("not hex".to_owned())),
        ),
        row(
            "43",
            "`materials` is null",
            "threshold_not_met",
            with(two_steps(), |case| {
                case.link("fetch", "fred").signed["materials"] = Value::Null;
            }),
        ),
        row(
            "45",
            "2^53 + 1 in the byproducts",
            "verified",
            build(|doc| doc.signed["byproducts"]["time"] = json!(9_007_199_254_740_993_u64)),
        ),
        row(
            "55",
            "junk under the right id before the good signature",
            "verified",
            build(|doc| {
                let junk = By { sig: Some(junk(true)), ..doc.by[0].clone() };
                doc.by.insert(0, junk);
            }),
        ),
        row(
            "64",
            "one file signed by two functionaries, threshold 2",
            "verified",
            with(two_steps(), |case| {
                case.step(1)["threshold"] = 2.into();
                case.link("build", "bea").by.push(By::new("ben"));
            }),
        ),
        row(
            "67",
            "byte order mark in front of a link",
            "threshold_not_met",
            build(|doc| {
                let bytes = doc.bytes();
                doc.bytes = Some([b"\xef\xbb\xbf", bytes.as_slice()].concat());
            }),
        ),
        row(
            "68",
            "lone surrogate in a link",
            "threshold_not_met",
            build(|doc| doc.edits.push(("\"return-value\":0".into(), "\"out\":\"\\ud800\"".into()))),
        ),
        row(
            "69",
            "NaN in a link",
            "threshold_not_met",
            build(|doc| doc.edits.push(("\"return-value\":0".into(), "\"out\":NaN".into()))),
        ),
        row(
            "wrong signature",
            "link changed after it was signed",
            "threshold_not_met",
            build(|doc| doc.edits.push(("\"make\"".into(), "\"evil\"".into()))),
        ),
        row(
            "threshold",
            "fewer links than the threshold",
            "threshold_not_met",
            with(two_steps(), |case| {
                case.step(1)["threshold"] = 2.into();
            }),
        ),
        row(
            "command",
            "command that is not the expected one (a warning)",
            "verified",
            build(|doc| {
                doc.signed["command"] = json!(["make", "all"]);
            }),
        ),
        row(
            "key order",
            "names that sort differently as UTF-16 in the byproducts",
            "verified",
            build(|doc| {
                doc.signed["byproducts"] = json!({"\u{e000}": 1, "\u{1f600}": 2});
            }),
        ),
        row("id of none", "signature without a key id", "verified", build(|doc| doc.by[0].id = String::new())),
        row(
            "file of another step",
            "another step's link in a file of this step, beside a good one",
            "verified",
            with(two_steps(), |case| {
                case.step(1)["pubkeys"] = json!([keys::id("fred"), keys::id("bea")]);
                let doc = case.link("fetch", "fred").clone();
                case.add_link("build", "fred", doc);
            }),
        ),
        row(
            "twice",
            "the same signature twice in DSSE",
            "verified",
            build(|doc| {
                doc.metablock = false;
                doc.by.push(doc.by[0].clone());
            }),
        ),
        row(
            "invalid first",
            "an invalid link of the first functionary beside one of the second that breaks a rule",
            "rule_violation",
            with(two_steps(), |case| {
                case.step(1)["expected_products"] = json!([["ALLOW", "*"]]);
                case.link("build", "bea").signed["products"] = artifacts(&["./api"]);
                let materials = artifacts(&["src/main.c", "src/util.c", "evil"]);
                case.add_link("build", "ben", Doc::new(link("build", materials, artifacts(&["api"])), &["ben"], true));
            }),
        ),
    ]
}
