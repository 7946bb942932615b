use super::*;
use crate::store::databases::{On, Place, on_both};
use crate::{
    digest::DigestSet,
    intoto::{Artifacts, Fact, Facts},
    store::{Kind, LayoutFacts, RunFacts, StepKey, VerifiedSignature, artifacts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

mod families;
mod plans;
mod statements;

on_both!(
    a_database_of_the_first_version_is_brought_up_to_date,
    facts_and_the_run_of_a_record_are_kept,
    a_signer_whose_number_is_gone_gets_another,
    the_stream_tells_of_each_record_and_of_its_further_signatures,
    stores_on_one_database_do_not_get_in_each_others_way,
    a_newer_database_is_refused,
    what_was_acknowledged_is_there_after_opening_again_and_written_once,
    a_further_signature_joins_the_record_and_the_same_one_does_not,
    the_same_payload_belongs_to_each_chain_and_container_that_has_it,
    a_run_brings_its_links_whatever_they_share,
    an_image_that_is_made_and_named_comes_with_its_link_once,
    without_a_run_shared_artifacts_bring_the_links_of_this_build_alone,
    the_latest_layout_comes_with_earlier_ones_that_have_not_expired,
    an_answer_stays_within_its_limits_and_says_so,
    a_chain_that_names_anothers_image_leaves_room_for_what_that_knows,
    damaged_bytes_are_said_to_be_and_leave_others_readable,
    writers_at_once_are_all_answered_and_all_kept,
);

fn options(place: &Place) -> Options {
    Options::at(place.url.parse().unwrap())
}

/// A database that is new.
async fn open(on: On) -> (Database, Place) {
    let place = Place::new(on);
    (Database::open(options(&place)).await.unwrap(), place)
}

fn now() -> Timestamp {
    "2026-11-25T00:00:00Z".parse().unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn files(files: &[(&str, &str)]) -> Artifacts {
    files.iter().map(|(path, content)| (path.to_string(), DigestSet::of(&digest(content)))).collect()
}

/// A record as `server` would hand it over; the database does not look into envelopes.
fn record(chain: i64, step: &str, text: &str, signers: &[&str]) -> NewRecord {
    let signatures: Vec<String> =
        signers.iter().map(|name| format!(r#"{{"sig":"{}"}}"#, STANDARD.encode(name))).collect();
    let (payload, signatures_text) = (STANDARD.encode(text), signatures.join(","));
    let envelope = format!(r#"{{"payload":"{payload}","payloadType":"t","signatures":[{signatures_text}]}}"#);
    let signature = |(index, name): (usize, &&str)| VerifiedSignature {
        keyid: name.to_string(),
        alg: "Ed25519".into(),
        index,
        sig: name.as_bytes().to_vec(),
    };
    NewRecord {
        chain,
        kind: Kind::Link,
        step: Some(step.into()),
        digest: digest(text),
        payload_type: "t".into(),
        envelope: envelope.into_bytes(),
        signatures: signers.iter().enumerate().map(signature).collect(),
        run: None,
        run_facts: RunFacts::default(),
        submitter: "ci".into(),
        produced: BTreeSet::new(),
        declared: BTreeSet::new(),
        materials: Artifacts::new(),
        products: Artifacts::new(),
        return_code: Some(0),
        received_at: now(),
        predicate_type: None,
        started_at: None,
        finished_at: None,
        facts: Facts::default(),
        layout: None,
    }
}

fn layout(chain: i64, text: &str, steps: &[&str], expires: &str) -> NewRecord {
    let key = |step: &&str| StepKey {
        step: step.to_string(),
        keyid: "k".into(),
        alg: "Ed25519".into(),
        public: format!("{{\"for\":\"{step}\"}}"),
    };
    let facts = LayoutFacts { expires: expires.parse().unwrap(), keys: steps.iter().map(key).collect() };
    NewRecord { kind: Kind::Layout, step: None, layout: Some(facts), ..record(chain, "", text, &["alice"]) }
}

async fn names(store: &Database, image: &str, chains: &[i64]) -> Vec<Digest> {
    let evidence = store
        .evidence(&digest(image), &chains.iter().copied().collect(), now(), EvidenceLimits::DEFAULT)
        .await
        .unwrap();
    evidence.records.into_iter().map(|found| found.digest).collect()
}

fn set(texts: &[&str]) -> BTreeSet<Digest> {
    texts.iter().map(|text| digest(text)).collect()
}

const FUTURE: &str = "2027-01-01T00:00:00Z";
const PAST: &str = "2026-11-24T00:00:00Z";

async fn what_was_acknowledged_is_there_after_opening_again_and_written_once(on: On) {
    let place = Place::new(on);
    let (chain, link) = {
        let store = Database::open(options(&place)).await.unwrap();
        let chain = store.chain("shop").await.unwrap();
        let link = NewRecord { produced: set(&["image"]), ..record(chain, "build", "link", &["ci"]) };
        assert_eq!(store.put(link.clone()).await, Ok(Put::Created));
        (chain, link)
    };
    let store = Database::open(options(&place)).await.unwrap();
    assert_eq!(store.chain("shop").await, Ok(chain));
    assert_eq!(store.put(link.clone()).await, Ok(Put::Known));
    let evidence = store.evidence(&digest("image"), &[chain].into(), now(), EvidenceLimits::DEFAULT).await.unwrap();
    assert_eq!(evidence.records.len(), 1);
    assert_eq!((&evidence.records[0].envelope, evidence.truncated), (&link.envelope, false));
    assert_eq!(names(&store, "another image", &[chain]).await, []);
}

async fn a_further_signature_joins_the_record_and_the_same_one_does_not(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    let first = NewRecord { produced: set(&["image"]), ..record(chain, "build", "link", &["one"]) };
    store.put(first.clone()).await.unwrap();
    let both = NewRecord { produced: set(&["image"]), ..record(chain, "build", "link", &["one", "two"]) };
    assert_eq!(store.put(both.clone()).await, Ok(Put::Extended));
    assert_eq!(store.put(first).await, Ok(Put::Known));
    assert_eq!(store.put(both.clone()).await, Ok(Put::Known));
    let evidence = store.evidence(&digest("image"), &[chain].into(), now(), EvidenceLimits::DEFAULT).await.unwrap();
    assert_eq!(evidence.records.len(), 1);
    assert_eq!(evidence.records[0].envelope, both.envelope);
}

async fn the_same_payload_belongs_to_each_chain_and_container_that_has_it(on: On) {
    let (store, _place) = open(on).await;
    let (shop, other) = (store.chain("shop").await.unwrap(), store.chain("other").await.unwrap());
    let link = |chain| NewRecord { produced: set(&["image"]), ..record(chain, "build", "link", &["ci"]) };
    assert_eq!(store.put(link(shop)).await, Ok(Put::Created));
    assert_eq!(store.put(link(other)).await, Ok(Put::Created));
    let metablock = NewRecord { payload_type: String::new(), ..link(shop) };
    assert_eq!(store.put(metablock).await, Ok(Put::Created));
    assert_eq!(names(&store, "image", &[shop, other]).await.len(), 3);
    assert_eq!(names(&store, "image", &[other]).await.len(), 1);
    assert_eq!(names(&store, "image", &[]).await, []);
}

async fn a_run_brings_its_links_whatever_they_share(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    let run = |key: &str, step: &str, text: &str, produced: &[&str]| NewRecord {
        run: Some(key.into()),
        produced: set(produced),
        ..record(chain, step, text, &["ci"])
    };
    store.put(run("1", "test", "test of 1", &[])).await.unwrap();
    store.put(run("2", "test", "test of 2", &[])).await.unwrap();
    store.put(run("1", "build", "build of 1", &["image 1"])).await.unwrap();
    store.put(run("2", "build", "build of 2", &["image 2"])).await.unwrap();
    let found: BTreeSet<Digest> = names(&store, "image 1", &[chain]).await.into_iter().collect();
    assert_eq!(found, set(&["test of 1", "build of 1"]));

    // A record that named no run joins one when it is sent again with it.
    let late = NewRecord { run: None, ..run("", "scan", "scan", &[]) };
    store.put(late.clone()).await.unwrap();
    assert_eq!(store.put(NewRecord { run: Some("1".into()), ..late.clone() }).await, Ok(Put::Extended));
    assert_eq!(store.put(NewRecord { run: Some("2".into()), ..late }).await, Ok(Put::Known));
    let found: BTreeSet<Digest> = names(&store, "image 1", &[chain]).await.into_iter().collect();
    assert_eq!(found, set(&["test of 1", "build of 1", "scan"]));
    assert_eq!(names(&store, "image 2", &[chain]).await.len(), 2);
}

async fn an_image_that_is_made_and_named_comes_with_its_link_once(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    let link = record(chain, "build", "build", &["ci"]);
    store.put(NewRecord { produced: set(&["image"]), declared: set(&["image"]), ..link }).await.unwrap();
    assert_eq!(names(&store, "image", &[chain]).await, [digest("build")]);
}

async fn without_a_run_shared_artifacts_bring_the_links_of_this_build_alone(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    store.put(layout(chain, "layout", &["checkout", "review", "build", "package", "scan"], FUTURE)).await.unwrap();
    for build in 0..12 {
        let text = |step: &str| format!("{step} {build}");
        let sources = [("LICENSE", "licence"), ("src/lib.rs", "lib"), ("src/main.rs", &text("main"))];
        let (binary, image, report) = (text("binary"), text("image"), text("report"));
        let checkout = record(chain, "checkout", &text("checkout"), &["ci"]);
        store.put(NewRecord { products: files(&sources), ..checkout }).await.unwrap();
        // Reviews what was checked out and makes nothing.
        let review = record(chain, "review", &text("review"), &["reviewer"]);
        store.put(NewRecord { materials: files(&sources), ..review }).await.unwrap();
        let build = record(chain, "build", &text("build"), &["ci"]);
        let products = files(&[("LICENSE", "licence"), ("app", &binary)]);
        store.put(NewRecord { materials: files(&sources), products, ..build }).await.unwrap();
        let package = record(chain, "package", &text("package"), &["ci"]);
        let materials = files(&[("LICENSE", "licence"), ("app", &binary)]);
        let products = files(&[("oci:registry.example.com/shop", &image)]);
        let produced = artifacts::images(&products, 8);
        store.put(NewRecord { materials, products, produced, ..package }).await.unwrap();
        // Looks at the image and makes a report.
        let scan = record(chain, "scan", &text("scan"), &["ci"]);
        let materials = files(&[("oci:registry.example.com/shop", &image)]);
        store.put(NewRecord { materials, products: files(&[("r", &report)]), ..scan }).await.unwrap();
    }
    for build in [0, 5, 11] {
        let found: BTreeSet<Digest> = names(&store, &format!("image {build}"), &[chain]).await.into_iter().collect();
        let steps = ["checkout", "review", "build", "package", "scan"].map(|step| format!("{step} {build}"));
        let mut expected: BTreeSet<Digest> = steps.iter().map(|text| digest(text)).collect();
        expected.insert(digest("layout"));
        assert_eq!(found, expected, "build {build}");
    }
}

async fn the_latest_layout_comes_with_earlier_ones_that_have_not_expired(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    store.put(layout(chain, "old", &["build"], PAST)).await.unwrap();
    store.put(layout(chain, "bound", &["build"], PAST)).await.unwrap();
    store.put(layout(chain, "earlier", &["build"], FUTURE)).await.unwrap();
    store.put(layout(chain, "latest", &["test"], FUTURE)).await.unwrap();
    let bound = NewRecord { declared: set(&["image"]), ..layout(chain, "bound", &["build"], PAST) };
    assert_eq!(store.put(bound).await, Ok(Put::Extended));
    assert_eq!(names(&store, "image", &[chain]).await, ["bound", "latest", "earlier"].map(digest));
    // Keys of earlier layouts stay authorised for their steps, and for no other.
    assert_eq!(store.step_keys(chain, "build").await.unwrap().len(), 1);
    assert_eq!(store.step_keys(chain, "test").await.unwrap().len(), 1);
    assert_eq!(store.step_keys(chain, "deploy").await.unwrap().len(), 0);
    assert_eq!(store.step_keys(chain + 1, "build").await.unwrap().len(), 0);
}

async fn an_answer_stays_within_its_limits_and_says_so(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    for step in 0..10 {
        let text = format!("link {step}");
        let link = record(chain, &format!("step {step}"), &text, &["ci"]);
        store.put(NewRecord { run: Some("1".into()), produced: set(&["image"]), ..link }).await.unwrap();
    }
    let ask = async |limits| {
        let all = store.evidence(&digest("image"), &[chain].into(), now(), EvidenceLimits::DEFAULT).await.unwrap();
        let some = store.evidence(&digest("image"), &[chain].into(), now(), limits).await.unwrap();
        assert_eq!((all.records.len(), all.truncated), (10, false));
        (some.records.len(), some.truncated)
    };
    let two = record(chain, "step 0", "link 0", &["ci"]).envelope.len() * 2;
    let limits = EvidenceLimits { bytes_max: two, ..EvidenceLimits::DEFAULT };
    assert_eq!(ask(limits).await, (2, true));
}

async fn a_chain_that_names_anothers_image_leaves_room_for_what_that_knows(on: On) {
    let (store, _place) = open(on).await;
    // Made first, so read first.
    let (loud, shop) = (store.chain("loud").await.unwrap(), store.chain("shop").await.unwrap());
    let link =
        |chain, step: &str, text: &str| NewRecord { produced: set(&["image"]), ..record(chain, step, text, &["ci"]) };
    for noise in 0..8 {
        store.put(link(loud, &format!("step {noise}"), &format!("{noise}").repeat(1_000))).await.unwrap();
    }
    store.put(link(shop, "build", &"build".repeat(200))).await.unwrap();
    let limits = EvidenceLimits { bytes_max: 4_000, ..EvidenceLimits::DEFAULT };
    let found = store.evidence(&digest("image"), &[loud, shop].into(), now(), limits).await.unwrap();
    assert!(found.truncated && found.records.iter().any(|record| record.chain == loud));
    assert!(found.records.iter().any(|record| record.chain == shop));
}

#[tokio::test]
async fn a_full_store_keeps_what_it_acknowledged_and_nothing_of_what_it_refused() {
    let place = Place::new(On::Sqlite);
    let small = Options { pages_max: Some(120), ..options(&place) };
    let store = Database::open(small).await.unwrap();
    let chain = store.chain("shop").await.unwrap();
    let link = |number: usize| NewRecord {
        // Bytes that do not pack, and differ, or they would be one blob.
        envelope: (0..1024).flat_map(|block| artifacts::raw(&digest(&format!("{number} {block}")))).collect(),
        produced: set(&["image"]),
        ..record(chain, &format!("step {number}"), &format!("link {number}"), &["ci"])
    };
    let mut kept = 0;
    let refused = loop {
        match store.put(link(kept)).await {
            Ok(put) => {
                assert_eq!(put, Put::Created);
                kept += 1;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::Full);
    assert!(kept > 0);
    assert_eq!(names(&store, "image", &[chain]).await.len(), kept);
    assert_eq!(store.put(link(0)).await, Ok(Put::Known));
    assert_eq!(store.ready().await, Ok(()));
}

async fn damaged_bytes_are_said_to_be_and_leave_others_readable(on: On) {
    let (store, place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    // Of another step, or it would be kept as the difference to what is damaged.
    for (step, text, image) in [("build", "link", "image"), ("test", "other", "other image")] {
        store.put(NewRecord { produced: set(&[image]), ..record(chain, step, text, &["ci"]) }).await.unwrap();
    }
    let engine = Engine::connect(&options(&place).location, None).await.unwrap();
    let envelope = record(chain, "build", "link", &["ci"]).envelope;
    let (name, zeros) = (artifacts::raw(&Digest::sha256(&envelope)), vec![0; envelope.len()]);
    let damage = "UPDATE blob SET inline = $2 WHERE digest = $1";
    let damaged = engine.writers.session().await.unwrap().execute(damage, args![&name, &zeros]).await;
    assert_eq!(damaged, Ok(1));
    let damaged = store.evidence(&digest("image"), &[chain].into(), now(), EvidenceLimits::DEFAULT).await;
    assert!(matches!(damaged, Err(StoreError::Corrupt(_))), "{damaged:?}");
    assert_eq!(names(&store, "other image", &[chain]).await, [digest("other")]);
}

async fn writers_at_once_are_all_answered_and_all_kept(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    let links = (0..100).map(|number| {
        // Every second one is the same record.
        let text = format!("link {}", number / 2);
        NewRecord { run: Some("1".into()), produced: set(&["image"]), ..record(chain, "build", &text, &["ci"]) }
    });
    let answers = futures::future::join_all(links.map(|link| store.put(link))).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(Put::Created)).count(), 50);
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(Put::Known)).count(), 50);
    assert_eq!(names(&store, "image", &[chain]).await.len(), 50);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| Location::Sqlite(dir.path().join(name));
    std::fs::write(dir.path().join("bad.db"), "not a database, and longer than one hundred bytes: ".repeat(9)).unwrap();
    assert!(Database::open(Options::at(file("bad.db"))).await.is_err());
    assert!(migrate(&file("new.db")).await.is_ok());
}

/// The rows of one link as the first version of the tables had them.
const FIRST_VERSION: &[&str] = &[
    "INSERT INTO chain (id, tenant_id, name) VALUES (10, 1, 'shop')",
    "INSERT INTO blob (id, digest, size, codec, inline) VALUES (11, $1, $2, 0, $3)",
    "INSERT INTO record (id, tenant_id, chain_id, kind, step, payload_digest, payload_type, blob_id, received_at, submitter) \
     VALUES (12, 1, 10, 2, 'build', $1, 't', 11, 0, 'ci')",
    "INSERT INTO record_key (payload_digest, tenant_id, chain_id, payload_type, record_id) VALUES ($1, 1, 10, 't', 12)",
    "INSERT INTO signature (record_id, keyid, alg, sig) VALUES (12, 'ci', 'Ed25519', $1)",
    "INSERT INTO subject (digest, chain_id, role, record_id) VALUES ($1, 10, 0, 12)",
];

async fn a_database_of_the_first_version_is_brought_up_to_date(on: On) {
    let place = Place::new(on);
    let engine = Engine::connect(&options(&place).location, None).await.unwrap();
    assert_eq!(migrate::run_first(&engine.writers, 1).await.unwrap(), 1);
    let behind = Database::open(Options { migrate: false, ..options(&place) }).await.err().unwrap();
    assert!(behind.to_string().starts_with("database_behind: the database has 1 of"), "{behind}");

    let link = record(10, "build", "link", &["ci"]);
    let (name, image) = (artifacts::raw(&link.digest), artifacts::raw(&digest("image")));
    let body = artifacts::raw(&Digest::sha256(&link.envelope));
    let size = i64::try_from(link.envelope.len()).unwrap();
    let arguments =
        [args![] as &[_], args![&body, size, &link.envelope], args![&name], args![&name], args![&name], args![&image]];
    let mut session = engine.writers.session().await.unwrap();
    for (statement, arguments) in FIRST_VERSION.iter().zip(arguments) {
        assert_eq!(session.execute(statement, arguments).await, Ok(1), "{statement}");
    }
    drop(session);
    engine.writers.close().await;

    let store = Database::open(options(&place)).await.unwrap();
    assert_eq!(store.chain("shop").await, Ok(10));
    let evidence = store.evidence(&digest("image"), &[10].into(), now(), EvidenceLimits::DEFAULT).await.unwrap();
    assert_eq!(evidence.records.len(), 1);
    assert_eq!(evidence.records[0].envelope, link.envelope);
    assert_eq!(store.put(link).await, Ok(Put::Known));
    assert_eq!(store.put(record(10, "build", "another", &["ci"])).await, Ok(Put::Created));
    let stream = stream(&store).await;
    assert_eq!((stream.len(), stream[0], stream[1].0), (2, (1, 12, 1), 2));
}

async fn a_newer_database_is_refused(on: On) {
    let (store, place) = open(on).await;
    let engine = Engine::connect(&options(&place).location, None).await.unwrap();
    let newer = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 2";
    assert_eq!(engine.writers.session().await.unwrap().execute(newer, &[]).await, Ok(1));
    drop(store);
    for migrate in [true, false] {
        let refused = Database::open(Options { migrate, ..options(&place) }).await.err().unwrap();
        assert!(refused.to_string().starts_with("database_ahead: the database has migration 9999"), "{refused}");
    }
}

/// Position, record and why, in order.
async fn stream(store: &Database) -> Vec<(i64, i64, i64)> {
    let rows = "SELECT seq, record_id, what FROM stream ORDER BY seq";
    store.read().await.unwrap().rows(rows, &[]).await.unwrap()
}

async fn the_stream_tells_of_each_record_and_of_its_further_signatures(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    store.put(record(chain, "build", "one", &["ci"])).await.unwrap();
    store.put(record(chain, "build", "two", &["ci"])).await.unwrap();
    store.put(record(chain, "build", "one", &["ci"])).await.unwrap();
    store.put(record(chain, "build", "one", &["ci", "also"])).await.unwrap();
    let stream = stream(&store).await;
    assert_eq!(stream.iter().map(|(seq, _, what)| (*seq, *what)).collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 2)]);
    assert_eq!(stream[0].1, stream[2].1);
}

async fn facts_and_the_run_of_a_record_are_kept(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    let facts = |commit: &str| RunFacts { commit_id: Some(commit.into()), outcome: Some(0), ..RunFacts::default() };
    let link = |text: &str, commit: &str| NewRecord {
        run: Some("7".into()),
        run_facts: facts(commit),
        facts: Facts::from_iter([
            ("commit.signed".to_owned(), Fact::Text("false".into())),
            ("vulns.critical".to_owned(), Fact::Number(3)),
        ]),
        predicate_type: Some("https://example.com/scan/v1".into()),
        started_at: Some(now()),
        ..record(chain, "scan", text, &["ci"])
    };
    store.put(link("one", "c0ffee")).await.unwrap();
    store.put(link("two", "beef")).await.unwrap();
    let mut session = store.read().await.unwrap();
    let commits: Vec<Option<String>> = session.values("SELECT commit_id FROM run", &[]).await.unwrap();
    assert_eq!(commits, [Some("c0ffee".into())], "the first that was said");
    let facts =
        "SELECT k.name, f.txt, f.num FROM fact f JOIN fact_key k ON k.id = f.key_id ORDER BY f.record_id, k.name";
    let facts: Vec<(String, Option<String>, Option<i64>)> = session.rows(facts, &[]).await.unwrap();
    let of_one = [
        ("commit.signed".to_owned(), Some("false".to_owned()), None),
        ("vulns.critical".to_owned(), Some("3".to_owned()), Some(3)),
    ];
    assert_eq!(facts, [of_one.clone(), of_one].concat());
    let columns = "SELECT predicate_type, started_at, finished_at FROM record ORDER BY id LIMIT 1";
    let columns: Option<(Option<String>, Option<i64>, Option<i64>)> = session.row(columns, &[]).await.unwrap();
    assert_eq!(columns, Some((Some("https://example.com/scan/v1".into()), Some(now().as_microsecond()), None)));
}

/// Two processes on one database, as far as the database can tell.
async fn stores_on_one_database_do_not_get_in_each_others_way(on: On) {
    let (one, place) = open(on).await;
    let other = Database::open(options(&place)).await.unwrap();
    let chain = one.chain("shop").await.unwrap();
    assert_eq!(other.chain("shop").await, Ok(chain));
    let link = |number: usize| {
        // The same runs, files and records from both.
        let products = files(&[("a/x", &format!("x {}", number % 7)), ("b/y", &format!("y {}", number % 5))]);
        let (run, facts) =
            (Some(format!("{}", number % 3)), Facts::from_iter([(format!("f{}", number % 4), Fact::Number(1))]));
        NewRecord {
            run,
            products,
            facts,
            produced: set(&["image"]),
            ..record(chain, "build", &format!("{number}"), &["ci"])
        }
    };
    let puts =
        (0..120).map(|number| if number % 2 == 0 { one.put(link(number / 2)) } else { other.put(link(number / 2)) });
    let answers = futures::future::join_all(puts).await;
    let count = |put: Put| answers.iter().filter(|answer| **answer == Ok(put)).count();
    assert_eq!((count(Put::Created), count(Put::Known)), (60, 60), "{answers:?}");
    let positions: Vec<i64> = stream(&one).await.into_iter().map(|(seq, _, _)| seq).collect();
    assert_eq!(positions, (1..=60).collect::<Vec<i64>>());
}

/// A standby that took over may not have what was committed.
async fn a_signer_whose_number_is_gone_gets_another(on: On) {
    let (store, place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    store.put(record(chain, "build", "first", &["ci"])).await.unwrap();
    let engine = Engine::connect(&options(&place).location, None).await.unwrap();
    let mut session = engine.writers.session().await.unwrap();
    for gone in ["DELETE FROM signature", "DELETE FROM signer"] {
        assert_eq!(session.execute(gone, &[]).await, Ok(1));
    }
    let second = record(chain, "build", "second", &["ci"]);
    assert_eq!(store.put(second.clone()).await, Err(StoreError::Conflict));
    assert_eq!(store.put(second).await, Ok(Put::Created));
    let signed = "SELECT count(*) FROM signature s JOIN signer n ON n.id = s.signer_id WHERE n.keyid = 'ci'";
    assert_eq!(session.one::<i64>(signed, &[]).await, Ok(1));
}
