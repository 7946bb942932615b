//! What a store counts, in a registry of its own.

use prometheus::{Encoder as _, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// The store's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// By route and status.
    pub requests: IntCounterVec,
    /// Seconds from the request's head to the answer's.
    pub seconds: Histogram,
    /// By kind and result (`created`, `known`, `extended`).
    pub records: IntCounterVec,
    /// Refused writes by reason.
    pub refused: IntCounterVec,
    /// Images whose evidence was looked at for publishing, by result (`published`, `unchanged`, `postponed`, `given_up`).
    pub publications: IntCounterVec,
    /// Records of one evidence answer.
    pub evidence_records: Histogram,
    /// Requests in hand.
    pub in_flight: IntGauge,
}

impl Metrics {
    pub fn new() -> anyhow::Result<Self> {
        let metrics = Metrics {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("tidewaiter_store_http_requests_total", "Requests by route and status"),
                &["route", "status"],
            )?,
            seconds: Histogram::with_opts(HistogramOpts::new(
                "tidewaiter_store_http_request_duration_seconds",
                "Time from a request's head to its answer's",
            ))?,
            records: IntCounterVec::new(
                Opts::new("tidewaiter_store_records_total", "Records written by kind and result"),
                &["kind", "result"],
            )?,
            refused: IntCounterVec::new(
                Opts::new("tidewaiter_store_refused_total", "Requests refused by reason"),
                &["reason"],
            )?,
            publications: IntCounterVec::new(
                Opts::new("tidewaiter_store_publications_total", "Images looked at for publishing, by result"),
                &["result"],
            )?,
            evidence_records: Histogram::with_opts(
                HistogramOpts::new("tidewaiter_store_evidence_records", "Records of one evidence answer")
                    .buckets(vec![0.0, 1.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]),
            )?,
            in_flight: IntGauge::new("tidewaiter_store_http_requests_in_flight", "Requests in hand")?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.records.clone()))?;
        metrics.registry.register(Box::new(metrics.refused.clone()))?;
        metrics.registry.register(Box::new(metrics.publications.clone()))?;
        metrics.registry.register(Box::new(metrics.evidence_records.clone()))?;
        metrics.registry.register(Box::new(metrics.in_flight.clone()))?;
        Ok(metrics)
    }

    /// The text format of Prometheus.
    pub fn text(&self) -> anyhow::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
