//! What a link of 1,000 artifacts costs on disk, amortised over everything that is kept for it: rows, indexes, bodies, lists.

use super::databases::{self, On, Place};
use links::record;
use serde_json::{Value, json};
use tidewaiter::{
    args,
    digest::Digest,
    store::{Database, Location, Metadata as _, database, engine},
};

#[allow(dead_code)] // its own trees are those of another pipeline
#[path = "../../benches/support/store/links.rs"]
mod links;

databases::on_both!(a_link_of_1000_artifacts_costs_a_few_kib);

const ARTIFACTS: usize = 1_000;
const BUILDS: usize = 160;
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
    assert!(each <= 5 << 10, "{each}");
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

const OF_TABLES: &str = "WITH ours AS (SELECT oid, reltoastrelid AS toast FROM pg_class WHERE relnamespace = 'public'::regnamespace) \
    SELECT CAST(sum(pg_relation_size(oid)) AS BIGINT) FROM (SELECT oid FROM ours UNION SELECT toast FROM ours WHERE toast <> 0 \
    UNION SELECT i.indexrelid FROM pg_index i JOIN ours ON i.indrelid = ours.toast) AS every";

/// Bytes of the database; of PostgreSQL's without its catalogs and maps, which it writes when it pleases.
async fn size(location: &Location, place: &Place) -> u64 {
    let mut session = engine::look(location).await.unwrap().session().await.unwrap();
    let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let size: i64 = match location {
        Location::Sqlite(_) => session.one(pages, args![]).await.unwrap(),
        Location::Postgres(_) => session.one(OF_TABLES, args![]).await.unwrap(),
    };
    assert!(place.dir.path().exists());
    u64::try_from(size).unwrap()
}
