//! How much one principal may ask for in a time: token buckets, one for writing and one for reading.

use super::problem::Problem;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A bucket holds what comes in so many seconds, so that a pipeline that flushes its spool is not slowed.
const BURST_SECONDS: f64 = 10.0;
/// Principals remembered; beyond it full buckets are forgotten first, then all.
const PRINCIPALS_MAX: usize = 10_000;

/// What a request costs, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    Write,
    Read,
}

/// Requests per second and principal; 0: as many as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub writes: u32,
    pub reads: u32,
}

impl Default for Rates {
    /// One static token may serve all pipelines of a company, and one all its clusters.
    fn default() -> Self {
        Rates { writes: 2_000, reads: 20_000 }
    }
}

/// Every principal's buckets.
#[derive(Debug)]
pub struct Budgets {
    rates: Rates,
    buckets: Mutex<HashMap<(String, Purpose), Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    filled: f64,
    at: Instant,
}

impl Budgets {
    pub fn new(rates: Rates) -> Self {
        Budgets { rates, buckets: Mutex::default() }
    }

    /// Takes `cost` from the principal's bucket. A cost above what a bucket holds is taken as a full bucket: it is let through
    /// once a full one is there.
    ///
    /// # Errors
    /// 429 with the seconds after which it would do.
    pub fn take(&self, principal: &str, purpose: Purpose, cost: u32) -> Result<(), Problem> {
        self.take_at(principal, purpose, cost, Instant::now())
            .map_err(|wait| Problem::too_many_requests(wait.as_secs_f64().ceil() as u64))
    }

    fn take_at(&self, principal: &str, purpose: Purpose, cost: u32, now: Instant) -> Result<(), Duration> {
        let rate = match purpose {
            Purpose::Write => f64::from(self.rates.writes),
            Purpose::Read => f64::from(self.rates.reads),
        };
        if rate == 0.0 {
            return Ok(());
        }
        let (full, cost) = (rate * BURST_SECONDS, f64::from(cost).min(rate * BURST_SECONDS));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (principal.to_owned(), purpose);
        if buckets.len() >= PRINCIPALS_MAX && !buckets.contains_key(&key) {
            // A bucket that is full again remembers nothing.
            buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at).as_secs_f64() < BURST_SECONDS);
            if buckets.len() >= PRINCIPALS_MAX {
                // Refusing those who are new would let anybody keep everybody out.
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { filled: full, at: now });
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        *bucket = Bucket { filled: (bucket.filled + since * rate).min(full), at: now };
        if bucket.filled < cost {
            return Err(Duration::from_secs_f64((cost - bucket.filled) / rate));
        }
        bucket.filled -= cost;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_runs_out_and_fills_again() {
        let budgets = Budgets::new(Rates { writes: 2, reads: 0 });
        let start = Instant::now();
        let take = |name: &str, cost: u32, at: f64| {
            budgets.take_at(name, Purpose::Write, cost, start + Duration::from_secs_f64(at))
        };
        for _ in 0..20 {
            assert_eq!(take("ci", 1, 0.0), Ok(()));
        }
        assert_eq!(take("ci", 1, 0.0), Err(Duration::from_millis(500)));
        assert_eq!(take("other", 1, 0.0), Ok(()), "each has a bucket of their own");
        assert_eq!(take("ci", 1, 0.5), Ok(()));
        assert_eq!(take("ci", 1, 0.5), Err(Duration::from_millis(500)));
        // More than a bucket holds waits for a full one, not for ever.
        assert!(take("ci", 1_000, 5.0).is_err());
        assert_eq!(take("ci", 1_000, 11.0), Ok(()));
        assert!(take("ci", 1, 11.0).is_err());
        for _ in 0..1_000 {
            assert_eq!(budgets.take_at("ci", Purpose::Read, 1, start), Ok(()), "no rate, no limit");
        }
    }

    #[test]
    fn made_up_principals_do_not_fill_the_memory() {
        let budgets = Budgets::new(Rates { writes: 1, reads: 1 });
        let start = Instant::now();
        for number in 0..PRINCIPALS_MAX {
            assert_eq!(budgets.take_at(&number.to_string(), Purpose::Read, 1, start), Ok(()));
        }
        let later = start + Duration::from_secs(9);
        assert_eq!(budgets.take_at("0", Purpose::Read, 1, later), Ok(()));
        // All but one are full again; they are forgotten.
        assert_eq!(budgets.take_at("one more", Purpose::Read, 1, start + Duration::from_secs(12)), Ok(()));
        assert_eq!(budgets.buckets.lock().unwrap().len(), 2);
    }
}
