//! Under steady requests: a restart, a renewal and an upgrade that nobody notices; and pods that are killed, which is noticed and lets
//! nobody in.

use super::{
    in_cluster,
    outages::{rolled_out, webhook_pods},
};
use crate::{
    cluster::{Cluster, Namespace},
    installation::helm,
    runner::Scenario,
    stage::Stage,
    steady::{Steady, none_dropped},
    tools::eventually,
};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster(
        "steadiness",
        &[
            ("rolling-restart", rolling_restart),
            ("certificate-renewal", certificate_renewal),
            ("helm-upgrade", helm_upgrade),
            ("killed", killed),
        ],
    )
}

fn rolling_restart(stage: &Stage) {
    let (cluster, steady, _namespace) = begun(stage, usize::MAX);
    cluster.kubectl(&["rollout", "restart", "-n", "tidewaiter", "deployment/tidewaiter"]).expect(0);
    rolled_out(cluster);
    // The old ones are drained after the new ones are ready.
    eventually(60, "the old pods are gone", || (webhook_pods(cluster).len() == 2).then_some(()));
    none_dropped(&steady.end());
}

/// CA and certificate, in three steps: trust the new one beside the old, serve it, forget the old.
fn certificate_renewal(stage: &Stage) {
    let (cluster, steady, _namespace) = begun(stage, usize::MAX);
    let secret = || cluster.get(&["secret", "-n", "tidewaiter", "tidewaiter-tls"])["data"].clone();
    let trusted = || {
        let configuration = cluster.get(&["validatingwebhookconfiguration", "tidewaiter"]);
        configuration["webhooks"][0]["clientConfig"]["caBundle"].clone()
    };
    let (before, trusted_before) = (secret(), trusted());
    let annotate =
        ["annotate", "-n", "tidewaiter", "secret", "tidewaiter-tls", "tidewaiter.dev/renew=now", "--overwrite"];
    cluster.kubectl(&annotate).expect(0);
    eventually(120, "another certificate, another CA, and the old one forgotten", || {
        let (now, trusted) = (secret(), trusted());
        let changed =
            now["tls.crt"] != before["tls.crt"] && now["ca.crt"] != before["ca.crt"] && trusted != trusted_before;
        (changed && trusted == now["ca.crt"]).then_some(())
    });
    // Some requests more, with what is there now.
    let count = steady.count();
    eventually(30, "requests go on", || (steady.count() > count + 40).then_some(()));
    none_dropped(&steady.end());
}

fn helm_upgrade(stage: &Stage) {
    let (cluster, steady, _namespace) = begun(stage, usize::MAX);
    let hash = || {
        cluster.get(&["validatingwebhookconfiguration", "tidewaiter"])["metadata"]["annotations"]["tidewaiter.dev/registration"].clone()
    };
    let before = hash();
    assert!(before.is_string(), "what was registered is noted");
    helm(stage, &["--set", "webhook.timeoutSeconds=9"]).expect(0);
    rolled_out(cluster);
    eventually(60, "the changed registration is there", || {
        let timeout =
            cluster.get(&["validatingwebhookconfiguration", "tidewaiter"])["webhooks"][0]["timeoutSeconds"].clone();
        (timeout == 9 && hash() != before).then_some(())
    });
    eventually(60, "the old pods are gone", || (webhook_pods(cluster).len() == 2).then_some(()));
    none_dropped(&steady.end());
    helm(stage, &[]).expect(0);
    rolled_out(cluster);
}

/// All pods at once, in the middle of 200 requests: who is refused for it is told so, and none is wrongly admitted.
fn killed(stage: &Stage) {
    const REQUESTS: usize = 200;
    let (cluster, steady, namespace) = begun(stage, REQUESTS);
    let pods = webhook_pods(cluster);
    let mut args = vec!["delete", "pods", "-n", "tidewaiter", "--grace-period=0", "--force", "--wait=false"];
    args.extend(pods.iter().map(String::as_str));
    cluster.kubectl(&args).expect(0);
    eventually(120, "all requests are answered", || (steady.count() >= REQUESTS).then_some(()));
    let outcomes = steady.end();
    let unanswered = outcomes.iter().filter(|it| it.unanswered()).count();
    let wrong: Vec<_> = outcomes.iter().filter(|it| !it.right() && !it.unanswered()).collect();
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), outcomes.len(), &wrong[..wrong.len().min(3)]);
    println!("        {} requests, {unanswered} refused because nobody answered", outcomes.len());
    rolled_out(cluster);
    eventually(60, "it decides again", || {
        let ran = namespace.run("app", &stage.world().pinned("good"), &["--dry-run=server"]);
        (ran.code == 0).then_some(())
    });
}

/// Requests that have begun to be answered.
fn begun(stage: &Stage, most: usize) -> (&Cluster, Steady, Namespace<'_>) {
    let cluster = stage.guarded();
    rolled_out(cluster);
    let namespace = cluster.namespace("steady");
    let steady = Steady::begin(cluster, stage.world(), &namespace.name, most);
    eventually(30, "the first requests are answered", || (steady.count() >= 20).then_some(()));
    (cluster, steady, namespace)
}
