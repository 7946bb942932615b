//! Publishing (docs/store.md): the evidence of an image goes beside it into its registry, once the image's chain is whole, and again when more of
//! it came in. The store does it, and not each pipeline's step, because a registry's list of referrers has one writer or loses entries.
//!
//! What is due is in the database, held by one publisher at a time; the same evidence is the same artifact. So it does not matter when this
//! process ends, nor how many of them there are.

use super::{Chains, chains::ChainRules};
use crate::{
    digest::Digest,
    publish,
    reference::Reference,
    store::{
        Database, EvidenceLimits, Metadata as _,
        publication::{Due, Outcome},
    },
};
use anyhow::Context as _;
use assemble::{Assembled, Set, assemble};
use jiff::Timestamp;
use prometheus::IntCounterVec;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod assemble; // pure: whether the chain is whole, and where its evidence goes

/// Images that are published at the same time.
const AT_ONCE: usize = 8;
/// What is under way when we are stopped has this long; what is not done then is done by the next.
const LAST: Duration = Duration::from_secs(5);

/// How publishing is done.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A docker `config.json`, for registries whose RegistryConfig names none.
    pub docker_config: Option<PathBuf>,
    pub times: Times,
}

/// How long is waited; the tests shorten it.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Between two looks at what is due.
    pub poll: Duration,
    /// After something came in: a run's links come one after the other.
    pub settle: Duration,
    /// What its publisher does not hold on to within this time is anybody's again: it has ended.
    pub lease: Duration,
    /// For one image.
    pub push: Duration,
    /// After the first fault; doubled after each further one, up to `backoff_max`.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// After this long without anything new it is given up.
    pub give_up: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Times {
            poll: seconds(1),
            settle: seconds(2),
            lease: seconds(15),
            push: seconds(100),
            backoff: seconds(2),
            backoff_max: seconds(600),
            give_up: seconds(7 * 24 * 3600),
        }
    }
}

/// Publishes for one store.
pub struct Publisher {
    store: Arc<Database>,
    chains: Chains,
    /// The publishing chains' indexes, by the store's ids.
    publishing: BTreeMap<i64, usize>,
    options: Options,
    results: IntCounterVec,
    /// Who we are among all publishers of the database.
    holder: i64,
}

impl Publisher {
    /// Of the chains that say so; `ids` are the store's, by their index.
    pub fn new(store: Arc<Database>, chains: Chains, ids: &[i64], options: Options, results: IntCounterVec) -> Self {
        let publishing = chains.iter().filter(|(_, rules)| rules.publishes());
        let publishing = publishing.filter_map(|(index, _)| Some((*ids.get(index)?, index))).collect();
        Publisher { store, publishing, chains, options, results, holder: somebody() }
    }

