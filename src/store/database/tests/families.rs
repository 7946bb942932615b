//! Lists of directories that change a little are found as if each were posted whole.

use super::*;
use crate::store::family;
use std::collections::BTreeMap;

on_both!(
    each_digest_is_found_in_every_list_that_has_it,
    lists_of_before_families_become_heads_of_some,
    one_link_does_not_fill_a_family_beyond_its_room,
);

/// Directories that change a little in each build: most of their lists are posted by what changed alone.
async fn each_digest_is_found_in_every_list_that_has_it(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    let mut contents = vec![0; 40];
    for build in 0..80usize {
        contents[build * 7 % 40] = build;
        contents[build * 11 % 40] = build % 5;
        let changing =
            contents.iter().enumerate().map(|(file, content)| (format!("src/{file}"), format!("{file} {content}")));
        // One file is another in each build.
        let still =
            (0..40).map(|file| (format!("lib/{file}.so"), format!("{file} {}", if file == 0 { build } else { 0 })));
        let tree: Vec<(String, String)> = changing.chain(still).collect();
        let tree: Vec<(&str, &str)> = tree.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
        let link = record(chain, "checkout", &format!("checkout {build}"), &["ci"]);
        store.put(NewRecord { products: files(&tree), ..link }).await.unwrap();
    }

    let mut session = store.read().await.unwrap();
    let chunks: Vec<(i64, i64, Option<i64>)> =
        session.rows("SELECT id, blob_id, base_id FROM chunk ORDER BY id DESC", &[]).await.unwrap();
    let mut holders = BTreeMap::<i64, Vec<i64>>::new();
    let mut families = BTreeMap::<i64, usize>::new();
    let mut digests = 0;
    for (chunk, blob, base) in chunks {
        let row = session.row(sql::BLOB, args![blob]).await.unwrap().unwrap();
        let (count, postings) = artifacts::entries(&body::bytes(&session, row, "a chunk").await.unwrap()).unwrap();
        digests += count;
        postings.into_iter().for_each(|d64| holders.entry(d64).or_default().push(chunk));
        base.into_iter().for_each(|base| *families.entry(base).or_default() += 1);
    }
    let expected: BTreeSet<(i64, i64)> = holders
        .iter()
        .flat_map(|(d64, chunks)| chunks.iter().take(family::HOLDERS_MAX).map(|chunk| (*d64, *chunk)))
        .collect();
    let asked = holders.keys().copied().collect();
    let found = family::holders(&mut session, &asked, || true).await.unwrap();
    let found: BTreeSet<(i64, i64)> = found.into_iter().collect();
    assert_eq!(found.symmetric_difference(&expected).collect::<Vec<_>>(), [&(0, 0); 0]);
    assert_eq!(family::holders(&mut session, &asked, || false).await, Ok(vec![]));

    let posted: i64 = session.one("SELECT count(*) FROM posting", &[]).await.unwrap();
    assert!(posted * 4 < digests as i64, "{posted} of {digests}");
    assert_eq!(families.values().max(), Some(&64), "{families:?}");
}

