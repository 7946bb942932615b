//! `record start|stop`: what happens between the halves cannot alter what the first one saw.

use super::bench::{Bench, Ended};
use serde_json::Value;
use std::fs;

const START: [&str; 8] = ["record", "start", "-s", "build", "-m", ".", "--key", "../key.pem"];
const STOP: [&str; 10] =
    ["record", "stop", "-s", "build", "-p", ".", "--key", "../key.pem", "--metablock", "--exclude=*.link*"];

fn started() -> (Bench, String) {
    let bench = Bench::new();
    fs::write(bench.tree().join("in"), "1").unwrap();
    let start = bench.ours(&START);
    assert_eq!(start.code, 0, "{}", start.says);
    (bench, start.says.trim().to_owned())
}
/// The file between the halves.
fn state(bench: &Bench) -> std::path::PathBuf {
    let names = bench.hidden();
    assert!(names.len() == 1 && names[0].starts_with(".build.") && names[0].ends_with(".link-unfinished"), "{names:?}");
    bench.tree().join(&names[0])
}
#[track_caller]
fn refused(ended: &Ended, why: &str) {
    assert!(ended.code == 125 && ended.says.contains(why), "{ended:?}");
}

#[test]
fn what_was_there_at_the_start_and_at_the_stop() {
    let (bench, digest) = started();
    fs::rename(bench.tree().join("in"), bench.tree().join("out")).unwrap();
    bench.ours(&[&STOP[..], &["--started", &digest]].concat()).succeeded();
    let (_, link): (String, Value) = bench.links(&bench.tree()).remove(0);
    assert_eq!(link["materials"].as_object().unwrap().keys().collect::<Vec<_>>(), ["in"]);
    assert_eq!(link["products"].as_object().unwrap().keys().collect::<Vec<_>>(), ["out"]);
    assert_eq!(bench.hidden(), Vec::<String>::new());
    // It is over.
    refused(&bench.ours(&STOP), "has not been started with this key here");
}

#[test]
fn a_second_start_is_refused_unless_it_is_meant() {
    let (bench, first) = started();
    fs::write(bench.tree().join("late"), "2").unwrap();
    refused(&bench.ours(&START), "has been started already");
    let again = bench.ours(&[&START[..], &["--force"]].concat());
    again.succeeded();
    refused(&bench.ours(&[&STOP[..], &["--started", &first]].concat()), "it is not what was started");
    bench.ours(&STOP).succeeded();
    assert!(bench.links(&bench.tree())[0].1["materials"]["late"].is_object());
}

#[test]
fn what_lies_between_the_halves_is_believed_by_its_signature_alone() {
    type Alter = fn(&Bench);
    let alterations: [(Alter, &str); 7] = [
        (|bench| fs::remove_file(state(bench)).unwrap(), "has not been started"),
        (|bench| fs::write(state(bench), "{").unwrap(), "damaged"),
        (
            |bench| {
                // One bit of the payload.
                let text = fs::read_to_string(state(bench)).unwrap();
                let at = text.find("\"payload\":\"").unwrap() + 60;
                let flipped = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
                fs::write(state(bench), format!("{}{flipped}{}", &text[..at], &text[at + 1..])).unwrap();
            },
            "not signed by this key",
        ),
        (
            |bench| {
                // Of another key, in the place of ours.
                let place = state(bench);
                fs::remove_file(&place).unwrap();
                bench.ours(&["key", "new", "-o", "../other.pem"]).succeeded();
                bench.ours(&[&START[..7], &["../other.pem"]].concat()).succeeded();
                fs::rename(state(bench), place).unwrap();
            },
            "not signed by this key",
        ),
        (
            |bench| {
                // Of another step.
                let (place, mut start) = (state(bench), START);
                start[3] = "test";
                bench.ours(&start).succeeded();
                let test = fs::read_dir(bench.tree()).unwrap().map(|entry| entry.unwrap().path());
                let test = test.into_iter().find(|path| path.to_string_lossy().contains("/.test.")).unwrap();
                fs::rename(test, place).unwrap();
            },
            "of the step \"test\"",
        ),
        (
            |bench| {
                // A link that was finished before.
                let place = state(bench);
                bench.ours(&["run", "-s", "build", "--key", "../key.pem", "-m", "in", "--", "true"]).succeeded();
                let link = fs::read_dir(bench.tree()).unwrap().map(|entry| entry.unwrap().path());
                let link = link.into_iter().find(|path| path.extension().is_some_and(|end| end == "link")).unwrap();
                fs::rename(link, place).unwrap();
            },
            "it is a finished link",
        ),
        (
            |bench| {
                let place = state(bench);
                fs::remove_file(&place).unwrap();
                fs::create_dir(&place).unwrap();
            },
            "cannot be read",
        ),
    ];
    for (alter, why) in alterations {
        let (bench, _) = started();
        alter(&bench);
        refused(&bench.ours(&STOP), why);
        assert!(bench.links(&bench.tree()).is_empty(), "{why}");
    }
    // An earlier start of the same step, put back: its own digest tells.
    let (bench, _) = started();
    let earlier = fs::read(state(&bench)).unwrap();
    fs::write(bench.tree().join("evil"), "2").unwrap();
    let again = bench.ours(&[&START[..], &["--force"]].concat());
    fs::write(state(&bench), earlier).unwrap();
    refused(&bench.ours(&[&STOP[..], &["--started", again.says.trim()]].concat()), "it is not what was started");
}
