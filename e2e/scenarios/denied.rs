//! Each image of the world that must not run: what kubectl's user reads is what `tidewaiter verify` said of it.

use crate::{
    cases::{CASES, Case},
    runner::Scenario,
    stage::Stage,
};

pub fn scenarios() -> Vec<Scenario> {
    let cases = CASES.iter().filter(|it| !it.allowed());
    let scenario = |case: &'static Case| Scenario {
        name: format!("denied/{}", case.name),
        cluster: true,
        run: Box::new(move |stage| denied(stage, case)),
    };
    cases.map(scenario).collect()
}

fn denied(stage: &Stage, case: &Case) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("denied");
    let image = world.pinned(case.name);
    let ran = namespace.run("app", &image, &[]).expect(1);
    let (requirement, reason) = case.verdict.because.expect("a reason");
    let (tagged, met) = (format!("[{reason}]"), format!("{requirement}: "));
    let ran = ran.says(&["admission webhook \"validate.tidewaiter.dev\" denied the request"]);
    let policy = format!("denied by ClusterImagePolicy \"{}\"", case.line());
    let ran = ran.says(&[&policy, "spec.containers[0] \"app\"", &image, &tagged, &met]);
    let ran = ran.says(case.verdict.words);
    ran.says(&[&format!("reproduce: tidewaiter verify {image} --policy {}", case.line())]);
    assert_eq!(namespace.get(&["pods"])["items"].as_array().map(Vec::len), Some(0), "and there is no pod");
}
