//! The chart: what it renders to, what it grants, and what it refuses. No cluster is asked; Helm is.

#[allow(dead_code)]
#[path = "support/apiserver.rs"]
mod apiserver;

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn render(arguments: &[&str]) -> Output {
    let mut command = Command::new(here("charts/render"));
    command.env("TIDEWAITER_CLUSTER_TOOLS_DIR", apiserver::tools()).args(arguments);
    command.output().unwrap()
}

fn rendered(arguments: &[&str]) -> Vec<Value> {
    let output = render(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    documents(&String::from_utf8(output.stdout).unwrap())
}

fn documents(text: &str) -> Vec<Value> {
    let found: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    found.into_iter().filter(|it| !it.is_null()).collect()
}

fn find<'d>(documents: &'d [Value], kind: &str, name: &str) -> &'d Value {
    let found = documents.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

/// The two configurations that the program fills in.
fn registration(documents: &[Value]) -> Vec<Value> {
    let config = find(documents, "ConfigMap", "tidewaiter-registration");
    self::documents(config["data"]["registration.yaml"].as_str().unwrap())
}

#[test]
fn the_committed_manifests_are_what_the_chart_renders() {
    let now = String::from_utf8(render(&[]).stdout).unwrap();
    let committed = fs::read_to_string(here("manifests/tidewaiter.yaml")).unwrap();
    assert!(now == committed, "manifests/tidewaiter.yaml is not what the chart renders: make manifests");
}

#[test]
fn the_committed_definitions_are_what_the_program_prints() {
    for kind in ["clusterimagepolicies", "imagepolicies", "registryconfigs", "trustroots"] {
        let output = Command::new(env!("CARGO_BIN_EXE_tidewaiter")).args(["crds", "--only", kind]).output().unwrap();
        let committed = fs::read(here(&format!("charts/tidewaiter/files/crds/{kind}.yaml"))).unwrap();
        assert!(output.stdout == committed, "charts/tidewaiter/files/crds/{kind}.yaml is old: make manifests");
    }
}