    /// Publishes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        if self.publishing.is_empty() {
            tracing::warn!("there is nothing to publish: no Chain has `publish`");
        }
        let (this, mut running) = (Arc::new(self), JoinSet::new());
        while !stop.is_cancelled() {
            if let Err(error) = this.round(&mut running).await {
                tracing::warn!(%error, "publishing waits for the database");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = running.join_next(), if running.len() >= AT_ONCE => {}
                () = tokio::time::sleep(this.options.times.poll) => while running.try_join_next().is_some() {},
            }
        }
        let all = async { while running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST, all).await;
    }

    /// Learns what came in, and begins with what is due.
    async fn round(self: &Arc<Self>, running: &mut JoinSet<()>) -> anyhow::Result<()> {
        let Times { settle, lease, .. } = self.options.times;
        let chains: BTreeSet<i64> = self.publishing.keys().copied().collect();
        while self.store.follow_publications(&chains, after(settle)).await? > 0 {}
        let free = AT_ONCE.saturating_sub(running.len());
        if free > 0 {
            for due in self.store.hold_publications(self.holder, Timestamp::now(), after(lease), free).await? {
                let this = Arc::clone(self);
                running.spawn(async move { this.settle(due).await });
            }
        }
        Ok(())
    }

    async fn settle(&self, due: Due) {
        let (image, attempts) = (due.digest.clone(), due.attempts);
        let done = tokio::select! {
            done = tokio::time::timeout(self.options.times.push, self.outcome(&due)) => done,
            // Whoever has it now says how it came out.
            () = self.hold_on(&due) => return tracing::warn!(%image, "another publisher took over"),
        };
        let outcome = match done.unwrap_or_else(|_| Err(anyhow::anyhow!("the registry took too long"))) {
            Ok(outcome) => outcome,
            Err(error) => self.postpone(&due, format!("{error:#}")),
        };
        let (result, why) = match &outcome {
            Outcome::Published { set: Some(_), .. } => ("published", None),
            Outcome::Published { set: None, .. } => ("unchanged", None),
            Outcome::Postponed { why, .. } => ("postponed", Some(why.as_str())),
            Outcome::GivenUp { why } => ("given_up", Some(why.as_str())),
        };
        tracing::info!(%image, result, why, attempts, "publishing");
        match self.store.settle_publication(self.holder, due, outcome).await {
            Ok(true) => self.results.with_label_values(&[result]).inc(),
            Ok(false) => tracing::warn!(%image, "another publisher took over"),
            // The lease runs out, and it is done again.
            Err(error) => tracing::warn!(%image, %error, "what was published could not be noted"),
        }
    }

    /// Ends when it is ours no longer.
    async fn hold_on(&self, due: &Due) {
        let lease = self.options.times.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            // Where the database does not answer, we go on: the worst is that the same is written twice.
            if let Ok(false) = self.store.hold_on(self.holder, due, after(lease)).await {
                return;
            }
        }
    }

    /// # Errors
    /// What another try may find better.
    async fn outcome(&self, due: &Due) -> anyhow::Result<Outcome> {
        let index = self.publishing.get(&due.chain);
        let Some(rules) = index.and_then(|index| self.chains.get(*index)) else {
            return Ok(Outcome::GivenUp { why: "its chain is not published".into() });
        };
        let only = BTreeSet::from([due.chain]);
        let found = self.store.evidence(&due.digest, &only, Timestamp::now(), EvidenceLimits::DEFAULT).await?;
        let Set { envelopes, repositories, content } =
            match assemble(&due.digest, &found.records, |image| rules.publishes_to(image)) {
                Assembled::Whole(set) => set,
                Assembled::Incomplete(why) => return Ok(self.postpone(due, why)),
                Assembled::Nowhere => {
                    return Ok(Outcome::GivenUp { why: "no link names it as an image that is published".into() });
                }
            };
        if due.content.as_ref() == Some(&content) {
            return Ok(Outcome::Published { content, set: None });
        }
        let mut last = None;
        for repository in &repositories {
            last = Some(self.push(rules, repository, &due.digest, &envelopes).await?);
        }
        Ok(Outcome::Published { content, set: last })
    }

    async fn push(
        &self,
        rules: &ChainRules,
        repository: &Reference,
        image: &Digest,
        envelopes: &[Vec<u8>],
    ) -> anyhow::Result<Digest> {
        let config = self.chains.registry(repository.registry());
        let credentials = config.and_then(|config| config.credentials.as_ref()?.docker_config.as_deref());
        let options = publish::Options {
            docker_config: credentials.map(PathBuf::from).or_else(|| self.options.docker_config.clone()),
            plain_http: config.is_some_and(|config| config.insecure),
            ca_file: None,
            ca_bundle: config.and_then(|config| config.ca_bundle.clone()),
        };
        let pinned = repository.pinned(image.clone());
        let set = publish::publish(&pinned, envelopes, &options).await.with_context(|| pinned.to_string())?;
        tracing::info!(image = %pinned, chain = rules.name, %set, envelopes = envelopes.len(), "evidence published");
        Ok(set)
    }

    /// Later, and each time later; until it is not worth it any more.
    fn postpone(&self, due: &Due, why: String) -> Outcome {
        let Times { backoff, backoff_max, give_up, .. } = self.options.times;
        let waited = Timestamp::now().duration_since(due.since);
        if Duration::try_from(waited).is_ok_and(|waited| waited > give_up) {
            return Outcome::GivenUp { why };
        }
        let doubled = 1 << due.attempts.clamp(0, 16);
        Outcome::Postponed { until: after(backoff.saturating_mul(doubled).min(backoff_max)), why }
    }
}

fn after(time: Duration) -> Timestamp {
    Timestamp::now().checked_add(time).unwrap_or(Timestamp::MAX)
}

/// A number that no other process has.
fn somebody() -> i64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library's maps are seeded by the system.
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    i64::from_ne_bytes(random.to_ne_bytes())
}
