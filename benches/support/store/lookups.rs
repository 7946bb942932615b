//! How long questions take.

use std::time::Duration;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// By one client, or by all where there were several.
    pub per_second: f64,
    /// By eight clients; 0 where nobody asked.
    pub by_eight: f64,
}

impl Times {
    /// Of milliseconds each, in so much time.
    pub fn of(mut times: Vec<f64>, elapsed: Duration) -> Self {
        times.sort_unstable_by(f64::total_cmp);
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
        Times { p50: at(50), p99: at(99), per_second: times.len() as f64 / elapsed.as_secs_f64(), by_eight: 0.0 }
    }

    pub fn print(&self, what: &str, records: usize) {
        println!(
            "{what:>10} {records:>10} {:>10.2} {:>10.2} {:>12.0} {:>12.0}",
            self.p50, self.p99, self.per_second, self.by_eight
        );
    }
}
