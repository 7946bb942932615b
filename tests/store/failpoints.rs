//! The program, killed at every point of an upload and at random: what it acknowledged is there when it comes back, byte for byte, nothing
//! is torn, and what was cut short succeeds when it is sent again (security §4.3 F7).

use super::{
    bodies::{big_link, envelopes, fsck, image},
    databases::{self, On, Place},
    program::Program,
    shop::*,
};
use futures::StreamExt as _;
use std::time::Duration;
use tidewaiter::store::failpoint::Point;

databases::on_both!(
    an_upload_killed_at_any_point_is_whole_or_not_there,
    uploads_killed_at_random_are_whole_or_not_there
);

/// How often the point is passed before an upload comes to it: the chain's own transaction at the start, and the upload's.
fn times(point: Point) -> usize {
    match point {
        Point::Taken | Point::Begun | Point::Written | Point::Committed => 2,
        _ => 1,
    }
}

/// A store, killed now and then, and what it acknowledged.
struct Victim {
    place: Place,
    keys: Keys,
    http: reqwest::Client,
    acknowledged: Vec<(usize, Record)>,
}

impl Victim {
    async fn new(on: On) -> Self {
        let victim = Victim { place: Place::new(on), keys: Keys::new(), http: client(), acknowledged: Vec::new() };
        std::fs::write(victim.place.dir.path().join("chains.yaml"), documents(&victim.keys)).unwrap();
        let layout = seal(&layout(&victim.keys, FUTURE, ""), &[&victim.keys.alice, &victim.keys.bob]);
        assert_eq!(victim.start(None).put(&victim.http, LAPTOP, &layout).await, Some(201));
        victim
    }

    /// To die at this point; or to live.
    fn start(&self, failpoint: Option<&str>) -> Program {
        let objects = objects_url(self.place.dir.path());
        let environment: Vec<(&str, &str)> =
            failpoint.map(|point| ("TIDEWAITER_FAILPOINT", point)).into_iter().collect();
        Program::start(self.place.dir.path(), &self.place.url, &["--objects", &objects], &environment)
    }

    /// Some are so large that they are objects.
    fn record(&self, number: usize) -> Record {
        let is_large = number.is_multiple_of(3);
        let (files, seed) = if is_large { (3_000, number.to_string()) } else { (60, "same".into()) };
        seal(&big_link("build", &image(number), files, &seed, number), &[&self.keys.ci])
    }

    /// Everything acknowledged is there as it was sent, and all that is there is well.
    async fn check(&self, program: &Program) {
        for (number, record) in &self.acknowledged {
            let url = format!("{}/v1/evidence/{}", program.url, image(*number));
            let answer = self.http.get(url).bearer_auth(CLUSTER).send().await.unwrap();
            let body: serde_json::Value = answer.json().await.unwrap();
            assert!(envelopes(&body).contains(&record.bytes), "{number}: {body}");
        }
        let objects = objects_url(self.place.dir.path());
        let (code, report) = fsck(&self.place.url, &["--objects".into(), objects]);
        assert_eq!((code, &report["damaged"]), (0, &serde_json::json!(0)), "{report}");
        let records = report["records"].as_u64().unwrap();
        assert!(records > self.acknowledged.len() as u64, "{report}");
    }
}

async fn an_upload_killed_at_any_point_is_whole_or_not_there(on: On) {
    let mut victim = Victim::new(on).await;
    for (round, point) in Point::ALL.into_iter().enumerate() {
        // The object is the fourth point.
        let number = round;
        let record = victim.record(number);
        let mut program = victim.start(Some(&format!("{}:{}", point.name(), times(point))));
        let url = format!("{}/v1/records/{}?run=run-{round}", program.url, record.name);
        let put = victim.http.put(url).bearer_auth(CI).body(record.bytes.clone()).send().await;
        assert!(put.is_err(), "{point:?}: {put:?}");
        assert!(!program.wait().success(), "{point:?}");
        // What was committed is there, though nobody was told; what was not is not.
        let program = victim.start(None);
        let again = program.put(&victim.http, CI, &record).await;
        let is_there = matches!(point, Point::Committed | Point::Answered);
        assert_eq!(again, Some(if is_there { 200 } else { 201 }), "{point:?}");
        victim.acknowledged.push((number, record));
        victim.check(&program).await;
    }
}

async fn uploads_killed_at_random_are_whole_or_not_there(on: On) {
    let seed = match std::env::var("TIDEWAITER_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64,
    };
    println!("TIDEWAITER_SEED={seed}");
    let mut random = Random(seed | 1);
    let mut victim = Victim::new(on).await;
    for round in 0..6 {
        let program = victim.start(None);
        let first = 1_000 * (round + 1);
        let records: Vec<(usize, Record)> = (first..first + 24).map(|number| (number, victim.record(number))).collect();
        let (http, sent) = (&victim.http, &program);
        let uploads = futures::stream::iter(records.iter().cloned())
            .map(|(number, record)| async move { (sent.put(http, CI, &record).await, number, record) })
            .buffer_unordered(8);
        let mut answered = Vec::new();
        let until = Duration::from_millis(random.below(400));
        let _ = tokio::time::timeout(
            until,
            uploads.for_each(|answer| {
                answered.push(answer);
                std::future::ready(())
            }),
        )
        .await;
        drop(program);
        for (status, number, record) in answered {
            assert_eq!(status, Some(201), "{number}");
            victim.acknowledged.push((number, record));
        }
        let program = victim.start(None);
        victim.check(&program).await;
        let (number, record) = records.into_iter().next_back().unwrap();
        assert!(matches!(program.put(&victim.http, CI, &record).await, Some(200 | 201)), "{number}");
    }
}

/// xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, max: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % max
    }
}
