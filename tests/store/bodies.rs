//! Large records, packed and partly in object storage: given back as they were received, found when damaged, copied while the store serves.

use super::{
    databases::{self, On, Place},
    shop::*,
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tidewaiter::{
    args,
    digest::Digest,
    store::{
        Location, engine,
        session::{Arg, Session},
    },
};

databases::on_both!(
    damage_is_found_and_named,
    damage_of_what_names_no_step_is_found_too,
    a_damaged_body_is_corrupt_and_others_are_served,
    a_damaged_record_is_mended_by_sending_it_again,
    a_backup_is_whole_while_uploads_go_on,
    a_large_record_gains_a_signature,
    without_object_storage_large_bodies_are_in_the_database,
);

/// A link of so many files, of which every build changes one in each hundred; `seed` is another tree. With 3,000 files even its packed
/// form is more than 64 KiB.
pub fn big_link(step: &str, image: &Digest, files: usize, seed: &str, build: usize) -> Value {
    let mut link = link(step, image);
    let file = |number: usize| {
        let content =
            if number.is_multiple_of(100) { format!("{seed}{number} {build}") } else { format!("{seed}{number}") };
        (format!("src/{}/{number}.rs", number / 25), json!({"sha256": Digest::sha256(content.as_bytes()).hex()}))
    };
    link["materials"] = (0..files).map(file).collect::<serde_json::Map<_, _>>().into();
    link
}

pub fn image(number: usize) -> Digest {
    Digest::sha256(format!("image {number}").as_bytes())
}

/// A store with a layout, a link of few files, four builds of many, and one so large that it is an object; closed.
pub struct Filled {
    pub database: String,
    pub dir: tempfile::TempDir,
    pub records: Vec<(Digest, Record)>,
    pub config: PathBuf,
}

impl Filled {
    pub async fn on(on: On) -> Self {
        let shop = Shop::with(Keys::new(), Setup { objects: true, ..Setup::on(on) }).await;
        let config = shop.place.dir.path().join("chains.yaml");
        std::fs::write(&config, documents(&shop.keys)).unwrap();
        let layout = shop.put_layout().await;
        let mut records = Vec::new();
        for number in 0..6 {
            let files = [0, 300, 300, 300, 300, 3_000][number];
            let record = seal(&big_link("build", &image(number), files, &files.to_string(), number), &[&shop.keys.ci]);
            let name = format!("{}?run={number}", record.name);
            assert_eq!(shop.put_as(CI, &name, record.bytes.clone()).await, yes(201));
            records.push((image(number), record));
        }
        for (image, record) in &records {
            let (status, body) = shop.evidence(Some(CLUSTER), &image.to_string()).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(envelopes(&body), [&layout.bytes, &record.bytes].map(|bytes| bytes.to_owned()), "{image}");
        }
        let (place, _) = shop.close().await;
        Filled { database: place.url, dir: place.dir, records, config }
    }

    pub fn objects(&self) -> String {
        objects_url(self.dir.path())
    }

    fn options(&self) -> [String; 4] {
        ["--objects".into(), self.objects(), "--config".into(), self.config.display().to_string()]
    }

    async fn session(&self) -> Session {
        session(&self.database).await
    }
}

/// A connection that writes.
async fn session(database: &str) -> Session {
    let location: Location = database.parse().unwrap();
    let engine = engine::Engine::connect(&location, None).await.unwrap();
    let mut session = engine.writers.session().await.unwrap();
    if matches!(location, Location::Sqlite(_)) {
        // What is damaged here no program would.
        session.execute("PRAGMA foreign_keys = OFF", &[]).await.unwrap();
    }
    session
}

pub fn envelopes(body: &Value) -> Vec<Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let records = body["records"].as_array().unwrap();
    records.iter().map(|record| STANDARD.decode(record["envelope"].as_str().unwrap()).unwrap()).collect()
}

pub fn tidewaiter(args: &[&str], more: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidewaiter")).arg("store").args(args).args(more).output().unwrap()
}

/// Exit code and report.
pub fn fsck(database: &str, more: &[String]) -> (i32, Value) {
    let output = tidewaiter(&["fsck", "--output", "json", "--database", database], more);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), report)
}

