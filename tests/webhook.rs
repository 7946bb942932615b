//! The webhook as it is run: the program itself, over TLS, with policies and images on disk; and `verify` and `review` beside it,
//! which must say the same.
#![cfg(feature = "programs")]

#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use world::World;

struct Webhook {
    world: World,
    folder: tempfile::TempDir,
    child: Child,
    client: reqwest::Client,
    /// `https://…` of the admission port and `http://…` of the other.
    admission: String,
    metrics: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Webhook {
    /// Over the full world under its usual policy.
    fn start(arguments: &[&str]) -> Self {
        let (world, folder) = (World::full(), tempfile::tempdir().unwrap());
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("tls.crt"), pair.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
        write_policies(&folder, &world, World::demands());
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args(["webhook", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--policy"])
            .arg(folder.path().join("policies"))
            .arg("--tls-dir")
            .arg(folder.path())
            .args(arguments)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (mut admission, mut metrics, log) = (None, None, Arc::new(Mutex::new(Vec::new())));
        for line in lines.by_ref() {
            let event: Value = serde_json::from_str(&line).expect("a line of JSON");
            if event["message"] == "listening" {
                let port = event["address"].as_str().unwrap().rsplit_once(':').unwrap().1;
                match event["tls"].as_bool().unwrap() {
                    true => admission = Some(format!("https://localhost:{port}")),
                    false => metrics = Some(format!("http://localhost:{port}")),
                }
            }
            log.lock().unwrap().push(line);
            if admission.is_some() && metrics.is_some() {
                break;
            }
        }
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || lines.for_each(|line| log.lock().unwrap().push(line))
        });
        let certificate = reqwest::Certificate::from_pem(pair.cert.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().build().unwrap();
        let (admission, metrics) = (admission.expect("an admission port"), metrics.expect("a metrics port"));
        Webhook { world, folder, child, client, admission, metrics, log }
    }

    async fn ask(&self, path: &str, body: String) -> Value {
        let request = self.client.post(format!("{}{path}?timeout=10s", self.admission)).body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let review: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(review["response"]["uid"], "u-1");
        review["response"].clone()
    }

    async fn validate(&self, image: &str) -> Value {
        self.ask("/validate", pod(image)).await
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.metrics)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn image(&self, name: &str) -> String {
        self.world.images[name].pinned()
    }

    fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    /// The program with these arguments and the webhook's policies.
    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args(arguments)
            .arg("--policy")
            .arg(self.policies())
            .env("DOCKER_CONFIG", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()); // not every command reads it
        child.wait_with_output().unwrap()
    }

    fn terminate(&self) {
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(kill.success());
    }

    async fn ended(&mut self) -> ExitStatus {
        within(|| self.child.try_wait().unwrap()).await
    }
}

/// Asks until there is an answer, for at most twenty seconds.
async fn within<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "not within 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn write_policies(folder: &tempfile::TempDir, world: &World, spec: Value) {
    let documents: Vec<String> = world.documents(spec).iter().map(Value::to_string).collect();
    std::fs::write(folder.path().join("policies/world.yaml"), documents.join("\n---\n")).unwrap();
}

fn review(operation: &str, object: &Value, name: &str) -> String {
    let object = object.to_string();
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1","kind":{{"group":"","version":"v1","kind":"Pod"}},"resource":{{"group":"","version":"v1","resource":"pods"}},"name":{},"namespace":"shop","operation":"{operation}","userInfo":{{"username":"ann"}},"object":{object},"oldObject":null,"dryRun":false}}}}"#,
        json!(name)
    )
}

fn pod_object(image: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "containers": [{ "name": "api", "image": image, "env": [{ "name": "TOKEN", "value": "c4n4ry" }] }] } })
}

fn pod(image: &str) -> String {
    review("CREATE", &pod_object(image), "web")
}

/// `Ok`, or the reason of the denial.
fn verdict(response: &Value) -> Result<(), &str> {
    match response["allowed"].as_bool().unwrap() {
        true => Ok(()),
        false => Err(response["status"]["reason"].as_str().unwrap()),
    }
}

/// Images of the world, what becomes of a Pod that names them, and the exit code of everything that judges.
const VERDICTS: &[(&str, Result<(), &str>, i32)] = &[
    ("good", Ok(()), 0),
    ("bundle", Ok(()), 0),
    ("foreign", Err("signature_untrusted"), 1),
    ("smuggled", Err("rule_violation"), 1),
    ("not-bound", Err("subject_not_bound"), 1),
    ("layout-expired", Err("layout_expired"), 1),
    ("unsigned", Err("no_signature"), 3),
    ("step-missing", Err("threshold_not_met"), 3),
    ("signed-only", Err("no_layout"), 3),
];

