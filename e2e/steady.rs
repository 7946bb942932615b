//! Steady requests: server-side dry runs of a good and of an unsigned pod, in turn, by several hands at once, straight to the API server.
//! What is wanted of a restart or a renewal is that none of them notices.

use crate::{cluster::Cluster, evidence::World};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Runtime;

/// Hands at once.
const HANDS: usize = 4;

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub good: bool,
    pub status: u16,
    pub message: String,
}

impl Outcome {
    /// The verdict it should have.
    pub fn right(&self) -> bool {
        if self.good { self.status == 201 } else { self.status == 403 && self.message.contains("[no_signature]") }
    }

    /// Refused because nobody answered: what `failurePolicy: Fail` promises.
    pub fn unanswered(&self) -> bool {
        self.status == 500 && self.message.contains("failed calling webhook")
    }
}

/// Requests that go on until they are stopped.
pub struct Steady {
    runtime: Runtime,
    stop: Arc<AtomicBool>,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
}

impl Steady {
    /// Begins, in a namespace that exists; at most so many requests.
    pub fn begin(cluster: &Cluster, world: &World, namespace: &str, most: usize) -> Self {
        let config = fs::read_to_string(cluster.dir.join("kubeconfig")).expect("a kubeconfig");
        let field = |name: &str| config.split(name).nth(1).and_then(|it| it.split('"').nth(1)).expect(name).to_owned();
        let url = format!("{}/api/v1/namespaces/{namespace}/pods?dryRun=All", field("server:"));
        let token = field("token:");
        let ca = fs::read(cluster.dir.join("pki/ca.crt")).expect("the CA");
        let pods = [(true, pod(&world.pinned("good"))), (false, pod(&world.pinned("unsigned")))];
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let (stop, outcomes) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let sent = Arc::new(AtomicUsize::new(0));
        for _ in 0..HANDS {
            let client = Client::builder().tls_certs_only([Certificate::from_pem(&ca).expect("a CA")]);
            let client = client.timeout(Duration::from_secs(30)).build().expect("a client");
            let (stop, outcomes, sent) = (Arc::clone(&stop), Arc::clone(&outcomes), Arc::clone(&sent));
            let (url, token, pods) = (url.clone(), token.clone(), pods.clone());
            runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    if number >= most {
                        break;
                    }
                    let (good, pod) = &pods[number % 2];
                    let outcome = ask(&client, &url, &token, *good, pod).await;
                    outcomes.lock().expect("no panic meanwhile").push(outcome);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        Steady { runtime, stop, outcomes }
    }

    /// How many were answered so far.
    pub fn count(&self) -> usize {
        self.outcomes.lock().expect("no panic meanwhile").len()
    }

    /// Ends them; what became of each.
    pub fn end(self) -> Vec<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        std::mem::take(&mut *self.outcomes.lock().expect("no panic meanwhile"))
    }
}

async fn ask(client: &Client, url: &str, token: &str, good: bool, pod: &Value) -> Outcome {
    let answer = client.post(url).bearer_auth(token).json(pod).send().await;
    match answer {
        Ok(answer) => {
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.unwrap_or_default();
            Outcome { good, status, message: body["message"].as_str().unwrap_or_default().to_owned() }
        }
        Err(error) => Outcome { good, status: 0, message: error.to_string() },
    }
}

fn pod(image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "steady-"},
        "spec": {"containers": [{"name": "main", "image": image}]}})
}

/// All of them had the verdict they should have, and there were enough to tell.
#[track_caller]
pub fn none_dropped(outcomes: &[Outcome]) {
    let wrong: Vec<&Outcome> = outcomes.iter().filter(|it| !it.right()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} went wrong, first {:#?}",
        wrong.len(),
        outcomes.len(),
        &wrong[..wrong.len().min(3)]
    );
    assert!(outcomes.len() >= 50, "only {} requests: nothing was tried", outcomes.len());
    println!("        {} requests, none dropped", outcomes.len());
}
