//! Evidence from the metadata store (design §8), with a deadline of its own, bounded: the images of one review in one question,
//! one question for an image however many reviews want it at the same time.
//!
//! `store/wire` is the HTTP of it, `store/answer` what is made of an answer, `store/together` which images go together.

use crate::{
    cache::{FLIGHTS_MAX, Flight, Flights, hurried},
    digest::Digest,
    file,
    reason::{Fault, Reason},
};
use answer::Found;
use anyhow::{Context as _, bail};
use futures::FutureExt as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use together::Reviews;
use tokio::sync::oneshot;
use url::Url;
use wire::Wire;

mod answer;
mod together;
mod wire;

pub use answer::Stored;
pub use together::Together;
pub use wire::{TRUNCATED, Untold};

/// Reads one store.
pub struct StoreClient {
    wire: Arc<Wire>,
    timeout: Duration,
    flights: Arc<Flights<Digest, Found>>,
    reviews: Reviews,
}

/// Which store, and how.
#[derive(Clone)]
pub struct Options {
    /// `https://…`, or `http://` on loopback.
    pub url: String,
    /// A reader's bearer token.
    pub token: Option<String>,
    /// Only certificates of these authorities, PEM; `None`: those the system trusts.
    pub ca_file: Option<std::path::PathBuf>,
    /// For one answer, whatever the deadline.
    pub timeout: Duration,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token stays out of logs.
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Options").field("url", &self.url).field("token", &token).finish_non_exhaustive()
    }
}

/// A store's URL, ending in a slash, and whether it is on this machine: https, or http there. Tokens go nowhere else.
///
/// # Errors
/// It is no such URL, or has credentials or a query.
pub(crate) fn base(text: &str) -> anyhow::Result<(Url, bool)> {
    let mut base = Url::parse(text).with_context(|| format!("store \"{text}\""))?;
    let loopback = match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    // First: what follows repeats the text.
    if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
        bail!("the store's url has credentials or a query");
    }
    if !(base.scheme() == "https" || base.scheme() == "http" && loopback) {
        bail!("store \"{text}\": expected https, or http on loopback");
    }
    if !base.path().ends_with('/') {
        let path = format!("{}/", base.path());
        base.set_path(&path);
    }
    Ok((base, loopback))
}

/// The certificates of a CA bundle, of which there is at least one.
pub(crate) fn authorities(path: &Path) -> anyhow::Result<Vec<reqwest::Certificate>> {
    let pem = file::read(path, file::SMALL_BYTES_MAX)?;
    let authorities = reqwest::Certificate::from_pem_bundle(&pem).with_context(|| path.display().to_string())?;
    if authorities.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(authorities)
}

impl StoreClient {
    /// A client; nothing is sent yet. An error for a URL that is not https (nor http on loopback), or certificates that do
    /// not read.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let wire = Arc::new(Wire::new(options)?);
        Ok(StoreClient { wire, timeout: options.timeout, flights: Arc::default(), reviews: Reviews::default() })
    }

    /// These images are about to be asked for: the first of them that is asks for all, as long as the value lives.
    pub fn together(&self, images: BTreeSet<Digest>) -> Arc<Together> {
        self.reviews.enter(images)
    }

    /// The envelopes the store has for the image. `digest_mismatch` when a record is not what its name says; `deadline_exceeded`;
    /// `store_unavailable`, with why, for everything else that goes wrong.
    pub async fn envelopes(&self, image: &Digest, deadline: Instant) -> Result<Stored, Fault> {
        let together = self.reviews.of(image);
        let until = Instant::now().checked_add(self.timeout).unwrap_or(deadline).min(deadline);
        let mut flights = 0;
        loop {
            flights += 1;
            let flight = self.depart(image, together.as_ref(), until, deadline);
            match tokio::time::timeout_at(deadline.into(), flight.landing).await {
                // Whoever started it had less time than we have.
                Ok(Some(Err(fault)))
                    if !flight.leads && flights < FLIGHTS_MAX && hurried(fault.reason, flight.until, until) => {}
                Ok(Some(found)) => return found.map(Arc::unwrap_or_clone),
                Ok(None) => return Err(Fault::new(Reason::InternalError, "asking the metadata store failed")),
                Err(_) => return Err(ran_out()),
            }
        }
    }

    /// The question under way for the image, or one that begins now: then with all that go together with it and are not
    /// under way themselves.
    fn depart(
        &self,
        image: &Digest,
        together: Option<&Arc<Together>>,
        until: Instant,
        deadline: Instant,
    ) -> Flight<Found> {
        let (named, names) = oneshot::channel::<Vec<Digest>>();
        let (wire, timeout) = (Arc::clone(&self.wire), self.timeout);
        let asked = async move {
            let images = names.await.unwrap_or_default();
            let answers = tokio::time::timeout_at(until.into(), wire.ask(&images)).await;
            let late = || match deadline <= until {
                true => ran_out(),
                false => unavailable(format!("it did not answer within {timeout:?}")),
            };
            Arc::new(answers.unwrap_or_else(|_| images.into_iter().map(|image| (image, Err(late()))).collect()))
        };
        let asked = asked.boxed().shared();
        let _asking = together.map(|review| review.asking());
        let mut led = Vec::new();
        let mut board = |image: &Digest| {
            self.flights.join(image, until, || {
                // Looked up here: a flight is known until what came of it is kept.
                let came = together.and_then(|review| review.came(image, until));
                if came.is_none() {
                    led.push(image.clone());
                }
                let (asked, image, together) = (asked.clone(), image.clone(), together.map(Arc::downgrade));
                async move {
                    if let Some(found) = came {
                        return found;
                    }
                    let answers: Arc<BTreeMap<Digest, Found>> = asked.await;
                    let found = answers.get(&image).cloned().unwrap_or_else(|| Err(unavailable("it was not asked")));
                    if let Some(review) = together.and_then(|review| review.upgrade()) {
                        review.keep(&image, &found, until);
                    }
                    found
                }
            })
        };
        let flight = board(image);
        let others = together.map(|review| review.missing(until)).unwrap_or_default();
        for other in others.iter().filter(|other| *other != image) {
            board(other);
        }
        // Nobody waits for it where all of them were under way.
        let _ = named.send(led);
        flight
    }

    /// Tells the store verdicts (docs/store.md, `verdicts:batch`). Whoever calls it minds the time.
    pub async fn tell_verdicts(&self, verdicts: &serde_json::Value) -> Result<(), Untold> {
        self.wire.tell("v1/verdicts:batch", verdicts).await
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.wire.requests()
    }
}

fn unavailable(why: impl std::fmt::Display) -> Fault {
    Fault::new(Reason::StoreUnavailable, format!("the metadata store could not be asked: {why}"))
}

fn ran_out() -> Fault {
    Fault::new(Reason::DeadlineExceeded, "the review's time ran out: the metadata store did not answer")
}