#[tokio::test]
async fn webhook_review_and_verify_say_the_same() {
    let webhook = Webhook::start(&[]);
    for (name, expected, code) in VERDICTS {
        let image = webhook.image(name);
        for _ in 0..2 {
            // The second time from the cache.
            assert_eq!(verdict(&webhook.validate(&image).await), *expected, "{name}");
        }
        let reviewed = webhook.run(&["review", "-"], &pod(&image));
        let response = serde_json::from_slice::<Value>(&reviewed.stdout).unwrap()["response"].clone();
        assert_eq!((verdict(&response), reviewed.status.code()), (*expected, Some(*code)), "review {name}");
        for output in ["json", "text"] {
            let verified = webhook.run(&["verify", &image, "--namespace", "shop", "--output", output], "");
            assert_eq!(
                verified.status.code(),
                Some(*code),
                "verify {name}: {}",
                String::from_utf8_lossy(&verified.stderr)
            );
            let text = String::from_utf8(verified.stdout).unwrap();
            let word = expected.err().unwrap_or(if output == "json" { "\"allowed\": true" } else { "allowed" });
            assert!(text.contains(word), "verify {name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_pods_tag_is_pinned_and_the_pinned_pod_is_allowed() {
    let webhook = Webhook::start(&[]);
    let image = &webhook.world.images["good"];
    let tagged = image.tagged();
    assert_eq!(verdict(&webhook.validate(&tagged).await), Err("image_not_pinned"));
    let mutated = webhook.ask("/mutate", pod(&tagged)).await;
    assert_eq!((verdict(&mutated), mutated["patchType"].as_str()), (Ok(()), Some("JSONPatch")));
    let patch: Value = serde_json::from_slice(&STANDARD.decode(mutated["patch"].as_str().unwrap()).unwrap()).unwrap();
    let pinned = format!("{tagged}@{}", image.digest);
    assert_eq!(patch, json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": pinned }]));
    assert_eq!(verdict(&webhook.validate(&pinned).await), Ok(()));
    // Once pinned, nothing is left to do.
    assert!(webhook.ask("/mutate", pod(&pinned)).await.get("patch").is_none());
    // A tag nobody knows is left to the validating half.
    let unknown = tagged.replace(":1", ":2");
    let mutated = webhook.ask("/mutate", pod(&unknown)).await;
    assert_eq!((verdict(&mutated), mutated.get("patch")), (Ok(()), None));
    // The same on a laptop.
    assert_eq!(webhook.run(&["verify", &tagged, "--namespace", "shop"], "").status.code(), Some(0));
    assert_eq!(webhook.run(&["review", "-"], &pod(&tagged)).status.code(), Some(1));
    let reviewed = webhook.run(&["review", "-", "--mutate"], &pod(&tagged));
    let reviewed: Value = serde_json::from_slice(&reviewed.stdout).unwrap();
    assert_eq!(reviewed["response"]["patchType"], "JSONPatch");
}

#[tokio::test]
async fn one_bad_image_among_good_ones_denies() {
    let webhook = Webhook::start(&[]);
    let mut object = pod_object(&webhook.image("good"));
    for (place, volume) in [("initContainers", false), ("ephemeralContainers", false), ("volumes", true)] {
        for (name, expected) in [("also-good", Ok(())), ("unsigned", Err("no_signature"))] {
            let image = webhook.image(name);
            let item = if volume {
                json!({ "name": "x", "image": { "reference": image } })
            } else {
                json!({ "name": "x", "image": image })
            };
            object["spec"][place] = json!([item]);
            let response = webhook.ask("/validate", review("CREATE", &object, "web")).await;
            assert_eq!(verdict(&response), expected, "{place}");
        }
        object["spec"].as_object_mut().unwrap().remove(place);
    }
}

#[tokio::test]
async fn policies_are_taken_over_while_it_runs_and_bad_ones_are_not() {
    let webhook = Webhook::start(&[]);
    let image = webhook.image("unsigned");
    assert_eq!(verdict(&webhook.validate(&image).await), Err("no_signature"));
    let mut relaxed = World::demands();
    relaxed["mode"] = json!("Warn");
    write_policies(&webhook.folder, &webhook.world, relaxed);
    let until = Instant::now() + Duration::from_secs(20);
    let warned = loop {
        let response = webhook.validate(&image).await;
        if verdict(&response).is_ok() {
            break response;
        }
        assert!(Instant::now() < until, "the new policy is not in use after 20 s");
    };
    assert!(warned["warnings"][0].as_str().unwrap().contains("no cosign signature"), "{warned}");
    std::fs::write(webhook.policies().join("world.yaml"), "kind: [").unwrap();
    let refused = || webhook.log.lock().unwrap().iter().any(|line| line.contains("policies not loaded")).then_some(());
    within(refused).await;
    assert_eq!(verdict(&webhook.validate(&image).await), Ok(()));
    assert_eq!(webhook.get("/readyz").await.0, 200);
    assert!(webhook.get("/metrics").await.1.contains("tidewaiter_policy_load_ok 0"));
}

#[tokio::test]
async fn a_decision_is_one_line_without_the_body() {
    let webhook = Webhook::start(&[]);
    let hostile = "web\u{1b}[31m\n{\"forged\":true}\u{202e}";
    let response = webhook.ask("/validate", review("CREATE", &pod_object(&webhook.image("smuggled")), hostile)).await;
    assert_eq!(verdict(&response), Err("rule_violation"));
    let decision = || {
        let log = webhook.log.lock().unwrap();
        let line = log.iter().find(|line| line.contains("\"tidewaiter::decision\""))?;
        Some(serde_json::from_str::<Value>(line).unwrap())
    };
    let line = within(decision).await;
    assert_eq!(line["allowed"], false);
    assert_eq!(line["reason"], "rule_violation");
    assert_eq!(
        (line["namespace"].as_str(), line["uid"].as_str(), line["user"].as_str()),
        (Some("shop"), Some("u-1"), Some("ann"))
    );
    assert_eq!(line["name"], r#"web\u{1b}[31m\u{a}{"forged":true}\u{202e}"#);
    assert!(line["digests"].as_str().unwrap().contains(&webhook.world.images["smuggled"].digest));
    assert!(!webhook.log.lock().unwrap().iter().any(|line| line.contains("c4n4ry")));
    let (status, metrics) = webhook.get("/metrics").await;
    assert_eq!(status, 200);
    let counted =
        r#"tidewaiter_decisions_total{allowed="false",endpoint="validate",mode="enforce",reason="rule_violation"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("tidewaiter_certificate_expiry_timestamp_seconds "));
}

#[tokio::test]
async fn sigterm_fails_readiness_serves_on_and_exits_well() {
    let mut webhook = Webhook::start(&["--drain", "1"]);
    let image = webhook.image("good");
    assert_eq!(webhook.get("/readyz").await.0, 200);
    assert_eq!(verdict(&webhook.validate(&image).await), Ok(()));
    webhook.terminate();
    let draining = || webhook.log.lock().unwrap().iter().any(|line| line.contains("\"draining\"")).then_some(());
    within(draining).await;
    assert_eq!(webhook.get("/readyz").await.0, 503);
    assert_eq!(verdict(&webhook.validate(&image).await), Ok(()));
    assert_eq!(webhook.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_sigterm_does_not_wait() {
    let mut webhook = Webhook::start(&["--drain", "20"]);
    webhook.terminate();
    within(|| webhook.log.lock().unwrap().iter().any(|line| line.contains("\"draining\"")).then_some(())).await;
    webhook.terminate();
    assert_eq!(webhook.ended().await.code(), Some(130));
}

#[test]
fn without_a_certificate_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args(["webhook", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--policy", "nowhere"])
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, says) = run(&[]);
    assert_eq!(code, Some(2));
    assert!(says.contains("--tls-dir"), "{says}");
    let (code, says) = run(&["--tls-dir", folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(says.contains("tls.crt"), "{says}");
}

#[test]
fn usage_and_configuration_are_exit_code_two() {
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_tidewaiter")).args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["verify"]).0, Some(2));
    let (code, says) = run(&["verify", "busybox", "--policy", "/nowhere.yaml"]);
    assert_eq!(code, Some(2));
    assert!(says.contains("/nowhere.yaml"), "{says}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    std::fs::write(
        &path,
        "apiVersion: tidewaiter.dev/v1alpha1\nkind: ClusterImagePolicy\nmetadata: {name: a}\nspec: {imagez: [a]}\n",
    )
    .unwrap();
    let (code, says) = run(&["review", "-", "--policy", path.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(says.contains("imagez"), "{says}");
}

#[test]
fn version_and_completion() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidewaiter")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["version"]), format!("tidewaiter {}\n", env!("CARGO_PKG_VERSION")));
    let json: Value = serde_json::from_str(&run(&["version", "--output", "json"])).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    for (shell, mark) in [("bash", "complete "), ("zsh", "#compdef tidewaiter"), ("fish", "complete -c tidewaiter")] {
        assert!(run(&["completion", shell]).contains(mark), "{shell}");
    }
}
