//! The chart: what it renders to, what it grants, and what it refuses. No cluster is asked; Helm is.

#[allow(dead_code)]
#[path = "support/apiserver.rs"]
mod apiserver;

use clap::Parser;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tidewaiter::{cli::Cli, resource};

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
fn the_chart_is_of_this_version() {
    let chart: Value =
        serde_saphyr::from_str(&fs::read_to_string(here("charts/tidewaiter/Chart.yaml")).unwrap()).unwrap();
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(env!("CARGO_PKG_VERSION")))
    );
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
        ("store.objects=http://bucket", "objects"),
        ("store.replicas=0", "replicas"),
        ("store.budgets.readsPerSecond=-1", "readsPerSecond"),
        ("store.budgets.writesPerSecond=4294967296", "writesPerSecond"),
        ("store.clientCA.key=", "key"),
        ("store.keepVerdicts=forever", "keepVerdicts"),
        ("pullSecrets.enabled=perhaps", "enabled"),
        ("crds.install=1", "install"),
    ];
    for (value, named) in cases {
        let output = render(&["--set", value]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(named), "{value}: {error}");
    }
    for (set, why) in [
        ("store.replicas=2", "SQLite has one writer"),
        (
            "store.replicas=2,store.database.secretName=d,store.objects=file:///var/lib/tidewaiter/o",
            "need them elsewhere",
        ),
    ] {
        let output = render(&["--set", &format!("{WITH_STORE},{set}")]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(why), "{set}: {error}");
    }
    let output = render(&["--set", "store.enabled=true"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("store.config"), "a store without documents");
}

/// Each key of values.yaml in turn, of a type it has not; each object with a key that nobody knows. All by name.
#[test]
fn the_schema_knows_every_value() {
    let values: Value =
        serde_saphyr::from_str(&fs::read_to_string(here("charts/tidewaiter/values.yaml")).unwrap()).unwrap();
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(here("charts/tidewaiter/values.schema.json")).unwrap()).unwrap();
    let mut cases = Vec::new();
    wrong(&values, &schema, String::new(), &mut cases);
    assert!(cases.len() > 80, "{}", cases.len());
    let each = cases.len().div_ceil(4);
    std::thread::scope(|scope| {
        for cases in cases.chunks(each) {
            scope.spawn(move || {
                for (set, named) in cases {
                    let output = render(&["--set-json", set]);
                    let error = String::from_utf8_lossy(&output.stderr).into_owned();
                    assert!(!output.status.success(), "{set}");
                    assert!(error.contains("values don't meet the specifications"), "{set}: {error}");
                    assert!(error.contains(named), "{set}: {error}");
                }
            });
        }
    });
}

/// `path=json` of values that are wrong, and the name that must be told. Both documents must know the same keys.
fn wrong(value: &Value, schema: &Value, at: String, cases: &mut Vec<(String, String)>) {
    let named = at.rsplit('.').next().unwrap_or_default().to_owned();
    let Some(members) = schema["properties"].as_object() else {
        // No value is ever of this type where it is not said to be a map of anything.
        let other = if value.is_object() { "[]" } else { r#"{"a": 1}"# };
        return cases.push((format!("{at}={other}"), named));
    };
    assert_eq!(schema["additionalProperties"], false, "{at}: a typing error would be taken for a value");
    let dot = if at.is_empty() { "" } else { "." };
    cases.push((format!("{at}{dot}nonsense=1"), "nonsense".into()));
    if !at.is_empty() {
        cases.push((format!("{at}=[]"), named));
    }
    for (key, schema) in members.iter().filter(|(key, _)| *key != "global") {
        let value = value.get(key).unwrap_or_else(|| panic!("values.yaml has no {at}{dot}{key}"));
        wrong(value, schema, format!("{at}{dot}{key}"), cases);
    }
}

/// What is not explained is guessed.
#[test]
fn every_value_is_explained() {
    let text = fs::read_to_string(here("charts/tidewaiter/values.yaml")).unwrap();
    let mut above = "";
    for line in text.lines() {
        let is_section = line.ends_with(':');
        let is_inside = above.trim_start().starts_with("resources:") || above.trim_start().starts_with("requests:");
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') && !is_section && !is_inside {
            assert!(above.trim_start().starts_with("# "), "{line}");
        }
        above = line;
    }
}

const WITH_STORE: &str = "store.enabled=true,store.config.chains\\.yaml=x";

