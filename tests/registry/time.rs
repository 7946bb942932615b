//! D6, D7, F1–F3: slow, silent, gone, and back.

use super::*;
use hostile::head;
use std::sync::atomic::{AtomicUsize, Ordering};

const SHORT: Duration = Duration::from_millis(150);

fn impatient() -> Limits {
    Limits { first_byte: SHORT, ..Limits::default() }
}

#[tokio::test]
async fn a_registry_that_is_silent_is_given_up() {
    let double = Double::plain(|_| vec![Act::Hang]).await;
    refuses(Reader::limited(&double, impatient()).manifest().await, Reason::RegistryTimeout);
    assert_eq!(double.seen().len(), 1, "and not asked again");
    let late = Double::plain(|seen| [vec![Act::Wait(SHORT)], honest(seen)].concat()).await;
    reads(Reader::plain(&late).manifest().await, MANIFEST);
}

#[tokio::test]
async fn a_trickle_is_given_up() {
    let length = MANIFEST.len().to_string();
    let start = head(200, &[("Content-Type", OCI_MANIFEST), ("Content-Length", &length)]);
    let slow = |gap| [start.clone(), Act::Drip(MANIFEST.to_vec(), gap)].to_vec();
    let acts = slow(SHORT / 3);
    let double = Double::plain(move |_| acts.clone()).await;
    // Too slow by the second, and too slow altogether.
    let by_speed = Limits { speed_grace: SHORT, ..Limits::default() };
    let by_time = Limits { object: SHORT * 2, ..Limits::default() };
    for limits in [by_speed, by_time] {
        refuses(Reader::limited(&double, limits).manifest().await, Reason::RegistryTimeout);
    }
    let acts = slow(Duration::from_millis(1));
    let double = Double::plain(move |_| acts.clone()).await;
    reads(Reader::plain(&double).manifest().await, MANIFEST);
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let double = Double::plain(|_| vec![head(200, &[("Content-Length", "10")]), Act::Hang]).await;
    let limits = Limits { object: SHORT, ..Limits::default() };
    refuses(Reader::limited(&double, limits).manifest().await, Reason::RegistryTimeout);
}

#[tokio::test]
async fn nothing_lasts_longer_than_the_review() {
    let double = Double::plain(|_| vec![Act::Hang]).await;
    let reader = Reader::plain(&double);
    let ask = async |deadline| reader.registries.manifest(&reader.repository, &manifest_digest(), deadline).await;
    refuses(ask(Instant::now()).await, Reason::DeadlineExceeded);
    assert_eq!(reader.registries.requests(), 0);
    let before = Instant::now();
    refuses(ask(before + SHORT).await, Reason::DeadlineExceeded);
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
}

