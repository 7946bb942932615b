//! What Prometheus may ask. Labels come from closed lists only: no image, namespace or user (T-65).

use super::{policies::Policies, reports, review::Answer, watched::Watched};
use crate::{
    cache::Cache,
    cluster::{events::Counts, leader::Report, resources::Kind, watch::Health},
    policy::{Decision, Mode},
    reason::{Fault, Reason},
    serve::tls::Certificates,
};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// The two halves of the webhook, and the one for our own kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Validate,
    Mutate,
    Resources,
}
impl Endpoint {
    pub fn as_str(self) -> &'static str {
        match self {
            Endpoint::Validate => "validate",
            Endpoint::Mutate => "mutate",
            Endpoint::Resources => "resources",
        }
    }
}

/// The labels of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels {
    pub allowed: bool,
    /// The first cause, also where its mode only warns.
    pub reason: Option<Reason>,
    /// The strictest mode among the policies that were not met.
    pub mode: Option<Mode>,
}
impl Labels {
    /// Allowed, and nothing against it.
    pub const ALLOWED: Labels = Labels { allowed: true, reason: None, mode: None };

    pub fn refused(fault: &Fault, allowed: bool) -> Self {
        Labels { allowed, reason: Some(fault.reason), mode: None }
    }

    /// Of an answer that no decision is behind.
    pub fn of_answer(answer: &Answer) -> Self {
        Labels { allowed: answer.allowed, reason: answer.denial.as_ref().map(|(reason, _)| *reason), mode: None }
    }

    pub fn of(decision: &Decision) -> Self {
        let rank = |mode: Mode| match mode {
            Mode::Enforce => 0,
            Mode::Warn => 1,
            Mode::Audit => 2,
        };
        let unmet = decision.images.iter().flat_map(|image| &image.policies).filter(|policy| !policy.met);
        let first = unmet.min_by_key(|policy| rank(policy.mode));
        let of_policy = || first?.requirements.iter().find_map(|requirement| requirement.reason);
        Labels {
            allowed: decision.allowed,
            reason: decision.reason().or_else(of_policy),
            mode: first.map(|policy| policy.mode),
        }
    }

    fn values(&self) -> [&'static str; 3] {
        let mode = match self.mode {
            Some(Mode::Enforce) => "enforce",
            Some(Mode::Warn) => "warn",
            Some(Mode::Audit) => "audit",
            None => "none",
        };
        [if self.allowed { "true" } else { "false" }, self.reason.map_or("none", Reason::as_str), mode]
    }
}

/// Every series of the webhook.
pub struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    duration: HistogramVec,
    images: Histogram,
    pub in_flight: IntGauge,
    panics: IntCounter,
    registry_requests: IntCounter,
    store_requests: IntCounter,
    cache: IntCounterVec,
    cache_bytes: IntGauge,
    certificate_expiry: IntGauge,
    policy_loaded: IntGauge,
    policy_age: IntGauge,
    policy_ok: IntGauge,
    policy_errors: IntCounter,
    events: IntCounterVec,
    reports: IntCounterVec,
    resources: IntGaugeVec,
    namespaces: IntGauge,
    watch_restarts: IntCounterVec,
    watch_synced: IntGaugeVec,
    leader: IntGauge,
    registered: IntGauge,
    registration_differences: IntGauge,
}

