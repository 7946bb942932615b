//! What the leader does about the Secret: one step at a time, each a write that is refused where somebody else wrote first.

use super::{
    Kept,
    pki::{self, Authority},
    secret::{RENEW, Seen, Stored},
    step::{self, Step},
};
use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use tokio::time::Instant;

/// The leader's view of the certificates. Made anew with each leadership: what was seen before counts no longer.
pub struct Renewal {
    kept: Kept,
    /// The Secret as last read, and since when its data are these.
    read: Option<(Option<Secret>, Stored, Instant)>,
    /// What the configurations are to trust, and since when they have been seen to.
    trusted: Option<(String, Instant)>,
    /// The CAs of a Secret that was replaced by one without any of them: replicas serve the old pair for a while.
    before: Option<(Vec<Authority>, Instant)>,
}

impl Renewal {
    pub fn new(kept: Kept) -> Self {
        Renewal { kept, read: None, trusted: None, before: None }
    }

    /// Reads the Secret; the bundle that webhook configurations are to trust now, in PEM. `None`: it holds no CA of ours; what
    /// they trust must stay until `step` has repaired it.
    ///
    /// # Errors
    /// The Secret cannot be read.
    pub async fn look(&mut self) -> anyhow::Result<Option<String>> {
        let shared = &self.kept.0;
        let secret =
            shared.api.get_opt(&shared.secret).await.with_context(|| format!("read the secret {}", shared.secret))?;
        let stored = secret.as_ref().map(Stored::read).unwrap_or_default();
        let now = Instant::now();
        let bundle = pki::bundle(&stored.bundle);
        let since = match self.read.take() {
            Some((_, before, since)) if before == stored => since,
            _ => {
                let known = shared.known.load();
                if !bundle.is_empty() && !known.iter().any(|authority| bundle.contains(authority)) {
                    self.before = Some((known.to_vec(), now));
                }
                now
            }
        };
        let usable = stored.state(&Seen::default(), &shared.names, Timestamp::now()).ca.is_some();
        self.read = Some((secret, stored, since));
        let times = &shared.times;
        let both = times.settle + times.swap + times.poll;
        self.before.take_if(|(_, since)| now.duration_since(*since) >= both);
        let before = self.before.iter().flat_map(|(authorities, _)| authorities);
        Ok(usable.then(|| pki::pem(before.chain(&bundle))))
    }

    /// Does what is next, after `look`. `trust`: what `look` said, if every configuration has been seen to trust it.
    ///
    /// # Errors
    /// The Secret cannot be written, or a key cannot be made.
    pub async fn step(&mut self, trust: Option<&str>) -> anyhow::Result<Step> {
        let Some((secret, stored, since)) = &self.read else { return Ok(Step::Wait) };
        let shared = &self.kept.0;
        let (names, times) = (&shared.names, &shared.times);
        self.trusted = match (trust, self.trusted.take()) {
            (Some(trust), Some((before, since))) if before == trust => Some((before, since)),
            (Some(trust), _) => Some((trust.to_owned(), Instant::now())),
            (None, _) => None,
        };
        let annotations = secret.as_ref().and_then(|secret| secret.metadata.annotations.as_ref());
        let seen = Seen {
            asked: annotations.is_some_and(|annotations| annotations.get(RENEW).is_some_and(|value| value == "now")),
            trusted_for: self.trusted.as_ref().map(|(_, since)| since.elapsed()),
            same_for: since.elapsed(),
        };
        let now = Timestamp::now();
        let state = stored.state(&seen, names, now);
        let step = step::next(&state, times, now);
        let next = match step {
            Step::Wait => return Ok(step),
            Step::Trust => stored.with_new_ca(names, times, now)?,
            Step::Sign => stored.with_new_leaf(names, times, now)?,
            Step::Forget => stored.with_one_ca(names)?,
            Step::Repair => {
                let held = shared.certificates.pem();
                stored.repaired(&shared.known.load(), Some(held), names, times, now)?
            }
        };
        match step {
            Step::Repair => {
                tracing::error!(secret = shared.secret, "the secret holds no usable CA: repairing it with a new one")
            }
            Step::Sign if state.leaf == step::Leaf::Broken => {
                tracing::error!(secret = shared.secret, "the secret holds no usable serving certificate: repairing it")
            }
            _ => tracing::info!(secret = shared.secret, step = ?step, "renewing certificates"),
        }
        let next = next.into_secret(&shared.secret, secret.as_ref(), step != Step::Trust);
        let written = match secret {
            Some(_) => shared.api.replace(&shared.secret, &PostParams::default(), &next).await,
            None => shared.api.create(&PostParams::default(), &next).await,
        };
        match written {
            Ok(_) => Ok(step),
            // Somebody wrote first: what they wrote is looked at the next time.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Step::Wait),
            Err(error) => Err(error).with_context(|| format!("write the secret {}", shared.secret)),
        }
    }
}
