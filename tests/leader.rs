//! Leadership, serving certificates and registration against a real API server, with the rights the chart gives and no others.
#![cfg(feature = "programs")]

#[allow(dead_code)]
#[path = "support/apiserver.rs"]
mod apiserver;
#[path = "leader/clients.rs"]
mod clients;
#[path = "leader/proxy.rs"]
mod proxy;
#[path = "leader/site.rs"]
mod site;

use clients::{Clients, call, encoded};
use serde_json::{Value, json};
use site::{ELECTION, NAME, Replica, SECRET, Site, until};
use std::{
    net::SocketAddr,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};
use tidewaiter::cluster::{
    certificates::{self, RENEW},
    leader::Trust,
    lease::Lease,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Renewals in seconds, not minutes.
fn quick() -> certificates::Times {
    certificates::Times {
        settle: Duration::from_secs(3),
        swap: Duration::from_secs(4),
        poll: Duration::from_secs(1),
        ..certificates::Times::default()
    }
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

struct Candidate {
    leads: watch::Receiver<bool>,
    task: JoinHandle<()>,
    stop: CancellationToken,
}
impl Candidate {
    fn start(cluster: &tidewaiter::cluster::Cluster, identity: &str) -> Self {
        let (leading, leads) = watch::channel(false);
        let stop = CancellationToken::new();
        let lease = Lease::with_times(cluster, NAME, identity, ELECTION);
        Candidate { leads, task: tokio::spawn(lease.hold(leading, stop.clone())), stop }
    }
    fn leads(&self) -> bool {
        *self.leads.borrow()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_leads_and_the_other_takes_over() {
    let site = Site::new("election").await;
    let candidates = ["a", "b"].map(|identity| Candidate::start(&site.cluster, identity));
    until("somebody leads", async || candidates.iter().any(Candidate::leads)).await;
    let [first, second] = candidates;
    let (leader, other) = if first.leads() { (first, second) } else { (second, first) };
    for _ in 0..50 {
        assert!(leader.leads() && !other.leads(), "the leader stays, and is alone");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Killed: nothing is given back, so the other waits for the lease to run out, and not for long after.
    leader.task.abort();
    let killed = Instant::now();
    until("the other leads", async || other.leads()).await;
    let took = killed.elapsed();
    assert!(took > ELECTION.duration - 2 * ELECTION.retry, "it did not wait: {took:?}");
    assert!(took < ELECTION.duration * 2, "it waited {took:?}");
    // Stopped: it gives the lease back, and a third need not wait.
    let third = Candidate::start(&site.cluster, "c");
    tokio::time::sleep(3 * ELECTION.retry).await;
    assert!(!third.leads());
    other.stop.cancel();
    let stopped = Instant::now();
    until("the third leads", async || third.leads()).await;
    assert!(stopped.elapsed() < ELECTION.deadline, "{:?}", stopped.elapsed());
    assert!(!other.leads());
    let holder =
        site.kubectl(&["get", "lease", NAME, "-o", "jsonpath={.spec.holderIdentity} {.spec.leaseTransitions}"]);
    assert_eq!(holder, "c 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_renew_stops_before_another_begins() {
    let site = Site::new("partition").await;
    let cut = CancellationToken::new();
    let server = site.server.url.strip_prefix("https://").unwrap().parse().unwrap();
    let way = proxy::start(server, cut.clone()).await;
    let cluster = site.cluster_at(&format!("https://{way}")).await;
    let leader = Candidate::start(&cluster, "cut-off");
    until("it leads", async || leader.leads()).await;
    let other = Candidate::start(&site.cluster, "other");
    tokio::time::sleep(3 * ELECTION.retry).await;
    cut.cancel();
    let at = Instant::now();
    let mut stopped = None;
    until("the other leads", async || {
        // The other is asked first: if it leads, the one that is cut off must have stopped before.
        let begun = other.leads();
        if !leader.leads() {
            stopped.get_or_insert(at.elapsed());
        }
        assert!(!(begun && leader.leads()), "two lead");
        begun
    })
    .await;
    let stopped = stopped.expect("it stopped");
    assert!(stopped <= ELECTION.deadline + Duration::from_millis(500), "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_serve_one_pair() {
    let site = Site::new("race").await;
    let starting = (0..4).map(|number| {
        let (site, identity) = (&site, format!("r{number}"));
        async move { Replica::start(site, &identity, loopback(), quick()).await }
    });
    let replicas = futures::future::join_all(starting).await;
    let bundle = site.stored("ca.crt").await;
    let host = format!("{NAME}.{}.svc", site.namespace);
    for replica in &replicas {
        assert_eq!(call(&host, replica.address, bundle.as_bytes()).await.unwrap(), 200);
        assert_eq!(replica.certificates.expires(), replicas[0].certificates.expires());
    }
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1);
}

/// Two replicas, of which the first is the Service, and the second learns late of changes; registered.
async fn installed(namespace: &str, times: certificates::Times) -> (Site, Replica, Replica) {
    let site = Site::new(namespace).await;
    let first = Replica::start(&site, "first", site.address, times).await;
    until("the first leads", async || *first.leads.borrow()).await;
    let second = Replica::start_as(&site, &site.late, "second", loopback(), times).await;
    until("registered", async || first.report.registered.load(Relaxed)).await;
    (site, first, second)
}

async fn webhooks(site: &Site, kind: &str) -> Vec<Value> {
    site.configuration(kind).await["webhooks"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_registered_before_a_call_through_the_service_arrives() {
    let site = Site::new("readiness").await;
    let replica = Replica::start(&site, "only", site.address, quick()).await;
    replica.ready.store(false, Relaxed);
    until("it has led some rounds", async || replica.rounds.load(Relaxed) > 5).await;
    for kind in ["validating", "mutating"] {
        assert_eq!(webhooks(&site, kind).await, [Value::Null; 0]);
    }
    assert!(!replica.report.registered.load(Relaxed));
    replica.ready.store(true, Relaxed);
    until("registered", async || replica.report.registered.load(Relaxed)).await;
    let bundle = encoded(&site.stored("ca.crt").await);
    for (kind, name) in [("validating", "validate.tidewaiter.dev"), ("mutating", "pin.tidewaiter.dev")] {
        let webhooks = webhooks(&site, kind).await;
        assert_eq!((webhooks.len(), &webhooks[0]["name"]), (1, &json!(name)));
        assert_eq!(
            (&webhooks[0]["clientConfig"]["caBundle"], &webhooks[0]["failurePolicy"]),
            (&json!(bundle), &json!("Fail"))
        );
    }
    // And the API server calls it.
    until("a review arrives", async || {
        site.kubectl(&["create", "configmap", "asked", "--dry-run=server"]);
        replica.reviews.load(Relaxed) >= 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_do_not_exist_are_not_created() {
    let site = Site::new("absent").await;
    site.kubectl(&["delete", "validatingwebhookconfiguration", &site.namespace]);
    let replica = Replica::start(&site, "only", site.address, quick()).await;
    until("the other object is filled", async || !webhooks(&site, "mutating").await.is_empty()).await;
    let rounds = replica.rounds.load(Relaxed);
    until("some rounds more", async || replica.rounds.load(Relaxed) > rounds + 3).await;
    let listed = site.kubectl(&["get", "validatingwebhookconfiguration", "-o", "name"]);
    assert!(!listed.contains(&format!("/{}\n", site.namespace)), "{listed}");
    assert!(!replica.report.registered.load(Relaxed));
}

async fn ask_for_renewal(site: &Site) {
    site.kubectl(&["annotate", "secret", SECRET, &format!("{RENEW}=now")]);
}

/// Waits for the end of a full renewal from the CA bundle `before`: one CA again, another one, which signed what is served.
async fn renewed(site: &Site, before: &str, replicas: &[&Replica]) -> String {
    let host = format!("{NAME}.{}.svc", site.namespace);
    let mut after = String::new();
    until("one new CA", async || {
        after = site.stored("ca.crt").await;
        after.matches("BEGIN CERTIFICATE").count() == 1 && after != before
    })
    .await;
    for replica in replicas {
        assert_eq!(call(&host, replica.address, after.as_bytes()).await.unwrap(), 200);
        assert!(
            call(&host, replica.address, before.as_bytes()).await.is_err(),
            "the old CA vouches for nothing any more"
        );
    }
    until("both configurations trust it alone", async || {
        let mut current = true;
        for kind in ["validating", "mutating"] {
            current &= webhooks(site, kind).await[0]["clientConfig"]["caBundle"] == json!(encoded(&after));
        }
        current
    })
    .await;
    after
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_renewal_drops_no_request_even_if_the_leader_goes_in_the_middle() {
    let (site, first, second) = installed("renewal", quick()).await;
    let clients = Clients::start(&site, &[first.address, second.address]).await;
    let old = site.stored("ca.crt").await;
    ask_for_renewal(&site).await;
    let new = renewed(&site, &old, &[&first, &second]).await;
    assert_eq!(
        site.kubectl(&[
            "get",
            "secret",
            SECRET,
            "-o",
            &format!("jsonpath={{.metadata.annotations.{}}}", RENEW.replace('.', "\\."))
        ]),
        ""
    );
    let reviews = first.reviews.load(Relaxed);
    assert!(reviews > 10, "the API server called {reviews} times");

    ask_for_renewal(&site).await;
    until("two CAs", async || site.stored("ca.crt").await.matches("BEGIN CERTIFICATE").count() == 2).await;
    first.resign.cancel();
    until("the second leads", async || *second.leads.borrow()).await;
    renewed(&site, &new, &[&first, &second]).await;
    clients.none_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_in_the_secret_changes_nothing_that_is_served_and_is_repaired() {
    let (site, first, second) = installed("rubbish", quick()).await;
    let replicas = [&first, &second];
    let clients = Clients::start(&site, &[first.address, second.address]).await;
    let rubbish = |keys: &[&str]| {
        let data: serde_json::Map<_, _> =
            keys.iter().map(|key| ((*key).to_owned(), json!(encoded("rubbish")))).collect();
        site.kubectl(&["patch", "secret", SECRET, "--type=merge", "-p", &json!({ "data": data }).to_string()]);
    };
    let before = site.stored("ca.crt").await;
    rubbish(&["tls.crt"]);
    until("a new serving certificate", async || site.stored("tls.crt").await.contains("BEGIN")).await;
    assert_eq!(site.stored("ca.crt").await, before, "its CA was whole");
    rubbish(&["tls.crt", "tls.key", "ca.crt", "ca.key"]);
    let after = renewed(&site, &before, &replicas).await;
    rubbish(&["ca.key"]);
    let after = renewed(&site, &after, &replicas).await;
    site.kubectl(&["delete", "secret", SECRET]);
    renewed(&site, &after, &replicas).await;
    clients.none_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn break_glass_stays_until_the_registration_changes() {
    let (site, first, _second) = installed("glass", quick()).await;
    let patch = json!([{ "op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore" }]).to_string();
    site.kubectl(&["patch", "validatingwebhookconfiguration", &site.namespace, "--type=json", "-p", &patch]);
    until("it is noticed", async || first.report.differences.load(Relaxed) == 1).await;
    // A whole renewal goes by: caBundle changes three times, and nothing else.
    let before = site.stored("ca.crt").await;
    ask_for_renewal(&site).await;
    renewed(&site, &before, &[&first]).await;
    let now = webhooks(&site, "validating").await;
    assert_eq!((&now[0]["failurePolicy"], now.len()), (&json!("Ignore"), 1));
    assert_eq!(first.report.differences.load(Relaxed), 1);

    site.register(&["CREATE", "UPDATE"]);
    until("the new registration is applied", async || {
        webhooks(&site, "validating").await[0]["rules"][0]["operations"] == json!(["CREATE", "UPDATE"])
    })
    .await;
    assert_eq!(webhooks(&site, "validating").await[0]["failurePolicy"], "Fail");
    until("nothing differs", async || first.report.differences.load(Relaxed) == 0).await;
    // An entry that is no longer wanted goes, though others changed fields of it.
    site.kubectl(&["patch", "validatingwebhookconfiguration", &site.namespace, "--type=json", "-p", &patch]);
    until("it is noticed", async || first.report.differences.load(Relaxed) == 1).await;
    site.register_as("renamed.tidewaiter.dev", &["CREATE"]);
    until("the other entry is there", async || {
        webhooks(&site, "validating").await[0]["name"] == json!("renamed.tidewaiter.dev")
    })
    .await;
    let now = webhooks(&site, "validating").await;
    assert_eq!((now.len(), &now[0]["failurePolicy"]), (1, &json!("Fail")));
    // A broken file changes nothing.
    let good = site.configuration("validating").await;
    std::fs::write(site.directory.path().join("registration.yaml"), "webhooks: [").unwrap();
    let rounds = first.rounds.load(Relaxed);
    until("some rounds more", async || first.rounds.load(Relaxed) > rounds + 3).await;
    assert_eq!(site.configuration("validating").await, good);
    // An object that is gone is not registered, whatever was found before.
    assert!(first.report.registered.load(Relaxed));
    site.kubectl(&["delete", "validatingwebhookconfiguration", &site.namespace]);
    until("it is missed", async || !first.report.registered.load(Relaxed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_before_they_run_out_and_nothing_is_dropped() {
    let times = certificates::Times { leaf: Duration::from_secs(9), ca: Duration::from_secs(24), ..quick() };
    let (site, first, second) = installed("short", times).await;
    let clients = Clients::start(&site, &[first.address, second.address]).await;
    let before = site.stored("ca.crt").await;
    let (mut leaf, mut leaves) = (site.stored("tls.crt").await, 0);
    until("another CA alone", async || {
        let now = site.stored("tls.crt").await;
        leaves += usize::from(std::mem::replace(&mut leaf, now.clone()) != now);
        let bundle = site.stored("ca.crt").await;
        !bundle.contains(&before) && bundle.matches("BEGIN CERTIFICATE").count() == 1
    })
    .await;
    clients.none_failed().await;
    assert!(leaves >= 2, "{leaves} serving certificates while the CA lived");
}

/// cert-manager's part: another program owns the pair, and writes what is to be trusted beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_given_is_registered_and_kept_current() {
    let site = Site::new("given").await;
    let authority = |name: &str| {
        let mut parameters = rcgen::CertificateParams::new(certificates::names(NAME, "given")).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let (old, key) = authority("old");
    let file = site.directory.path().join("ca.crt");
    std::fs::write(&file, "").unwrap();
    let pair = tidewaiter::serve::tls::Certificates::held(old.as_bytes(), key.as_bytes()).unwrap();
    let replica =
        Replica::start_with(&site, &site.cluster, "only", site.address, pair, Trust::Given(file.clone())).await;
    until("it has led some rounds", async || replica.rounds.load(Relaxed) > 3).await;
    assert_eq!(webhooks(&site, "validating").await, [Value::Null; 0], "an empty file is no bundle");
    let trusted = async |bundle: &str| {
        webhooks(&site, "mutating").await.iter().all(|w| w["clientConfig"]["caBundle"] == encoded(bundle))
    };
    std::fs::write(&file, &old).unwrap();
    until("registered", async || replica.report.registered.load(Relaxed)).await;
    assert!(trusted(&old).await);
    let both = format!("{old}{}", authority("new").0);
    std::fs::write(&file, &both).unwrap();
    until("the new bundle", async || trusted(&both).await).await;
    for broken in
        ["", "rubbish", &both[..both.len() / 2 + 40], "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        std::fs::write(&file, broken).unwrap();
        let rounds = replica.rounds.load(Relaxed);
        until("some rounds more", async || replica.rounds.load(Relaxed) > rounds + 2).await;
        assert!(trusted(&both).await, "{broken}");
    }
}

/// As after a Secret was deleted and a replica that started at that moment made another: nothing of the old one is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_replaced_by_another_one_altogether_drops_no_request() {
    let (site, first, second) = installed("replaced", quick()).await;
    let clients = Clients::start(&site, &[first.address, second.address]).await;
    let before = site.stored("ca.crt").await;
    let cluster = tidewaiter::cluster::Cluster { client: site.admin().await, namespace: site.namespace.clone() };
    let names = certificates::names(NAME, &site.namespace);
    certificates::open(&cluster, "another", names, quick(), CancellationToken::new()).await.unwrap();
    let another = site.kubectl(&["get", "secret", "another", "-o", "jsonpath={.data}"]);
    site.kubectl(&["patch", "secret", SECRET, "--type=merge", "-p", &format!("{{\"data\":{another}}}")]);
    let host = format!("{NAME}.{}.svc", site.namespace);
    let bundle = site.stored("ca.crt").await;
    assert_ne!(bundle, before);
    for replica in [&first, &second] {
        until("it serves the other pair", async || call(&host, replica.address, bundle.as_bytes()).await.is_ok()).await;
    }
    renewed(&site, &before, &[&first, &second]).await;
    clients.none_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_rubbish_in_the_secret_repairs_it() {
    let site = Site::new("start").await;
    site.kubectl(&[
        "create",
        "secret",
        "generic",
        SECRET,
        "--from-literal=tls.crt=rubbish",
        "--from-literal=ca.key=rubbish",
    ]);
    let replica = Replica::start(&site, "only", site.address, quick()).await;
    until("registered", async || replica.report.registered.load(Relaxed)).await;
    let host = format!("{NAME}.{}.svc", site.namespace);
    assert_eq!(call(&host, replica.address, site.stored("ca.crt").await.as_bytes()).await.unwrap(), 200);
}