/// What was found: fault, and the thing's kind.
fn found(report: &Value) -> Vec<(String, String)> {
    let findings = report["findings"].as_array().unwrap();
    let text = |finding: &Value, member: &str| finding[member].as_str().unwrap().to_owned();
    findings
        .iter()
        .map(|finding| {
            let what = text(finding, "what");
            (text(finding, "fault"), what.split([' ', ':']).next().unwrap().to_owned())
        })
        .collect()
}

/// Damage done by hand, and undone.
struct Damage {
    name: &'static str,
    /// The value to change, and the statement that sets it; `$1` is the record's id.
    select: &'static str,
    update: &'static str,
    fault: &'static str,
    /// What is damaged, and how many of them.
    what: &'static str,
    many: usize,
}

/// One byte of each kind of stored thing. `$1` is the id of the second build of many files, which is a difference to the first.
const BYTES: &[Damage] = &[
    Damage {
        name: "a difference",
        select: "SELECT b.inline FROM record r JOIN blob b ON b.id = r.blob_id WHERE r.id = $1",
        update: "UPDATE blob SET inline = $2 WHERE id = (SELECT blob_id FROM record WHERE id = $1)",
        fault: "body_damaged",
        what: "record",
        many: 1,
    },
    Damage {
        name: "a keyframe: every difference to it",
        select: "SELECT k.inline FROM record r JOIN blob b ON b.id = r.blob_id JOIN blob k ON k.id = b.base_id WHERE r.id = $1",
        update: "UPDATE blob SET inline = $2 WHERE id = (SELECT b.base_id FROM record r JOIN blob b ON b.id = r.blob_id WHERE r.id = $1)",
        fault: "body_damaged",
        what: "record",
        many: 4,
    },
    Damage {
        name: "the hash of a body",
        select: "SELECT b.digest FROM record r JOIN blob b ON b.id = r.blob_id WHERE r.id = $1",
        update: "UPDATE blob SET digest = $2 WHERE id = (SELECT blob_id FROM record WHERE id = $1)",
        fault: "body_damaged",
        what: "record",
        many: 1,
    },
    Damage {
        name: "a signature",
        select: "SELECT sig FROM signature WHERE record_id = $1",
        update: "UPDATE signature SET sig = $2 WHERE record_id = $1",
        fault: "signature_missing",
        what: "record",
        many: 1,
    },
    Damage {
        name: "a directory",
        select: "SELECT b.inline FROM chunk c JOIN blob b ON b.id = c.blob_id WHERE b.codec <> 2 AND c.id = \
            (SELECT max(c.id) FROM record r JOIN set_chunk s ON s.set_id = r.out_set JOIN chunk c ON c.id = s.chunk_id WHERE r.id = $1)",
        update: "UPDATE blob SET inline = $2 WHERE id = (SELECT c.blob_id FROM chunk c WHERE c.id = \
            (SELECT max(c.id) FROM record r JOIN set_chunk s ON s.set_id = r.out_set JOIN chunk c ON c.id = s.chunk_id WHERE r.id = $1))",
        fault: "body_damaged",
        what: "chunk",
        many: 1,
    },
    Damage {
        name: "a list",
        select: "SELECT a.root FROM record r JOIN art_set a ON a.id = r.in_set WHERE r.id = $1",
        update: "UPDATE art_set SET root = $2 WHERE id = (SELECT in_set FROM record WHERE id = $1)",
        fault: "list_damaged",
        what: "record",
        many: 1,
    },
];

