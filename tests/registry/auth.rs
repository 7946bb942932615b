//! D5, T-50, G5: who we say we are, and to whom.

use super::*;

const TOKEN: &str = "aaaa.bbbb.cccc";

fn wants_token(realm: &str) -> Vec<Act> {
    let challenge = format!("Bearer realm=\"{realm}\",service=\"shop\",scope=\"repository:other/secret:pull,push\"");
    answer(401, &[("WWW-Authenticate", &challenge)], b"{}")
}
fn token_reply() -> Vec<Act> {
    answer(200, &[], format!("{{\"token\":\"{TOKEN}\",\"expires_in\":300}}").as_bytes())
}

/// A registry with a token server at this realm, `HOST` standing for itself.
async fn bearer(pki: &Pki, realm: &str, token_answer: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Double {
    let realm = realm.to_owned();
    Double::secure(pki, move |seen| match (seen.path(), seen.header("authorization")) {
        ("/token", _) => token_answer(seen),
        (_, Some(token)) if token == format!("Bearer {TOKEN}") => honest(seen),
        _ => wants_token(&realm.replace("HOST", seen.header("host").unwrap_or_default())),
    })
    .await
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_for_this_repository() {
    let pki = Pki::new();
    let double = bearer(&pki, "https://HOST/token", |_| token_reply()).await;
    let reader = Reader::with_password(&double, vec![secure(&double, &pki)]);
    reads(reader.manifest().await, MANIFEST);
    reads(reader.blob().await, BLOB);
    let asked = double.seen_at("/token");
    assert_eq!((asked.len(), double.seen().len()), (1, 4));
    // Whatever scope the challenge named.
    assert!(asked[0].target.contains("scope=repository%3Ashop%2Fapi%3Apull"), "{}", asked[0].target);
    assert!(asked[0].target.contains("service=shop") && !asked[0].target.contains("push"), "{}", asked[0].target);
    assert!(asked[0].header("authorization").is_some_and(|a| a.starts_with("Basic ")));
    assert!(double.seen_at(&manifest_path())[0].header("authorization").is_none(), "nothing is said unasked");
}

#[tokio::test]
async fn another_repository_has_a_token_of_its_own() {
    let pki = Pki::new();
    let double = bearer(&pki, "https://HOST/token", |_| token_reply()).await;
    let reader = Reader::with(&double, vec![secure(&double, &pki)], Limits::default());
    reads(reader.manifest().await, MANIFEST);
    let other = Repository { path: "shop/web".into(), ..reader.repository.clone() };
    assert_eq!(reader.registries.manifest(&other, &manifest_digest(), soon()).await, Ok(None));
    let scopes: Vec<String> = double.seen_at("/token").into_iter().map(|seen| seen.target).collect();
    assert_eq!(scopes.len(), 2);
    assert!(scopes[1].contains("shop%2Fweb"), "{scopes:?}");
    assert!(double.seen_at("/token").iter().all(|seen| seen.header("authorization").is_none()), "anonymous");
}

#[tokio::test]
async fn a_realm_elsewhere_gets_nothing() {
    let pki = Pki::new();
    let (clear, hidden) = (Double::canary().await, Double::secure_canary(&pki).await);
    for realm in [
        format!("https://evil.test:{}/token", hidden.port),
        format!("https://registry.test.evil.test:{}/token", hidden.port),
        format!("https://registry.test@evil.test:{}/token", hidden.port),
        format!("https://127.0.0.1:{}/token", hidden.port),
        format!("https://2130706433:{}/token", hidden.port),
        format!("http://registry.test:{}/token", clear.port),
        format!("http://127.0.0.1:{}/token", clear.port),
        "http://HOST/token".into(),
        "https://169.254.169.254/latest/meta-data/iam".into(),
        "https://[::1]/token".into(),
        "https://u:p@HOST/token".into(),
        "/token".into(),
        "".into(),
    ] {
        let double = bearer(&pki, &realm, |_| token_reply()).await;
        // Even a host that may be reached is not one to be told.
        let rules = vec![secure(&double, &pki), named(&format!("evil.test:{}", hidden.port), &pki)];
        let reader = Reader::with_password(&double, rules);
        refuses(reader.manifest().await, Reason::RegistryRefused);
        assert_eq!(double.seen().len(), 1, "{realm}");
    }
    for canary in [clear, hidden] {
        assert!(canary.seen().is_empty());
        canary.assert_told_nothing(&[PASSWORD, "cm9ib3Q6"]);
    }
}

#[tokio::test]
async fn a_realm_that_is_allowed_is_asked() {
    let pki = Pki::new();
    let server = Double::secure(&pki, |_| token_reply()).await;
    let login = format!("login.test:{}", server.port);
    let double = bearer(&pki, &format!("https://{login}/token"), |_| token_reply()).await;
    let rules = HostConfig { auth_realms: vec![login.clone()], ..secure(&double, &pki) };
    reads(Reader::with_password(&double, vec![rules, named(&login, &pki)]).manifest().await, MANIFEST);
    assert_eq!(server.seen().len(), 1);
    // Nor without the private address being allowed for it.
    let rules = HostConfig { auth_realms: vec![login], ..secure(&double, &pki) };
    refuses(Reader::with_password(&double, vec![rules]).manifest().await, Reason::RegistryRefused);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn the_registry_s_own_name_at_another_port_is_for_private_ones() {
    let pki = Pki::new();
    let server = Double::secure(&pki, |_| token_reply()).await;
    let double = bearer(&pki, &format!("https://registry.test:{}/token", server.port), |_| token_reply()).await;
    reads(Reader::with_password(&double, vec![secure(&double, &pki)]).manifest().await, MANIFEST);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_token_server_that_misbehaves_gives_a_reason() {
    let pki = Pki::new();
    let long = format!("{{\"token\":\"{}\"}}", "a".repeat(64 << 10));
    let cases: Vec<(Vec<Act>, Reason)> = vec![
        (answer(401, &[], b"{}"), Reason::RegistryAuth),
        (answer(403, &[], b"{}"), Reason::RegistryAuth),
        (answer(400, &[], b"{}"), Reason::RegistryAuth),
        (answer(500, &[], b"{}"), Reason::RegistryUnavailable),
        (answer(429, &[], b"{}"), Reason::RegistryUnavailable),
        (answer(302, &[("Location", "https://evil.test/")], b""), Reason::RegistryRefused),
        (answer(200, &[], b"{}"), Reason::RegistryUnavailable),
        (answer(200, &[], b"not json"), Reason::RegistryUnavailable),
        (answer(200, &[], b"{\"token\":\"a\\r\\nX-Evil: 1\"}"), Reason::RegistryUnavailable),
        (answer(200, &[], long.as_bytes()), Reason::RegistryUnavailable),
        (vec![head(200, &[]), Act::Endless(b"{\"token\": ".to_vec())], Reason::RegistryUnavailable),
        (answer(200, &[("Content-Encoding", "gzip")], b"\x1f\x8b"), Reason::RegistryUnavailable),
    ];
    for (acts, reason) in cases {
        let name = format!("{acts:?}").chars().take(200).collect::<String>();
        let double = bearer(&pki, "https://HOST/token", move |_| acts.clone()).await;
        let outcome = Reader::with_password(&double, vec![secure(&double, &pki)]).manifest().await;
        assert_eq!(outcome.unwrap_err().reason, reason, "{name}");
    }
}

#[tokio::test]
async fn a_registry_that_always_asks_is_answered_once() {
    let pki = Pki::new();
    let double = Double::secure(&pki, |seen| match seen.path() {
        "/token" => token_reply(),
        _ => wants_token(&format!("https://{}/token", seen.header("host").unwrap())),
    })
    .await;
    refuses(Reader::with_password(&double, vec![secure(&double, &pki)]).manifest().await, Reason::RegistryAuth);
    assert_eq!((double.seen_at(&manifest_path()).len(), double.seen_at("/token").len()), (2, 1));
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed_once() {
    let pki = Pki::new();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let double = Double::secure(&pki, move |seen| match (seen.path(), seen.header("authorization")) {
        ("/token", _) => {
            let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            answer(200, &[], format!("{{\"token\":\"t{n}\"}}").as_bytes())
        }
        // The second object is shown for the second token alone.
        (path, Some("Bearer t0")) if path == manifest_path() => honest(seen),
        (_, Some("Bearer t1")) => honest(seen),
        _ => wants_token(&format!("https://{}/token", seen.header("host").unwrap())),
    })
    .await;
    let reader = Reader::with(&double, vec![secure(&double, &pki)], Limits::default());
    reads(reader.manifest().await, MANIFEST);
    reads(reader.blob().await, BLOB);
    assert_eq!(double.seen_at("/token").len(), 2);
}

#[tokio::test]
async fn basic_is_answered_with_what_is_stored_for_this_host_and_port() {
    let pki = Pki::new();
    let double = Double::secure(&pki, |seen| match seen.header("authorization") {
        Some("Basic cm9ib3Q6aHVudGVyMi1odW50ZXIy") => honest(seen),
        _ => answer(401, &[("WWW-Authenticate", "Basic realm=\"shop\"")], b"{}"),
    })
    .await;
    reads(Reader::with_password(&double, vec![secure(&double, &pki)]).manifest().await, MANIFEST);

    let own = host(&double);
    for elsewhere in ["registry.test", "registry.test:1", "test", &format!("a.{own}")] {
        let double =
            Double::secure(&pki, |_| answer(401, &[("WWW-Authenticate", "Basic realm=\"shop\"")], b"{}")).await;
        let config = docker_config(&[elsewhere]);
        let registries =
            Registries::with(vec![secure(&double, &pki)], Some(config.path()), Limits::default(), lookup()).unwrap();
        let reader = Reader { registries, repository: repository(&host(&double)) };
        refuses(reader.manifest().await, Reason::RegistryAuth);
        double.assert_told_nothing(&[PASSWORD]);
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_once() {
    let pki = Pki::new();
    let double = Double::secure(&pki, |_| answer(401, &[("WWW-Authenticate", "Basic realm=\"shop\"")], b"{}")).await;
    let reader = Reader::with_password(&double, vec![secure(&double, &pki)]);
    refuses(reader.manifest().await, Reason::RegistryAuth);
    assert_eq!(double.seen().len(), 2);
    refuses(reader.manifest().await, Reason::RegistryAuth);
    assert_eq!(double.seen().len(), 3);
}

#[tokio::test]
async fn an_unknown_way_to_authenticate_is_no_way() {
    let pki = Pki::new();
    for challenge in ["", "Negotiate", "Digest realm=\"r\"", "Bearer", "Bearer realm=\"unfinished"] {
        let double = Double::secure(&pki, move |_| answer(401, &[("WWW-Authenticate", challenge)], b"{}")).await;
        refuses(Reader::with_password(&double, vec![secure(&double, &pki)]).manifest().await, Reason::RegistryAuth);
        double.assert_told_nothing(&[PASSWORD]);
    }
}

#[tokio::test]
async fn an_identity_token_is_for_the_token_server_alone() {
    let pki = Pki::new();
    let double = bearer(&pki, "https://HOST/token", |seen| {
        if seen.method == "POST" && seen.body.contains("refresh_token=long-lived") {
            token_reply()
        } else {
            answer(401, &[], b"")
        }
    })
    .await;
    let config = tempfile::NamedTempFile::new().unwrap();
    let auths = serde_json::json!({"auths": {host(&double): {"identitytoken": "long-lived"}}});
    std::fs::write(config.path(), auths.to_string()).unwrap();
    let registries =
        Registries::with(vec![secure(&double, &pki)], Some(config.path()), Limits::default(), lookup()).unwrap();
    let reader = Reader { registries, repository: repository(&host(&double)) };
    reads(reader.manifest().await, MANIFEST);
    let asked = &double.seen_at("/token")[0];
    assert!(asked.body.contains("grant_type=refresh_token"), "{}", asked.body);
    assert!(!asked.target.contains("long-lived") && asked.header("authorization").is_none());
}

#[tokio::test]
async fn what_is_not_shown_is_told_like_what_is_not_there() {
    // G4: the words do not say which.
    let (missing, hidden) =
        (Double::plain(|_| answer(404, &[], b"")).await, Double::plain(|_| answer(403, &[], b"")).await);
    let told = async |double: &Double, reason| {
        let image = format!("{}/shop/api:1", host(double)).parse().unwrap();
        let fault = refuses(Reader::plain(double).registries.resolve(&image, soon()).await, reason);
        fault.message.replace(&host(double), "HOST")
    };
    let (one, other) = (told(&missing, Reason::ImageNotFound).await, told(&hidden, Reason::RegistryAuth).await);
    assert_eq!(one, other);
    let honest = Double::plain(honest).await;
    let image = format!("{}/shop/api:1", host(&honest)).parse().unwrap();
    assert_eq!(Reader::plain(&honest).registries.resolve(&image, soon()).await.unwrap().digest, manifest_digest());
}

use hostile::head;
