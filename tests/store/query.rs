//! What is asked beside an image's evidence, over real sockets and both databases: statements, search, images, the graph, lists, verdicts.

use super::{
    databases,
    shop::*,
    verdicts::{report, verdict},
};
use databases::On;
use serde_json::{Value, json};
use tidewaiter::digest::Digest;

databases::on_both!(
    a_statement_comes_after_the_links_and_stands_in_for_none,
    the_newest_statements_of_each_kind_come_along,
    each_table_stake_is_one_question,
    facts_a_chain_adds_are_found_and_others_are_not,
    who_may_not_read_finds_nothing,
    what_is_no_question_is_refused,
    a_record_is_told_whole,
    runs_layouts_and_keys_are_listed,
    no_run_is_made_that_nothing_joins,
    the_graph_goes_up_to_what_an_image_was_made_of_and_down_to_what_used_it,
    every_question_of_the_page_is_answered,
);

const SBOM: &str = "https://spdx.dev/Document/v2.3";

/// The usual chain, whose `laptop` also writes facts, whose `cluster` reports, and which adds the fact `shard`.
pub fn setup(on: On, keys: &Keys) -> Setup {
    let writer = |name: &str, token: &str, steps: Value, kinds: Value| json!({"name": name, "tokenHash": token_hash(token), "steps": steps, "kinds": kinds});
    let writers = json!([
        writer("laptop", LAPTOP, json!(["*"]), json!(["layout", "link", "fact"])),
        writer("ci", CI, json!(["build"]), json!(["link"])),
    ]);
    let readers = json!([
        {"name": "cluster", "tokenHash": token_hash(CLUSTER), "reports": true},
        {"name": "auditor", "tokenHash": token_hash("auditor-token")},
    ]);
    let mut chain = chain("shop", "registry.example.com/shop/api", writers, readers);
    chain["spec"]["facts"] = json!(["shard"]);
    let documents = [owners(keys), chain].map(|document| document.to_string()).join("\n---\n");
    Setup { documents: Some(documents), ..Setup::on(on) }
}

/// A server whose layout is there.
pub async fn open(on: On) -> Shop {
    let keys = Keys::new();
    let setup = setup(on, &keys);
    let shop = Shop::with(keys, setup).await;
    shop.put_layout().await;
    shop
}

pub fn image(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

/// A statement about an image.
pub fn statement(predicate_type: &str, image: &Digest, predicate: Value) -> Value {
    json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate_type, "predicate": predicate,
        "subject": [{"name": "registry.example.com/shop/api", "digest": {"sha256": image.hex()}}]})
}

fn sbom(image: &Digest, packages: usize) -> Value {
    statement(SBOM, image, json!({"spdxVersion": "SPDX-2.3", "packages": vec![json!({}); packages]}))
}

/// Writes a record with a query.
pub async fn put(shop: &Shop, token: &str, record: &Record, query: &str) -> (u16, String) {
    shop.put_as(token, &format!("{}{query}", record.name), record.bytes.clone()).await
}