/// Statements that damage what is no bytes, and what is found then.
const STATEMENTS: &[(&str, &[(&str, &str)])] = &[
    (
        "UPDATE blob SET size = size + 1 WHERE id = (SELECT blob_id FROM record WHERE id = $1)",
        &[("body_damaged", "record")],
    ),
    ("UPDATE blob SET codec = 9 WHERE id = (SELECT blob_id FROM record WHERE id = $1)", &[("body_damaged", "record")]),
    (
        "UPDATE blob SET inline = NULL WHERE id = (SELECT blob_id FROM record WHERE id = $1)",
        &[("body_damaged", "record")],
    ),
    (
        "UPDATE blob SET base_id = NULL WHERE id = (SELECT blob_id FROM record WHERE id = $1)",
        &[("body_damaged", "record")],
    ),
    (
        "UPDATE record SET blob_id = (SELECT blob_id FROM record WHERE id > $1 ORDER BY id LIMIT 1) WHERE id = $1",
        &[("record_misnamed", "record")],
    ),
    (
        "UPDATE record SET payload_type = 'other' WHERE id = $1",
        &[("record_unfindable", "record"), ("record_misnamed", "record")],
    ),
    ("DELETE FROM record_key WHERE record_id = $1", &[("record_unfindable", "record")]),
    ("DELETE FROM signature WHERE record_id = $1", &[("signature_missing", "record")]),
    (
        "DELETE FROM key_ WHERE keyid = (SELECT n.keyid FROM signature s JOIN signer n ON n.id = s.signer_id WHERE s.record_id = $1)",
        &[
            ("reference_broken", "record"),
            ("reference_broken", "record"),
            ("reference_broken", "record"),
            ("reference_broken", "record"),
            ("reference_broken", "record"),
            ("reference_broken", "record"),
            ("reference_broken", "key"),
        ],
    ),
    (
        "UPDATE signature SET signer_id = 0 WHERE record_id = $1",
        &[("reference_broken", "record"), ("reference_broken", "signer")],
    ),
    ("DELETE FROM subject WHERE record_id = $1", &[("image_unlisted", "record")]),
    ("UPDATE record SET in_set = NULL WHERE id = $1", &[("list_damaged", "record")]),
    ("DELETE FROM set_chunk WHERE set_id = (SELECT in_set FROM record WHERE id = $1)", &[("list_damaged", "record")]),
    (
        "DELETE FROM posting WHERE chunk_id = (SELECT max(s.chunk_id) FROM record r JOIN set_chunk s ON s.set_id = r.out_set WHERE r.id = $1)",
        &[("chunk_damaged", "chunk")],
    ),
    (
        "UPDATE chunk SET lacks = NULL WHERE id = (SELECT max(c.id) FROM chunk c WHERE c.base_id IS NOT NULL AND $1 > 0)",
        &[("chunk_damaged", "chunk")],
    ),
    (
        "UPDATE chunk SET base_id = NULL WHERE id = (SELECT max(c.id) FROM chunk c WHERE c.base_id IS NOT NULL AND $1 > 0)",
        &[("chunk_damaged", "chunk")],
    ),
    (
        "UPDATE chunk SET base_id = id WHERE id = (SELECT max(c.id) FROM chunk c WHERE c.base_id IS NOT NULL AND $1 > 0)",
        &[("chunk_damaged", "chunk")],
    ),
    (
        "DELETE FROM run WHERE id = (SELECT run_id FROM record WHERE id = $1)",
        &[("reference_broken", "run"), ("reference_broken", "run")],
    ),
    ("UPDATE record SET step = 'test' WHERE id = $1", &[("record_misfiled", "record")]),
    ("UPDATE record SET step = NULL WHERE id = $1", &[("record_misfiled", "record")]),
    ("UPDATE record SET kind = 1 WHERE id = $1", &[("record_misfiled", "record"), ("reference_broken", "layout")]),
    (
        "UPDATE record SET kind = 2 WHERE kind = 1 AND $1 > 0",
        &[("reference_broken", "record"), ("reference_broken", "record"), ("record_misfiled", "record")],
    ),
    ("UPDATE record SET return_code = 7 WHERE id = $1", &[("record_misfiled", "record")]),
    ("UPDATE record SET return_code = NULL, started_at = 7 WHERE id = $1", &[("record_misfiled", "record")]),
    (
        "UPDATE record SET predicate_type = 'https://slsa.dev/provenance/v1' WHERE id = $1",
        &[("record_misfiled", "record")],
    ),
    ("UPDATE record SET run_id = NULL WHERE id = $1", &[("record_misfiled", "record")]),
    ("UPDATE subject SET run_id = NULL WHERE record_id = $1", &[("record_misfiled", "record")]),
    ("UPDATE subject SET chain_id = chain_id + 1 WHERE record_id = $1", &[("record_misfiled", "record")]),
    ("UPDATE subject SET role = 2 WHERE record_id = $1", &[("image_unlisted", "record")]),
    (
        "INSERT INTO subject (digest, chain_id, role, record_id) SELECT payload_digest, chain_id, 0, id FROM record WHERE id = $1",
        &[("record_misfiled", "record"), ("record_misfiled", "record")],
    ),
    ("UPDATE fact SET chain_id = chain_id + 1 WHERE record_id = $1", &[("record_misfiled", "record")]),
    ("DELETE FROM stream WHERE record_id = $1", &[("record_unannounced", "record")]),
    ("UPDATE counter SET value = 1 WHERE name = 'stream' AND $1 > 0", &[("record_unannounced", "stream")]),
    ("UPDATE layout SET expires_at = 0 WHERE $1 > 0", &[("layout_misfiled", "record")]),
    ("UPDATE layout SET issued_at = 0 WHERE $1 > 0", &[("layout_misfiled", "record")]),
    // What a layout gave is then known of none.
    (
        "DELETE FROM layout_key WHERE step = 'build' AND $1 > 0",
        &[("layout_misfiled", "record"), ("layout_misfiled", "key")],
    ),
    (
        "UPDATE layout_key SET step = 'deploy' WHERE step = 'build' AND $1 > 0",
        &[("layout_misfiled", "record"), ("layout_misfiled", "record"), ("layout_misfiled", "key")],
    ),
    ("DELETE FROM key_grant WHERE step = 'build' AND $1 > 0", &[("layout_misfiled", "record")]),
    (
        "INSERT INTO key_grant (chain_id, step, keyid) SELECT g.chain_id, 'deploy', g.keyid FROM key_grant g WHERE g.step = 'build' AND $1 > 0",
        &[("layout_misfiled", "key")],
    ),
];

