//! An API server with our definitions, as the command prints them, in it.

use crate::apiserver::ApiServer;
use http::{Method, Request, header::CONTENT_TYPE};
use serde_json::Value;
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

pub struct Cluster {
    pub server: ApiServer,
    pub client: kube::Client,
}

impl Cluster {
    pub async fn start() -> Self {
        let server = ApiServer::start(&[]);
        let printed = Command::new(env!("CARGO_BIN_EXE_tidewaiter")).arg("crds").output().unwrap();
        assert!(printed.status.success());
        let config = kube::config::Kubeconfig::read_from(&server.kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
        let client = kube::Client::try_from(config).unwrap();
        let cluster = Cluster { server, client };
        cluster
            .kubectl_with(&["apply", "--server-side", "-f", "-"], &String::from_utf8(printed.stdout).unwrap())
            .unwrap();
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).unwrap();
        cluster
    }

    /// What it printed, or complained of.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.kubectl_with(arguments, "")
    }

    pub fn kubectl_with(&self, arguments: &[&str], stdin: &str) -> Result<String, String> {
        let mut command = self.server.kubectl();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may not read it to the end.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// `POST` of an object of ours: what would be stored, or is, or why not. `query`: `dryRun=All`, `fieldValidation=Strict`.
    pub async fn create(&self, object: &Value, query: &str) -> Result<Value, String> {
        self.ask(Method::POST, &format!("{}?{query}", collection(object)), "application/json", object).await
    }

    /// A merge patch of the object, or of a part of it (`/status`).
    pub async fn patch(&self, object: &Value, part: &str, patch: &Value) -> Result<Value, String> {
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("{}/{name}{part}", collection(object));
        self.ask(Method::PATCH, &path, "application/merge-patch+json", patch).await
    }

    async fn ask(&self, method: Method, path: &str, content: &str, body: &Value) -> Result<Value, String> {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content);
        let request = request.body(body.to_string().into_bytes()).unwrap();
        match self.client.request::<Value>(request).await {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(status.message),
            Err(other) => panic!("{path}: {other}"),
        }
    }
}

/// Where objects of its kind are.
fn collection(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap();
    let plural = tidewaiter::cluster::crd::Kind::ALL.into_iter().find(|it| it.as_str() == kind).unwrap().plural();
    let namespace = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("namespaces/{namespace}/"),
        None => String::new(),
    };
    format!("/apis/tidewaiter.dev/v1alpha1/{namespace}{plural}")
}