pub async fn get_as(shop: &Shop, token: &str, path: &str) -> (u16, Value) {
    let response = shop.http.get(shop.url(path)).bearer_auth(token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

pub async fn get(shop: &Shop, path: &str) -> Value {
    let (status, body) = get_as(shop, CLUSTER, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// One member of each of a list.
pub fn all<'v>(list: &'v Value, member: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().map(|one| one[member].as_str().unwrap()).collect()
}

async fn a_statement_comes_after_the_links_and_stands_in_for_none(on: On) {
    let shop = open(on).await;
    let Keys { ci, tester, stranger, .. } = &shop.keys;
    let made = image("image");
    let record = seal(&sbom(&made, 3), &[tester]);
    assert_eq!(put(&shop, LAPTOP, &record, "").await, no(400, "request_malformed"), "it names no step");
    assert_eq!(put(&shop, CI, &record, "?step=test").await, no(403, "forbidden"), "no kind `fact`");
    assert_eq!(
        put(&shop, LAPTOP, &record, "?step=build").await,
        no(422, "signature_untrusted"),
        "not its signer's step"
    );
    assert_eq!(put(&shop, LAPTOP, &record, "?step=deploy").await, no(422, "signature_untrusted"), "no such step");
    let strangers = seal(&sbom(&made, 3), &[stranger]);
    assert_eq!(put(&shop, LAPTOP, &strangers, "?step=test").await, no(422, "signature_untrusted"));
    let mut about_nothing = sbom(&made, 3);
    about_nothing["subject"] = json!([]);
    let about_nothing = seal(&about_nothing, &[tester]);
    assert_eq!(put(&shop, LAPTOP, &about_nothing, "?step=test").await, no(422, "link_malformed"));
    assert_eq!(shop.names(&made).await, [] as [String; 0], "nothing that was refused is there");

    assert_eq!(put(&shop, LAPTOP, &record, "?step=test").await, yes(201));
    assert_eq!(put(&shop, LAPTOP, &record, "?step=test").await, yes(200));
    let build = seal(&link("build", &made), &[ci]);
    assert_eq!(shop.put(CI, &build).await, yes(201));
    let evidence = get(&shop, &format!("/v1/evidence/{made}")).await;
    assert_eq!(all(&evidence["records"], "kind"), ["layout", "link", "statement"]);
    assert_eq!(evidence["records"][2]["digest"], json!(record.name));
    assert_eq!(evidence["records"][2]["step"], json!("test"));
}

async fn the_newest_statements_of_each_kind_come_along(on: On) {
    let shop = open(on).await;
    let made = image("image");
    let mut names = Vec::new();
    for packages in 0..4 {
        let record = seal(&sbom(&made, packages), &[&shop.keys.tester]);
        assert_eq!(put(&shop, LAPTOP, &record, "?step=test").await, yes(201));
        names.push(record.name);
    }
    let huge = statement("https://example.com/other", &made, json!({"filler": "x".repeat(2 << 20)}));
    let huge = seal(&huge, &[&shop.keys.tester]);
    assert_eq!(put(&shop, LAPTOP, &huge, "?step=test").await, yes(201));
    let vex = statement("https://openvex.dev/ns/v0.2.0", &made, json!({"statements": []}));
    let vex = seal(&vex, &[&shop.keys.tester]);
    assert_eq!(put(&shop, LAPTOP, &vex, "?step=test").await, yes(201));
    let response = shop.http.get(shop.url(&format!("/v1/evidence/{made}"))).bearer_auth(CLUSTER).send().await.unwrap();
    assert!(!response.headers().contains_key("tidewaiter-truncated"));
    let evidence: Value = response.json().await.unwrap();
    let found = all(&evidence["records"], "digest");
    assert_eq!(
        found[1..],
        [vex.name.as_str(), names[3].as_str(), names[2].as_str()],
        "the layout, and the newest two of a kind"
    );
    // What is too large to come along is there by its name.
    let whole = get(&shop, &format!("/v1/records/{}", huge.name)).await;
    assert_eq!(whole["predicateType"], json!("https://example.com/other"));
}

/// What the seed's table stakes ask: git signing, static analysis, vulnerability scans, linting, tests. Each with an image that is well and
/// one that is not.
async fn each_table_stake_is_one_question(on: On) {
    let shop = open(on).await;
    let Keys { ci, tester, .. } = &shop.keys;
    let ours = |kind: &str| format!("https://tidewaiter.dev/attestation/{kind}/v0.1");
    for (name, bad) in [("good", false), ("bad", true)] {
        let made = image(name);
        // The commit is told by the link of another step of the run, which names no image.
        let mut checkout = link("test", &made);
        checkout["products"] = json!({});
        let revision = format!("{:040x}", u8::from(bad));
        checkout["environment"] = json!({"facts": {"commit.signed": !bad, "commit.signature": if bad { "none" } else { "ssh" },
            "vcs.ref.head.revision": revision, "cicd.system": "gitlab"}});
        let run = format!("?run=ci/{name}");
        assert_eq!(put(&shop, LAPTOP, &seal(&checkout, &[tester]), &run).await, yes(201));
        assert_eq!(put(&shop, CI, &seal(&link("build", &made), &[ci]), &run).await, yes(201));
        let level = if bad { "error" } else { "note" };
        let sarif = json!({"runs": [{"tool": {"driver": {"name": "semgrep"}}, "results": [{"level": level}]}]});
        let severity = json!([{"method": "nvd", "score": if bad { "critical" } else { "low" }}]);
        let scan =
            json!({"scanner": {"uri": "pkg:github/anchore/grype", "result": [{"id": "CVE-1", "severity": severity}]}});
        let junit = if bad {
            "<testsuite><testcase><failure/></testcase></testsuite>"
        } else {
            "<testsuite><testcase/></testsuite>"
        };
        let checkstyle = if bad { "<checkstyle><file><error/></file></checkstyle>" } else { "<checkstyle/>" };
        for (predicate_type, predicate) in [
            (ours("sarif"), json!({ "content": sarif })),
            ("https://in-toto.io/attestation/vulns/v0.2".to_owned(), scan),
            (ours("junit"), json!({ "content": junit })),
            (ours("lint"), json!({ "content": checkstyle })),
        ] {
            let record = seal(&statement(&predicate_type, &made, predicate), &[tester]);
            assert_eq!(put(&shop, LAPTOP, &record, "?step=test").await, yes(201), "{predicate_type}");
        }
    }
    let (good, bad) = (image("good").to_string(), image("bad").to_string());
    for (question, expected) in [
        ("fact.commit.signed=false", &bad),
        ("fact.commit.signed=true", &good),
        ("fact.commit.signature=none", &bad),
        ("commit=0000000000000000000000000000000000000001", &bad),
        ("fact.sast.errors.min=1", &bad),
        ("fact.sast.errors.max=0", &good),
        ("fact.vulns.critical.min=1", &bad),
        ("fact.vulns.critical=0&predicate=https://in-toto.io/attestation/vulns/v0.2", &good),
        ("fact.lint.errors.min=1", &bad),
        ("fact.test.failed.min=1&fact.test.result=failed", &bad),
        ("fact.test.result=passed&step=test", &good),
        ("run=ci/bad&step=build", &bad),
    ] {
        for path in ["/v1/images?", "/v1/search?images=true&"] {
            let found = get(&shop, &format!("{path}chain=shop&{question}")).await;
            assert_eq!(all(&found["images"], "image"), [expected.as_str()], "{question}");
        }
        let records = get(&shop, &format!("/v1/search?chain=shop&{question}")).await;
        assert_eq!(records["records"].as_array().unwrap().len(), 1, "{question}");
    }
    assert_eq!(get(&shop, "/v1/images?fact.vulns.critical.min=2").await["images"], json!([]));
    let runs = get(&shop, "/v1/runs?commit=0000000000000000000000000000000000000001").await;
    assert_eq!((all(&runs["runs"], "run"), &runs["runs"][0]["provider"]), (vec!["ci/bad"], &json!("gitlab")));
}

async fn facts_a_chain_adds_are_found_and_others_are_not(on: On) {
    let shop = open(on).await;
    let mut document = link("build", &image("image"));
    document["environment"] = json!({"facts": {"shard": 3, "other": 4, "step.return_value": 7}});
    let record = seal(&document, &[&shop.keys.ci]);
    assert_eq!(shop.put(CI, &record).await, yes(201));
    let found = get(&shop, "/v1/search?fact.shard=3").await;
    assert_eq!(all(&found["records"], "digest"), [record.name.as_str()]);
    // How the step ended is read where in-toto keeps it.
    assert_eq!(found["records"][0]["facts"], json!({"shard": 3, "step.return_value": 0}));
    assert_eq!(get(&shop, "/v1/search?fact.other=4").await["records"], json!([]));
    assert_eq!(get(&shop, "/v1/search?fact.shard=4").await["records"], json!([]));
}

async fn who_may_not_read_finds_nothing(on: On) {
    let shop = open(on).await;
    let made = image("image");
    let build = seal(&link("build", &made), &[&shop.keys.ci]);
    assert_eq!(put(&shop, CI, &build, "?run=7").await, yes(201));
    let run = get(&shop, "/v1/runs?chain=shop").await["runs"][0]["id"].as_str().unwrap().to_owned();
    for path in [
        "/v1/search".to_owned(),
        "/v1/images".to_owned(),
        "/v1/records".to_owned(),
        format!("/v1/records/{}", build.name),
        format!("/v1/graph/{made}"),
        "/v1/chains".to_owned(),
        "/v1/runs?chain=shop".to_owned(),
        format!("/v1/runs/{run}"),
        "/v1/layouts?chain=shop".to_owned(),
        "/v1/keys?chain=shop".to_owned(),
        format!("/v1/verdicts?digest={made}"),
        format!("/v1/workloads?digest={made}"),
    ] {
        assert_eq!(get_as(&shop, CLUSTER, &path).await.0, 200, "{path}");
        let bare = shop.http.get(shop.url(&path)).send().await.unwrap();
        assert_eq!(answer(bare).await, no(401, "unauthenticated"), "{path}");
        for (token, expected) in [("nobody", no(401, "unauthenticated")), (LAPTOP, no(403, "forbidden"))] {
            let asked = shop.http.get(shop.url(&path)).bearer_auth(token).send().await.unwrap();
            assert_eq!(answer(asked).await, expected, "{path}");
        }
    }
    let (status, body) = get_as(&shop, CLUSTER, "/v1/search?chain=theirs").await;
    assert_eq!((status, &body["reason"]), (403, &json!("forbidden")));
}

async fn what_is_no_question_is_refused(on: On) {
    let shop = open(on).await;
    for path in [
        "/v1/search?colour=red",
        "/v1/search?limit=0",
        "/v1/search?limit=501",
        "/v1/search?cursor=7",
        "/v1/search?since=yesterday",
        "/v1/search?kind=fact",
        "/v1/search?digest=latest",
        "/v1/search?step=a&step=b",
        "/v1/search?images=perhaps",
        "/v1/search?fact.vulns.critical.min=many",
        "/v1/images?limit=101",
        "/v1/records?after=-1",
        "/v1/records?wait=31",
        "/v1/records/latest",
        "/v1/graph/latest",
        "/v1/graph/sha256:00",
        "/v1/graph/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad?dir=left",
        "/v1/graph/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad?depth=9",
        "/v1/runs",
        "/v1/runs/ci",
        "/v1/layouts",
        "/v1/keys",
        "/v1/verdicts",
        "/v1/verdicts?cluster=a&digest=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "/v1/workloads?cluster=cluster&cursor=x",
    ] {
        let (status, body) = get_as(&shop, CLUSTER, path).await;
        assert_eq!((status, &body["reason"]), (400, &json!("request_malformed")), "{path}: {body}");
    }
    for path in [format!("/v1/records/{}", image("none")), "/v1/runs/7".to_owned()] {
        let (status, body) = get_as(&shop, CLUSTER, &path).await;
        assert_eq!((status, &body["reason"]), (404, &json!("not_found")), "{path}: {body}");
    }
}

async fn a_record_is_told_whole(on: On) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let shop = open(on).await;
    let made = image("image");
    let build = seal(&link("build", &made), &[&shop.keys.ci]);
    assert_eq!(put(&shop, CI, &build, "?run=7").await, yes(201));
    let mut whole = get(&shop, &format!("/v1/records/{}", build.name)).await;
    let received: jiff::Timestamp = whole["receivedAt"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(received).as_secs() < 600);
    for member in ["receivedAt", "runId"] {
        whole.as_object_mut().unwrap().remove(member);
    }
    let expected = json!({"digest": build.name, "kind": "link", "chain": "shop", "step": "build", "run": "7", "returnValue": 0,
        "submitter": "ci", "signers": [shop.keys.ci.public().id()], "facts": {"step.return_value": 0},
        "subjects": [made.to_string()], "envelope": STANDARD.encode(&build.bytes)});
    assert_eq!(whole, expected);
}

async fn runs_layouts_and_keys_are_listed(on: On) {
    let shop = open(on).await;
    let Keys { alice, bob, ci, tester, .. } = &shop.keys;
    let second = seal(&layout(&shop.keys, FUTURE, "second"), &[alice, bob]);
    assert_eq!(shop.put(LAPTOP, &second).await, yes(201));
    for number in 0..3 {
        let record = seal(&link("build", &image(&number.to_string())), &[ci]);
        assert_eq!(put(&shop, CI, &record, &format!("?run=ci/{number}")).await, yes(201));
    }
    let chains = get(&shop, "/v1/chains").await;
    assert_eq!(all(&chains["chains"], "name"), ["shop"]);
    assert_eq!(chains["chains"][0]["layout"]["digest"], json!(second.name));
    let layouts = get(&shop, "/v1/layouts?chain=shop&limit=1").await;
    assert_eq!(
        (&layouts["layouts"][0]["version"], all(&layouts["layouts"], "digest")),
        (&json!(2), vec![second.name.as_str()])
    );
    let cursor = layouts["cursor"].as_str().unwrap();
    let layouts = get(&shop, &format!("/v1/layouts?chain=shop&cursor={cursor}")).await;
    assert_eq!(all(&layouts["layouts"], "expiresAt"), [FUTURE]);
    assert_eq!((&layouts["layouts"][0]["version"], layouts.get("cursor")), (&json!(1), None));
    let keys = get(&shop, "/v1/keys?chain=shop").await;
    let found: Vec<(&str, &str)> = all(&keys["keys"], "step").into_iter().zip(all(&keys["keys"], "key")).collect();
    assert_eq!(found, [("build", ci.public().id()), ("test", tester.public().id())]);
    // Whatever a key has signed.
    let signed = get(&shop, &format!("/v1/search?key={}&limit=2", ci.public().id())).await;
    assert_eq!(signed["records"].as_array().unwrap().len(), 2);
    let cursor = signed["cursor"].as_str().unwrap();
    let rest = get(&shop, &format!("/v1/search?key={}&cursor={cursor}", ci.public().id())).await;
    assert_eq!((rest["records"].as_array().unwrap().len(), rest.get("cursor")), (1, None));

    let runs = get(&shop, "/v1/runs?chain=shop&limit=2").await;
    assert_eq!(all(&runs["runs"], "run"), ["ci/2", "ci/1"]);
    let cursor = runs["cursor"].as_str().unwrap();
    let runs = get(&shop, &format!("/v1/runs?chain=shop&cursor={cursor}")).await;
    assert_eq!(all(&runs["runs"], "run"), ["ci/0"]);
    let run = get(&shop, &format!("/v1/runs/{}", runs["runs"][0]["id"].as_str().unwrap())).await;
    assert_eq!((all(&run["records"], "step"), &run["images"]), (vec!["build"], &json!([image("0").to_string()])));
}

/// (relation, from, to) of each edge, by what is readable of a node.
fn edges(graph: &Value) -> std::collections::BTreeSet<(String, String, String)> {
    let name = |id: &Value| {
        let node = graph["nodes"].as_array().unwrap().iter().find(|node| node["id"] == *id).unwrap();
        let member = match node["type"].as_str().unwrap() {
            "digest" => "digest",
            "record" => "step",
            "run" => "run",
            _ => "name",
        };
        node[member].as_str().unwrap().to_owned()
    };
    let edge = |edge: &Value| (edge["relation"].as_str().unwrap().to_owned(), name(&edge["from"]), name(&edge["to"]));
    graph["edges"].as_array().unwrap().iter().map(edge).collect()
}

async fn no_run_is_made_that_nothing_joins(on: On) {
    let shop = open(on).await;
    let (made, named) = (image("image"), image("named"));
    let build = seal(&link("build", &made), &[&shop.keys.ci]);
    assert_eq!(put(&shop, CI, &build, &format!("?subject={named}")).await, yes(201));
    assert_eq!(put(&shop, CI, &build, "?run=%ff").await, no(400, "request_malformed"));
    assert_eq!(put(&shop, CI, &build, "?run=ci/7").await, yes(200));
    // It is in a run, and stays there.
    assert_eq!(put(&shop, CI, &build, "?run=ci/8").await, yes(200));
    let runs = get(&shop, "/v1/runs?chain=shop").await;
    assert_eq!(all(&runs["runs"], "run"), ["ci/7"]);
    // What was named before the run was is of that run as well.
    let mut test = link("test", &made);
    test["materials"] = json!({});
    test["products"] = json!({"report": {"sha256": image("report").hex()}});
    let test = seal(&test, &[&shop.keys.tester]);
    assert_eq!(put(&shop, LAPTOP, &test, "?run=ci/7").await, yes(201));
    for image in [made, named] {
        assert!(shop.names(&image).await.contains(&test.name), "{image}");
    }
}

/// A base image is built by one run; another run tests a source and builds an image from source and base; that one runs.
async fn the_graph_goes_up_to_what_an_image_was_made_of_and_down_to_what_used_it(on: On) {
    let shop = open(on).await;
    let Keys { ci, tester, .. } = &shop.keys;
    let (base, made) = (image("base"), image("made"));
    let of = |digest: &Digest| json!({"sha256": digest.hex()});
    assert_eq!(put(&shop, CI, &seal(&link("build", &base), &[ci]), "?run=base").await, yes(201));
    let source = image("source");
    let mut test = link("test", &made);
    test["materials"] = json!({});
    test["products"] = json!({"src/main.c": of(&source), "src/lib.c": of(&image("lib"))});
    assert_eq!(put(&shop, LAPTOP, &seal(&test, &[tester]), "?run=made").await, yes(201));
    let mut build = link("build", &made);
    build["materials"] = json!({"src/main.c": of(&source), "src/lib.c": of(&image("lib")),
        "oci:registry.example.com/shop/base": of(&base)});
    assert_eq!(put(&shop, CI, &seal(&build, &[ci]), "?run=made").await, yes(201));
    let verdict = verdict("cluster", &made, "allowed");
    assert_eq!(report(&shop, CLUSTER, json!({"verdicts": [verdict]})).await, yes(200));

    let edge = |relation: &str, from: &str, to: &str| (relation.to_owned(), from.to_owned(), to.to_owned());
    let (base, made, source) = (base.to_string(), made.to_string(), source.to_string());
    let up = get(&shop, &format!("/v1/graph/{made}?dir=up")).await;
    assert_eq!((&up["root"], &up["truncated"]), (&json!(made), &json!(false)));
    let ancestry = [
        edge("made", "build", &made),
        edge("has", "made", "build"),
        edge("has", "made", "test"),
        edge("passed", "test", "build"),
        edge("used", &base, "build"),
        edge("made", "build", &base),
        edge("has", "base", "build"),
    ];
    assert_eq!(edges(&up), ancestry.into());
    let passed = up["edges"].as_array().unwrap().iter().find(|edge| edge["relation"] == "passed").unwrap();
    assert_eq!(passed["count"], json!(2), "two files");
    let near = get(&shop, &format!("/v1/graph/{made}?depth=1")).await;
    assert!(!edges(&near).contains(&edge("made", "build", &base)));
    let small = get(&shop, &format!("/v1/graph/{made}?limit=2")).await;
    assert_eq!((small["nodes"].as_array().unwrap().len(), &small["truncated"]), (2, &json!(true)));

    let down = get(&shop, &format!("/v1/graph/{source}?dir=down")).await;
    let found = edges(&down);
    for expected in [edge("used", &source, "build"), edge("made", "build", &made), edge("runs", &made, "api")] {
        assert!(found.contains(&expected), "{expected:?}\n{found:?}");
    }
    // Who does not report for the cluster does not see what runs there.
    let (_, down) = get_as(&shop, "auditor-token", &format!("/v1/graph/{base}?dir=down")).await;
    let found = edges(&down);
    assert!(
        found.contains(&edge("used", &base, "build")) && found.contains(&edge("made", "build", &made)),
        "{found:?}"
    );
    assert!(!found.contains(&edge("runs", &made, "api")));
    let nothing = get(&shop, &format!("/v1/graph/{}?dir=down", image("nothing"))).await;
    assert_eq!((nothing["nodes"].as_array().unwrap().len(), &nothing["edges"]), (1, &json!([])));
}

/// The questions in docs/store.md, as they stand there.
async fn every_question_of_the_page_is_answered(on: On) {
    let shop = open(on).await;
    let made = image("image");
    let build = seal(&link("build", &made), &[&shop.keys.ci]);
    assert_eq!(put(&shop, CI, &build, "?run=ci/7").await, yes(201));
    assert_eq!(report(&shop, CLUSTER, json!({"verdicts": [verdict("cluster", &made, "allowed")]})).await, yes(200));
    let run = get(&shop, "/v1/runs?chain=shop").await["runs"][0]["id"].as_str().unwrap().to_owned();
    let page = include_str!("../../docs/store.md");
    let mut seen = 0;
    for question in page.lines().filter_map(|line| line.strip_prefix("GET /v1/")) {
        let question = question
            .replace("shop-api", "shop")
            .replace("$IMAGE", &made.to_string())
            .replace("$RECORD", &build.name)
            .replace("$KEY", shop.keys.ci.public().id())
            .replace("$RUN", &run);
        let (status, body) = get_as(&shop, CLUSTER, &format!("/v1/{question}")).await;
        assert_eq!(status, 200, "{question}: {body}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