/// Each kind of stored thing damaged in turn: found by name, and nothing else is; and well again when it is mended.
pub async fn damage_is_found_and_named(on: On) {
    let filled = Filled::on(on).await;
    let more = filled.options();
    let (code, report) = fsck(&filled.database, &more);
    assert_eq!((code, &report["damaged"]), (0, &json!(0)), "{report}");
    assert_eq!((&report["records"], &report["objects"]), (&json!(7), &json!(1)), "{report}");
    assert_eq!((&report["signatures"], &report["signaturesUnverified"]), (&json!(8), &json!(0)), "{report}");
    let kept = report["bytesKept"].as_u64().unwrap();
    assert!(kept * 2 < report["bytes"].as_u64().unwrap(), "{report}");

    let mut session = filled.session().await;
    let (second, record) = &filled.records[2];
    let hex = record.name.strip_prefix("sha256:").unwrap();
    let digest = hex::decode(hex).unwrap();
    let id: i64 = session.one("SELECT id FROM record WHERE payload_digest = $1", args![&digest]).await.unwrap();
    for damage in BYTES {
        let bytes: Vec<u8> = session.one(damage.select, args![id]).await.unwrap();
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        set(&mut session, damage.update, id, &damaged).await;
        let (code, report) = fsck(&filled.database, &more);
        let expected = vec![(damage.fault.to_owned(), damage.what.to_owned()); damage.many];
        assert_eq!((code, found(&report)), (1, expected), "{}: {report}", damage.name);
        let named = report["findings"].as_array().unwrap().iter().any(|finding| {
            let is_it = finding["what"] == format!("record {}", record.name);
            is_it
                && finding["chain"] == "shop"
                && finding["step"] == "build"
                && finding["images"] == json!([second.to_string()])
        });
        assert!(named || damage.what != "record", "{}: {report}", damage.name);
        set(&mut session, damage.update, id, &bytes).await;
    }
    assert_eq!(fsck(&filled.database, &more).0, 0);

    for (statement, expected) in STATEMENTS {
        session.begin().await.unwrap();
        assert!(session.execute(statement, args![id]).await.unwrap() > 0, "{statement}");
        // Looked at within the transaction, which is then undone.
        let (objects, owners) =
            (tidewaiter::store::blob::objects::Objects::open(&filled.objects()).unwrap(), Default::default());
        session = session.with_objects(Some(objects));
        let options = tidewaiter::store::fsck::Options { owners: &owners, progress: &|_, _| () };
        let report = tidewaiter::store::fsck::check(&mut session, &options).await.unwrap();
        let report = serde_json::to_value(&report).unwrap();
        let expected: Vec<_> = expected.iter().map(|(fault, what)| (fault.to_string(), what.to_string())).collect();
        assert_eq!(found(&report), expected, "{statement}: {report}");
        session.execute("ROLLBACK", &[]).await.unwrap();
    }
    drop(session);

    // A key that is another's, and one that is none.
    for (text, fault) in [(None, "signature_invalid"), (Some("{}"), "key_unreadable")] {
        let mut session = filled.session().await;
        let of_ci = "SELECT k.public FROM key_ k JOIN signer n ON n.keyid = k.keyid JOIN signature s ON s.signer_id = n.id WHERE s.record_id = $1";
        let other = "SELECT k.public FROM key_ k WHERE k.keyid NOT IN (SELECT n.keyid FROM signature s JOIN signer n ON n.id = s.signer_id WHERE s.record_id = $1)";
        let right: String = session.one(of_ci, args![id]).await.unwrap();
        let wrong: String = match text {
            Some(text) => text.to_owned(),
            None => session.one(other, args![id]).await.unwrap(),
        };
        let update = "UPDATE key_ SET public = $2 WHERE keyid = (SELECT n.keyid FROM signature s JOIN signer n ON n.id = s.signer_id WHERE s.record_id = $1)";
        session.execute(update, args![id, &wrong]).await.unwrap();
        let (code, report) = fsck(&filled.database, &more);
        let of_records = vec![(fault.to_owned(), "record".to_owned()); 6];
        let expected = [of_records, vec![("key_unreadable".to_owned(), "key".to_owned())]].concat();
        assert_eq!((code, found(&report)), (1, expected), "{report}");
        session.execute(update, args![id, &right]).await.unwrap();
    }

    // The object: a byte, all of it, and one that nobody knows.
    let object = only_object(filled.dir.path());
    let bytes = std::fs::read(&object).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    std::fs::write(&object, damaged).unwrap();
    assert_eq!(found(&fsck(&filled.database, &more).1), [("object_damaged".into(), "record".into())]);
    std::fs::remove_file(&object).unwrap();
    assert_eq!(found(&fsck(&filled.database, &more).1), [("object_damaged".into(), "record".into())]);
    std::fs::write(&object, &bytes).unwrap();
    std::fs::write(object.with_file_name("0".repeat(62)), b"an upload that ended with its process").unwrap();
    let (code, report) = fsck(&filled.database, &more);
    assert_eq!((code, report["objectsOrphaned"].as_array().unwrap().len()), (0, 1), "{report}");

    // Who cannot look says so, and not that all is well.
    let output = tidewaiter(&["fsck", "--database", &filled.database], &[]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no object storage is configured"), "{output:?}");
    let output = tidewaiter(&["fsck", "--database", "sqlite:/nowhere/store.db"], &[]);
    assert_eq!((output.status.code(), Path::new("/nowhere").exists()), (Some(4), false), "{output:?}");
    assert_eq!(tidewaiter(&["fsck", "--database", "store.db"], &[]).status.code(), Some(2));
}

/// A statement's step is what its writer said, as far as its signer is of that step; a layout may be named for an image.
async fn damage_of_what_names_no_step_is_found_too(on: On) {
    let keys = Keys::new();
    let shop = Shop::with(keys, Setup::on(on)).await;
    let owners = [&shop.keys.alice, &shop.keys.bob];
    let bound = seal(&layout(&shop.keys, FUTURE, ""), &owners);
    let named = format!("{}?subject={}", bound.name, image(0));
    assert_eq!(shop.put_as(LAPTOP, &named, bound.bytes).await, yes(201));
    let provenance = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": "registry.example.com/shop/api", "digest": {"sha256": image(0).hex()}}],
        "predicate": {"buildDefinition": {"resolvedDependencies": []}}});
    let record = seal(&provenance, &[&shop.keys.ci]);
    let build = format!("{}?step=build", record.name);
    assert_eq!(shop.put_as(CI, &build, record.bytes).await, yes(201));
    let (place, _) = shop.close().await;
    let look = || {
        let (code, report) = fsck(&place.url, &[]);
        let found: Vec<String> = found(&report).into_iter().map(|(fault, _)| fault).collect();
        (code, found)
    };
    assert_eq!(look(), (0, vec![]));
    for (damage, mended, faults) in [
        (
            "UPDATE record SET step = 'test' WHERE kind = 2",
            "UPDATE record SET step = 'build' WHERE kind = 2",
            ["record_misfiled"],
        ),
        (
            "DELETE FROM layout_binding",
            "INSERT INTO layout_binding (digest, layout_id) SELECT s.digest, s.record_id FROM subject s WHERE s.role = 1",
            ["image_unlisted"],
        ),
        (
            "DELETE FROM subject WHERE role = 1",
            "INSERT INTO subject (digest, chain_id, role, record_id) SELECT b.digest, l.chain_id, 1, l.id FROM layout_binding b JOIN layout l ON l.id = b.layout_id",
            ["image_unlisted"],
        ),
    ] {
        let mut session = session(&place.url).await;
        assert_eq!(session.execute(damage, &[]).await.unwrap(), 1, "{damage}");
        assert_eq!(look(), (1, faults.map(str::to_owned).to_vec()), "{damage}");
        assert_eq!(session.execute(mended, &[]).await.unwrap(), 1, "{mended}");
        assert_eq!(look(), (0, vec![]), "{mended}");
    }
}

