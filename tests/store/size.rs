//! What a link of 1,000 artifacts costs on disk, amortised over everything that is kept for it: rows, indexes, bodies, lists.

use super::databases::{self, On, Place};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tidewaiter::{
    Link, args,
    digest::Digest,
    envelope::Envelope,
    intoto::{Facts, Profile},
    store::{
        Database, Kind, Location, Metadata as _, NewRecord, RunFacts, VerifiedSignature, artifacts, database, engine,
    },
};

databases::on_both!(a_link_of_1000_artifacts_costs_a_few_kib);

const ARTIFACTS: usize = 1_000;
const BUILDS: usize = 40;
/// Each lists the tree, as recorders do.
const STEPS: [&str; 8] = ["checkout", "lint", "test", "sast", "build", "package", "scan", "sbom"];
/// Files that a build changes.
const CHANGED: usize = 4;

/// The tree of a build: 1,000 files in 50 directories, each with the last build that changed it.
fn tree(changed: &[usize]) -> Value {
    let file = |(number, build): (usize, &usize)| {
        let digest = Digest::sha256(format!("{number} {build}").as_bytes());
        (format!("src/module-{}/file-{number}.rs", number / 20), json!({"sha256": digest.hex()}))
    };
    changed.iter().enumerate().map(file).collect::<serde_json::Map<_, _>>().into()
}

/// A link as a recorder writes it; what is no SHA-256 of anything but random stands for its signature.
fn record(chain: i64, build: usize, step: &str, tree: &Value) -> NewRecord {
    let image = Digest::sha256(format!("image {build}").as_bytes());
    let products = match step {
        "build" => json!({"oci:registry.example.com/shop/api": {"sha256": image.hex()}}),
        _ => json!({}),
    };
    let payload =
        json!({"_type": "link", "name": step, "command": ["make", step], "materials": tree, "products": products,
        "byproducts": {"return-value": 0}, "environment": {}})
        .to_string();
    let random = |text: &str| hex::decode(Digest::sha256(format!("{text} {build} {step}").as_bytes()).hex()).unwrap();
    let sig = [random("one"), random("two")].concat();
    let keyid = Digest::sha256(step.as_bytes()).hex().to_owned();
    let envelope = json!({"payload": STANDARD.encode(&payload), "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": keyid, "sig": STANDARD.encode(&sig)}]})
    .to_string()
    .into_bytes();
    let link = Link::of(&Envelope::parse(&envelope).unwrap(), Profile::Strict).unwrap().link.unwrap();
    NewRecord {
        step: Some(step.into()),
        digest: Digest::sha256(payload.as_bytes()),
        payload_type: "application/vnd.in-toto+json".into(),
        envelope,
        signatures: vec![VerifiedSignature { keyid, alg: "Ed25519".into(), index: 0, sig }],
        run: Some(format!("https://ci.example.com/shop/api/runs/{build}")),
        produced: artifacts::images(&link.products, 8),
        materials: link.materials,
        products: link.products,
        chain,
        kind: Kind::Link,
        run_facts: RunFacts::default(),
        submitter: "ci".into(),
        declared: BTreeSet::new(),
        return_code: Some(0),
        received_at: jiff::Timestamp::UNIX_EPOCH,
        predicate_type: None,
        started_at: None,
        finished_at: None,
        facts: Facts::default(),
        layout: None,
    }
}

async fn a_link_of_1000_artifacts_costs_a_few_kib(on: On) {
    let place = Place::new(on);
    let location: Location = place.url.parse().unwrap();
    let database = Database::open(database::Options::at(location.clone())).await.unwrap();
    let chain = database.chain("shop").await.unwrap();
    let before = size(&location, &place).await;
    let mut raw = 0;
    let mut changed = [0; ARTIFACTS];
    for build in 0..BUILDS {
        for place in 0..CHANGED {
            changed[(build * 211 + place * 97) % ARTIFACTS] = build;
        }
        let tree = tree(&changed);
        for step in STEPS {
            let record = record(chain, build, step, &tree);
            raw += record.envelope.len();
            database.put(record).await.unwrap();
        }
    }
    let links = BUILDS * STEPS.len();
    let each = (size(&location, &place).await - before) / links as u64;
    println!("{on:?}: {} bytes received a link, {each} kept", raw / links);
    for (table, bytes) in tables(&location).await {
        println!("{:>8} {table}", bytes / links as i64);
    }
    assert!(raw / links > 125 << 10, "{}", raw / links);
    // A row and its place in an index cost PostgreSQL twice what they cost SQLite.
    let bar = match on {
        On::Sqlite => 5 << 10,
        On::Postgres => 10 << 10,
    };
    assert!(each <= bar, "{each}");
}

/// Bytes of each table and index, the largest first.
async fn tables(location: &Location) -> Vec<(String, i64)> {
    let mut session = engine::look(location).await.unwrap().session().await.unwrap();
    let statement = match location {
        Location::Sqlite(_) => "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 16",
        Location::Postgres(_) => {
            "SELECT CAST(relname AS TEXT), pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0) FROM pg_class \
             WHERE relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT 16"
        }
    };
    session.rows(statement, args![]).await.unwrap()
}

/// Bytes of the database.
async fn size(location: &Location, place: &Place) -> u64 {
    let mut session = engine::look(location).await.unwrap().session().await.unwrap();
    let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let size: i64 = match location {
        Location::Sqlite(_) => session.one(pages, args![]).await.unwrap(),
        Location::Postgres(_) => session.one("SELECT pg_database_size(current_database())", args![]).await.unwrap(),
    };
    assert!(place.dir.path().exists());
    u64::try_from(size).unwrap()
}
