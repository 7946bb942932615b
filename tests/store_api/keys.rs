//! Where an issuer's keys come from, and what happens when they do not.

use crate::{
    identity::{build, grant, image, job, shop_of, with, writer},
    issuer::{Issuer, Mood, Signer},
    shop::*,
};
use serde_json::json;
use std::time::{Duration, Instant};
use tidewaiter::{
    resource,
    server::{Chains, auth, auth::issuer::Patience},
};

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_says_nothing_about_a_token() {
    for mood in [Mood::Down, Mood::Other, Mood::Astray, Mood::Redirects, Mood::Endless, Mood::Garbled] {
        let issuer = Issuer::start().await;
        issuer.is(mood);
        let shop = shop_of(vec![writer("oidc", grant(&issuer))], vec![]).await;
        let record = build(&shop);
        let unavailable = no(503, "issuer_unavailable");
        assert_eq!(shop.put(&issuer.token(job()), &record).await, unavailable, "{mood:?}");
        // It is not asked for every request.
        assert_eq!(shop.put(&issuer.token(job()), &record).await, unavailable, "{mood:?}");
        assert_eq!(issuer.asked(), 1, "{mood:?}");
        // Who has another credential is not kept waiting.
        assert_eq!(shop.put(LAPTOP, &record).await, yes(201));
    }
    // Nor is one believed whose certificate is another's.
    let (issuer, other) = (Issuer::start().await, Issuer::start().await);
    let oidc = with(&grant(&issuer), json!({"caBundle": other.authority}));
    let shop = shop_of(vec![writer("oidc", oidc)], vec![]).await;
    assert_eq!(shop.put(&issuer.token(job()), &build(&shop)).await, no(503, "issuer_unavailable"));
    assert_eq!(issuer.asked(), 0);
}

#[tokio::test]
async fn a_silent_issuer_costs_its_time_and_no_more() {
    let issuer = Issuer::start().await;
    issuer.is(Mood::Silent);
    let shop = shop_of(vec![writer("oidc", grant(&issuer))], vec![]).await;
    let record = build(&shop);
    let start = Instant::now();
    let (one, two) = (issuer.token(job()), issuer.token(job()));
    let (first, second) = tokio::join!(shop.put(&one, &record), shop.put(&two, &record));
    assert_eq!((first, second), (no(503, "issuer_unavailable"), no(503, "issuer_unavailable")));
    assert!(start.elapsed() < Duration::from_secs(9), "both waited for one answer");
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn nobody_waits_for_an_issuer_that_was_silent_a_moment_ago() {
    let issuer = Issuer::start().await;
    issuer.is(Mood::Silent);
    let always = Patience { fresh: NEVER, stale: NEVER, again: NEVER, failed: Duration::ZERO };
    let chains = chains(&issuer, always);
    let token = issuer.token(job());
    assert!(matches!(asks(&chains, &token).await, Err(auth::Refusal::Unavailable { .. })));
    // One asks again; the others are told at once.
    let again = asks(&chains, &token);
    let others = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let start = Instant::now();
        for _ in 0..50 {
            assert!(matches!(asks(&chains, &token).await, Err(auth::Refusal::Unavailable { .. })));
        }
        start.elapsed()
    };
    let (again, others) = tokio::join!(again, others);
    assert!(matches!(again, Err(auth::Refusal::Unavailable { .. })));
    assert!(others < Duration::from_secs(2), "{others:?}");
    assert_eq!(issuer.asked(), 2);
    issuer.is(Mood::Honest);
    assert_eq!(asks(&chains, &token).await, Ok(1));
}

/// Two chains may know one issuer in two ways: by its keys in the document, and by asking.
#[tokio::test]
async fn a_token_counts_for_every_chain_that_knows_its_issuer() {
    let issuer = Issuer::start().await;
    let mut inline = with(&grant(&issuer), json!({"jwks": {"keys": [issuer.key.jwk("key-1")]}}));
    inline.as_object_mut().unwrap().remove("caBundle");
    let stale = with(&inline, json!({"jwks": {"keys": [Signer::p256().jwk("key-1")]}}));
    let keys = Keys::new();
    let of = |name: &str, oidc| chain(name, "registry.example.com/shop/api", json!([writer("oidc", oidc)]), json!([]));
    let documents = [owners(&keys), of("stale", stale), of("inline", inline), of("asked", grant(&issuer))];
    let text = documents.map(|document| document.to_string()).join("\n---\n");
    let chains = Chains::parse("chains.yaml", &text).unwrap();
    assert_eq!(asks(&chains, &issuer.token(job())).await, Ok(2), "not for the one that has other keys");
    issuer.is(Mood::Down);
    let chains = Chains::parse("chains.yaml", &text).unwrap();
    assert_eq!(asks(&chains, &issuer.token(job())).await, Ok(1), "what can be known counts");
}

