//! Large bodies in S3, as a server speaks it over HTTP (`moto_server`; it keeps what it is given in memory).

use super::{
    bodies::{big_link, envelopes, image},
    databases::{On, Place},
    program::Program,
    shop::*,
};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The server, with a bucket.
struct S3 {
    child: Child,
    url: String,
}

impl S3 {
    async fn start(http: &reqwest::Client) -> Self {
        let tools = std::env::var("TIDEWAITER_TOOLS_DIR").expect("TIDEWAITER_TOOLS_DIR: tests/tools/install");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(format!("{tools}/bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let s3 = S3 { child, url: format!("http://127.0.0.1:{port}") };
        for _ in 0..600 {
            if let Ok(made) = http.put(format!("{}/bucket", s3.url)).send().await {
                assert!(made.status().is_success(), "{made:?}");
                return s3;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto_server did not start");
    }

    fn environment(&self) -> [(&str, &str); 5] {
        [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_ALLOW_HTTP", "true"),
        ]
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn large_bodies_go_to_s3_and_come_back() {
    let http = client();
    let s3 = S3::start(&http).await;
    let (place, keys) = (Place::new(On::Sqlite), Keys::new());
    let dir = place.dir.path();
    std::fs::write(dir.join("chains.yaml"), documents(&keys)).unwrap();
    let objects = ["--objects", "s3://bucket/tidewaiter"];
    let start = || Program::start(dir, &place.url, &objects, &s3.environment());
    let layout = seal(&layout(&keys, FUTURE, ""), &[&keys.alice, &keys.bob]);
    let record = seal(&big_link("build", &image(0), 3_000, "x", 0), &[&keys.ci]);
    let program = start();
    assert_eq!(program.put(&http, LAPTOP, &layout).await, Some(201));
    assert_eq!(program.put(&http, CI, &record).await, Some(201));
    drop(program);
    let evidence = async |program: &Program| {
        let url = format!("{}/v1/evidence/{}", program.url, image(0));
        http.get(url).bearer_auth(CLUSTER).send().await.unwrap()
    };
    let program = start();
    let body = evidence(&program).await.json().await.unwrap();
    assert_eq!(envelopes(&body), [&layout.bytes, &record.bytes].map(Clone::clone));
    // Looked at, and copied into a directory.
    let store = |verb: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
        command.args(["store", verb, "--database", &place.url]).args(objects).args(more).envs(s3.environment());
        command.output().unwrap()
    };
    let looked = store("fsck", &[]);
    assert!(looked.status.success(), "{looked:?}");
    assert!(String::from_utf8_lossy(&looked.stdout).contains("1 objects"), "{looked:?}");
    let copy = dir.join("copy.db");
    let copied = store("backup", &["--to", copy.to_str().unwrap()]);
    assert!(copied.status.success(), "{copied:?}");
    assert!(dir.join("copy.db.objects/blobs/sha256").is_dir());
    // Storage that is gone is unavailable, and nothing is acknowledged.
    drop(s3);
    assert_eq!(answer(evidence(&program).await).await, no(503, "database_unavailable"));
    let more = seal(&big_link("build", &image(1), 3_000, "y", 0), &[&keys.ci]);
    assert_eq!(program.put(&http, CI, &more).await, Some(503));
}
