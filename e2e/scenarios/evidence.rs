//! On a laptop, before there is a cluster: `tidewaiter verify` gives each image of the world its verdict, over the very documents that
//! are applied to the cluster later. What kubectl is told there must be the same.

use crate::{
    cases::{CASES, Case, Host},
    runner::Scenario,
    stage::Stage,
    tools::Ran,
};

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = CASES
        .iter()
        .map(|case| Scenario {
            name: format!("evidence/{}", case.name),
            cluster: false,
            run: Box::new(|stage| verdict(stage, case)),
        })
        .collect();
    scenarios.push(Scenario { name: "evidence/store-down".into(), cluster: false, run: Box::new(store_down) });
    scenarios.push(Scenario { name: "evidence/no-time".into(), cluster: false, run: Box::new(no_time) });
    scenarios.push(Scenario { name: "evidence/no-login".into(), cluster: false, run: Box::new(no_login) });
    scenarios
}

fn verdict(stage: &Stage, case: &Case) {
    let world = stage.world();
    let docker = world.shop.file("docker/config.json");
    let mut more = vec!["--docker-config", docker.as_str()];
    let token = world.shop.write("token", crate::policies::TOKEN).display().to_string();
    let store = case.stored().then(|| world.local_store(stage.ip()));
    if let Some(store) = &store {
        more.extend(["--store", &store.url, "--store-token-file", &token, "--store-ca", world.tls.ca_file()]);
    }
    let ran = world.verify(&world.pinned(case.name), &more).expect(case.verdict.code);
    match case.verdict.because {
        None => met(&ran),
        Some((requirement, reason)) => not_met(&ran, requirement, reason, case.verdict.words),
    }
}

/// The store is part of the evidence: gone, nothing of it is believed to be there.
fn store_down(stage: &Stage) {
    let world = stage.world();
    let url = format!("https://{}", crate::tools::free_port(stage.ip()));
    let token = world.shop.write("token", crate::policies::TOKEN).display().to_string();
    let more = ["--store", &url, "--store-token-file", &token, "--store-ca", world.tls.ca_file()];
    let ran = world.verify(&world.pinned("good-stored"), &more).expect(4);
    not_met(&ran, "built-by-us", "store_unavailable", &[]);
}

/// Every answer comes, and there is not the time for all of them: with more of it, `evidence/good-late` is allowed.
fn no_time(stage: &Stage) {
    let world = stage.world();
    let ran = world.verify(&world.pinned("good-late"), &["--timeout", "8"]).expect(4);
    let words = ["the review's time ran out", &world.host(Host::Late)];
    not_met(&ran, "built-by-us", "deadline_exceeded", &words);
}

/// Without the login the registry shows nothing, and that is what is said.
fn no_login(stage: &Stage) {
    let world = stage.world();
    for name in ["good-login", "good-login-bundle"] {
        let nobody = world.shop.write("nobody.json", "{}").display().to_string();
        let ran = world.verify(&world.pinned(name), &["--docker-config", &nobody]).expect(4);
        not_met(&ran, "released", "registry_auth", &[]);
        let wrong = world.shop.write("wrong.json", crate::registry::docker_config(&world.hosts(), "guessed"));
        let ran = world.verify(&world.pinned(name), &["--docker-config", &wrong.display().to_string()]).expect(4);
        not_met(&ran, "released", "registry_auth", &[]);
    }
}

#[track_caller]
fn met(ran: &Ran) {
    let decision = ran.json();
    let requirements = decision["images"][0]["policies"][0]["requirements"].as_array().expect("requirements");
    assert!(!requirements.is_empty() && requirements.iter().all(|it| it["met"] == true), "{ran}");
}

#[track_caller]
fn not_met(ran: &Ran, requirement: &str, reason: &str, words: &[&str]) {
    let decision = ran.json();
    let requirements = decision["images"][0]["policies"][0]["requirements"].as_array().expect("requirements");
    let found = requirements.iter().find(|it| it["name"] == requirement).unwrap_or_else(|| panic!("{ran}"));
    assert_eq!((&found["met"], &found["reason"]), (&false.into(), &reason.into()), "{ran}");
    let message = found["message"].as_str().expect("a message");
    assert!(words.iter().all(|it| message.contains(it)), "{words:?} in {message}");
}