/// The reason says what to mend: a registry that takes too long for one answer, or a review that has no time for all of them.
#[tokio::test]
async fn whose_time_ran_out_is_told_apart() {
    let length = MANIFEST.len().to_string();
    let start = head(200, &[("Content-Type", OCI_MANIFEST), ("Content-Length", &length)]);
    let half = Act::Send(MANIFEST[..MANIFEST.len() / 2].to_vec());
    for acts in [vec![Act::Hang], vec![start, half, Act::Hang]] {
        let double = Double::plain(move |_| acts.clone()).await;
        let limits = Limits { first_byte: SHORT, object: SHORT, ..Limits::default() };
        let reader = Reader::limited(&double, limits);
        let ask = async |time| {
            let deadline = Instant::now() + time;
            reader.registries.manifest(&reader.repository, &manifest_digest(), deadline).await.unwrap_err()
        };
        let (review, registry) = (ask(SHORT / 2).await, ask(SHORT * 4).await);
        assert_eq!((review.reason, registry.reason), (Reason::DeadlineExceeded, Reason::RegistryTimeout));
        assert!(review.message.starts_with("the review's time ran out: registry "), "{review}");
        // Both name the registry, and the breaker's word is about the registry alone.
        assert!(review.message.contains(&host(&double)) && registry.message.contains(&host(&double)), "{registry}");
    }
    let double = Double::plain(|_| vec![Act::Hang]).await;
    let reader = Reader::limited(&double, Limits { first_byte: SHORT, failures_max: 1, ..Limits::default() });
    let ask = async |time| {
        let deadline = Instant::now() + time;
        reader.registries.manifest(&reader.repository, &manifest_digest(), deadline).await.unwrap_err()
    };
    assert_eq!(ask(SHORT * 4 / 5).await.reason, Reason::DeadlineExceeded);
    let left_alone = ask(SHORT * 4).await;
    assert_eq!(left_alone.reason, Reason::RegistryTimeout, "{left_alone}");
    assert_eq!(double.seen().len(), 1, "{left_alone}");
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_unreachable() {
    let pki = Pki::new();
    // Nobody listens.
    let gone = Double::plain(honest).await.port;
    let at = |host: &str, rules: HostConfig| (registries(vec![rules], Limits::default()), repository(host));
    let closed = format!("registry.test:{gone}");
    // No such name.
    let nameless = "registry.invalid:5000".to_owned();
    // A certificate of another CA, and one for another name.
    let (double, other) = (Double::secure(&pki, honest).await, Pki::new());
    let wrong_name = format!("a.b.test:{}", double.port);
    for (host, rules) in [
        (closed.clone(), named(&closed, &pki)),
        (nameless.clone(), named(&nameless, &pki)),
        (self::host(&double), secure(&double, &other)),
        (wrong_name.clone(), named(&wrong_name, &pki)),
    ] {
        let (registries, repository) = at(&host, rules);
        refuses(registries.manifest(&repository, &manifest_digest(), soon()).await, Reason::RegistryUnreachable);
    }
    assert!(double.seen().is_empty());
    reads(Reader::with(&double, vec![secure(&double, &pki)], Limits::default()).manifest().await, MANIFEST);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up() {
    let pki = Pki::new();
    // Accepts, and says nothing: it waits for plain http while we wait for TLS.
    let double = Double::plain(|_| vec![Act::Hang]).await;
    let limits = Limits { connect: SHORT, ..Limits::default() };
    let reader = Reader::with(&double, vec![secure(&double, &pki)], limits);
    refuses(reader.manifest().await, Reason::RegistryUnreachable);
}

#[tokio::test]
async fn a_registry_that_is_back_is_asked_at_once() {
    let double = Double::plain(honest).await;
    let (port, reader) = (double.port, Reader::plain(&double));
    reads(reader.manifest().await, MANIFEST);
    drop(double);
    // Until the listener's task is gone the port may still take connections.
    let listener = loop {
        match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    drop(listener);
    refuses(reader.manifest().await, Reason::RegistryUnreachable);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let _back = Double::serve(listener, None, honest);
    reads(reader.manifest().await, MANIFEST);
}

#[tokio::test]
async fn a_connection_closed_before_it_answered_is_tried_once_more() {
    let count = AtomicUsize::new(0);
    let once = Double::plain(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Act::Close],
        _ => honest(seen),
    })
    .await;
    reads(Reader::plain(&once).manifest().await, MANIFEST);
    assert_eq!(once.seen().len(), 2);
    let always = Double::plain(|_| vec![Act::Close]).await;
    refuses(Reader::plain(&always).manifest().await, Reason::RegistryUnavailable);
    assert_eq!(always.seen().len(), 2);
}

#[tokio::test]
async fn one_slow_registry_fills_its_own_places_only() {
    let (slow, quick) = (Double::plain(|_| vec![Act::Hang]).await, Double::plain(honest).await);
    let limits = Limits { in_flight_max: 2, queue_max: 1, ..Limits::default() };
    let both = registries(vec![plain(&slow), plain(&quick)], limits);
    let (there, here) = (repository(&host(&slow)), repository(&host(&quick)));
    let until = Instant::now() + SHORT * 3;
    let digest = manifest_digest();
    let ask = || both.manifest(&there, &digest, until);
    let (a, b, queued, over, fine) = tokio::join!(ask(), ask(), ask(), ask(), both.manifest(&here, &digest, soon()));
    refuses(a, Reason::DeadlineExceeded);
    refuses(b, Reason::DeadlineExceeded);
    refuses(queued, Reason::DeadlineExceeded);
    refuses(over, Reason::Overloaded);
    reads(fine, MANIFEST);
    assert_eq!(slow.seen().len(), 2);
}

#[tokio::test]
async fn a_registry_that_fails_is_left_alone_for_a_while() {
    let (broken, fine) = (Double::plain(|_| answer(503, &[], b"")).await, Double::plain(honest).await);
    let both = registries(vec![plain(&broken), plain(&fine)], Limits::default());
    let (there, here) = (repository(&host(&broken)), repository(&host(&fine)));
    for _ in 0..8 {
        refuses(both.manifest(&there, &manifest_digest(), soon()).await, Reason::RegistryUnavailable);
    }
    assert_eq!(broken.seen().len(), 5, "five failures, and then nothing");
    reads(both.manifest(&here, &manifest_digest(), soon()).await, MANIFEST);
}

#[tokio::test]
async fn one_probe_opens_a_registry_again() {
    let count = AtomicUsize::new(0);
    let double = Double::plain(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0..6 => answer(503, &[], b""),
        _ => honest(seen),
    })
    .await;
    let reader = Reader::limited(&double, Limits { open: Duration::ZERO, ..Limits::default() });
    for _ in 0..6 {
        refuses(reader.manifest().await, Reason::RegistryUnavailable);
    }
    reads(reader.manifest().await, MANIFEST);
    assert_eq!(double.seen().len(), 7);
}

#[tokio::test]
async fn an_answer_we_do_not_like_does_not_stop_the_registry() {
    // Else anyone who may push one bad image could.
    let double = Double::plain(|seen| match seen.path() == blob_path() {
        true => honest(seen),
        false => answer(200, &[("Content-Type", "text/html")], b"no"),
    })
    .await;
    let reader = Reader::plain(&double);
    for _ in 0..8 {
        refuses(reader.manifest().await, Reason::DigestMismatch);
    }
    reads(reader.blob().await, BLOB);
}