async fn set(session: &mut Session, update: &'static str, id: i64, bytes: &[u8]) {
    assert_eq!(session.execute(update, &[Arg::from(id), Arg::from(bytes)]).await.unwrap(), 1);
}

/// The one file among the objects.
fn only_object(dir: &Path) -> PathBuf {
    let mut path = dir.join("objects");
    while path.is_dir() {
        let mut entries = std::fs::read_dir(&path).unwrap();
        path = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none());
    }
    path
}

/// A record whose bytes are damaged is never given out; others of the store are (security §4.3 F11).
pub async fn a_damaged_body_is_corrupt_and_others_are_served(on: On) {
    let filled = Filled::on(on).await;
    let object = only_object(filled.dir.path());
    let bytes = std::fs::read(&object).unwrap();
    let mut damaged = bytes.clone();
    damaged[100] ^= 1;
    std::fs::write(&object, damaged).unwrap();
    let Filled { database, dir, records, .. } = filled;
    let place = Place { url: database, dir };
    let shop = Shop::at(place, Keys::new(), Setup { objects: true, ..Setup::on(on) }).await;
    let (large, record) = &records[5];
    let problem = shop.evidence(Some(CLUSTER), &large.to_string()).await;
    assert_eq!((problem.0, &problem.1["reason"]), (500, &json!("corrupt")), "{problem:?}");
    for (image, record) in &records[..5] {
        let (status, body) = shop.evidence(Some(CLUSTER), &image.to_string()).await;
        assert_eq!((status, envelopes(&body).last()), (200, Some(&record.bytes)), "{body}");
    }
    std::fs::write(&object, bytes).unwrap();
    let (status, body) = shop.evidence(Some(CLUSTER), &large.to_string()).await;
    assert_eq!((status, envelopes(&body).last()), (200, Some(&record.bytes)), "{body}");
}