#[test]
fn lint_finds_nothing() {
    let mut helm = Command::new(apiserver::tools().join("helm"));
    let output = helm.args(["lint", "--strict"]).arg(here("charts/tidewaiter")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    let cases = [
        ("nonsense=1", "nonsense"),
        ("policy.nonsense=1", "nonsense"),
        ("policy.unmatched=Maybe", "unmatched"),
        ("policy.failurePolicy=fail", "failurePolicy"),
        ("policy.excludedNamespaces[0]=Not_A_Name", "excludedNamespaces"),
        ("certificates.mode=none", "mode"),
        ("replicas=three", "replicas"),
        ("image.digest=sha256:zz", "digest"),
        ("webhook.timeoutSeconds=31", "timeoutSeconds"),
        ("webhook.drainSeconds=60", "drainSeconds"),
        ("store.url=http://store", "url"),
        ("pullSecrets.enabled=perhaps", "enabled"),
        ("crds.install=1", "install"),
    ];
    for (value, named) in cases {
        let output = render(&["--set", value]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(named), "{value}: {error}");
    }
    let output = render(&["--set", "store.enabled=true"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("store.config"), "a store without documents");
}

#[test]
fn every_way_to_install_renders() {
    let sets: [&[&str]; 6] = [
        &["--set", "certificates.mode=certManager"],
        &["--set", "certificates.mode=certManager,certificates.certManager.issuerRef.name=corp"],
        &["--set", "store.enabled=true,store.config.chains\\.yaml=x,store.service.clusterIP=10.0.0.9"],
        &["--set", "store.url=https://store.example.com,store.tls.secretName=s,store.readerToken.secretName=t"],
        &["--set", "serviceMonitor.enabled=true,webhook.hostNetwork=true,policy.auditOnly=true,crds.install=false"],
        &["--set", "podDisruptionBudget.enabled=false,networkPolicy.enabled=false,pullSecrets.enabled=false"],
    ];
    for set in sets {
        assert!(rendered(set).len() > 10, "{set:?}");
    }
}

/// T-38, C2, C3: what its subject can edit would be a way out.
#[test]
fn nothing_is_selected_by_what_its_subject_can_edit() {
    let documents = rendered(&["--set", "policy.excludedNamespaces={kube-system,cni}"]);
    for configuration in registration(&documents) {
        for webhook in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(webhook["objectSelector"], Value::Null);
            assert_eq!(webhook["matchConditions"], Value::Null);
            assert_eq!(webhook["clientConfig"]["caBundle"], Value::Null);
            let Some(selector) = webhook.get("namespaceSelector") else { continue };
            let expected = json!({ "matchExpressions": [{
                "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["tidewaiter", "kube-system", "cni"] }]});
            assert_eq!(*selector, expected);
        }
    }
}

/// security §3: the validating half decides and fails closed; the other may fail.
#[test]
fn the_registration_is_what_a_webhook_should_be() {
    let documents = rendered(&[]);
    let [validating, mutating] = &registration(&documents)[..] else { panic!("two configurations") };
    let of = |configuration: &Value, name: &str| {
        let webhooks = configuration["webhooks"].as_array().unwrap().clone();
        webhooks.into_iter().find(|it| it["name"] == name).unwrap()
    };
    let validate = of(validating, "validate.tidewaiter.dev");
    let resources = of(validating, "resources.tidewaiter.dev");
    let pin = of(mutating, "pin.tidewaiter.dev");
    for (webhook, path, fails) in
        [(&validate, "/validate", "Fail"), (&resources, "/resources", "Fail"), (&pin, "/mutate", "Ignore")]
    {
        assert_eq!(webhook["clientConfig"]["service"]["path"], path);
        assert_eq!(webhook["failurePolicy"], fails, "{path}");
        assert_eq!(webhook["timeoutSeconds"], 10);
        assert_eq!(webhook["matchPolicy"], "Equivalent");
        assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]));
    }
    assert_eq!(pin["reinvocationPolicy"], "IfNeeded");
    // Every kind that the program knows a pod in, and the one subresource that carries an image (B2, B3).
    let mut covered = BTreeSet::new();
    for rule in validate["rules"].as_array().unwrap() {
        assert_eq!(rule["scope"], "Namespaced");
        for resource in rule["resources"].as_array().unwrap() {
            let group = rule["apiGroups"][0].as_str().unwrap();
            covered.insert(format!("{group}/{}", resource.as_str().unwrap()));
        }
    }
    let kinds = [
        "/pods",
        "/pods/ephemeralcontainers",
        "/podtemplates",
        "/replicationcontrollers",
        "apps/daemonsets",
        "apps/deployments",
        "apps/replicasets",
        "apps/statefulsets",
        "batch/cronjobs",
        "batch/jobs",
    ];
    assert_eq!(covered, kinds.map(String::from).into());
    // An existing Pod is never pinned: its containers would be started anew.
    assert_eq!(pin["rules"][0]["operations"], json!(["CREATE"]));
}

/// A release that refuses pods before it can answer, or after it is gone, would be an outage.
#[test]
fn the_release_itself_refuses_nothing() {
    let documents = rendered(&[]);
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        assert_eq!(find(&documents, kind, "tidewaiter")["webhooks"], Value::Null);
    }
    for definition in documents.iter().filter(|it| it["kind"] == "CustomResourceDefinition") {
        assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
}

/// H3, T-41: verbs and resources of both roles, against a list that a person looks at when it changes.
#[test]
fn rights_are_the_golden_list() {
    let documents = rendered(&[]);
    let mut lines = Vec::new();
    for kind in ["ClusterRole", "Role"] {
        for rule in find(&documents, kind, "tidewaiter")["rules"].as_array().unwrap() {
            let words = |key: &str| {
                let list = rule[key].as_array().cloned().unwrap_or_default();
                list.iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let (groups, names) = (words("apiGroups").join("|"), words("resourceNames").join("|"));
            for resource in words("resources") {
                let named = if names.is_empty() { String::new() } else { format!(" named {names}") };
                lines.push(format!("{kind} {groups}/{resource}{named}: {}", words("verbs").join(" ")));
            }
        }
    }
    let golden = fs::read_to_string(here("tests/chart/rbac.golden")).unwrap();
    assert_eq!(lines.join("\n") + "\n", golden);
    let cluster_wide = lines.iter().filter(|it| it.starts_with("ClusterRole") && it.contains("/secrets"));
    assert!(cluster_wide.clone().all(|it| it.ends_with(": get")), "{:?}", cluster_wide.collect::<Vec<_>>());
    let without = rendered(&["--set", "pullSecrets.enabled=false"]);
    let rules = find(&without, "ClusterRole", "tidewaiter")["rules"].to_string();
    assert!(!rules.contains("secrets"), "{rules}");
}

/// PodSecurity "restricted", read-only, no rights gained (H4).
#[test]
fn pods_are_restricted() {
    let documents = rendered(&["--set", "store.enabled=true,store.config.chains\\.yaml=x"]);
    for name in ["tidewaiter", "tidewaiter-store"] {
        let spec = &find(&documents, "Deployment", name)["spec"]["template"]["spec"];
        let pod = &spec["securityContext"];
        assert_eq!((&pod["runAsNonRoot"], &pod["seccompProfile"]["type"]), (&json!(true), &json!("RuntimeDefault")));
        for container in spec["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["runAsUser"], 65532);
            assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
            assert_eq!(
                container["resources"]["limits"]["cpu"],
                Value::Null,
                "a throttled webhook is a slow API server"
            );
            assert_eq!(container["resources"]["limits"]["memory"], container["resources"]["requests"]["memory"]);
        }
        for word in ["hostNetwork", "hostPID", "hostIPC"] {
            assert_eq!(spec[word], Value::Null);
        }
    }
    assert_eq!(find(&documents, "PodDisruptionBudget", "tidewaiter")["spec"]["maxUnavailable"], 1);
    let spec = &find(&documents, "Deployment", "tidewaiter-store")["spec"]["template"]["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false, "the store asks the API server nothing");
}

/// Strict against the API server's own OpenAPI, and without a warning where PodSecurity warns.
#[test]
fn a_real_api_server_takes_all_of_it_without_a_warning() {
    let server = apiserver::ApiServer::start(&[]);
    let with_store =
        String::from_utf8(render(&["--set", "store.enabled=true,store.config.chains\\.yaml=x"]).stdout).unwrap();
    let file = server.directory.path().join("manifests.yaml");
    fs::write(&file, with_store).unwrap();
    let kubectl = |arguments: &[&str]| {
        let output = server.kubectl().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    kubectl(&["create", "namespace", "tidewaiter"]);
    kubectl(&["label", "namespace", "tidewaiter", "pod-security.kubernetes.io/warn=restricted"]);
    let file = file.to_str().unwrap();
    let told = kubectl(&["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file]);
    assert!(!told.contains("Warning"), "{told}");
    // The check can fail: the same with one right more.
    let text =
        fs::read_to_string(file).unwrap().replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true");
    fs::write(file, text).unwrap();
    let told = kubectl(&["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file]);
    assert!(told.contains("Warning") && told.contains("allowPrivilegeEscalation"), "{told}");
}
