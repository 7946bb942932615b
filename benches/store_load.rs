//! The store under 50 uploads of 20 KB and 200 reads a second at once (security §4.2, L11): what the slowest in a hundred waits, what is lost,
//! and how much memory the process took at most. It sends at its times, however late the answers are.
//!
//! `TIDEWAITER_BENCH_SECONDS` (20) is how long, over each database.

#[allow(dead_code, unused_macros, unused_imports)]
#[path = "../tests/support/databases.rs"]
mod databases;
#[allow(dead_code)]
#[path = "../tests/store/shop.rs"]
mod shop;

use databases::{On, Place};
use serde_json::json;
use shop::{CI, CLUSTER, FUTURE, Keys, LAPTOP, Record, documents, layout, link, seal};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tidewaiter::{digest::Digest, key::SecretKey};
use tokio::task::JoinSet;

const UPLOADS: u64 = 50;
const READS: u64 = 200;
/// Images that are there before, and read.
const KNOWN: u64 = 200;
/// So that a link has 20 KB: a file's name and its hash are some hundred bytes.
const FILES: usize = 130;

struct Store {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Store {
    fn start(config: &std::path::Path, database: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args(["store", "serve", "--listen", "127.0.0.1:0", "--database", database, "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the store starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("store listening on ").expect("an address").to_owned();
        Store { child, url, http: shop::client() }
    }

    /// Status and time of an upload, of a run where one is named.
    fn put(
        &self,
        token: &'static str,
        record: &Record,
        run: Option<u64>,
    ) -> impl Future<Output = (u16, Duration)> + use<> {
        let run = run.map(|run| format!("?run={run}")).unwrap_or_default();
        let url = format!("{}/v1/records/{}{run}", self.url, record.name);
        timed(self.http.put(url).bearer_auth(token).body(record.bytes.clone()))
    }

    fn get(&self, image: &Digest) -> impl Future<Output = (u16, Duration)> + use<> {
        timed(self.http.get(format!("{}/v1/evidence/{image}", self.url)).bearer_auth(CLUSTER))
    }

    fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") / 1024
    }
}

async fn timed(request: reqwest::RequestBuilder) -> (u16, Duration) {
    let start = Instant::now();
    let Ok(answer) = request.send().await else { return (0, start.elapsed()) };
    let status = answer.status().as_u16();
    let whole = answer.bytes().await.is_ok();
    (if whole { status } else { 0 }, start.elapsed())
}

fn image(number: u64) -> Digest {
    Digest::sha256(&number.to_be_bytes())
}

/// A link of some 20 KB that made the image; between two of them few files differ.
fn record(step: &str, key: &SecretKey, number: u64) -> Record {
    let mut document = link(step, &image(number));
    for file in 0..FILES {
        let content = if file < 5 { number } else { 0 };
        let hash = Digest::sha256(format!("{file} {content}").as_bytes());
        document["materials"][format!("src/module-{file:04}/implementation.rs")] = json!({"sha256": hash.hex()});
    }
    seal(&document, &[key])
}

/// Sends `per_second` of them, each at its time; the answers by number.
async fn send<F>(per_second: u64, seconds: u64, of: impl Fn(u64) -> F) -> BTreeMap<u64, (u16, Duration)>
where
    F: Future<Output = (u16, Duration)> + Send + 'static,
{
    let (start, mut sent) = (tokio::time::Instant::now(), JoinSet::new());
    for number in 0..per_second * seconds {
        tokio::time::sleep_until(start + Duration::from_micros(number * 1_000_000 / per_second)).await;
        let answer = of(number);
        sent.spawn(async move { (number, answer.await) });
    }
    sent.join_all().await.into_iter().collect()
}

fn row(what: &str, answers: &BTreeMap<u64, (u16, Duration)>, good: u16) -> usize {
    let mut times: Vec<Duration> = answers.values().map(|(_, time)| *time).collect();
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let mut refused: BTreeMap<u16, usize> = BTreeMap::new();
    for (status, _) in answers.values().filter(|(status, _)| *status != good) {
        *refused.entry(*status).or_default() += 1;
    }
    println!("| {what} | {} | {:.1} | {:.1} | {:.1} | {refused:?} |", answers.len(), at(0.5), at(0.99), at(1.0));
    refused.values().sum()
}

/// What is in a store, and so what a read has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// Links name their run, and every step of it has one.
    Whole,
    /// They name none, and a step has none: whatever shares files with the image's link is looked through for it.
    Loose,
}

#[tokio::main]
async fn main() {
    let seconds = std::env::var("TIDEWAITER_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    for on in [On::Sqlite, On::Postgres] {
        for evidence in [Evidence::Whole, Evidence::Loose] {
            load(on, evidence, seconds).await;
        }
    }
}

async fn load(on: On, evidence: Evidence, seconds: u64) {
    let (place, keys) = (Place::new(on), Keys::new());
    let config = place.dir.path().join("chains.yaml");
    fs::write(&config, documents(&keys)).expect("the documents");
    let store = Store::start(&config, &place.url);
    let root = seal(&layout(&keys, FUTURE, ""), &[&keys.alice, &keys.bob]);
    assert_eq!(store.put(LAPTOP, &root, None).await.0, 201);
    let run = |number: u64| (evidence == Evidence::Whole).then_some(number);
    let records: Vec<Record> = (0..UPLOADS * seconds + KNOWN).map(|number| record("build", &keys.ci, number)).collect();
    let (known, new) = records.split_at(KNOWN as usize);
    for (number, built) in (0..).zip(known) {
        assert_eq!(store.put(CI, built, run(number)).await.0, 201);
        if evidence == Evidence::Whole {
            let tested = record("test", &keys.tester, number);
            assert_eq!(store.put(LAPTOP, &tested, run(number)).await.0, 201);
        }
    }
    let uploads = send(UPLOADS, seconds, |number| store.put(CI, &new[number as usize], run(KNOWN + number)));
    let reads = send(READS, seconds, |number| store.get(&image(number * 7919 % KNOWN)));
    let (uploads, reads) = tokio::join!(uploads, reads);
    println!(
        "\n{on:?}, {evidence:?}: {UPLOADS} uploads of {} KB and {READS} reads a second for {seconds} s\n",
        records[0].bytes.len() / 1000
    );
    println!("| | count | p50 ms | p99 ms | most ms | refused |\n|---|---:|---:|---:|---:|---:|");
    let refused = row("upload", &uploads, 201) + row("read", &reads, 200);
    // Each that was acknowledged is there: a write of the same finds it.
    let acknowledged = uploads.iter().filter(|(_, (status, _))| *status == 201).map(|(number, _)| KNOWN + *number);
    let mut lost = 0;
    for number in (0..KNOWN).chain(acknowledged) {
        lost += usize::from(store.put(CI, &records[number as usize], run(number)).await.0 != 200);
    }
    println!("\nlost: {lost}; peak memory: {} MiB", store.peak_mib());
    assert_eq!((lost, refused), (0, 0), "lost, refused");
    assert!(store.peak_mib() <= 256, "memory");
}