/// The bytes of a difference, those of its keyframe, an object's, and none at all: what is sent again takes their place.
pub async fn a_damaged_record_is_mended_by_sending_it_again(on: On) {
    let filled = Filled::on(on).await;
    let (object, more) = (only_object(filled.dir.path()), filled.options());
    let mut session = filled.session().await;
    for (number, statement) in [
        (2, "UPDATE blob SET inline = NULL WHERE id = (SELECT blob_id FROM record WHERE payload_digest = $1)"),
        (3, "UPDATE blob SET size = size + 1 WHERE id = (SELECT blob_id FROM record WHERE payload_digest = $1)"),
        (1, "UPDATE blob SET codec = 9 WHERE id = (SELECT blob_id FROM record WHERE payload_digest = $1)"),
    ] {
        let name = hex::decode(filled.records[number].1.name.strip_prefix("sha256:").unwrap()).unwrap();
        assert_eq!(session.execute(statement, args![&name]).await.unwrap(), 1);
    }
    drop(session);
    std::fs::remove_file(object).unwrap();
    assert_eq!(fsck(&filled.database, &more).0, 1);

    let Filled { database, dir, records, config } = filled;
    let documents = Some(std::fs::read_to_string(config).unwrap());
    let place = Place { url: database.clone(), dir };
    let shop = Shop::at(place, Keys::new(), Setup { objects: true, documents, ..Setup::on(on) }).await;
    for (image, record) in &records {
        assert_eq!(shop.put(CI, record).await, yes(200));
        let (status, body) = shop.evidence(Some(CLUSTER), &image.to_string()).await;
        assert_eq!((status, envelopes(&body).last()), (200, Some(&record.bytes)), "{body}");
    }
    let (code, report) = fsck(&database, &more);
    assert_eq!((code, &report["records"], &report["damaged"]), (0, &json!(7), &json!(0)), "{report}");
}

