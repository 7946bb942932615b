//! Every combination of filters finds what looking at all records finds, page by page.

use super::*;
use crate::store::databases::{self, On, Place, on_both};
use crate::{
    intoto::{Artifacts, Facts},
    store::{Database, Metadata as _, NewRecord, RunFacts, VerifiedSignature, database},
};
use serde_json::json;

on_both!(every_combination_finds_what_looking_at_all_finds, a_page_that_looked_long_enough_says_where_to_go_on,);

const STEPS: [&str; 3] = ["build", "test", "scan"];
const KEYS: [&str; 2] = ["alice", "bob"];
const RUNS: [&str; 4] = ["1", "2", "3", "4"];
const IMAGES: [&str; 5] = ["a", "b", "c", "d", "e"];
const PREDICATE: &str = "https://in-toto.io/attestation/vulns/v0.2";

fn image(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

/// Facts as a link brings them.
fn facts(signed: bool, critical: i64) -> Facts {
    let facts = json!({"commit.signed": signed, "vulns.critical": critical});
    let link = json!({"_type": "link", "name": "s", "command": [], "materials": {}, "products": {}, "byproducts": {},
        "environment": {"facts": facts}});
    let link = crate::Link::read(link.to_string().as_bytes(), crate::intoto::Profile::Strict).unwrap().link.unwrap();
    Facts::of_link(&link)
}

/// The record of a number: its properties are the number's remainders, so that every combination is there.
fn record(chain: i64, number: usize) -> NewRecord {
    let pick = |list: &[&'static str], by: usize| list[number / by % list.len()];
    let text = format!("record {chain} {number}");
    let kind = if number.is_multiple_of(7) { Kind::Statement } else { Kind::Link };
    NewRecord {
        chain,
        kind,
        step: Some(pick(&STEPS, 1).into()),
        digest: image(&text),
        payload_type: "t".into(),
        envelope: text.clone().into_bytes(),
        signatures: vec![VerifiedSignature {
            keyid: pick(&KEYS, 3).into(),
            alg: "Ed25519".into(),
            index: 0,
            sig: text.into_bytes(),
        }],
        run: Some(pick(&RUNS, 2).into()),
        run_facts: RunFacts::default(),
        submitter: "ci".into(),
        produced: [image(pick(&IMAGES, 1))].into(),
        declared: BTreeSet::new(),
        materials: Artifacts::new(),
        products: Artifacts::new(),
        return_code: None,
        received_at: Timestamp::UNIX_EPOCH,
        predicate_type: (kind == Kind::Statement).then(|| PREDICATE.into()),
        started_at: None,
        finished_at: None,
        facts: facts(!number.is_multiple_of(5), i64::try_from(number % 4).unwrap()),
        layout: None,
    }
}

/// Writes them, many at once.
async fn keep(store: &Database, records: impl Iterator<Item = NewRecord>) {
    use futures::{StreamExt as _, TryStreamExt as _, stream};
    let puts = stream::iter(records.map(|record| store.put(record)));
    puts.buffer_unordered(100).try_collect::<Vec<_>>().await.unwrap();
}

/// What a filter says of a record, without an index.
fn fits(filter: &Filter, record: &NewRecord) -> bool {
    let fact = |(name, is): &(String, Is)| match (record.facts.get(name), is) {
        (Some(crate::intoto::Fact::Text(text)), Is::Text(wanted)) => text == wanted,
        (Some(crate::intoto::Fact::Number(number)), Is::Text(wanted)) => number.to_string() == *wanted,
        (Some(crate::intoto::Fact::Number(number)), Is::Between(from, to)) => (from..=to).contains(&number),
        _ => false,
    };
    filter.digest.as_ref().is_none_or(|digest| record.produced.contains(digest))
        && filter.run.as_ref().is_none_or(|run| record.run.as_ref() == Some(run))
        && filter.key.as_ref().is_none_or(|key| record.signatures[0].keyid == *key)
        && filter.step.as_ref().is_none_or(|step| record.step.as_ref() == Some(step))
        && filter.predicate_type.as_ref().is_none_or(|predicate| record.predicate_type.as_ref() == Some(predicate))
        && filter.kind.is_none_or(|kind| record.kind == kind)
        && filter.facts.iter().all(fact)
}

/// The filters of a number's bits.
fn filter(bits: u32) -> Filter {
    let on = |bit: u32| bits & (1 << bit) != 0;
    let mut facts = Vec::new();
    facts.extend(on(6).then(|| ("commit.signed".to_owned(), Is::Text("false".into()))));
    facts.extend(on(7).then(|| ("vulns.critical".to_owned(), Is::Between(2, i64::MAX))));
    facts.extend(on(8).then(|| ("vulns.critical".to_owned(), Is::Text("3".into()))));
    Filter {
        digest: on(0).then(|| image("c")),
        run: on(1).then(|| "2".into()),
        key: on(2).then(|| "bob".into()),
        step: on(3).then(|| "test".into()),
        predicate_type: on(4).then(|| PREDICATE.into()),
        kind: on(5).then(|| if on(4) { Kind::Statement } else { Kind::Link }),
        facts,
        since: None,
        until: None,
    }
}

async fn every_combination_finds_what_looking_at_all_finds(on: On) {
    let place = Place::new(on);
    let store = Database::open(database::Options::at(place.url.parse().unwrap())).await.unwrap();
    let mut chains = Vec::new();
    for name in ["one", "two", "secret"] {
        chains.push(store.chain(name).await.unwrap());
    }
    let mut records = Vec::new();
    for number in 0..300 {
        records.extend(chains.iter().map(|chain| record(*chain, number)));
    }
    keep(&store, records.iter().cloned()).await;
    let readable: BTreeSet<i64> = chains[..2].iter().copied().collect();
    let mut session = store.read().await.unwrap();
    let mut found = 0;
    for bits in 0..512 {
        let filter = filter(bits);
        let readable_and_fits = |record: &&NewRecord| readable.contains(&record.chain) && fits(&filter, record);
        let expected: BTreeSet<&Digest> =
            records.iter().filter(readable_and_fits).map(|record| &record.digest).collect();
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = search(&mut session, &filter, &readable, before, 37).await.unwrap();
            assert!(page.rows.len() <= 37 && page.rows.windows(2).all(|pair| pair[0].id > pair[1].id));
            pages.extend(page.rows);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert!(pages.windows(2).all(|pair| pair[0].id > pair[1].id), "each once: {filter:?}");
        assert_eq!(pages.iter().map(|row| &row.digest).collect::<BTreeSet<_>>(), expected, "{filter:?}");
        found += pages.len();
    }
    assert!(found > 9_000, "{found}");
    // What nobody has said of any record, and a run that no chain has.
    for filter in [
        Filter { facts: vec![("no.such.fact".into(), Is::Text("1".into()))], ..Filter::default() },
        Filter { run: Some("none".into()), ..Filter::default() },
    ] {
        assert_eq!(search(&mut session, &filter, &readable, None, 10).await.unwrap(), Page::default());
    }
    let all = search(&mut session, &Filter::default(), &readable, None, 1_000).await.unwrap();
    let middle = Timestamp::from_millisecond(all.rows[300].id >> 21).unwrap();
    let ask = |since, until| Filter { since, until, ..Filter::default() };
    let mut count = async |filter| search(&mut session, &filter, &readable, None, 1_000).await.unwrap().rows.len();
    let (later, earlier) = (count(ask(Some(middle), None)).await, count(ask(None, Some(middle))).await);
    assert_eq!((later + earlier, later > 300), (all.rows.len(), true));
}

/// Two filters that many records have, and none both: a page ends before it has found anything.
async fn a_page_that_looked_long_enough_says_where_to_go_on(on: On) {
    let place = Place::new(on);
    let store = Database::open(database::Options::at(place.url.parse().unwrap())).await.unwrap();
    let chain = store.chain("shop").await.unwrap();
    let records = (0..1_200).map(|number| {
        let (step, key) = if number % 2 == 0 { ("build", "alice") } else { ("test", "bob") };
        let mut record =
            NewRecord { step: Some(step.into()), run: None, facts: Facts::default(), ..record(chain, number) };
        record.signatures[0].keyid = key.into();
        record
    });
    keep(&store, records).await;
    let mut session = store.read().await.unwrap();
    let mut budget = BATCH;
    let filter = Filter { step: Some("build".into()), key: Some("bob".into()), ..Filter::default() };
    let terms = terms(&mut session, &filter).await.unwrap().unwrap();
    let (mut before, mut pages) = (i64::MAX, 0);
    loop {
        let mut look = Look { session: &mut session, chain, before, floor: 0, budget: &mut budget };
        let (rows, looked_to) = look.page(&terms, 10).await.unwrap();
        assert_eq!(rows, []);
        pages += 1;
        match looked_to {
            Some(to) => before = to,
            None => break,
        }
    }
    assert_eq!(pages, 600_usize.div_ceil(BATCH));
}

/// Every filter and list has an index: none scans a table; those that sort, sort what belongs to one run, one image or one range.
#[tokio::test]
async fn no_question_scans() {
    let place = Place::new(On::Sqlite);
    let store = Database::open(database::Options::at(place.url.parse().unwrap())).await.unwrap();
    let mut session = store.read().await.unwrap();
    let mut plan = async |statement: &str| {
        // A test's own text; it lives as long as the test.
        let explain: &'static str = format!("EXPLAIN QUERY PLAN {statement}").leak();
        let plan: Vec<(i64, i64, i64, String)> = session.rows(explain, &[]).await.unwrap();
        plan.into_iter().map(|(_, _, _, line)| line).collect::<Vec<_>>().join("\n")
    };
    let lists: Vec<String> = sql::ASKING_LISTS.iter().map(|list| list.text(3)).collect();
    let ordered = sql::FILTERS.iter().chain(sql::ASKING).copied().chain(lists.iter().map(String::as_str));
    for statement in ordered {
        let plan = plan(statement).await;
        assert!(!plan.is_empty() && !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{statement}\n{plan}");
    }
    for statement in sql::SORTED_FILTERS.iter().chain(sql::ASKING_SORTED) {
        let plan = plan(statement).await;
        assert!(!plan.is_empty() && !plan.contains("SCAN"), "{statement}\n{plan}");
    }
}

/// Rows enough that PostgreSQL takes an index where it has one: 20 chains, 20,000 records and what hangs from them.
const MANY: &str = "
    INSERT INTO record (id, tenant_id, chain_id, run_id, kind, step, payload_digest, payload_type, blob_id, received_at, submitter,
        predicate_type, in_set, out_set)
      SELECT i, 1, i % 20, i / 10, CASE WHEN i % 1000 = 1 THEN 1 WHEN i % 10 = 0 THEN 3 ELSE 2 END, 'step ' || i % 7,
        decode(md5(i::text), 'hex'), 't', i, i, 'ci', CASE WHEN i % 10 = 0 THEN 'p' || i % 3 END, i, i FROM generate_series(1, 20000) i;
    INSERT INTO record_key (payload_digest, tenant_id, chain_id, payload_type, record_id)
      SELECT payload_digest, 1, chain_id, 't', id FROM record;
    INSERT INTO signer (id, keyid) SELECT i, 'key ' || i FROM generate_series(0, 4999) i;
    INSERT INTO signature (record_id, signer_id, alg, sig) SELECT id, id % 200, 'Ed25519', payload_digest FROM record;
    INSERT INTO subject (digest, chain_id, role, record_id, run_id) SELECT payload_digest, chain_id, id % 3, id, run_id FROM record;
    INSERT INTO fact_key (id, name) SELECT i, 'fact ' || i FROM generate_series(1, 500) i;
    INSERT INTO fact (record_id, key_id, chain_id, txt, num)
      SELECT id, 1 + (id + k) % 500, chain_id, id % 50, CASE WHEN k = 1 THEN id % 50 END FROM record, generate_series(1, 3) k;
    INSERT INTO stream (seq, record_id, what) SELECT id, id, 1 FROM record;
    INSERT INTO run (id, chain_id, run_key, commit_id) SELECT i, i % 20, 'run ' || i, 'c' || i FROM generate_series(1, 5000) i;
    INSERT INTO layout (id, chain_id, version, issued_at, expires_at) SELECT i, i % 20, i, 0, 0 FROM generate_series(1, 5000) i;
    INSERT INTO layout_key (layout_id, step, keyid) SELECT id, 'step', 'key ' || id % 200 FROM layout;
    INSERT INTO key_ (keyid, alg, public) SELECT 'key ' || i, 'Ed25519', '{}' FROM generate_series(1, 5000) i;
    INSERT INTO key_grant (chain_id, step, keyid) SELECT i % 500, 'step ' || i % 7, 'key ' || i FROM generate_series(1, 5000) i;
    INSERT INTO blob (id, digest, size) SELECT i, decode(md5(i::text), 'hex'), 1 FROM generate_series(1, 5000) i;
    INSERT INTO chunk (id, digest, n, blob_id) SELECT id, digest, 1, id FROM blob;
    INSERT INTO verdict (id, cluster, namespace, workload_uid, workload_kind, workload_name, image, digest, decision, at, received_at)
      SELECT i, 'cluster ' || i % 20, '', '', '', '', '', decode(md5((i / 4)::text), 'hex'), 1, 0, 0 FROM generate_series(1, 20000) i;
    INSERT INTO workload (cluster, uid, digest, namespace, kind, name, image, first_seen, last_seen, verdict_id)
      SELECT 'cluster ' || i % 20, 'uid ' || i, decode(md5((i / 4)::text), 'hex'), '', '', '', '', 0, 0, i FROM generate_series(1, 20000) i;
    ANALYZE;";

/// The plan that PostgreSQL keeps for a prepared statement, whatever its arguments.
#[tokio::test]
async fn no_question_scans_on_postgres_either() {
    let place = Place::new(On::Postgres);
    drop(Database::open(database::Options::at(place.url.parse().unwrap())).await.unwrap());
    let database = place.url.rsplit('/').next().unwrap();
    let server = databases::Postgres::shared();
    server.sql(database, MANY);
    let lists: Vec<String> = sql::ASKING_LISTS.iter().map(|list| list.text(3)).collect();
    let statements =
        sql::FILTERS.iter().chain(sql::SORTED_FILTERS).chain(sql::ASKING).chain(sql::ASKING_SORTED).copied();
    for statement in statements.chain(lists.iter().map(String::as_str)) {
        let arguments = (1..20).filter(|number| statement.contains(&format!("${number}"))).count();
        let nulls = vec!["NULL"; arguments].join(", ");
        let plan = server.sql(
            database,
            &format!("SET plan_cache_mode = force_generic_plan; PREPARE q AS {statement}; EXPLAIN EXECUTE q ({nulls})"),
        );
        // The names of facts are few: reading them all is no more than looking one up.
        let scans: Vec<&str> =
            plan.lines().filter(|line| line.contains("Seq Scan") && !line.contains("on fact_key")).collect();
        assert!(plan.contains("Index") && scans.is_empty(), "{statement}\n{plan}");
    }
}
