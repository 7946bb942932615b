//! D4: redirects are for blobs, of https to https, three at most, and credentials stay behind.

use super::*;

/// A registry with Basic authentication that redirects its blob.
async fn redirecting(pki: &Pki, to: impl Fn(&Seen) -> String + Send + Sync + 'static) -> Double {
    Double::secure(pki, move |seen| match seen.header("authorization") {
        None => answer(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], b""),
        Some(_) if seen.path() == blob_path() => answer(307, &[("Location", &to(seen))], b""),
        Some(_) => honest(seen),
    })
    .await
}

#[tokio::test]
async fn a_blob_may_be_elsewhere_and_credentials_stay_behind() {
    let pki = Pki::new();
    let cdn = Double::secure(&pki, |_| answer(200, &[], BLOB)).await;
    let to = format!("https://cdn.test:{}/some/where?signature=x", cdn.port);
    let double = redirecting(&pki, move |_| to.clone()).await;
    let cdn_rules = named(&format!("cdn.test:{}", cdn.port), &pki);
    let reader = Reader::with_password(&double, vec![secure(&double, &pki), cdn_rules]);
    reads(reader.blob().await, BLOB);
    assert_eq!(cdn.seen()[0].target, "/some/where?signature=x");
    cdn.assert_told_nothing(&[PASSWORD]);
}

#[tokio::test]
async fn credentials_stay_behind_at_another_port_and_do_not_come_back() {
    let pki = Pki::new();
    let cdn = Double::secure(&pki, |_| answer(200, &[], BLOB)).await;
    let to = format!("https://registry.test:{}/blob", cdn.port);
    let double = redirecting(&pki, move |_| to.clone()).await;
    let rules = vec![secure(&double, &pki), named(&format!("registry.test:{}", cdn.port), &pki)];
    reads(Reader::with_password(&double, rules).blob().await, BLOB);
    cdn.assert_told_nothing(&[PASSWORD]);
}

#[tokio::test]
async fn within_the_registry_credentials_go_along() {
    let pki = Pki::new();
    let double = Double::secure(&pki, |seen| match (seen.header("authorization"), seen.path()) {
        (None, _) => answer(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], b""),
        (Some(_), "/storage/x") => answer(200, &[], BLOB),
        (Some(_), _) => answer(302, &[("Location", "/storage/x")], b""),
    })
    .await;
    reads(Reader::with_password(&double, vec![secure(&double, &pki)]).blob().await, BLOB);
}

#[tokio::test]
async fn another_host_s_401_is_not_answered() {
    let pki = Pki::new();
    let cdn = Double::secure(&pki, |_| answer(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], b"")).await;
    let to = format!("https://cdn.test:{}/x", cdn.port);
    let double = redirecting(&pki, move |_| to.clone()).await;
    let rules = vec![secure(&double, &pki), named(&format!("cdn.test:{}", cdn.port), &pki)];
    refuses(Reader::with_password(&double, rules).blob().await, Reason::RegistryAuth);
    cdn.assert_told_nothing(&[PASSWORD]);
}

#[tokio::test]
async fn a_redirect_to_what_we_do_not_reach_is_refused() {
    let pki = Pki::new();
    let (clear, hidden) = (Double::canary().await, Double::secure_canary(&pki).await);
    for to in [
        format!("http://registry.test:{}/x", clear.port),
        format!("http://127.0.0.1:{}/x", clear.port),
        format!("https://hidden.test:{}/x", hidden.port), // resolves to loopback, and no document allows it
        format!("https://127.0.0.1:{}/x", hidden.port),
        format!("https://2130706433:{}/x", hidden.port),
        format!("https://user:word@registry.test:{}/x", hidden.port),
        "https://169.254.169.254/latest/meta-data/".into(),
        "http://169.254.169.254/latest/meta-data/".into(),
        "https://[fd00:ec2::254]/".into(),
        "ftp://registry.test/x".into(),
        "file:///etc/passwd".into(),
        "https://".into(),
    ] {
        let name = to.clone();
        let double = redirecting(&pki, move |_| to.clone()).await;
        let reader = Reader::with_password(&double, vec![secure(&double, &pki)]);
        let fault = refuses(reader.blob().await, Reason::RegistryRefused);
        assert!(!fault.message.contains("word"), "{name}: {fault}");
        reads(reader.manifest().await, MANIFEST);
    }
    for canary in [clear, hidden] {
        assert!(canary.seen().is_empty());
        canary.assert_told_nothing(&[PASSWORD]);
    }
}

#[tokio::test]
async fn redirects_end_after_three() {
    let pki = Pki::new();
    for (hops, found) in [(3, true), (4, false), (usize::MAX, false)] {
        let double = Double::secure(&pki, move |seen| {
            let hop: usize = seen.path().strip_prefix("/hop/").map_or(0, |n| n.parse().unwrap());
            let next = if hops == usize::MAX { "/hop/1".to_owned() } else { format!("/hop/{}", hop + 1) };
            if hop == hops { answer(200, &[], BLOB) } else { answer(301, &[("Location", &next)], b"") }
        })
        .await;
        let outcome = Reader::with(&double, vec![secure(&double, &pki)], Limits::default()).blob().await;
        assert_eq!(double.seen().len(), 4);
        if found { reads(outcome, BLOB) } else { drop(refuses(outcome, Reason::RegistryRefused)) }
    }
}

#[tokio::test]
async fn a_redirect_without_a_place_is_refused() {
    let double = Double::plain(|_| answer(302, &[], b"")).await;
    refuses(Reader::plain(&double).blob().await, Reason::RegistryRefused);
}

#[tokio::test]
async fn manifests_are_not_followed_anywhere() {
    let pki = Pki::new();
    let canary = Double::secure_canary(&pki).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("https://cdn.test:{}/x", canary.port);
        let double = Double::secure(&pki, move |_| answer(status, &[("Location", &to)], b"")).await;
        let rules = vec![secure(&double, &pki), named(&format!("cdn.test:{}", canary.port), &pki)];
        let reader = Reader::with_password(&double, rules);
        refuses(reader.manifest().await, Reason::RegistryRefused);
        refuses(reader.tag().await, Reason::RegistryRefused);
        // The listing of referrers is simply not there: the tag schema is read instead.
        assert_eq!(reader.referrers().await, Ok(None));
    }
    assert!(canary.seen().is_empty());
}
