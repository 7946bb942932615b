//! What a link of 1,000 artifacts costs on disk, amortised over everything that is kept for it: rows, indexes, bodies, lists.

use super::{
    databases::{self, On, Place},
    links::{record, tree},
};
use tidewaiter::{
    args,
    store::{Database, Location, Metadata as _, database, engine},
};

databases::on_both!(a_link_of_1000_artifacts_costs_at_most_5_kib);

const BUILDS: usize = 70;
/// Each lists the tree, as recorders do.
const STEPS: [&str; 4] = ["checkout", "test", "build", "scan"];
async fn a_link_of_1000_artifacts_costs_at_most_5_kib(on: On) {
    let place = Place::new(on);
    let location: Location = place.url.parse().unwrap();
    let database = Database::open(database::Options::at(location.clone())).await.unwrap();
    let chain = database.chain("shop").await.unwrap();
    let before = size(&location, &place).await;
    let mut raw = 0;
    for build in 0..BUILDS {
        let tree = tree(build);
        for step in STEPS {
            let record = record(chain, build, step, &tree);
            raw += record.envelope.len();
            database.put(record).await.unwrap();
        }
    }
    let links = BUILDS * STEPS.len();
    let each = (size(&location, &place).await - before) / links as u64;
    println!("{on:?}: {} bytes received a link, {each} kept", raw / links);
    assert!(raw / links > 125 << 10, "{}", raw / links);
    assert!(each <= 5 << 10, "{each}");
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
