//! The snippets of `examples/ci`: their own commands, in that CI system's environment, against a real store; then the links are verified.

use super::{
    bench::{Bench, Store, TOKEN, code, said},
    issuer::Issuer,
};
use axum::{Json, Router, extract::Query, http::HeaderMap, routing::get};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, process::Command, sync::Arc};

/// What the pipeline builds.
fn project() -> Bench {
    let bench = Bench::new();
    bench.write("src/main.c", "int main;\n");
    bench.write(
        "Makefile",
        "all:\n\tmkdir -p dist && cp src/main.c dist/app\ntest:\n\techo '<testsuite/>' > report.xml\n",
    );
    bench
}

fn snippet(name: &str) -> String {
    fs::read_to_string(format!("{}/examples/ci/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&snippet(name)).unwrap()
}

/// Runs the commands one after the other; then everything must have reached the store, and the links verify.
#[track_caller]
fn play(bench: &Bench, store: &Store, scripts: &[String], environment: &[(&str, &str)]) -> String {
    let mut told = String::new();
    for script in scripts {
        let mut command = Command::new("sh");
        command.args(["-euc", script]);
        bench.clean(&mut command);
        let output = command.env("TIDEWAITER_STORE", store.url()).envs(environment.iter().copied()).output().unwrap();
        code(&output, 0);
        assert!(!said(&output).contains("warning"), "{script}: {}", said(&output));
        told += &String::from_utf8_lossy(&output.stdout);
    }
    assert_eq!(bench.spooled().0.len(), 0);
    let verify = ["in-toto", "verify", "--layout", "root.layout", "--key", "key.pem.pub", "--links", "."];
    code(&bench.run(&verify), 0);
    // And without one of the links it does not.
    let link = fs::read_dir(bench.directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let link = link.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with("build.")).unwrap();
    let facts: Value = {
        let envelope = tidewaiter::Envelope::parse(&fs::read(&link).unwrap()).unwrap();
        Value::from(&envelope.value().unwrap())["environment"]["facts"].clone()
    };
    fs::remove_file(link).unwrap();
    code(&bench.run(&verify), 3);
    told + &facts.to_string()
}

/// Answers like GitHub's token service: a token of the issuer for the audience that is asked for, to who has the job's own secret.
async fn token_service(issuer: Arc<Issuer>, repository: &'static str) -> String {
    let answer = async move |Query(query): Query<BTreeMap<String, String>>, headers: HeaderMap| {
        let ours = headers.get("authorization").is_some_and(|value| value == "Bearer request-secret");
        let claims = json!({"aud": query.get("audience"), "sub": "repo:shop/api:ref:refs/heads/main", "repository": "shop/api",
            "repository_id": repository, "run_id": "9001", "run_attempt": "1"});
        Json(json!({"value": if ours { issuer.token(claims) } else { String::new() }}))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/token", get(answer))).await });
    format!("http://{address}/token?api-version=2.0")
}

/// The job proves who it is by a token of its CI system, checked by the store at the issuer's keys; another repository's job is nobody.
#[test]
fn github_actions() {
    let bench = project();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let issuer = Arc::new(runtime.block_on(Issuer::start()));
    let laptop = json!({"name": "laptop", "tokenHash": tidewaiter::Digest::sha256(TOKEN.as_bytes()).to_string(), "steps": ["*"], "kinds": ["layout"]});
    let github = json!({"name": "github", "steps": ["test", "build"], "kinds": ["link"], "oidc": {
        "issuer": issuer.url, "audience": "https://store.example.com", "claims": {"repository_id": "123"},
        "run": "https://github.example.com/{repository}/{run_id}/{run_attempt}", "caBundle": issuer.authority}});
    let store = Store::with(&bench, &["test", "build"], vec![laptop, github], TOKEN);
    let url = runtime.block_on(token_service(issuer.clone(), "123"));
    let steps = &yaml("github-actions.yml")["jobs"]["release"]["steps"];
    let steps = steps.as_array().unwrap().iter().filter(|step| step["name"] != "install tidewaiter");
    let scripts: Vec<String> = steps.filter_map(|step| step["run"].as_str().map(str::to_owned)).collect();
    assert_eq!(scripts.len(), 4);
    let pem = fs::read_to_string(bench.path("key.pem")).unwrap();
    let mut environment = vec![
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.example.com"),
        ("GITHUB_REPOSITORY", "shop/api"),
        ("GITHUB_RUN_ID", "9001"),
        ("GITHUB_RUN_ATTEMPT", "1"),
        ("GITHUB_JOB", "release"),
        ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
        ("GITHUB_REF", "refs/heads/main"),
        ("TIDEWAITER_KEY_PEM", &pem),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-secret"),
        ("TIDEWAITER_STORE_AUDIENCE", "https://store.example.com"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &url),
    ];
    let told = play(&bench, &store, &scripts, &environment);
    assert!(
        told.contains("subject repo:shop/api:ref:refs/heads/main") && told.contains("\"cicd.system\":\"github\""),
        "{told}"
    );
    assert!(!told.contains("eyJ") && !told.contains("request-secret"), "{told}");

    let stranger = runtime.block_on(token_service(issuer, "124"));
    environment.pop();
    environment.push(("ACTIONS_ID_TOKEN_REQUEST_URL", &stranger));
    let step = ["run", "--step", "build", "--store", &store.url(), "--", "true"];
    let output = bench.run_in(&environment, &step);
    code(&output, 0);
    assert!(said(&output).contains("is not sent") && said(&output).contains("[forbidden]"), "{}", said(&output));
    let other_run =
        [&environment[..], &[("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("TIDEWAITER_RUN", "another")]].concat();
    let output = bench.run_in(&other_run, &step);
    assert!(said(&output).contains("[run_mismatch]"), "{}", said(&output));
}

#[test]
fn gitlab_ci() {
    let bench = project();
    let token = "gitlab-job-token-0123456789";
    let store = Store::start(&bench, &["test", "build"], &[token]);
    let job = &yaml("gitlab-ci.yml")["release"];
    let lines = |name: &str| -> Vec<String> {
        job[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    };
    let scripts = [lines("script"), lines("after_script")].concat();
    let environment = [
        ("GITLAB_CI", "true"),
        ("CI_SERVER_URL", "https://gitlab.example.com"),
        ("CI_PROJECT_ID", "42"),
        ("CI_PIPELINE_ID", "1000"),
        ("CI_JOB_NAME", "release"),
        ("CI_COMMIT_SHA", "abc"),
        ("TIDEWAITER_KEY", "key.pem"),
        ("TIDEWAITER_ID_TOKEN", token),
    ];
    let told = play(&bench, &store, &scripts, &environment);
    assert!(
        told.contains("\"tidewaiter.run\":\"https://gitlab.example.com/42/1000\"") && !told.contains(token),
        "{told}"
    );
}

#[test]
fn jenkins() {
    let bench = project();
    let token = "jenkins-job-token-0123456789";
    let store = Store::start(&bench, &["test", "build"], &[token]);
    let text = snippet("Jenkinsfile");
    let line = |line: &str| Some(line.trim().strip_prefix("sh '")?.strip_suffix('\'')?.to_owned());
    let scripts: Vec<String> = text.lines().filter_map(line).collect();
    assert_eq!(scripts.len(), 3);
    let environment = [
        ("JENKINS_URL", "https://jenkins.example.com/"),
        ("BUILD_ID", "31"),
        ("BUILD_NUMBER", "31"),
        ("JOB_NAME", "shop/main"),
        ("BUILD_URL", "https://jenkins.example.com/job/shop/31/"),
        ("STAGE_NAME", "Build"),
        ("GIT_COMMIT", "abc"),
        ("TIDEWAITER_KEY", "key.pem"),
        ("TIDEWAITER_ID_TOKEN", token),
    ];
    let told = play(&bench, &store, &scripts, &environment);
    assert!(told.contains("\"cicd.pipeline.task.name\":\"Build\""), "{told}");
}

#[test]
fn tekton() {
    let bench = project();
    let token = "projected-token-0123456789";
    let store = Store::start(&bench, &["test", "build"], &[token]);
    let spec = &yaml("tekton-task.yaml")["spec"];
    let scripts: Vec<String> =
        spec["steps"].as_array().unwrap().iter().map(|step| step["script"].as_str().unwrap().to_owned()).collect();
    // What Tekton puts in, and where it mounts.
    bench.write("mounted/token", token);
    let root = bench.directory.path().to_str().unwrap().to_owned();
    let filled = |text: &str| {
        let text = text.replace("$(context.taskRun.name)", "release-x7").replace("$(context.taskRun.namespace)", "ci");
        let text = text.replace("$(context.task.name)", "release").replace("$(workspaces.source.path)", &root);
        let text = text.replace("/var/run/secrets/tidewaiter", &format!("{root}/mounted"));
        text.replace("/var/run/secrets/functionary", &root)
    };
    let variables = spec["stepTemplate"]["env"].as_array().unwrap().iter();
    let variables: Vec<(String, String)> = variables
        .map(|pair| (pair["name"].as_str().unwrap().to_owned(), filled(pair["value"].as_str().unwrap())))
        .filter(|(name, _)| name != "TIDEWAITER_STORE")
        .collect();
    let environment: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let told = play(&bench, &store, &scripts, &environment);
    assert!(
        told.contains("\"tidewaiter.run\":\"ci/release-x7\"") && told.contains("\"cicd.system\":\"tekton\""),
        "{told}"
    );
}

#[test]
fn a_shell() {
    let bench = project();
    let store = Store::start(&bench, &["test", "build"], &["token-of-the-shell-0123"]);
    bench.write("token", "token-of-the-shell-0123\n");
    let told = play(&bench, &store, &[snippet("shell.sh")], &[("TIDEWAITER_KEY", "key.pem")]);
    assert!(told.contains("\"tidewaiter.run\"") && !told.contains("cicd.system"), "{told}");
}