#[test]
fn every_way_to_install_renders() {
    let everything = format!(
        "{WITH_STORE},certificates.mode=certManager,serviceMonitor.enabled=true,serviceMonitor.labels.a=b,priorityQuota=true,\
         store.readerToken.secretName=t,store.service.clusterIP=10.0.0.9,store.service.type=LoadBalancer,\
         store.service.annotations.a=b,store.publish.enabled=true,store.publish.dockerConfig.secretName=r,\
         store.clientCA.configMapName=c,store.clientCA.key=bundle.crt,store.budgets.writesPerSecond=0,\
         store.keepVerdicts=90d,store.objects=file:///var/lib/tidewaiter/objects,store.reportVerdicts=west,networkPolicy.storeEgress[0].ports[0].port=443,\
         store.persistence.storageClass=fast,imagePullSecrets[0].name=p,nodeSelector.a=b,\
         tolerations[0].operator=Exists,podAnnotations.a=b,podLabels.a=b,extraArgs[0]=--connections-max=9,\
         extraEnv[0].name=HTTPS_PROXY,extraEnv[0].value=p,extraVolumes[0].name=v,extraVolumes[0].emptyDir.medium=Memory,\
         extraVolumeMounts[0].name=v,extraVolumeMounts[0].mountPath=/v,networkPolicy.admissionFrom[0].ipBlock.cidr=10.0.0.0/8,\
         networkPolicy.storeFrom[0].ipBlock.cidr=10.0.0.0/8,networkPolicy.metricsFrom[0].ipBlock.cidr=10.0.0.0/8,\
         networkPolicy.egress[0].ports[0].port=443,serviceAccount.name=s,serviceAccount.annotations.a=b,fullnameOverride=gate"
    );
    let sets = [
        "certificates.mode=certManager,certificates.certManager.issuerRef.name=corp",
        "store.url=https://store.example.com,store.tls.secretName=s,store.readerToken.secretName=t",
        "store.url=https://store.example.com",
        "webhook.hostNetwork=true,policy.auditOnly=true,crds.install=false,priorityClassName=,webhook.clusterIP=10.0.0.8",
        "podDisruptionBudget.enabled=false,networkPolicy.enabled=false,pullSecrets.enabled=false",
        "store.enabled=true,store.config.a=x,store.persistence.enabled=false,store.tls.secretName=s",
        "store.enabled=true,store.config.a=x,store.database.secretName=d,store.replicas=2,store.objects=s3://b/p,\
         store.extraEnv[0].name=AWS_REGION,store.extraEnv[0].value=r",
        &everything,
    ];
    for set in sets {
        let documents = rendered(&["--set", set]);
        let has = |kind: &str| documents.iter().filter(|it| it["kind"] == kind).count();
        assert_eq!(has("CustomResourceDefinition"), if set.contains("crds.install=false") { 0 } else { 4 }, "{set}");
        assert_eq!(has("Deployment"), if set.contains("store.enabled=true") { 2 } else { 1 }, "{set}");
        mounted(&documents);
        understood(&documents);
    }
    let documents = rendered(&["--set", &everything]);
    assert!(
        documents.iter().all(|it| it["kind"] == "Namespace" || it["metadata"]["labels"]["helm.sh/chart"].is_string())
    );
    let certificates = documents.iter().filter(|it| it["kind"] == "Certificate");
    let from: Vec<&Value> = certificates.map(|it| &it["spec"]["issuerRef"]["name"]).collect();
    assert_eq!(from, ["gate-root", "gate-ca"], "a CA that outlives the serving certificate");
}

