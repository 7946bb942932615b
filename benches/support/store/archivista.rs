//! The same questions of a database of Archivista's shape: its tables and the indexes it ships with, which has none on most foreign keys, as
//! we read them in its migrations; the questions in the nested form its library of queries writes. Built here, not measured on a running
//! Archivista; bodies, which it keeps in object storage, are not fetched.

use super::{databases::Postgres, lookups::Times};
use std::time::Instant;
use tidewaiter::{
    args,
    store::{Location, engine, session::Session},
};

const SUBJECTS: usize = 25;
const ROUNDS: usize = 20;

const TABLES: &[&str] = &[
    "CREATE TABLE dsses (id uuid PRIMARY KEY, gitoid_sha256 text NOT NULL UNIQUE, payload_type text NOT NULL, dsse_statement uuid)",
    "CREATE TABLE statements (id uuid PRIMARY KEY, predicate text NOT NULL)",
    "CREATE TABLE subjects (id uuid PRIMARY KEY, name text NOT NULL, statement_subjects uuid)",
    "CREATE TABLE subject_digests (id uuid PRIMARY KEY, algorithm text NOT NULL, value text NOT NULL, subject_subject_digests uuid)",
    "CREATE TABLE attestation_collections (id uuid PRIMARY KEY, name text NOT NULL, statement_attestation_collections uuid UNIQUE)",
    "CREATE TABLE attestations (id uuid PRIMARY KEY, type text NOT NULL, attestation_collection_attestations uuid)",
    "CREATE INDEX ON subjects (name)",
    "CREATE INDEX ON subject_digests (value)",
    "CREATE INDEX ON attestation_collections (name)",
    "CREATE INDEX ON attestations (type)",
    "CREATE INDEX ON statements (predicate)",
];

const BY_DIGEST: &str = "SELECT gitoid_sha256 FROM dsses WHERE dsse_statement IN (SELECT id FROM statements WHERE id IN \
     (SELECT statement_subjects FROM subjects WHERE id IN (SELECT subject_subject_digests FROM subject_digests WHERE value = $1)))";
const BY_STEP: &str = "SELECT gitoid_sha256 FROM dsses WHERE dsse_statement IN (SELECT id FROM statements WHERE id IN \
     (SELECT statement_attestation_collections FROM attestation_collections WHERE name = $2 AND id IN \
     (SELECT attestation_collection_attestations FROM attestations WHERE type = $3)) AND id IN \
     (SELECT statement_subjects FROM subjects WHERE id IN (SELECT subject_subject_digests FROM subject_digests WHERE value = $1)))";

/// Fills tables of the same numbers of records and asks both.
pub async fn compare(ours: &[(usize, Times)]) {
    println!();
    println!("a database of Archivista's shape on the same server, {SUBJECTS} subjects a record, without bodies");
    println!("{:>10} {:>18} {:>12} {:>18} {:>12}", "records", "by digest, ms", "ours × ", "with step, ms", "ours × ");
    for (records, times) in ours {
        let url = Postgres::shared().database();
        let location: Location = url.parse().expect("a location");
        let engine = engine::Engine::connect(&location, None).await.expect("an engine");
        let mut session = engine.writers.session().await.expect("a connection");
        // Our connections go by indexes alone, which these tables have too few of.
        for setting in ["SET enable_seqscan = on", "SET enable_bitmapscan = on"] {
            session.execute(setting, args![]).await.expect("a setting");
        }
        for statement in TABLES {
            session.execute(statement, &[]).await.expect("a table");
        }
        for statement in fill(*records) {
            session.execute(statement.leak(), &[]).await.expect("rows");
        }
        let by_digest = ask(&mut session, BY_DIGEST, *records, false).await;
        let by_step = ask(&mut session, BY_STEP, *records, true).await;
        let ratio = |theirs: f64| theirs / times.p50;
        println!("{records:>10} {by_digest:>18.2} {:>12.1} {by_step:>18.2} {:>12.1}", ratio(by_digest), ratio(by_step));
        drop(session);
        engine.writers.close().await;
    }
}

fn fill(records: usize) -> Vec<String> {
    let id = |kind: &str, number: &str| format!("md5('{kind}' || {number})::uuid");
    let many = format!("generate_series(1, {records}) i");
    let each = format!("{many}, generate_series(1, {SUBJECTS}) k");
    let pair = "(i * 100 + k)";
    vec![
        format!("INSERT INTO statements SELECT {}, 'https://example.com/collection' FROM {many}", id("s", "i")),
        format!(
            "INSERT INTO dsses SELECT {}, encode(sha256(int8send(i)), 'hex'), 'application/vnd.in-toto+json', {} FROM {many}",
            id("d", "i"),
            id("s", "i")
        ),
        format!(
            "INSERT INTO attestation_collections SELECT {}, 'step ' || i % 8, {} FROM {many}",
            id("c", "i"),
            id("s", "i")
        ),
        format!(
            "INSERT INTO attestations SELECT {}, 'https://example.com/type/' || k, {} FROM {many}, generate_series(1, 4) k",
            id("a", pair),
            id("c", "i")
        ),
        format!("INSERT INTO subjects SELECT {}, 'file ' || k, {} FROM {each}", id("j", pair), id("s", "i")),
        format!(
            "INSERT INTO subject_digests SELECT {}, 'sha256', encode(sha256(int8send({pair})), 'hex'), {} FROM {each}",
            id("g", pair),
            id("j", pair)
        ),
        "ANALYZE".to_owned(),
    ]
}

/// The median of some questions, in milliseconds.
async fn ask(session: &mut Session, statement: &'static str, records: usize, with_step: bool) -> f64 {
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let record = round * 7_919 % records + 1;
        let digest: String = session
            .one("SELECT encode(sha256(int8send($1)), 'hex')", tidewaiter::args![record as i64 * 100 + 1])
            .await
            .expect("a digest");
        let step = format!("step {}", record % 8);
        let all = tidewaiter::args![&digest, &step, "https://example.com/type/1"];
        let arguments = if with_step { &all[..] } else { &all[..1] };
        let start = Instant::now();
        let found: Vec<String> = session.values(statement, arguments).await.expect("an answer");
        assert_eq!(found.len(), 1, "{record}");
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    // The first one reads what is not in memory yet.
    let elapsed = std::time::Duration::from_secs_f64(times.iter().sum::<f64>() / 1e3);
    Times::of(times.split_off(1), elapsed).p50
}
