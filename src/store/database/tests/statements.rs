//! How many statements the evidence of an image takes.

use super::*;
use futures::{StreamExt as _, TryStreamExt as _};

on_both!(
    an_image_whose_run_is_known_takes_seven,
    a_step_without_links_takes_no_more_for_every_build,
    many_links_that_share_something_else_are_not_all_looked_at,
    links_of_many_files_are_looked_through_to_an_end,
);

async fn asked(store: &Database, image: &str, chain: i64) -> (usize, u64) {
    let mut session = store.read().await.unwrap();
    let found =
        read::evidence(&mut session, &digest(image), &[chain].into(), now(), EvidenceLimits::DEFAULT).await.unwrap();
    (found.records.len(), session.statements())
}

fn tree(files: impl Iterator<Item = (String, String)>) -> Artifacts {
    files.map(|(path, content)| (path, DigestSet::of(&digest(&content)))).collect()
}

async fn an_image_whose_run_is_known_takes_seven(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    let steps: Vec<String> = (0..30).map(|step| format!("step {step}")).collect();
    let names: Vec<&str> = steps.iter().map(String::as_str).collect();
    store.put(layout(chain, "layout", &names, FUTURE)).await.unwrap();
    for step in &names {
        let link = NewRecord { run: Some("1".into()), ..record(chain, step, step, &["ci"]) };
        let produced = if *step == "step 0" { set(&["image"]) } else { set(&[]) };
        store.put(NewRecord { produced, ..link }).await.unwrap();
    }
    assert_eq!(asked(&store, "image", chain).await, (31, 7));
}

/// A hundred directories, nearly all of them in every build; one step has no link at all, so it is looked for to the end.
async fn a_step_without_links_takes_no_more_for_every_build(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    store.put(layout(chain, "layout", &["build", "test", "scan"], FUTURE)).await.unwrap();
    let mut statements = Vec::new();
    for build in 0..60usize {
        let content = |file: usize| if file % 100 == build % 100 { build } else { 0 };
        let files = tree((0..400).map(|file| (format!("{}/{file}", file % 100), format!("{file} {}", content(file)))));
        let built = record(chain, "build", &format!("build {build}"), &["ci"]);
        let produced = set(&[&format!("image {build}")]);
        store.put(NewRecord { products: files.clone(), produced, ..built }).await.unwrap();
        let tested = record(chain, "test", &format!("test {build}"), &["ci"]);
        store.put(NewRecord { materials: files, ..tested }).await.unwrap();
        if build % 20 == 19 {
            let (records, asked) = asked(&store, &format!("image {}", build - 10), chain).await;
            assert_eq!(records, 3);
            statements.push(asked);
        }
    }
    assert!(statements.iter().all(|asked| *asked < 60), "{statements:?}");
}

/// Each directory is also another link's.
async fn many_links_that_share_something_else_are_not_all_looked_at(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    store.put(layout(chain, "layout", &["build", "scan"], FUTURE)).await.unwrap();
    let directory = |number: usize| (format!("{number}/file"), format!("content {number}"));
    let build = record(chain, "build", "build", &["ci"]);
    store.put(NewRecord { products: tree((0..640).map(directory)), produced: set(&["image"]), ..build }).await.unwrap();
    let checks = (0..640).map(|number| {
        let check = record(chain, "check", &format!("check {number}"), &["ci"]);
        store.put(NewRecord { materials: tree([directory(number)].into_iter()), ..check })
    });
    let checks = futures::stream::iter(checks).buffer_unordered(32);
    assert!(checks.try_collect::<Vec<_>>().await.is_ok());
    let (records, asked) = asked(&store, "image", chain).await;
    assert_eq!(records, 2);
    assert!(asked < 50, "{asked}");
}

async fn links_of_many_files_are_looked_through_to_an_end(on: On) {
    let (store, _place) = open(on).await;
    let chain = store.chain("shop").await.unwrap();
    let steps = ["build", "check", "pack", "sign", "ship"];
    store.put(layout(chain, "layout", &[&steps[..], &["scan"]].concat(), FUTURE)).await.unwrap();
    for step in steps {
        let files = tree((0..20_000).map(|file| (format!("{}/{file}", file % 50), format!("{step} {file}"))));
        let link = NewRecord { materials: files, produced: set(&["image"]), ..record(chain, step, step, &["ci"]) };
        store.put(link).await.unwrap();
    }
    let (records, asked) = asked(&store, "image", chain).await;
    assert_eq!(records, 6);
    assert!(asked < 1_100, "{asked}");
}