/// Every mount has its volume, every file that an argument names is mounted, and each Secret of the release is made by it or was given.
fn mounted(documents: &[Value]) {
    for deployment in documents.iter().filter(|it| it["kind"] == "Deployment") {
        let spec = &deployment["spec"]["template"]["spec"];
        let volumes: BTreeSet<&str> =
            spec["volumes"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        let container = &spec["containers"][0];
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert_eq!(mounts.iter().map(|it| it["name"].as_str().unwrap()).collect::<BTreeSet<_>>(), volumes);
        for argument in container["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()) {
            let Some((_, path)) = argument.split_once("=/").or_else(|| argument.split_once("sqlite:/")) else {
                continue;
            };
            let path = format!("/{path}");
            let holds = |it: &Value| path.starts_with(it["mountPath"].as_str().unwrap());
            assert!(mounts.iter().any(holds), "{argument}");
        }
    }
}

/// The program knows every flag that the chart gives it.
fn understood(documents: &[Value]) {
    for deployment in documents.iter().filter(|it| it["kind"] == "Deployment") {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let args = container["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
        // What a flag is not given by, the environment gives from a Secret.
        let env = container["env"].as_array().into_iter().flatten();
        let secret = env.filter(|it| it["name"] == "TIDEWAITER_STORE_DATABASE").map(|_| "--database=postgres://db/tw");
        let parsed = Cli::try_parse_from(std::iter::once("tidewaiter").chain(args).chain(secret));
        if let Err(error) = parsed {
            panic!("{error}");
        }
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
            let Some(selector) = webhook.get("namespaceSelector") else {
                // Our own kinds are judged everywhere.
                assert_eq!(webhook["rules"][0]["apiGroups"], json!(["tidewaiter.dev"]));
                continue;
            };
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
    let deletions = of(validating, "deletions.tidewaiter.dev");
    assert_eq!(
        (&deletions["failurePolicy"], &deletions["rules"][0]["operations"]),
        (&json!("Ignore"), &json!(["DELETE"]))
    );
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
    assert_eq!(covered, judged());
    // An existing Pod is never pinned: its containers would be started anew.
    assert_eq!(pin["rules"][0]["operations"], json!(["CREATE"]));
}

/// What the program itself lists as kinds that hold a pod, as rules name them.
fn judged() -> BTreeSet<String> {
    let source = fs::read_to_string(here("src/webhook/images.rs")).unwrap();
    let (_, list) = source.split_once("const KINDS").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let rows =
        list.lines().filter_map(|line| line.trim().strip_prefix('(')).map(|row| row.split('"').collect::<Vec<_>>());
    let mut kinds: BTreeSet<String> = rows.map(|row| format!("{}/{}s", row[1], row[5].to_lowercase())).collect();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    kinds.insert("/pods/ephemeralcontainers".into());
    kinds
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
    let documents = rendered(&["--set", WITH_STORE]);
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

#[test]
fn clients_of_the_store_may_show_certificates() {
    let spec = |set: &str| {
        let documents = rendered(&["--set", &format!("{WITH_STORE}{set}")]);
        find(&documents, "Deployment", "tidewaiter-store")["spec"]["template"]["spec"].clone()
    };
    let args = |spec: &Value| serde_json::from_value::<Vec<String>>(spec["containers"][0]["args"].clone()).unwrap();
    let plain = spec("");
    assert!(!args(&plain).iter().any(|arg| arg.starts_with("--client-ca")));
    assert!(
        !args(&plain).iter().any(|arg| arg.starts_with("--budget") || arg.starts_with("--keep")),
        "the program's own, or those of its environment"
    );

    let told = spec(
        ",store.clientCA.configMapName=spire,store.clientCA.key=bundle.crt,store.budgets.writesPerSecond=0,\
         store.budgets.readsPerSecond=4294967295,store.keepVerdicts=90d",
    );
    for arg in [
        "--client-ca=/etc/tidewaiter/store-clients/ca.crt",
        "--budget-writes-per-second=0",
        "--budget-reads-per-second=4294967295",
        "--keep-verdicts=90d",
    ] {
        assert!(args(&told).contains(&arg.to_owned()), "{arg}");
    }
    let volumes = told["volumes"].as_array().unwrap();
    let clients = volumes.iter().find(|volume| volume["name"] == "clients").unwrap();
    assert_eq!(clients["configMap"], json!({"name": "spire", "items": [{"key": "bundle.crt", "path": "ca.crt"}]}));
    let mounts = told["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["name"] == "clients"
        && mount["mountPath"] == "/etc/tidewaiter/store-clients"
        && mount["readOnly"] == true));
}

/// Strict against the API server's own OpenAPI, and without a warning where PodSecurity warns.
#[test]
fn a_real_api_server_takes_all_of_it_without_a_warning() {
    let server = apiserver::ApiServer::start(&[]);
    let with_store = String::from_utf8(render(&["--set", WITH_STORE]).stdout).unwrap();
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

/// What Helm prints at the end is a policy that the program takes.
#[test]
fn the_first_policy_that_is_shown_is_one() {
    let mut helm = Command::new(apiserver::tools().join("helm"));
    helm.args(["install", "tidewaiter", "--namespace", "tidewaiter", "--dry-run=client"])
        .arg(here("charts/tidewaiter"));
    let output = helm.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let (_, policy) = told.split_once("<<END\n").unwrap();
    let (policy, _) = policy.split_once("  END\n").unwrap();
    let policy: Value = serde_saphyr::from_str(policy).unwrap();
    assert_eq!(policy["spec"]["mode"], "Audit");
    if let Err(errors) = resource::of_object("shop", policy) {
        panic!("{errors:?}");
    }
}

/// Evidence comes from anywhere, with a token; the store itself connects to nothing.
#[test]
fn the_store_keeps_to_itself() {
    let documents = rendered(&["--set", WITH_STORE]);
    let policy = &find(&documents, "NetworkPolicy", "tidewaiter-store")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy["egress"], json!([]));
    // Unless what it needs is elsewhere.
    for more in ["database.secretName=d", "objects=s3://bucket", "publish.enabled=true"] {
        let documents = rendered(&["--set", &format!("{WITH_STORE},store.{more}")]);
        assert_eq!(find(&documents, "NetworkPolicy", "tidewaiter-store")["spec"]["egress"], json!([{}]), "{more}");
    }
    let narrow = format!("{WITH_STORE},networkPolicy.storeFrom[0].ipBlock.cidr=10.1.0.0/16");
    let documents = rendered(&["--set", &narrow]);
    let from = &find(&documents, "NetworkPolicy", "tidewaiter-store")["spec"]["ingress"][0]["from"];
    assert_eq!(from[0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"], "webhook", "it still reads");
    assert_eq!(from[1]["ipBlock"]["cidr"], "10.1.0.0/16");
}
