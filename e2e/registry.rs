//! Registries over TLS, one without and one with the referrers API, each open and behind a login; and images in them.

use crate::tools::{Workshop, free_port, listens, signing_tool};
use base64::{Engine, engine::general_purpose::STANDARD};
use oci_distribution::{
    Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, Client, ClientConfig},
    secrets::RegistryAuth,
};
use serde_json::{Value, json};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

/// Who may read and write in the registries that ask.
pub const USER: &str = "ci";
pub const PASSWORD: &str = "s3cret";
/// The same for docker-registry, which reads bcrypt: of a password that is no secret.
const HTPASSWD: &str = "$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The program behind an address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Program {
    /// Debian's docker-registry: no referrers API, so evidence is found by the tag schema.
    Distribution,
    /// Our handler over the Go library: with the referrers API, its tokens by bearer.
    Referrers,
}

/// The certificate of everything that serves here.
pub struct Tls {
    pub ca: String,
    cert: String,
    key: String,
}

impl Tls {
    /// Made for an address, in that directory.
    pub fn new(shop: &Workshop, ip: IpAddr) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![ip.to_string()]).expect("a certificate");
        let ca = made.cert.pem();
        let cert = shop.write("tls.crt", &ca).display().to_string();
        let key = shop.write("tls.key", made.signing_key.serialize_pem()).display().to_string();
        Tls { ca, cert, key }
    }

    /// Where the CA lies.
    pub fn ca_file(&self) -> &str {
        &self.cert
    }

    /// Certificate and key.
    pub fn files(&self) -> (PathBuf, PathBuf) {
        (self.cert.clone().into(), self.key.clone().into())
    }
}

/// A registry that runs; it ends with the value.
pub struct Registry {
    child: Child,
    pub addr: SocketAddr,
    pub login: bool,
    ca: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts one on a free port of the address; its log is `<name>.log` in the directory.
    pub fn start(shop: &Workshop, tls: &Tls, program: Program, ip: IpAddr, name: &str, login: bool) -> Self {
        let addr = free_port(ip);
        let log = fs::File::create(shop.path(&format!("{name}.log"))).expect("a log");
        let mut command = match program {
            Program::Distribution => {
                let mut command = shop.command(signing_tool("docker-registry"));
                command.args(["serve", &distribution(shop, tls, addr, name, login)]);
                command
            }
            Program::Referrers => {
                let mut command = shop.command(signing_tool("registry"));
                command.args(["-addr", &addr.to_string(), "-cert", &tls.cert, "-key", &tls.key]);
                if login {
                    command.args(["-auth", "bearer", "-user", &format!("{USER}:{PASSWORD}")]);
                }
                command
            }
        };
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the registry starts");
        listens(addr);
        Registry { child, addr, login, ca: tls.ca.clone() }
    }

    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// Pushes the image of an OCI layout directory under a tag; its digest.
    pub fn push(&self, repository: &str, tag: &str, layout: &Path) -> String {
        let index = read_json(&layout.join("index.json"));
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
        let blob = |digest: &str| fs::read(layout.join("blobs").join(digest.replace(':', "/"))).expect("a blob");
        let manifest = blob(&digest);
        let parsed: Value = serde_json::from_slice(&manifest).expect("a manifest");
        let blobs = parsed["layers"].as_array().expect("layers").iter().chain([&parsed["config"]]);
        let blobs: Vec<String> = blobs.map(|it| it["digest"].as_str().expect("a digest").to_owned()).collect();
        let reference: Reference = format!("{}/{repository}:{tag}", self.host()).parse().expect("a reference");
        self.client(&reference, async |client| {
            for digest in &blobs {
                client.push_blob(&reference, blob(digest), digest).await.expect("the blob is pushed");
            }
            let media = MANIFEST.parse().expect("a header");
            client.push_manifest_raw(&reference, manifest.clone(), media).await.expect("the manifest is pushed");
        });
        digest
    }

    fn client(&self, reference: &Reference, work: impl AsyncFnOnce(&Client)) {
        let ca = Certificate { encoding: CertificateEncoding::Pem, data: self.ca.clone().into_bytes() };
        let config = ClientConfig { extra_root_certificates: vec![ca], ..ClientConfig::default() };
        let auth = match self.login {
            true => RegistryAuth::Basic(USER.into(), PASSWORD.into()),
            false => RegistryAuth::Anonymous,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = Client::try_from(config).expect("a client");
            client.auth(reference, &auth, RegistryOperation::Push).await.expect("the registry lets us in");
            work(&client).await;
        });
    }
}

/// The configuration of a docker-registry: its file.
fn distribution(shop: &Workshop, tls: &Tls, addr: SocketAddr, name: &str, login: bool) -> String {
    let mut config = json!({
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": shop.file(&format!("{name}-storage"))}},
        "http": {"addr": addr.to_string(), "tls": {"certificate": tls.cert, "key": tls.key}},
    });
    if login {
        let file = shop.write(&format!("{name}.htpasswd"), format!("{USER}:{HTPASSWD}\n"));
        config["auth"] = json!({"htpasswd": {"realm": "e2e", "path": file}});
    }
    shop.write(&format!("{name}.yml"), config.to_string()).display().to_string()
}

/// A docker configuration that opens these hosts.
pub fn docker_config(hosts: &[String], password: &str) -> String {
    let auth = STANDARD.encode(format!("{USER}:{password}"));
    let auths: serde_json::Map<String, Value> = hosts.iter().map(|it| (it.clone(), json!({"auth": auth}))).collect();
    json!({ "auths": auths }).to_string()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).expect("JSON")
}