impl Metrics {
    /// # Errors
    /// Two series of one name: a defect, found by any test.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| added(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| added(&registry, IntGauge::new(name, help)?);
        let seconds =
            HistogramOpts::new("tidewaiter_review_duration_seconds", "Time from the request's head to its answer")
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.5, 10.0, 30.0]);
        let images = HistogramOpts::new("tidewaiter_review_images", "Images of a review")
            .buckets(vec![1.0, 2.0, 4.0, 8.0, 16.0, 100.0]);
        let decisions = Opts::new("tidewaiter_decisions_total", "Answers to reviews");
        let cache = Opts::new("tidewaiter_verdict_cache_total", "Verdicts asked for: kept, made, or waited for");
        let events = Opts::new("tidewaiter_events_total", "What was to be told on workloads, by what became of it");
        let reports = Opts::new("tidewaiter_verdict_reports_total", "Verdicts for the store, by what became of them");
        let resources = Opts::new("tidewaiter_resources", "Objects of our kinds: in use, and in error");
        let restarts = Opts::new("tidewaiter_watch_restarts_total", "Times a list or a watch had to be begun again");
        let synced = Opts::new(
            "tidewaiter_watch_synced_timestamp_seconds",
            "When a whole list or a change was last seen; 0: never",
        );
        Ok(Metrics {
            events: added(&registry, IntCounterVec::new(events, &["result"])?)?,
            reports: added(&registry, IntCounterVec::new(reports, &["result"])?)?,
            resources: added(&registry, IntGaugeVec::new(resources, &["kind", "state"])?)?,
            namespaces: gauge("tidewaiter_namespaces", "Namespaces of the cluster that are known")?,
            watch_restarts: added(&registry, IntCounterVec::new(restarts, &["kind"])?)?,
            watch_synced: added(&registry, IntGaugeVec::new(synced, &["kind"])?)?,
            leader: gauge("tidewaiter_leader", "1 on the replica that leads")?,
            registered: gauge(
                "tidewaiter_registered",
                "1 on the leader where the webhook configurations hold what is desired",
            )?,
            registration_differences: gauge(
                "tidewaiter_registration_differences",
                "Webhooks that somebody changed or took out by hand, as the leader sees it",
            )?,
            decisions: added(&registry, IntCounterVec::new(decisions, &["endpoint", "allowed", "reason", "mode"])?)?,
            duration: added(&registry, HistogramVec::new(seconds, &["endpoint"])?)?,
            images: added(&registry, Histogram::with_opts(images)?)?,
            in_flight: gauge("tidewaiter_reviews_in_flight", "Reviews being judged")?,
            panics: counter("tidewaiter_panics_total", "Defects of ours, each answered with internal_error")?,
            registry_requests: counter("tidewaiter_registry_requests_total", "Requests sent to registries")?,
            store_requests: counter("tidewaiter_store_requests_total", "Requests sent to the metadata store")?,
            cache: added(&registry, IntCounterVec::new(cache, &["result"])?)?,
            cache_bytes: gauge("tidewaiter_verdict_cache_bytes", "Bytes of kept verdicts")?,
            certificate_expiry: gauge(
                "tidewaiter_certificate_expiry_timestamp_seconds",
                "notAfter of the serving certificate",
            )?,
            policy_loaded: gauge(
                "tidewaiter_policy_loaded_timestamp_seconds",
                "When the policy set in use was loaded",
            )?,
            policy_age: gauge("tidewaiter_policy_age_seconds", "Age of the policy set in use")?,
            policy_ok: gauge(
                "tidewaiter_policy_load_ok",
                "1 where the last look at the policy documents found no error",
            )?,
            policy_errors: counter(
                "tidewaiter_policy_load_errors_total",
                "Looks at the policy documents that found an error",
            )?,
            registry,
        })
    }

    /// One answer.
    pub fn answered(&self, endpoint: Endpoint, labels: Labels, took: Duration) {
        let [allowed, reason, mode] = labels.values();
        self.decisions.with_label_values(&[endpoint.as_str(), allowed, reason, mode]).inc();
        self.duration.with_label_values(&[endpoint.as_str()]).observe(took.as_secs_f64());
    }

    /// How many images a review had.
    pub fn images(&self, count: usize) {
        self.images.observe(count as f64);
    }

    /// What became of the events so far; before each [`Metrics::render`].
    pub fn events(&self, counts: &Counts) {
        for (result, count) in counts.each() {
            raise(&self.events.with_label_values(&[result]), count);
        }
    }

    /// What became of the verdicts for the store so far; before each [`Metrics::render`].
    pub fn reports(&self, counts: &reports::Counts) {
        for (result, count) in counts.each() {
            raise(&self.reports.with_label_values(&[result]), count);
        }
    }

    /// What is known of the cluster, as of now; before each [`Metrics::render`].
    pub fn watched(&self, watched: &Watched) {
        let view = watched.resources().subscribe().borrow().clone().unwrap_or_default();
        for kind in Kind::ALL {
            let of_kind = || view.judged.iter().filter(|it| it.kind == kind);
            let states = [
                ("in_use", of_kind().filter(|it| it.in_use).count()),
                ("in_error", of_kind().filter(|it| it.outcome.is_err()).count()),
            ];
            for (state, count) in states {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                self.resources.with_label_values(&[kind.as_str(), state]).set(count);
            }
            self.health(kind.as_str(), watched.resources().health(kind));
        }
        self.health("Namespace", watched.namespaces().health());
        self.namespaces.set(i64::try_from(watched.namespaces().count()).unwrap_or(i64::MAX));
    }

    /// What this replica found as the leader; before each [`Metrics::render`].
    pub fn led(&self, report: &Report) {
        self.leader.set(report.leads.load(Relaxed).into());
        self.registered.set(report.registered.load(Relaxed).into());
        let differences = report.differences.load(Relaxed);
        self.registration_differences.set(differences.try_into().unwrap_or(i64::MAX));
    }

    fn health(&self, kind: &str, health: &Health) {
        raise(&self.watch_restarts.with_label_values(&[kind]), health.restarts());
        self.watch_synced.with_label_values(&[kind]).set(health.synced().map_or(0, |synced| synced.as_second()));
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// The text exposition, as of now.
    pub fn render(&self, policies: &Policies, cache: &Cache, certificates: Option<&Certificates>) -> String {
        let counts = cache.counts();
        for (result, count) in [("hit", &counts.hits), ("miss", &counts.misses), ("joined", &counts.joined)] {
            raise(&self.cache.with_label_values(&[result]), count.load(Relaxed));
        }
        self.cache_bytes.set(cache.bytes().try_into().unwrap_or(i64::MAX));
        let (registry, store) = policies.requests();
        raise(&self.registry_requests, registry);
        raise(&self.store_requests, store);
        if let Some(certificates) = certificates {
            self.certificate_expiry.set(certificates.expires().as_second());
        }
        let state = policies.state();
        if let Some(loaded) = state.loaded {
            self.policy_loaded.set(loaded.as_second());
            self.policy_age.set(jiff::Timestamp::now().duration_since(loaded).as_secs());
        }
        self.policy_ok.set(i64::from(state.ok));
        raise(&self.policy_errors, state.errors);
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

fn added<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Brings a counter up to a count that is kept elsewhere.
fn raise(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

/// Shared by the routes.
pub type Shared = Arc<Metrics>;