/// What was acknowledged before the backup began is in it, though uploads go on; it is well, and is served as it is.
pub async fn a_backup_is_whole_while_uploads_go_on(on: On) {
    let shop = Shop::with(Keys::new(), Setup { objects: true, ..Setup::on(on) }).await;
    shop.put_layout().await;
    let record = |number: usize| {
        let files = if number.is_multiple_of(8) { 3_000 } else { 50 };
        seal(&big_link("build", &image(number), files, "x", number), &[&shop.keys.ci])
    };
    let before: Vec<Record> = (0..10).map(record).collect();
    for record in &before {
        assert_eq!(shop.put(CI, record).await, yes(201));
    }
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("copy.db");
    let database = shop.place.url.clone();
    let objects = objects_url(shop.place.dir.path());
    let backup = move |to: &Path| {
        let args = [
            "backup".into(),
            "--database".into(),
            database.clone(),
            "--objects".into(),
            objects.clone(),
            "--to".into(),
        ];
        let more = args.into_iter().chain([to.display().to_string()]).collect::<Vec<String>>();
        tidewaiter(&[], &more)
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let uploads = async {
        let mut number = before.len();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(shop.put(CI, &record(number)).await, yes(201));
            number += 1;
        }
        number - before.len()
    };
    let copying = async {
        let (backup, to) = (backup.clone(), to.clone());
        let output = tokio::task::spawn_blocking(move || backup(&to)).await.unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        output
    };
    let (output, meanwhile) = tokio::join!(copying, uploads);
    assert!(output.status.success(), "{output:?}");
    assert!(meanwhile > 0);
    // A second one replaces nothing, and leaves nothing.
    let again = backup(&to);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"), "{again:?}");
    let mut left: Vec<String> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["copy.db", "copy.db.objects"]);

    let copied = format!("file://{}", dir.path().join("copy.db.objects").display());
    let copy = format!("sqlite:{}", to.display());
    let (code, report) = fsck(&copy, &["--objects".into(), copied]);
    assert_eq!((code, &report["damaged"]), (0, &json!(0)), "{report}");
    assert!(report["records"].as_u64().unwrap() > before.len() as u64, "{report}");
    let (_, keys) = shop.close().await;
    std::fs::rename(dir.path().join("copy.db.objects"), dir.path().join("objects")).unwrap();
    let place = Place { url: copy, dir };
    let shop = Shop::at(place, keys, Setup { objects: true, ..Setup::default() }).await;
    for (number, record) in before.iter().enumerate() {
        let (status, body) = shop.evidence(Some(CLUSTER), &image(number).to_string()).await;
        assert_eq!((status, envelopes(&body).last()), (200, Some(&record.bytes)), "{number}");
    }
    // And written to.
    let more = seal(&link("build", &image(1_000)), &[&shop.keys.ci]);
    assert_eq!(shop.put(CI, &more).await, yes(201));
}

/// A record that is sent again with a further signature is packed anew, and both stay what they are.
pub async fn a_large_record_gains_a_signature(on: On) {
    large_records_gain_signatures(on, true).await;
}

pub async fn without_object_storage_large_bodies_are_in_the_database(on: On) {
    large_records_gain_signatures(on, false).await;
}

/// One whose packed form is more than 64 KiB, and one that is less: given back as they came, and with a second signature.
async fn large_records_gain_signatures(on: On, objects: bool) {
    let keys = Keys::new();
    let shop = Shop::with(keys, Setup { objects, ..Setup::on(on) }).await;
    let mut document = layout(&shop.keys, FUTURE, "");
    let ids = [&shop.keys.ci, &shop.keys.tester].map(|key| key.public().id().to_owned());
    document["steps"][1]["pubkeys"] = json!(ids);
    assert_eq!(shop.put(LAPTOP, &seal(&document, &[&shop.keys.alice, &shop.keys.bob])).await, yes(201));
    for (number, files) in [(0, 3_000), (1, 300)] {
        let link = big_link("build", &image(number), files, &files.to_string(), 0);
        for signers in [&[&shop.keys.ci][..], &[&shop.keys.ci, &shop.keys.tester]] {
            let record = seal(&link, signers);
            assert_eq!(shop.put(CI, &record).await, yes(if signers.len() == 1 { 201 } else { 200 }));
            let (status, body) = shop.evidence(Some(CLUSTER), &image(number).to_string()).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(envelopes(&body).last(), Some(&record.bytes));
        }
    }
    let options = ["--objects".into(), objects_url(shop.place.dir.path())];
    let (code, report) = fsck(&shop.place.url, if objects { &options } else { &[] });
    let kept = json!(i32::from(objects));
    assert_eq!((code, &report["records"], &report["objects"]), (0, &json!(3), &kept), "{report}");
}
