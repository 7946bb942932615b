//! PostgreSQL ends and comes back while records are uploaded.

use super::{
    databases::{Place, Postgres},
    shop::*,
};
use futures::{
    StreamExt as _,
    stream::{self, FuturesUnordered},
};
use std::time::{Duration, Instant};
use tidewaiter::digest::Digest;

fn image(number: usize) -> Digest {
    Digest::sha256(format!("image {number}").as_bytes())
}

/// Uploads one record after another, eight at a time, until so many answers were of that status; every answer by its record.
async fn upload(shop: &Shop, next: &mut usize, status: u16, count: usize) -> Vec<(usize, (u16, String))> {
    let (mut writes, mut answers) = (FuturesUnordered::new(), Vec::new());
    let started = Instant::now();
    while answers.iter().filter(|(_, answer): &&(usize, (u16, String))| answer.0 == status).count() < count {
        assert!(started.elapsed() < Duration::from_secs(30), "{answers:?}");
        while writes.len() < 8 {
            let number = *next;
            *next += 1;
            let record = seal(&link("build", &image(number)), &[&shop.keys.ci]);
            writes.push(async move { (number, shop.put(CI, &record).await) });
        }
        answers.extend(writes.next().await);
    }
    answers.extend(writes.collect::<Vec<_>>().await);
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_has_all_that_was_acknowledged() {
    let mut server = Postgres::start(&[]);
    let place = Place { dir: tempfile::tempdir().unwrap(), url: server.database() };
    let shop = Shop::at(place, Keys::new(), Setup::default()).await;
    shop.put_layout().await;
    let mut next = 0;
    let mut answers = upload(&shop, &mut next, 201, 24).await;
    for _ in 0..2 {
        // The crash comes while others are being written.
        let uploads = upload(&shop, &mut next, 503, 8);
        let crash = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            tokio::task::block_in_place(|| server.crash());
        };
        let (during, ()) = tokio::join!(uploads, crash);
        for (number, answer) in &during {
            let known = [yes(201), no(503, "database_unavailable"), no(503, "overloaded")];
            assert!(known.contains(answer), "{number}: {answer:?}");
        }
        answers.extend(during);
        let (status, body) = shop.evidence(Some(CLUSTER), &image(0).to_string()).await;
        assert_eq!((status, body["reason"].as_str()), (503, Some("database_unavailable")));
        server.start_again();
        answers.extend(upload(&shop, &mut next, 201, 12).await);
    }
    let shop = &shop;
    let checks = stream::iter(&answers).for_each_concurrent(8, async |(number, (status, _))| {
        let record = seal(&link("build", &image(*number)), &[&shop.keys.ci]);
        if *status == 201 {
            assert!(shop.names(&image(*number)).await.contains(&record.name), "{number}");
        }
        // What nobody could say was kept may have been; a repeated upload settles it.
        let again = shop.put(CI, &record).await;
        assert!(again == yes(200) || *status != 201 && again == yes(201), "{number}: {again:?}");
    });
    checks.await;
}
