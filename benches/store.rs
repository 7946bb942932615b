//! The metadata store over both databases: looking up an image as tables grow, the same two questions asked of a database of Archivista's
//! shape, and durable uploads of links of 1,000 artifacts. PostgreSQL is started with `fsync` on, as it comes.
//!
//! TIDEWAITER_BENCH_RECORDS: how many records the largest table has (100,000; a million takes some minutes and 7 GB).

#[path = "support/store/archivista.rs"]
mod archivista;
#[allow(dead_code, unused_imports, unused_macros)] // tests use the rest
#[path = "../tests/support/databases.rs"]
mod databases;
#[path = "support/store/filled.rs"]
mod filled;
#[path = "support/store/links.rs"]
mod links;
#[path = "support/store/lookups.rs"]
mod lookups;

use databases::{On, Place};
use filled::Filled;
use futures::{StreamExt as _, stream};
use lookups::Times;
use std::{sync::Arc, time::Instant};
use tidewaiter::store::{Database, Metadata as _, database};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECORDS: usize = 100_000;
const SMALLEST: usize = 10_000;
/// Uploads at once, as many as the server lets in.
const UPLOADS: usize = 16;
const BUILDS: usize = 240;
const CHAINS: usize = 4;
const STEPS: [&str; 4] = ["checkout", "test", "build", "scan"];

#[tokio::main]
async fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let most = std::env::var("TIDEWAITER_BENCH_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(RECORDS);
    println!("an image's evidence: 1 layout and 8 links, bodies of {} bytes", filled::BODY_BYTES);
    println!(
        "{:>10} {:>10} {:>10} {:>10} {:>12} {:>12}",
        "", "records", "p50 ms", "p99 ms", "1 client/s", "8 clients/s"
    );
    let mut postgres = Vec::new();
    for on in [On::Sqlite, On::Postgres] {
        let mut filled = Filled::open(on).await;
        for records in sizes(most) {
            filled.fill(records).await;
            let times = filled.look_up().await;
            times.print(&format!("{on:?}"), records);
            if on == On::Postgres {
                postgres.push((records, times));
            }
        }
        filled.print_sizes().await;
    }
    archivista::compare(&postgres).await;
    println!();
    println!("uploads of links of 1,000 artifacts, {UPLOADS} at once, each answered when it is durable");
    for on in [On::Sqlite, On::Postgres] {
        ingest(on).await;
    }
}

/// 10,000 and its tenfolds, up to the most.
fn sizes(most: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> =
        std::iter::successors(Some(SMALLEST), |size| Some(size * 10)).take_while(|size| *size < most).collect();
    sizes.push(most);
    sizes
}

async fn ingest(on: On) {
    let place = Place::new(on);
    let options = database::Options::at(place.url.parse().expect("a location"));
    let store = Arc::new(Database::open(options).await.expect("a store"));
    let mut records = Vec::new();
    for chain in 0..CHAINS {
        let chain = store.chain(&format!("chain {chain}")).await.expect("a chain");
        for build in 0..BUILDS / CHAINS {
            let tree = links::tree(chain, build);
            records.extend(STEPS.map(|step| links::record(chain, build, step, &tree)));
        }
    }
    // Chains in turn, as pipelines run.
    let per_chain = records.len() / CHAINS;
    let turns = (0..per_chain).flat_map(|place| (0..CHAINS).map(move |chain| chain * per_chain + place));
    let records: Vec<_> = turns.map(|place| records[place].clone()).collect();
    let bytes: usize = records.iter().map(|record| record.envelope.len()).sum();
    let count = records.len();
    let start = Instant::now();
    // A task each, as the server has it.
    let times: Vec<f64> = stream::iter(records)
        .map(|record| {
            let store = store.clone();
            tokio::spawn(async move {
                let start = Instant::now();
                store.put(record).await.expect("kept");
                start.elapsed().as_secs_f64() * 1e3
            })
        })
        .buffer_unordered(UPLOADS)
        .map(|time| time.expect("no panic"))
        .collect()
        .await;
    let elapsed = start.elapsed();
    let times = Times::of(times, elapsed);
    println!(
        "{:>10}: {:>6.0} links/s of {} KiB, p50 {:.1} ms, p99 {:.1} ms",
        format!("{on:?}"),
        times.per_second,
        bytes / count / 1024,
        times.p50,
        times.p99
    );
}
