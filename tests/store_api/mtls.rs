//! Client certificates with SPIFFE IDs.

use crate::{
    certificates::certificate,
    identity::{build, image, writer},
    shop::*,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Certificates of two authorities and their keys.
struct Pki {
    described: Value,
    keys: BTreeMap<String, String>,
}

impl Pki {
    fn new() -> Self {
        let authority = || json!({"ca": true, "usage": ["keyCertSign"], "until": "2099-01-01T00:00:00Z"});
        let workload = |by: &str, uris: &[&str]| {
            json!({"by": by, "uris": uris, "usage": ["digitalSignature"], "purposes": ["clientAuth"],
                "until": "2099-01-01T00:00:00Z"})
        };
        let mut expired = workload("corp", &["spiffe://corp/ns/ci/sa/build"]);
        expired["from"] = json!("2020-01-01T00:00:00Z");
        expired["until"] = json!("2020-02-01T00:00:00Z");
        let mut server = workload("corp", &[]);
        server["dns"] = json!(["localhost"]);
        server["purposes"] = json!(["serverAuth"]);
        let mut for_servers = workload("corp", &["spiffe://corp/ns/ci/sa/build"]);
        for_servers["purposes"] = json!(["serverAuth"]);
        let described = json!({
            "corp": authority(), "other": authority(), "server": server,
            "build": workload("corp", &["spiffe://corp/ns/ci/sa/build"]),
            "prefix": workload("corp", &["spiffe://corp/ns/ci/sa/buil"]),
            "longer": workload("corp", &["spiffe://corp/ns/ci/sa/build/x"]),
            "elsewhere": workload("corp", &["spiffe://corp/ns/prod/sa/build"]),
            "domain": workload("corp", &["spiffe://corp.example/ns/ci/sa/build"]),
            "two": workload("corp", &["spiffe://corp/ns/ci/sa/build", "spiffe://corp/ns/ci/sa/test"]),
            "none": workload("corp", &[]),
            "web": workload("corp", &["https://corp/ns/ci/sa/build"]),
            "impostor": workload("other", &["spiffe://corp/ns/ci/sa/build"]),
            "expired": expired, "for_servers": for_servers,
        });
        let names = described.as_object().unwrap().keys().cloned();
        let key = || rcgen::KeyPair::generate().unwrap().serialize_pem();
        let keys = names.map(|name| (name, key())).collect();
        Pki { described, keys }
    }

    fn pem(&self, name: &str) -> String {
        certificate(&self.described, name, &|key| self.keys[key].clone())
    }

    /// A client that shows this certificate.
    fn client(&self, name: Option<&str>) -> reqwest::Client {
        let trusted = reqwest::Certificate::from_pem(self.pem("corp").as_bytes()).unwrap();
        let mut client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
        if let Some(name) = name {
            let identity = format!("{}{}", self.keys[name], self.pem(name));
            client = client.identity(reqwest::Identity::from_pem(identity.as_bytes()).unwrap());
        }
        client.build().unwrap()
    }
}

struct Site {
    pki: Pki,
    shop: Shop,
    authorities: std::path::PathBuf,
    _files: tempfile::TempDir,
}

async fn site() -> Site {
    let (pki, keys, files) = (Pki::new(), Keys::new(), tempfile::tempdir().unwrap());
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let tls = Some((file("tls.crt", &pki.pem("server")), file("tls.key", &pki.keys["server"])));
    let authorities = file("clients.crt", &pki.pem("corp"));
    let laptop =
        json!({"name": "laptop", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout", "link"]});
    let mesh = writer("mtls", json!({"spiffe": "spiffe://corp/ns/ci/sa/build"}));
    let reader = json!({"name": "cluster", "mtls": {"spiffe": "spiffe://corp/ns/ci/sa/*"}});
    let chain = chain("shop", "registry.example.com/shop/api", json!([laptop, mesh]), json!([reader]));
    let documents = Some([owners(&keys), chain].map(|document| document.to_string()).join("\n---\n"));
    let client_ca = Some(authorities.clone());
    let shop = Shop::with(keys, Setup { documents, tls, client_ca, ..Setup::default() }).await;
    Site { pki, shop, authorities, _files: files }
}

impl Site {
    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.shop.address.port())
    }

    /// Status and reason, or nothing where there was no connection to be had.
    async fn put(&self, certificate: Option<&str>, token: Option<&str>, record: &Record) -> Option<(u16, String)> {
        let http = self.pki.client(certificate);
        let mut put = http.put(self.url(&format!("/v1/records/{}", record.name))).body(record.bytes.clone());
        if let Some(token) = token {
            put = put.bearer_auth(token);
        }
        Some(answer(put.send().await.ok()?).await)
    }

    async fn read(&self, certificate: Option<&str>) -> Option<u16> {
        let get = self.pki.client(certificate).get(self.url(&format!("/v1/evidence/{}", image())));
        Some(get.send().await.ok()?.status().as_u16())
    }
}

#[tokio::test]
async fn a_workload_is_its_spiffe_id_to_the_letter() {
    let site = site().await;
    let keys = &site.shop.keys;
    let layout = seal(&layout(keys, FUTURE, ""), &[&keys.alice, &keys.bob]);
    assert_eq!(site.put(Some("build"), None, &layout).await, Some(no(403, "forbidden")));
    assert_eq!(site.put(None, Some(LAPTOP), &layout).await, Some(yes(201)), "no certificate, but a token");
    let record = build(&site.shop);
    for (certificate, status, reason) in [
        ("prefix", 403, "forbidden"),
        ("longer", 403, "forbidden"),
        ("elsewhere", 403, "forbidden"),
        ("domain", 403, "forbidden"),
        ("two", 401, "certificate_malformed"),
        ("none", 401, "certificate_malformed"),
        ("web", 401, "certificate_malformed"),
    ] {
        assert_eq!(site.put(Some(certificate), None, &record).await, Some(no(status, reason)), "{certificate}");
    }
    assert_eq!(site.put(None, None, &record).await, Some(no(401, "unauthenticated")));
    // These do not get as far as a request.
    for certificate in ["impostor", "expired", "for_servers"] {
        assert_eq!(site.put(Some(certificate), None, &record).await, None, "{certificate}");
        assert_eq!(site.put(Some(certificate), Some(LAPTOP), &record).await, None, "{certificate} with a token");
    }
    assert_eq!(site.put(Some("build"), None, &record).await, Some(yes(201)));
    // A token that is given is what counts.
    assert_eq!(site.put(Some("build"), Some("nobody"), &record).await, Some(no(401, "unauthenticated")));
    assert_eq!(site.read(Some("build")).await, Some(200));
    assert_eq!(site.read(Some("prefix")).await, Some(200), "the readers' pattern has it");
    assert_eq!(site.read(Some("longer")).await, Some(403));
    assert_eq!(site.read(None).await, Some(401));
}

#[tokio::test]
async fn the_authorities_of_clients_change_with_their_file() {
    let site = site().await;
    assert_eq!(site.read(Some("build")).await, Some(200));
    assert_eq!(site.read(Some("impostor")).await, None);
    // A file that is half written changes nothing.
    std::fs::write(&site.authorities, "-----BEGIN CERTIFICATE-----\n").unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(site.read(Some("build")).await, Some(200));
    std::fs::write(&site.authorities, site.pki.pem("other")).unwrap();
    let changed = async {
        while site.read(Some("impostor")).await != Some(200) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.expect("the new authority is taken");
    assert_eq!(site.read(Some("build")).await, None, "and the old one no more");
}
