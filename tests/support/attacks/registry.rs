//! A registry that holds a small world, and does with it as the case says.

use crate::{
    case,
    hostile::{Act, Double, Pki, Seen, answer, head},
    world::{Chain, World},
};
use serde_json::{Value, json};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tidewaiter::registry::{HostConfig, Limits, Lookup, Registries};

/// What never leaves us but for whom it is meant.
pub const PASSWORD: &str = "hunter2-hunter2";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub struct Hostile {
    pub world: World,
    does: Arc<Mutex<String>>,
    double: Double,
    /// Where no packet of ours may arrive.
    canary: Double,
    rules: HostConfig,
    lookup: Lookup,
    docker_config: Option<tempfile::NamedTempFile>,
}

impl Hostile {
    /// `registry.test` on a port of its own, with the images `good` and `unsigned`.
    pub async fn start(given: &case::Registry) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let host = format!("registry.test:{}", listener.local_addr().expect("an address").port());
        let mut world = World::at(&host);
        for name in ["good", "unsigned"] {
            world.image(name);
            world.chain(name, Chain::default());
        }
        world.sign("good", "release");
        let pki = Pki::new();
        let canary = Double::secure_canary(&pki).await;
        let does = Arc::new(Mutex::new(given.does.clone()));
        let shelf = Shelf { layout: world.layout_dir(), elsewhere: format!("https://evil.test:{}", canary.port) };
        let (mode, tls) = (Arc::clone(&does), (!given.insecure).then(|| pki.acceptor()));
        let double = Double::serve(listener, tls, move |seen| {
            let does = mode.lock().expect("no panic in the double").clone();
            shelf.serve(&does, seen)
        });
        let rules = HostConfig {
            host: host.clone(),
            allow_private: given.private.unwrap_or(true),
            insecure: given.insecure,
            ca_bundle: (!given.insecure).then(|| pki.ca.clone()),
            ..HostConfig::default()
        };
        let inside: Option<IpAddr> = given.resolves.as_ref().map(|text| text.parse().expect("an address"));
        let lookup =
            Lookup::new(move |_| Box::pin(async move { Ok(vec![inside.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))]) }));
        let docker_config = given.password.then(|| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            let auths = json!({"auths": {&host: {"username": "robot", "password": PASSWORD}}});
            fs::write(file.path(), auths.to_string()).expect("written");
            file
        });
        Hostile { world, does, double, canary, rules, lookup, docker_config }
    }

    pub fn now_does(&self, what: &str) {
        assert!(KNOWN.contains(&what), "no registry does {what}");
        *self.does.lock().expect("no panic in the double") = what.to_owned();
    }

    /// Patient, for a busy machine; with one that hangs or trickles no longer than must be.
    pub fn registries(&self, does: &[&str]) -> Registries {
        let time = Duration::from_secs(if does.contains(&"hangs") { 4 } else { 20 });
        let grace = if does.contains(&"trickles") { Duration::from_millis(300) } else { time };
        let limits = Limits {
            connect: time,
            first_byte: time,
            object: time,
            speed_grace: grace,
            failures_max: 1000,
            ..Limits::default()
        };
        let docker_config = self.docker_config.as_ref().map(tempfile::NamedTempFile::path);
        let rules = vec![self.rules.clone()];
        Registries::with(rules, docker_config, limits, self.lookup.clone()).expect("sound rules")
    }

    /// What arrived anywhere; nothing may have arrived at the canary.
    pub fn requests(&self) -> u64 {
        self.canary.assert_told_nothing(&[PASSWORD, "cm9ib3Q6"]);
        assert!(self.canary.seen().is_empty(), "the canary was asked for {:?}", self.canary.seen());
        u64::try_from(self.double.seen().len()).expect("a small number")
    }
}

/// The layout on the disk.
struct Shelf {
    layout: PathBuf,
    elsewhere: String,
}

