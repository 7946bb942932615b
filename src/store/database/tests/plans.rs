//! The plan of every statement of the reading path, asked of both databases.
//!
//! SQLite plans by its indexes alone. PostgreSQL plans by what it knows of the tables, so they are filled by its own means with the shape of
//! a year of a small shop, and analysed; and it is asked for the plan that serves any argument, not the one for a lucky one.

use super::{Database, On, Place, open, options, sql};
use crate::store::session::Session;

/// Every statement of the reading path; those over lists for a few, and for the most that one statement takes.
fn reading() -> Vec<String> {
    let single = sql::READING.iter().map(|text| text.to_string());
    let lists = sql::READING_LISTS.iter().flat_map(|list| [list.text(4), list.text(sql::PIECE_MAX)]);
    // What is no column of a table has a type for PostgreSQL only by the argument that it is asked with.
    let rows = sql::READING_ROWS.iter().map(|rows| rows.text(1).replace("$1", "CAST($1 AS BIGINT)"));
    single.chain(lists).chain(rows).collect()
}

/// A test's own text; it lives as long as the test.
fn text(text: String) -> &'static str {
    text.leak()
}

#[tokio::test]
async fn sqlite_neither_scans_nor_sorts() {
    let (store, _place) = open(On::Sqlite).await;
    let mut session = store.read().await.unwrap();
    let publishing = sql::PUBLICATION_READING.iter().map(|text| text.to_string());
    for statement in reading().into_iter().chain(publishing) {
        let plan = sqlite(&mut session, &statement).await;
        assert!(!plan.is_empty() && !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{statement}\n{plan}");
    }
    // The same question finds a scan where there is one.
    assert!(sqlite(&mut session, "SELECT id FROM record WHERE submitter = $1").await.contains("SCAN"));
}

async fn sqlite(session: &mut Session, statement: &str) -> String {
    let plan: Vec<(i64, i64, i64, String)> =
        session.rows(text(format!("EXPLAIN QUERY PLAN {statement}")), &[]).await.unwrap();
    // The rows that a statement brings along may be gone through.
    plan.into_iter()
        .map(|(_, _, _, line)| line)
        .filter(|line| !["SCAN n", "SCAN few", "SCAN CONSTANT ROW"].contains(&line.as_str()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// 40 chains, 5,000 runs of 8 records each, and other tables large enough that reading them whole would not pay; the hash of a number is a digest.
const YEAR: &[&str] = &[
    "INSERT INTO chain (id, tenant_id, name) SELECT i, 1, 'chain ' || i FROM generate_series(1, 40) i",
    "INSERT INTO run (id, chain_id, run_key) SELECT i, i % 40 + 1, 'run ' || i FROM generate_series(1, 5000) i",
    "INSERT INTO blob (id, digest, size, inline, base_id) \
     SELECT i, sha256(int8send(i)), 1500, sha256(int8send(i)), CASE WHEN i % 64 > 0 THEN i - i % 64 END \
     FROM generate_series(64, 60000) i",
    "INSERT INTO record (id, tenant_id, chain_id, run_id, kind, step, payload_digest, payload_type, blob_id, in_set, out_set, \
     received_at, submitter) SELECT i, 1, i / 8 % 40 + 1, i / 8 + 1, CASE WHEN i % 500 = 0 THEN 1 ELSE 2 END, 'step ' || i % 8, \
     sha256(int8send(i)), 't', i + 64, i, i + 1, i, 'ci' FROM generate_series(0, 39999) i",
    "INSERT INTO record_key (payload_digest, tenant_id, chain_id, payload_type, record_id) \
     SELECT payload_digest, 1, chain_id, 't', id FROM record",
    "INSERT INTO signer (id, keyid) SELECT i, 'key ' || i FROM generate_series(0, 19999) i",
    "INSERT INTO signature (record_id, signer_id, alg, sig) SELECT id, id % 320, 'Ed25519', '\\x00' FROM record",
    "INSERT INTO subject (digest, chain_id, role, record_id, run_id) SELECT payload_digest, chain_id, 0, id, run_id FROM record",
    "INSERT INTO layout (id, chain_id, version, issued_at, expires_at) SELECT i, i % 40 + 1, i, 0, 1 FROM generate_series(1, 8000) i",
    "INSERT INTO layout_key (layout_id, step, keyid) SELECT l.id, 'step ' || i, 'key ' || i FROM layout l, generate_series(0, 7) i",
    "INSERT INTO layout_binding (digest, layout_id) SELECT sha256(int8send(i)), i FROM generate_series(1, 8000) i",
    "INSERT INTO key_ (keyid, alg, public) SELECT 'key ' || i, 'Ed25519', '{}' FROM generate_series(0, 19999) i",
    "INSERT INTO key_grant (chain_id, step, keyid) SELECT c, 'step ' || i, 'key ' || i FROM generate_series(1, 4000) c, generate_series(0, 7) i",
    "INSERT INTO art_set (id, root, n) SELECT i, sha256(int8send(i)), 10 FROM generate_series(0, 40000) i",
    "INSERT INTO chunk (id, digest, n, names, blob_id, base_id, lacks) SELECT i, sha256(int8send(i)), 10, i % 900, i + 40064, \
     CASE WHEN i % 64 > 0 THEN i - i % 64 END, CASE WHEN i % 64 > 0 THEN int8send(i) END FROM generate_series(0, 19000) i",
    "INSERT INTO set_chunk (chunk_id, set_id) SELECT (i + k * 977) % 19001, i FROM generate_series(0, 40000) i, generate_series(0, 3) k",
    "INSERT INTO posting (d64, chunk_id) SELECT i * 10 + k, i FROM generate_series(0, 19000) i, generate_series(0, 9) k",
    "ANALYZE",
];

#[tokio::test]
async fn postgres_neither_scans_nor_sorts() {
    let place = Place::new(On::Postgres);
    let store = Database::open(options(&place)).await.unwrap();
    let engine = super::Engine::connect(&options(&place).location, None).await.unwrap();
    let mut session = engine.writers.session().await.unwrap();
    for statement in YEAR {
        session.execute(statement, &[]).await.unwrap_or_else(|error| panic!("{statement}\n{error}"));
    }
    session.execute("SET plan_cache_mode = force_generic_plan", &[]).await.unwrap();
    for statement in reading() {
        let plan = postgres(&mut session, &statement).await;
        assert!(plan.contains("Index"), "{statement}\n{plan}");
        let bad = ["Seq Scan", "Sort", "Hash Join"].iter().find(|word| plan.contains(**word));
        assert_eq!(bad, None, "{statement}\n{plan}");
    }
    let scan = postgres(&mut session, "SELECT id FROM record WHERE submitter = $1").await;
    assert!(scan.contains("Seq Scan"), "{scan}");
    drop(store);
}

/// The plan for any argument.
async fn postgres(session: &mut Session, statement: &str) -> String {
    let places = (1..).take_while(|place| statement.contains(&format!("${place}"))).count();
    session.execute(text(format!("PREPARE asked AS {statement}")), &[]).await.unwrap();
    let nothing = vec!["NULL"; places].join(", ");
    let execute = if places == 0 { "asked".to_owned() } else { format!("asked ({nothing})") };
    let plan: Vec<String> = session.values(text(format!("EXPLAIN EXECUTE {execute}")), &[]).await.unwrap();
    session.execute("DEALLOCATE asked", &[]).await.unwrap();
    plan.join("\n")
}
