//! The clock of a store's machine jumps (security §4.3): what comes later stays later, nothing is refused or lost, and a restart in the
//! past goes on behind what was there. The program runs under libfaketime, whose offset is a file that changes meanwhile.

use super::{
    databases::{self, On, Place},
    program::Program,
    shop::*,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidewaiter::digest::Digest;

databases::on_both!(records_keep_their_order_whatever_the_clock_does);

/// Offsets to the real clock, one after the other, as libfaketime and as we write them.
const JUMPS: [(&str, SignedDuration); 6] = [
    ("+0", SignedDuration::ZERO),
    ("-2h", SignedDuration::from_hours(-2)),
    ("+30d", SignedDuration::from_hours(30 * 24)),
    ("+29d", SignedDuration::from_hours(29 * 24)),
    ("-1d", SignedDuration::from_hours(-24)),
    ("+0", SignedDuration::ZERO),
];
/// What passes while a request is answered.
const SLACK: SignedDuration = SignedDuration::from_mins(2);

async fn records_keep_their_order_whatever_the_clock_does(on: On) {
    let (place, keys, http) = (Place::new(on), Keys::new(), client());
    std::fs::write(place.dir.path().join("chains.yaml"), documents(&keys)).unwrap();
    let offset = place.dir.path().join("offset");
    let tools = std::env::var("TIDEWAITER_TOOLS_DIR").expect("TIDEWAITER_TOOLS_DIR: tests/tools/install");
    let library = format!("{tools}/bin/libfaketimeMT.so.1");
    assert!(std::path::Path::new(&library).exists(), "{library}");
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        // Only the clock on the wall jumps.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    std::fs::write(&offset, "+0").unwrap();
    let start = || Program::start(place.dir.path(), &place.url, &[], &environment);
    let mut program = start();
    let layout = seal(&layout(&keys, FUTURE, ""), &[&keys.alice, &keys.bob]);
    assert_eq!(program.put(&http, LAPTOP, &layout).await, Some(201));
    let mut written = vec![(layout, SignedDuration::ZERO)];
    for round in 0..2 {
        for (number, (text, jump)) in JUMPS.iter().enumerate() {
            std::fs::write(&offset, text).unwrap();
            let image = Digest::sha256(format!("{round} {number}").as_bytes());
            let record = seal(&link("build", &image), &[&keys.ci]);
            assert_eq!(program.put(&http, CI, &record).await, Some(201), "{round} {text}");
            // What is repeated is known, whenever it was.
            assert_eq!(program.put(&http, CI, &record).await, Some(200), "{round} {text}");
            let found = get(&http, &format!("{}/v1/evidence/{image}", program.url)).await;
            assert!(found["records"].as_array().unwrap().iter().any(|one| one["digest"] == record.name), "{found}");
            written.push((record, *jump));
        }
        // The next process begins in the past.
        std::fs::write(&offset, "-400d").unwrap();
        drop(program);
        program = start();
    }
    let stream = get(&http, &format!("{}/v1/records?after=0&limit=100", program.url)).await;
    let stream = stream["records"].as_array().unwrap();
    let names: Vec<&str> = stream.iter().map(|record| record["digest"].as_str().unwrap()).collect();
    assert_eq!(names, written.iter().map(|(record, _)| record.name.as_str()).collect::<Vec<_>>());
    assert!(stream.windows(2).all(|pair| pair[0]["seq"].as_i64() < pair[1]["seq"].as_i64()));
    // The clock did jump: each record says when it came by the clock of its moment.
    for (record, (_, jump)) in stream.iter().zip(&written) {
        let received: Timestamp = record["receivedAt"].as_str().unwrap().parse().unwrap();
        let real = received - *jump;
        assert!(real.duration_since(Timestamp::now()).abs() < SLACK, "{received} with {jump}");
    }
}

async fn get(http: &reqwest::Client, url: &str) -> Value {
    let response = http.get(url).bearer_auth(CLUSTER).send().await.unwrap();
    assert_eq!(response.status(), 200, "{url}");
    response.json().await.unwrap()
}
