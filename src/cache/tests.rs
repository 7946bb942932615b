use super::*;
use crate::policy::{Mode, PolicyDecision, RequirementDecision};
use std::sync::atomic::AtomicUsize;

fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn key(namespace: &str) -> Key {
    let digest: Digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
    let repository = Repository { registry: "registry.example.com".into(), path: "shop/api".into() };
    Key { repository, policy: digest.clone(), digest, namespace: namespace.into(), credential: String::new() }
}

fn verdict(reason: Option<Reason>) -> ImageVerdict {
    let requirement = RequirementDecision {
        name: "released".into(),
        met: reason.is_none(),
        class: reason.map(Reason::class),
        reason,
        ..RequirementDecision::default()
    };
    let policy = PolicyDecision {
        policy: "ClusterImagePolicy/shop".into(),
        mode: Mode::Enforce,
        met: reason.is_none(),
        requirements: vec![requirement],
    };
    ImageVerdict { policies: vec![policy], warnings: Vec::new(), valid_until: None }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Asks `times` times, one after the other; how often was judged?
async fn judged(verdict: ImageVerdict, at: &[Timestamp]) -> usize {
    let (cache, judged) = (Cache::default(), Arc::new(AtomicUsize::new(0)));
    for now in at {
        cache
            .verdict(key("shop"), soon(), *now, |_| {
                judged.fetch_add(1, Relaxed);
                std::future::ready(verdict.clone())
            })
            .await
            .unwrap();
    }
    judged.load(Relaxed)
}

#[tokio::test]
async fn an_allowance_is_kept() {
    assert_eq!(judged(verdict(None), &[noon(), noon()]).await, 1);
}

#[tokio::test]
async fn what_we_could_not_see_is_not_kept() {
    assert_eq!(judged(verdict(Some(Reason::RegistryUnreachable)), &[noon(), noon()]).await, 2);
}

#[tokio::test]
async fn nothing_outlives_its_metadata() {
    let until = noon() + Duration::from_secs(60);
    let verdict = ImageVerdict { valid_until: Some(until), ..verdict(None) };
    assert_eq!(judged(verdict.clone(), &[noon(), noon() + Duration::from_secs(59)]).await, 1);
    assert_eq!(judged(verdict, &[noon(), until]).await, 2);
}

#[tokio::test]
async fn a_clock_set_back_sees_no_verdict_of_the_future() {
    assert_eq!(judged(verdict(None), &[noon(), noon() - Duration::from_secs(1)]).await, 2);
}

#[test]
fn how_long_a_verdict_is_kept() {
    let until = |seconds| Some(noon() + Duration::from_secs(seconds));
    let kept = |reason, valid_until| keep(&ImageVerdict { valid_until, ..verdict(reason) }, noon());
    assert_eq!(kept(None, None), Some(KEPT_MAX));
    assert_eq!(kept(None, until(20)), Some(Duration::from_secs(20)));
    assert_eq!(kept(None, until(9_000)), Some(KEPT_MAX));
    assert_eq!(kept(None, until(0)), None);
    assert_eq!(kept(Some(Reason::NoSignature), None), Some(DENIAL_KEPT_MAX));
    assert_eq!(kept(Some(Reason::StoreUnavailable), until(9_000)), None);
}

#[tokio::test]
async fn another_namespace_is_judged_for_itself() {
    let cache = Cache::default();
    for namespace in ["shop", "shop-2"] {
        cache.verdict(key(namespace), soon(), noon(), |_| std::future::ready(verdict(None))).await.unwrap();
    }
    assert_eq!(cache.counts().misses.load(Relaxed), 2);
    assert_eq!(cache.counts().hits.load(Relaxed), 0);
}

#[tokio::test]
async fn five_hundred_callers_are_one_flight() {
    let (cache, judged) = (Arc::new(Cache::default()), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(tokio::sync::Notify::new());
    let callers: Vec<_> = (0..500)
        .map(|_| {
            let (cache, judged, gate) = (cache.clone(), judged.clone(), gate.clone());
            tokio::spawn(async move {
                let judge = |_| {
                    judged.fetch_add(1, Relaxed);
                    let gate = gate.clone();
                    async move {
                        gate.notified().await;
                        verdict(Some(Reason::RegistryUnreachable)) // not kept: only the flight is shared
                    }
                };
                cache.verdict(key("shop"), soon(), noon(), judge).await.unwrap()
            })
        })
        .collect();
    while cache.counts().joined.load(Relaxed) < 499 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(judged.load(Relaxed), 1);
}

#[tokio::test]
async fn a_waiting_caller_keeps_its_own_deadline() {
    let cache = Arc::new(Cache::default());
    let leader = {
        let cache = cache.clone();
        tokio::spawn(async move {
            cache.verdict(key("shop"), soon(), noon(), |_| std::future::pending::<ImageVerdict>()).await
        })
    };
    while cache.counts().misses.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let late = Instant::now() + Duration::from_millis(20);
    let waited = cache.verdict(key("shop"), late, noon(), |_| std::future::ready(verdict(None))).await;
    assert_eq!(waited.unwrap_err().reason, Reason::DeadlineExceeded);
    leader.abort();
}

#[tokio::test]
async fn who_has_more_time_than_the_leader_flies_again() {
    let cache = Arc::new(Cache::default());
    let gate = Arc::new(tokio::sync::Notify::new());
    let leader = {
        let (cache, gate) = (cache.clone(), gate.clone());
        tokio::spawn(async move {
            let judge = |_| {
                let gate = gate.clone();
                async move {
                    gate.notified().await;
                    verdict(Some(Reason::DeadlineExceeded))
                }
            };
            cache.verdict(key("shop"), soon(), noon(), judge).await
        })
    };
    while cache.counts().misses.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let patient = {
        let cache = cache.clone();
        let later = soon() + Duration::from_secs(5);
        tokio::spawn(
            async move { cache.verdict(key("shop"), later, noon(), |_| std::future::ready(verdict(None))).await },
        )
    };
    while cache.counts().joined.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    assert!(!leader.await.unwrap().unwrap().policies[0].met);
    assert!(patient.await.unwrap().unwrap().policies[0].met);
}

#[tokio::test]
async fn nobody_is_made_to_fly_with_one_who_has_no_time() {
    let cache = Arc::new(Cache::default());
    // Somebody asks again and again with hardly any time, for what takes longer.
    let hasty = Instant::now() + Duration::from_millis(400);
    let rush = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.verdict(key("shop"), hasty, noon(), |_| std::future::pending()).await })
    };
    while cache.counts().misses.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let patient = cache.verdict(key("shop"), soon(), noon(), |_| std::future::ready(verdict(None))).await;
    assert!(patient.unwrap().policies[0].met);
    assert_eq!(cache.counts().joined.load(Relaxed), 0);
    rush.abort();
}