impl Shelf {
    fn serve(&self, does: &str, seen: &Seen) -> Vec<Act> {
        let Some((repository, kind, name)) = split(seen.path()) else { return answer(404, &[], b"{}") };
        let by_digest = name.starts_with("sha256:");
        let found = match kind {
            "referrers" => Some((INDEX.to_owned(), self.referrers(name))),
            "blobs" => self.blob(name).map(|bytes| ("application/octet-stream".to_owned(), bytes)),
            // From now on the tag of the good image names the unsigned one.
            _ if does == "moves-the-tag" && name == "1" => self.manifest("shop/unsigned", name),
            _ => self.manifest(repository, name),
        };
        let status = |code| answer(code, &[], b"{\"errors\":[]}");
        let redirect = |to: &str| answer(307, &[("Location", to)], b"");
        match does {
            "401" => return status(401),
            "403" => return status(403),
            "404" => return status(404),
            "429" => return status(429),
            "500" => return status(500),
            "200-with-nothing" => return answer(200, &[("Content-Type", MANIFEST)], b""),
            "hangs" => return vec![Act::Hang],
            "closes" => return vec![Act::Close],
            "redirects-manifests" if kind == "manifests" => {
                return redirect(&format!("{}{}", self.elsewhere, seen.target));
            }
            "redirects-blobs-inside" if kind == "blobs" => return redirect("https://169.254.169.254/latest/meta-data"),
            "redirects-blobs-to-plain-http" if kind == "blobs" => return redirect("http://evil.test/blob"),
            "redirects-blobs-for-ever" if kind == "blobs" => return redirect(&seen.target),
            "wants-a-token-from-elsewhere" => {
                let challenge = format!("Bearer realm=\"{}/token\",service=\"shop\"", self.elsewhere);
                return answer(401, &[("WWW-Authenticate", &challenge)], b"{}");
            }
            _ => {}
        }
        let Some((media, mut bytes)) = found else { return answer(404, &[], b"{}") };
        let mut headers = vec![("Content-Type", media.as_str())];
        let other = format!("sha256:{:064x}", 5);
        match does {
            "alters-manifests" if kind == "manifests" && by_digest => bytes.push(b' '),
            "alters-blobs" if kind == "blobs" => {
                if let Some(first) = bytes.first_mut() {
                    *first ^= 1;
                }
            }
            "lies-about-the-digest" if kind == "manifests" => headers.push(("Docker-Content-Digest", &other)),
            "compresses" => headers.push(("Content-Encoding", "gzip")),
            "calls-it-html" if kind == "manifests" => headers[0].1 = "text/html",
            "calls-a-manifest-an-index" if kind == "manifests" => headers[0].1 = INDEX,
            "is-two-faced" if kind == "manifests" => {
                let mut document: Value = serde_json::from_slice(&bytes).expect("a manifest");
                document["manifests"] = json!([]);
                bytes = document.to_string().into_bytes();
            }
            "pages-for-ever" if kind == "referrers" => {
                let next = format!("<{}?n=1>; rel=\"next\"", seen.path());
                headers.push(("Link", &next));
                return answer(200, &headers, &bytes);
            }
            "is-endless" if kind == "manifests" => {
                headers.push(("Transfer-Encoding", "chunked"));
                let chunk = [b"10000\r\n", &vec![b' '; 0x10000][..], b"\r\n"].concat();
                return vec![head(200, &headers), Act::Endless(chunk)];
            }
            "trickles" if kind == "manifests" => {
                let length = bytes.len().to_string();
                headers.push(("Content-Length", &length));
                return vec![head(200, &headers), Act::Drip(bytes, Duration::from_millis(20))];
            }
            "breaks-off" if kind == "manifests" => {
                let length = bytes.len().to_string();
                headers.push(("Content-Length", &length));
                bytes.truncate(20);
                return vec![head(200, &headers), Act::Send(bytes), Act::Close];
            }
            _ => {}
        }
        answer(200, &headers, &bytes)
    }

    fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        fs::read(self.layout.join("blobs/sha256").join(Path::new(digest.strip_prefix("sha256:")?).file_name()?)).ok()
    }

    fn entries(&self) -> Vec<Value> {
        let index: Value =
            serde_json::from_slice(&fs::read(self.layout.join("index.json")).expect("an index")).expect("JSON");
        index["manifests"].as_array().expect("manifests").clone()
    }

    fn manifest(&self, repository: &str, name: &str) -> Option<(String, Vec<u8>)> {
        let wanted = format!("/{repository}:{name}");
        let digest = match name.starts_with("sha256:") {
            true => name.to_owned(),
            false => self.entries().into_iter().find_map(|entry| {
                let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str()?;
                tag.ends_with(&wanted).then(|| entry["digest"].as_str().map(str::to_owned))?
            })?,
        };
        Some((MANIFEST.to_owned(), self.blob(&digest)?))
    }

    fn referrers(&self, subject: &str) -> Vec<u8> {
        let about = |entry: &Value| {
            let bytes = self.blob(entry["digest"].as_str()?)?;
            let document: Value = serde_json::from_slice(&bytes).ok()?;
            (document["subject"]["digest"] == subject).then_some(())
        };
        let manifests: Vec<Value> = self.entries().into_iter().filter(|entry| about(entry).is_some()).collect();
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string().into_bytes()
    }
}

/// What a registry may do: a misspelt one would be honest.
const KNOWN: [&str; 26] = [
    "honest",
    "401",
    "403",
    "404",
    "429",
    "500",
    "200-with-nothing",
    "alters-blobs",
    "alters-manifests",
    "breaks-off",
    "calls-a-manifest-an-index",
    "calls-it-html",
    "closes",
    "compresses",
    "hangs",
    "is-endless",
    "is-two-faced",
    "lies-about-the-digest",
    "moves-the-tag",
    "pages-for-ever",
    "redirects-blobs-for-ever",
    "redirects-blobs-inside",
    "redirects-blobs-to-plain-http",
    "redirects-manifests",
    "trickles",
    "wants-a-token-from-elsewhere",
];

/// Repository, `manifests`, `blobs` or `referrers`, and the name.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let rest = path.strip_prefix("/v2/")?;
    ["manifests", "blobs", "referrers"].into_iter().find_map(|kind| {
        let (repository, name) = rest.rsplit_once(&format!("/{kind}/"))?;
        Some((repository, kind, name))
    })
}