/// The pieces without a server, so that keys may age in a moment.
fn chains(issuer: &Issuer, patience: Patience) -> Chains {
    let keys = Keys::new();
    let writers = json!([writer("oidc", grant(issuer))]);
    let chain = chain("shop", "registry.example.com/shop/api", writers, json!([]));
    let text = [owners(&keys), chain].map(|document| document.to_string()).join("\n---\n");
    Chains::with_patience(resource::parse("chains.yaml", &text).unwrap(), patience).unwrap()
}

async fn asks(chains: &Chains, token: &str) -> Result<usize, auth::Refusal> {
    let bearer = auth::token::Bearer::Token(token.as_bytes());
    let credentials = auth::Credentials { bearer, certificate: None };
    let found = auth::authenticate(chains, credentials, jiff::Timestamp::now()).await?;
    Ok(found.writes.len())
}

const NEVER: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn keys_that_are_known_outlast_an_issuer_that_is_down() {
    let issuer = Issuer::start().await;
    let soon = Patience { fresh: Duration::ZERO, stale: NEVER, again: Duration::ZERO, failed: Duration::ZERO };
    let chains = chains(&issuer, soon);
    assert_eq!(asks(&chains, &issuer.token(job())).await, Ok(1));
    issuer.is(Mood::Down);
    assert_eq!(asks(&chains, &issuer.token(job())).await, Ok(1));
    assert_eq!(issuer.asked(), 2, "it was asked, in vain");
    // A key that we have not seen may be one of its: that cannot be said now.
    let new = Signer::p256();
    let token = new.token(&json!({"alg": "ES256", "kid": "key-2"}), &issuer.claims(job()));
    assert!(matches!(asks(&chains, &token).await, Err(auth::Refusal::Unavailable { .. })));
    issuer.is(Mood::Honest);
    assert_eq!(asks(&chains, &token).await, Err(auth::Refusal::Key("key-2".into())));
    issuer.publishes(vec![new.jwk("key-2")]);
    assert_eq!(asks(&chains, &token).await, Ok(1));
    // What it has withdrawn is a stranger's.
    assert_eq!(asks(&chains, &issuer.token(job())).await, Err(auth::Refusal::Key("key-1".into())));
}

#[tokio::test]
async fn old_keys_are_not_taken_for_ever() {
    let issuer = Issuer::start().await;
    let at_once = Duration::ZERO;
    let never = Patience { fresh: at_once, stale: at_once, again: at_once, failed: at_once };
    let chains = chains(&issuer, never);
    assert_eq!(asks(&chains, &issuer.token(job())).await, Ok(1));
    issuer.is(Mood::Down);
    assert!(matches!(asks(&chains, &issuer.token(job())).await, Err(auth::Refusal::Unavailable { .. })));
    issuer.is(Mood::Honest);
    assert_eq!(asks(&chains, &issuer.token(job())).await, Ok(1));
}

#[tokio::test]
async fn strangers_do_not_make_us_ask_again_and_again() {
    let issuer = Issuer::start().await;
    let patient = Patience { fresh: NEVER, stale: NEVER, again: NEVER, failed: NEVER };
    let chains = chains(&issuer, patient);
    assert_eq!(asks(&chains, &issuer.token(job())).await, Ok(1));
    for number in 0..50 {
        let header = json!({"alg": "ES256", "kid": format!("made-up-{number}")});
        let token = Signer::p256().token(&header, &issuer.claims(job()));
        assert!(matches!(asks(&chains, &token).await, Err(auth::Refusal::Key(_))));
    }
    assert_eq!(issuer.asked(), 1);
    // Many at once ask once, too.
    let issuer = Issuer::start().await;
    let chains = self::chains(&issuer, patient);
    let token = issuer.token(job());
    let all = futures::future::join_all((0..20).map(|_| asks(&chains, &token))).await;
    assert!(all.iter().all(|found| *found == Ok(1)));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn keys_of_a_file_need_nobody() {
    let issuer = Issuer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    std::fs::write(&path, json!({"keys": [issuer.key.jwk("key-1")]}).to_string()).unwrap();
    let mut oidc = with(&grant(&issuer), json!({"jwksFile": path}));
    oidc.as_object_mut().unwrap().remove("caBundle");
    let shop = shop_of(vec![writer("oidc", oidc.clone())], vec![]).await;
    assert_eq!(shop.put(&issuer.token(job()), &build(&shop)).await, yes(201));
    assert_eq!(issuer.asked(), 0);
    assert!(!shop.names(&image()).await.is_empty());
    // A file that holds no keys starts nothing.
    std::fs::write(&path, "{}").unwrap();
    let keys = Keys::new();
    let chain = chain("shop", "registry.example.com/shop/api", json!([writer("oidc", oidc)]), json!([]));
    let text = [owners(&keys), chain].map(|document| document.to_string()).join("\n---\n");
    let error = format!("{:#}", Chains::parse("chains.yaml", &text).unwrap_err());
    assert!(error.contains("Chain \"shop\": writer \"ci\": ") && error.contains("a list \"keys\""), "{error}");
}
