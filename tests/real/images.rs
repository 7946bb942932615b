//! Images pushed by the publishing library into the registries under test, and the policy documents that name them.

use super::tools::{Bench, Server};
use oci_distribution::{
    Reference,
    client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol, Config, ImageLayer},
    secrets::RegistryAuth,
};
use std::fmt::Write as _;

/// How a registry of the tests is reached.
pub struct Site {
    pub server: Server,
    /// The CA, where it speaks TLS.
    pub ca: Option<String>,
    /// User and password, where it asks for them.
    pub login: Option<(&'static str, &'static str)>,
}

impl Site {
    pub fn host(&self) -> String {
        self.server.addr.to_string()
    }

    /// Pushes a one-layer image of this content under `t/<name>:v1`; its `host/path@digest`.
    pub fn push(&self, name: &str, content: &str) -> Image {
        let reference: Reference = format!("{}/t/{name}:v1", self.host()).parse().expect("a reference");
        let auth = self.login.map_or(RegistryAuth::Anonymous, |(u, p)| RegistryAuth::Basic(u.into(), p.into()));
        let config = ClientConfig {
            protocol: if self.ca.is_some() { ClientProtocol::Https } else { ClientProtocol::Http },
            extra_root_certificates: self
                .ca
                .iter()
                .map(|pem| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone().into_bytes() })
                .collect(),
            ..ClientConfig::default()
        };
        let layer = ImageLayer::new(content.as_bytes().to_vec(), "application/vnd.oci.image.layer.v1.tar".into(), None);
        let image = Config::new(CONFIG.to_vec(), "application/vnd.oci.image.config.v1+json".into(), None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (manifest, digest) = runtime.block_on(async {
            let client = Client::try_from(config).expect("a client");
            client.push(&reference, &[layer], image, &auth, None).await.expect("the image is pushed");
            client.pull_manifest_raw(&reference, &auth, ACCEPT).await.expect("the image has a manifest")
        });
        let blobs = vec![manifest.to_vec(), CONFIG.to_vec(), content.as_bytes().to_vec()];
        Image { repository: format!("{}/t/{name}", self.host()), digest, blobs }
    }

    /// The `RegistryConfig` of this registry.
    pub fn config(&self, bench: &Bench) -> String {
        let mut text = format!(
            "apiVersion: tidewaiter.dev/v1alpha1\nkind: RegistryConfig\nmetadata: {{ name: tests }}\nspec:\n  host: \"{}\"\n  allowPrivate: true\n",
            self.host()
        );
        match &self.ca {
            None => text.push_str("  insecure: true\n"),
            Some(pem) => {
                text.push_str("  caBundle: |\n");
                indent(&mut text, 4, pem);
            }
        }
        if let Some((user, password)) = self.login {
            let path = bench.write("docker/config.json", self.docker_config(user, password));
            let _ = writeln!(text, "  credentials: {{ dockerConfig: {} }}", path.display());
        }
        text
    }

    /// A docker configuration with the login for this host.
    pub fn docker_config(&self, user: &str, password: &str) -> String {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let auth = STANDARD.encode(format!("{user}:{password}"));
        serde_json::json!({"auths": {self.host(): {"auth": auth}}}).to_string()
    }
}

const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
const ACCEPT: &[&str] = &["application/vnd.oci.image.manifest.v1+json"];

pub struct Image {
    pub repository: String,
    pub digest: String,
    /// Manifest, config and layer.
    pub blobs: Vec<Vec<u8>>,
}

impl Image {
    pub fn pinned(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

/// A `TrustRoot` of PEM keys.
pub fn trust_root(name: &str, keys: &[(&str, &str)]) -> String {
    let mut text =
        format!("apiVersion: tidewaiter.dev/v1alpha1\nkind: TrustRoot\nmetadata: {{ name: {name} }}\nspec:\n  keys:\n");
    for (name, pem) in keys {
        let _ = writeln!(text, "    - name: {name}\n      pem: |");
        indent(&mut text, 8, pem);
    }
    text
}

/// A `ClusterImagePolicy` over a host, in Enforce, with these requirements (each a YAML flow mapping).
pub fn policy(host: &str, requirements: &[&str]) -> String {
    let mut text = format!(
        "apiVersion: tidewaiter.dev/v1alpha1\nkind: ClusterImagePolicy\nmetadata: {{ name: shop }}\nspec:\n  images: [\"{host}/**\"]\n  mode: Enforce\n  require:\n    all:\n"
    );
    for requirement in requirements {
        let _ = writeln!(text, "      - {requirement}");
    }
    text
}

/// Documents as one file.
pub fn documents(bench: &Bench, documents: &[String]) -> String {
    bench.write("policy.yaml", documents.join("---\n")).display().to_string()
}

fn indent(text: &mut String, by: usize, block: &str) {
    for line in block.lines() {
        let _ = writeln!(text, "{:by$}{line}", "");
    }
}
