//! D9: the listing of referrers, page by page.

use super::*;
use hostile::head;

fn path() -> String {
    format!("/v2/shop/api/referrers/{}", manifest_digest())
}

/// An index of so many artifacts, told apart by page.
fn page(page: usize, entries: usize) -> Vec<u8> {
    let manifests: Vec<_> = (0..entries)
        .map(|n| {
            let digest = Digest::sha256(format!("{page}/{n}").as_bytes()).to_string();
            serde_json::json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 7})
        })
        .collect();
    serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).to_string().into_bytes()
}
fn index(headers: &[(&str, &str)], body: &[u8]) -> Vec<Act> {
    answer(200, &[&[("Content-Type", OCI_INDEX)], headers].concat(), body)
}
fn number(seen: &Seen) -> usize {
    seen.target.split_once("page=").map_or(1, |(_, n)| n.parse().unwrap())
}
/// A registry of so many pages with so many entries each.
async fn paged(pages: usize, entries: usize) -> Double {
    Double::plain(move |seen| {
        let n = number(seen);
        let next = format!("<{}?page={}>; rel=\"next\"", path(), n + 1);
        let link = [("Link", next.as_str())];
        index(if n < pages { &link } else { &[] }, &page(n, entries))
    })
    .await
}
/// One answer, whatever is asked.
async fn of(acts: Vec<Act>) -> Result<Option<Vec<tidewaiter::oci::Descriptor>>, Fault> {
    let double = Double::plain(move |_| acts.clone()).await;
    Reader::plain(&double).referrers().await
}

#[tokio::test]
async fn all_pages_are_read() {
    for (pages, entries) in [(1, 0), (1, 3), (3, 2), (8, 32)] {
        let double = paged(pages, entries).await;
        let found = Reader::plain(&double).referrers().await.unwrap().unwrap();
        assert_eq!((found.len(), double.seen().len()), (pages * entries, pages));
        assert_eq!(double.seen()[0].target, path());
    }
}

#[tokio::test]
async fn pages_and_entries_end() {
    for (pages, entries) in [(9, 1), (usize::MAX, 0), (8, 33), (1, 257)] {
        let double = paged(pages, entries).await;
        refuses(Reader::plain(&double).referrers().await, Reason::RegistryUnavailable);
        assert!(double.seen().len() <= 8, "{}", double.seen().len());
    }
}

#[tokio::test]
async fn pages_that_go_round_in_a_circle_are_noticed() {
    let double = Double::plain(|seen| {
        let next = format!("<{}?page={}>; rel=next", path(), 1 + number(seen) % 3);
        index(&[("Link", &next)], &page(0, 1))
    })
    .await;
    refuses(Reader::plain(&double).referrers().await, Reason::RegistryUnavailable);
    assert!(double.seen().len() <= 4, "{}", double.seen().len());
}

#[tokio::test]
async fn a_next_page_on_another_host_is_refused() {
    let canary = Double::canary().await;
    for to in [
        format!("http://registry.test:{}/x", canary.port),
        format!("http://127.0.0.1:{}/x", canary.port),
        format!("//127.0.0.1:{}/x", canary.port),
        "https://169.254.169.254/".into(),
    ] {
        let link = format!("<{to}>; rel=\"next\"");
        refuses(of(index(&[("Link", &link)], &page(1, 1))).await, Reason::RegistryRefused);
    }
    assert!(canary.seen().is_empty());
}

#[tokio::test]
async fn where_there_is_no_such_api_the_caller_reads_the_tag() {
    for status in [404, 400, 405, 406, 301, 302, 303, 307, 308] {
        assert_eq!(of(answer(status, &[("Location", "https://evil.test/")], b"")).await, Ok(None), "{status}");
    }
    // An error is no "there are none".
    for (status, reason) in [
        (401, Reason::RegistryAuth),
        (403, Reason::RegistryAuth),
        (429, Reason::RegistryUnavailable),
        (500, Reason::RegistryUnavailable),
        (503, Reason::RegistryUnavailable),
    ] {
        let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        refuses(of(answer(status, &[], body)).await, reason);
    }
}

#[tokio::test]
async fn a_listing_that_stops_in_the_middle_is_an_error() {
    for status in [404, 400, 302] {
        let double = Double::plain(move |seen| match number(seen) {
            1 => index(&[("Link", &format!("<{}?page=2>; rel=next", path()))], &page(1, 1)),
            _ => answer(status, &[], b""),
        })
        .await;
        refuses(Reader::plain(&double).referrers().await, Reason::RegistryUnavailable);
    }
}

#[tokio::test]
async fn a_listing_is_an_index_and_called_one() {
    assert_eq!(of(index(&[], &page(1, 2))).await.unwrap().unwrap().len(), 2);
    for kind in ["text/html", "application/json", OCI_MANIFEST, ""] {
        refuses(of(answer(200, &[("Content-Type", kind)], &page(1, 1))).await, Reason::RegistryUnavailable);
    }
    for body in [&b"<html>"[..], b"{}", b"[]", b"", MANIFEST] {
        refuses(of(index(&[], body)).await, Reason::RegistryUnavailable);
    }
    refuses(
        of(vec![head(200, &[("Content-Type", OCI_INDEX)]), Act::Endless(vec![b' '; 4096])]).await,
        Reason::RegistryUnavailable,
    );
}