/// Every chunk was posted whole once.
async fn lists_of_before_families_become_heads_of_some(on: On) {
    let place = Place::new(on);
    let engine = Engine::connect(&options(&place).location, None).await.unwrap();
    assert_eq!(migrate::run_first(&engine.writers, 5).await.unwrap(), 5);
    let tree = |changed: &str| -> Artifacts {
        let content = |file: usize| if file == 0 { changed.to_owned() } else { file.to_string() };
        (0..40).map(|file| (format!("src/{file}"), DigestSet::of(&digest(&content(file))))).collect()
    };
    let list = artifacts::set(&tree("before")).unwrap();
    let [chunk] = list.chunks.as_slice() else { panic!("{list:?}") };
    let mut session = engine.writers.session().await.unwrap();
    let blob = "INSERT INTO blob (id, digest, size, inline) VALUES (1, $1, $2, $3)";
    session.execute(blob, args![&chunk.digest, chunk.bytes.len() as i64, &chunk.bytes]).await.unwrap();
    let row = "INSERT INTO chunk (id, digest, n, names, blob_id) VALUES (2, $1, 40, $2, 1)";
    session.execute(row, args![&chunk.digest, chunk.names]).await.unwrap();
    for d64 in &chunk.postings {
        session.execute("INSERT INTO posting (d64, chunk_id) VALUES ($1, 2)", args![*d64]).await.unwrap();
    }
    drop(session);
    engine.writers.close().await;

    let store = Database::open(options(&place)).await.unwrap();
    let shop = store.chain("shop").await.unwrap();
    let link = NewRecord { products: tree("after"), ..record(shop, "build", "link", &["ci"]) };
    assert_eq!(store.put(link).await, Ok(Put::Created));
    let mut session = store.read().await.unwrap();
    let (new, base): (i64, Option<i64>) =
        session.row("SELECT id, base_id FROM chunk WHERE id <> 2", &[]).await.unwrap().unwrap();
    assert_eq!(base, Some(2));
    let mut holders = async |content: &str| -> BTreeSet<i64> {
        let d64 = artifacts::posting(&digest(content)).unwrap();
        let found = family::holders(&mut session, &[d64].into(), || true).await.unwrap();
        found.into_iter().map(|(_, chunk)| chunk).collect()
    };
    assert_eq!(holders("before").await, [2].into());
    assert_eq!(holders("after").await, [new].into());
    assert_eq!(holders("1").await, [2, new].into());
}

/// A hundred directories with the same names, as packages have.
async fn one_link_does_not_fill_a_family_beyond_its_room(on: On) {
    let (store, _place) = open(on).await;
    let shop = store.chain("shop").await.unwrap();
    let tree = |directories: std::ops::Range<usize>| -> Artifacts {
        let content =
            |directory: usize, file: usize| if file == 0 { format!("{directory}") } else { format!("{file} of all") };
        let files = directories.flat_map(|directory| (0..40).map(move |file| (directory, file)));
        files
            .map(|(directory, file)| (format!("{directory}/{file}"), DigestSet::of(&digest(&content(directory, file)))))
            .collect()
    };
    for (text, directories) in [("first", 0..1), ("second", 1..31), ("third", 31..131)] {
        let link = record(shop, "build", text, &["ci"]);
        store.put(NewRecord { products: tree(directories), ..link }).await.unwrap();
    }
    let mut session = store.read().await.unwrap();
    let members: Vec<i64> =
        session.values("SELECT count(*) FROM chunk WHERE base_id IS NOT NULL GROUP BY base_id", &[]).await.unwrap();
    assert_eq!(members, [64]);
}

/// More families than one search may go through: 3,000 of 64, each found by a digest of its own.
#[tokio::test]
async fn a_search_reads_so_many_members_and_no_more() {
    const CHUNKS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 195000) \
        INSERT INTO chunk (id, digest, n, blob_id, base_id) \
        SELECT i, CAST(i AS BLOB), 1, 1, CASE WHEN i % 65 > 0 THEN i - i % 65 + 65 END FROM n";
    let (store, place) = open(On::Sqlite).await;
    let engine = Engine::connect(&options(&place).location, None).await.unwrap();
    let mut session = engine.writers.session().await.unwrap();
    for statement in [
        "INSERT INTO blob (id, digest, size) VALUES (1, x'00', 0)",
        CHUNKS,
        "INSERT INTO posting (d64, chunk_id) SELECT id, id FROM chunk WHERE base_id IS NULL",
    ] {
        session.execute(statement, &[]).await.unwrap();
    }
    let asked: BTreeSet<i64> = (1..=3_000).map(|family| family * 65).collect();
    let mut session = store.read().await.unwrap();
    let found = family::holders(&mut session, &asked, || true).await.unwrap();
    // 47 look-ups of what is posted, and 17 of families, 4,096 members each: the newest ones.
    assert_eq!(session.statements(), 47 + 17);
    assert_eq!(found.iter().filter(|(d64, _)| *d64 == 3_000 * 65).count(), 64);
    assert_eq!(found.iter().filter(|(d64, _)| *d64 == 65).count(), 1);
}
