//! Mirrors: asked first for what a digest proves, and never trusted with anything else.

use super::*;

/// The registry with these mirrors, all over https; credentials are for the registry.
fn reader(double: &Double, pki: &Pki, mirrors: &[&Double]) -> Reader {
    let name = |mirror: &Double| format!("mirror.test:{}", mirror.port);
    let paths = mirrors.iter().map(|mirror| format!("{}/proxy", name(mirror))).collect();
    let mut hosts: Vec<_> = mirrors.iter().map(|mirror| named(&name(mirror), pki)).collect();
    hosts.push(HostConfig { mirrors: paths, ..secure(double, pki) });
    Reader::with_password(double, hosts)
}
fn mirrored(seen: &Seen) -> Vec<Act> {
    match seen.target.strip_prefix("/v2/proxy/") {
        Some(rest) => honest(&Seen { target: format!("/v2/{rest}"), ..seen.clone() }),
        None => answer(404, &[], b""),
    }
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_told_nothing() {
    let pki = Pki::new();
    let (mirror, double) = (Double::secure(&pki, mirrored).await, Double::secure(&pki, honest).await);
    let reader = reader(&double, &pki, &[&mirror]);
    reads(reader.manifest().await, MANIFEST);
    reads(reader.blob().await, BLOB);
    assert_eq!((mirror.seen().len(), double.seen().len()), (2, 0));
    mirror.assert_told_nothing(&[PASSWORD]);
}

#[tokio::test]
async fn what_only_a_registry_can_say_is_not_asked_of_a_mirror() {
    let pki = Pki::new();
    let (mirror, double) = (Double::secure(&pki, mirrored).await, Double::secure(&pki, honest).await);
    let reader = reader(&double, &pki, &[&mirror]);
    reads(reader.tag().await, MANIFEST);
    assert_eq!(reader.referrers().await, Ok(None));
    assert_eq!((mirror.seen().len(), double.seen().len()), (0, 2));
}

#[tokio::test]
async fn a_mirror_that_fails_is_passed_over() {
    let pki = Pki::new();
    let double = Double::secure(&pki, honest).await;
    let missing = Double::secure(&pki, |_| answer(404, &[], b"")).await;
    let lying = Double::secure(&pki, |_| answer(200, &[("Content-Type", OCI_MANIFEST)], b"{}")).await;
    let broken = Double::secure(&pki, |_| answer(500, &[], b"")).await;
    let asking = Double::secure(&pki, |_| answer(401, &[("WWW-Authenticate", "Basic")], b"")).await;
    let reader = reader(&double, &pki, &[&missing, &lying, &broken, &asking]);
    reads(reader.manifest().await, MANIFEST);
    for mirror in [missing, lying, broken, asking] {
        assert_eq!(mirror.seen().len(), 1);
        mirror.assert_told_nothing(&[PASSWORD]);
    }
    assert_eq!(double.seen().len(), 1);
}

#[tokio::test]
async fn a_mirror_has_the_rules_of_its_own_host() {
    let pki = Pki::new();
    let (mirror, double) = (Double::secure(&pki, mirrored).await, Double::secure(&pki, honest).await);
    // No document allows the mirror a private address: it is passed over, and not connected to.
    let rules = HostConfig { mirrors: vec![format!("mirror.test:{}/proxy", mirror.port)], ..secure(&double, &pki) };
    reads(Reader::with(&double, vec![rules], Limits::default()).manifest().await, MANIFEST);
    assert_eq!((mirror.seen().len(), double.seen().len()), (0, 1));
}

#[tokio::test]
async fn a_silent_mirror_leaves_time_for_the_registry() {
    let pki = Pki::new();
    let (mirror, double) = (Double::secure(&pki, |_| vec![Act::Hang]).await, Double::secure(&pki, honest).await);
    let reader = reader(&double, &pki, &[&mirror]);
    let deadline = Instant::now() + Duration::from_secs(4);
    reads(reader.registries.manifest(&reader.repository, &manifest_digest(), deadline).await, MANIFEST);
}