#[tokio::test]
async fn a_flight_that_is_replaced_strikes_off_itself_alone() {
    let flights: Arc<Flights<u8, u8>> = Arc::default();
    let gate = Arc::new(tokio::sync::Notify::new());
    let first = flights.join(&1, Instant::now() + Duration::from_millis(400), || {
        let gate = gate.clone();
        async move {
            gate.notified().await;
            1
        }
    });
    let second = flights.join(&1, soon(), std::future::pending);
    assert!(first.leads && second.leads);
    gate.notify_one();
    assert_eq!(first.landing.await, Some(1));
    assert!(!flights.join(&1, soon(), std::future::pending).leads, "the second is still listed");
}

#[test]
fn a_timeout_counts_for_those_who_had_no_more_time() {
    let now = Instant::now();
    let later = |seconds| now + Duration::from_secs(seconds);
    for reason in [Reason::DeadlineExceeded, Reason::RegistryTimeout, Reason::StoreUnavailable] {
        assert!(hurried(reason, now, later(2)) && !hurried(reason, now, later(1)), "{reason:?}");
    }
    assert!(!hurried(Reason::RegistryAuth, now, later(9)) && !hurried(Reason::NoSignature, now, later(9)));
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_key_is_free_again() {
    let cache = Cache::default();
    let panicked = cache.verdict(key("shop"), soon(), noon(), |_| async { panic!("on purpose") }).await;
    assert_eq!(panicked.unwrap_err().reason, Reason::InternalError);
    let again = cache.verdict(key("shop"), soon(), noon(), |_| std::future::ready(verdict(None))).await;
    assert!(again.unwrap().policies[0].met);
}
