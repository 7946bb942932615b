//! A store that was used for long: filled through our own statements, many rows at a time.

use super::{
    databases::{On, Place},
    lookups::Times,
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tidewaiter::{
    args,
    digest::Digest,
    intoto::{Artifacts, Facts},
    store::{
        Database, EvidenceLimits, Kind, LayoutFacts, Metadata as _, NewRecord, RunFacts, StepKey, StoreError,
        VerifiedSignature, artifacts, database,
        engine::Engine,
        session::Arg,
        sql::{self, Rows},
    },
};

pub const BODY_BYTES: usize = 1_500;
/// Links of a run; the last one makes the image.
const LINKS: usize = 8;
const CHAINS: usize = 20;
/// Runs of one transaction.
const BATCH: usize = 500;
const LOOKUPS: usize = 2_000;
const CLIENTS: usize = 8;
const CLIENTS_TIME: Duration = Duration::from_secs(4);

const RUNS: Rows = Rows { before: "INSERT INTO run (id, chain_id, run_key) VALUES", columns: 3, after: "" };
const BLOBS: Rows = Rows { before: "INSERT INTO blob (id, digest, size, inline) VALUES", columns: 4, after: "" };
const RECORDS: Rows = Rows {
    before: "INSERT INTO record (id, tenant_id, chain_id, run_id, kind, step, payload_digest, payload_type, blob_id, received_at, \
         submitter) VALUES",
    columns: 11,
    after: "",
};
const RECORD_KEYS: Rows = Rows {
    before: "INSERT INTO record_key (payload_digest, tenant_id, chain_id, payload_type, record_id) VALUES",
    columns: 5,
    after: "",
};

pub struct Filled {
    on: On,
    place: Place,
    store: Arc<Database>,
    chains: Vec<i64>,
    runs: usize,
}

/// Bytes that do not pack, as a signed body of hashes does not.
fn body(number: usize) -> Vec<u8> {
    let seed = Digest::sha256(format!("body {number}").as_bytes());
    let block = |block: usize| artifacts::raw(&Digest::sha256(format!("{} {block}", seed.hex()).as_bytes()));
    let mut bytes: Vec<u8> = (0..BODY_BYTES.div_ceil(32)).flat_map(block).collect();
    bytes.truncate(BODY_BYTES);
    bytes
}

fn image(run: usize) -> Digest {
    Digest::sha256(format!("image {run}").as_bytes())
}

/// The number that stands for a step's key.
fn signer(step: usize) -> i64 {
    step as i64 + 1
}

fn layout(chain: i64) -> NewRecord {
    let key = |step: usize| StepKey {
        step: format!("step {step}"),
        keyid: format!("key {step}"),
        alg: "Ed25519".into(),
        public: "{}".into(),
    };
    let expires = "2099-01-01T00:00:00Z".parse().expect("a time");
    let signature = VerifiedSignature { keyid: "owner".into(), alg: "Ed25519".into(), index: 0, sig: vec![0; 64] };
    NewRecord {
        chain,
        kind: Kind::Layout,
        step: None,
        digest: Digest::sha256(format!("layout {chain}").as_bytes()),
        payload_type: "application/vnd.in-toto+json".into(),
        envelope: body(usize::MAX - chain as usize % 1_000_000),
        signatures: vec![signature],
        run: None,
        run_facts: RunFacts::default(),
        submitter: "laptop".into(),
        produced: BTreeSet::new(),
        declared: BTreeSet::new(),
        materials: Artifacts::new(),
        products: Artifacts::new(),
        return_code: None,
        received_at: jiff::Timestamp::now(),
        predicate_type: None,
        started_at: None,
        finished_at: None,
        facts: Facts::default(),
        layout: Some(LayoutFacts { expires, keys: (0..LINKS).map(key).collect() }),
    }
}

impl Filled {
    pub async fn open(on: On) -> Self {
        let place = Place::new(on);
        let options = database::Options::at(place.url.parse().expect("a location"));
        let store = Database::open(options).await.expect("a store");
        let mut chains = Vec::new();
        for number in 0..CHAINS {
            let chain = store.chain(&format!("chain {number}")).await.expect("a chain");
            store.put(layout(chain)).await.expect("a layout");
            chains.push(chain);
        }
        Filled { on, place, store: Arc::new(store), chains, runs: 0 }
    }

    /// Until it has so many records.
    pub async fn fill(&mut self, records: usize) {
        let engine = Engine::connect(&self.place.url.parse().expect("a location"), None).await.expect("an engine");
        let mut session = engine.writers.session().await.expect("a connection");
        for step in 0..LINKS {
            let keyid = format!("key {step}");
            session.execute(sql::ADD_SIGNER, args![signer(step), &keyid]).await.expect("a signer");
        }
        while self.runs * LINKS < records {
            let until = (self.runs + BATCH).min(records / LINKS);
            session.begin().await.expect("a transaction");
            self.add(&mut session, self.runs..until.max(self.runs + 1)).await.expect("rows");
            session.commit().await.expect("a commit");
            self.runs = until.max(self.runs + 1);
        }
        // PostgreSQL's own housekeeping may be at it.
        while let Err(error) = session.execute("ANALYZE", args![]).await {
            assert_eq!(error, StoreError::Conflict, "statistics");
        }
        drop(session);
        engine.writers.close().await;
    }

    async fn add(
        &self,
        session: &mut tidewaiter::store::session::Session,
        runs: std::ops::Range<usize>,
    ) -> Result<(), StoreError> {
        // Ids of long ago, below all that the store makes.
        let links: Vec<(i64, i64, usize, Vec<u8>)> = runs
            .clone()
            .flat_map(|run| (0..LINKS).map(move |link| (run, run * LINKS + link)))
            .map(|(run, number)| (number as i64 + 1, run as i64 + 1, number, body(number)))
            .collect();
        let digests: Vec<Vec<u8>> = links.iter().map(|(_, _, _, body)| artifacts::raw(&Digest::sha256(body))).collect();
        let names: Vec<Vec<u8>> = links
            .iter()
            .map(|(_, _, number, _)| artifacts::raw(&Digest::sha256(format!("link {number}").as_bytes())))
            .collect();
        let subjects: Vec<Vec<u8>> = links
            .iter()
            .map(|(_, run, number, _)| match number % LINKS == LINKS - 1 {
                true => artifacts::raw(&image(*run as usize - 1)),
                false => artifacts::raw(&Digest::sha256(format!("binary {number}").as_bytes())),
            })
            .collect();
        let steps: Vec<String> = (0..LINKS).map(|step| format!("step {step}")).collect();
        let run_keys: Vec<String> = runs.clone().map(|run| format!("https://ci.example.com/runs/{run}")).collect();
        let chain = |run: i64| Arg::from(self.chains[run as usize % CHAINS]);
        let sig = vec![0; 64];
        let rows: Vec<[Arg<'_>; 3]> = runs
            .zip(&run_keys)
            .map(|(run, key)| [(run as i64 + 1).into(), chain(run as i64 + 1), key.into()])
            .collect();
        session.add_rows(&RUNS, &rows).await?;
        let rows: Vec<[Arg<'_>; 4]> = links
            .iter()
            .zip(&digests)
            .map(|((id, _, _, body), digest)| [(*id).into(), digest.into(), (body.len() as i64).into(), body.into()])
            .collect();
        session.add_rows(&BLOBS, &rows).await?;
        let rows: Vec<[Arg<'_>; 11]> = links
            .iter()
            .zip(&names)
            .map(|((id, run, number, _), name)| {
                let (id, run_id) = (Arg::from(*id), Arg::from(*run));
                let step = Arg::from(&steps[number % LINKS]);
                [id, 1.into(), chain(*run), run_id, 2.into(), step, name.into(), "t".into(), id, 0.into(), "ci".into()]
            })
            .collect();
        session.add_rows(&RECORDS, &rows).await?;
        let rows: Vec<[Arg<'_>; 5]> = links
            .iter()
            .zip(&names)
            .map(|((id, run, _, _), name)| [name.into(), 1.into(), chain(*run), "t".into(), (*id).into()])
            .collect();
        session.add_rows(&RECORD_KEYS, &rows).await?;
        let rows: Vec<[Arg<'_>; 4]> = links
            .iter()
            .map(|(id, _, number, _)| [(*id).into(), signer(number % LINKS).into(), "Ed25519".into(), (&sig).into()])
            .collect();
        session.add_rows(&sql::ADD_SIGNATURES, &rows).await?;
        let rows: Vec<[Arg<'_>; 5]> = links
            .iter()
            .zip(&subjects)
            .map(|((id, run, _, _), digest)| [digest.into(), chain(*run), 0.into(), (*id).into(), (*run).into()])
            .collect();
        session.add_rows(&sql::ADD_SUBJECTS, &rows).await.map(drop)
    }

    /// Images at random, by one client and by eight.
    pub async fn look_up(&self) -> Times {
        let (store, may_read) = (self.store.clone(), Arc::new(self.chains.iter().copied().collect::<BTreeSet<i64>>()));
        let ask = |seed: usize, runs: usize| {
            let (store, may_read) = (store.clone(), may_read.clone());
            async move {
                let image = image(spread(seed) % runs);
                let limits = EvidenceLimits::DEFAULT;
                let found = store.evidence(&image, &may_read, jiff::Timestamp::now(), limits).await.expect("evidence");
                assert_eq!(found.records.len(), LINKS + 1);
            }
        };
        for seed in 0..200 {
            ask(seed, self.runs).await;
        }
        let (start, mut times) = (Instant::now(), Vec::new());
        for seed in 0..LOOKUPS {
            let start = Instant::now();
            ask(seed, self.runs).await;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let times = Times::of(times, start.elapsed());
        let start = Instant::now();
        let clients = (0..CLIENTS).map(|client| {
            let (ask, runs) = (&ask, self.runs);
            async move {
                let mut done = 0;
                while start.elapsed() < CLIENTS_TIME {
                    ask(client * 1_000_000 + done, runs).await;
                    done += 1;
                }
                done
            }
        });
        let done: usize = futures::future::join_all(clients).await.into_iter().sum();
        Times { by_eight: done as f64 / start.elapsed().as_secs_f64(), ..times }
    }

    /// Bytes of a row with its indexes, table by table.
    pub async fn print_sizes(&self) {
        let mut session = self.store.read().await.expect("a connection");
        let records = (self.runs * LINKS) as f64;
        if self.on == On::Sqlite {
            let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
            let bytes: i64 = session.one(pages, args![]).await.expect("a size");
            println!("{:>10} {:.0} bytes a record in all", "", bytes as f64 / records);
            return;
        }
        let tables = "SELECT c.relname::text, pg_total_relation_size(c.oid), CAST(c.reltuples AS bigint) FROM pg_class c \
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.reltuples >= 1000 ORDER BY 1";
        let tables: Vec<(String, i64, i64)> = session.rows(tables, args![]).await.expect("sizes");
        for (table, bytes, rows) in tables {
            println!("{:>10} {table}: {:.0} bytes a row with its indexes", "", bytes as f64 / rows as f64);
        }
    }
}

/// A number that jumps about.
fn spread(seed: usize) -> usize {
    (seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31) as usize
}
