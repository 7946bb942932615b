//! Links that come before their layout (`quarantine: true` of a Chain): kept aside, out of every answer's sight, and admitted by
//! the same rules as any other once a layout of the chain authorises their key.

use super::{
    admit::{self, Request},
    auth::Granted,
    http::App,
    parameters::Parameters,
    problem::Problem,
};
use crate::{
    digest::Digest,
    reason::Reason,
    store::{Quarantined, StoreError, Submission},
};
use http::StatusCode;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Links that are looked at together, and in memory; each has up to 8 MiB.
const PAGE: i64 = 8;
/// A layout that another server of the same database admitted is noticed after this.
const INTERVAL: Duration = Duration::from_secs(300);

/// What is remembered of a link that may have to be kept aside.
pub struct Aside<'g> {
    /// The token's writers in the one chain that could be meant.
    granted: Vec<&'g Granted>,
    envelope: Vec<u8>,
    step: Option<String>,
    declared: BTreeSet<Digest>,
}

impl<'g> Aside<'g> {
    /// `None` where the refusal stands: several chains could be meant, or the one keeps nothing aside.
    pub fn of(app: &App, granted: &[&'g Granted], envelope: &[u8], parameters: &Parameters) -> Option<Self> {
        let (first, others) = granted.split_first()?;
        let keeps = app.chains.get(first.chain)?.quarantine;
        let alone = others.iter().all(|other| other.chain == first.chain);
        let (step, declared) = (parameters.step.clone(), parameters.subjects.clone());
        (keeps && alone).then(|| Aside { granted: granted.to_vec(), envelope: envelope.to_vec(), step, declared })
    }

    /// Whose right it is that is used, as when the link is admitted: the first of the token's writers that may write the step. The release
    /// asks for the right of that one again. `None` for a token that writes once, for what is kept aside is not written yet.
    pub fn writer(&self, app: &App) -> Option<&'g Granted> {
        let (kind, step) = admit::kind_and_step(&self.envelope, self.step.as_deref())?;
        let may =
            |granted: &Granted| app.chains.writer(granted).is_some_and(|writer| writer.may_write_step(kind, &step));
        self.granted.iter().copied().find(|granted| may(granted)).filter(|granted| !granted.one_time)
    }

    /// Keeps it, unless a key that the chain knows is named and did not sign. Its chain's name.
    ///
    /// # Errors
    /// The refusal that brought it here, or that there is no room.
    pub async fn keep(
        self,
        app: &App,
        refusal: Problem,
        name: Digest,
        granted: &Granted,
        run: Option<String>,
        submission: Submission,
    ) -> Result<String, Problem> {
        let (Some(chain), Some(rules)) = (app.ids.get(granted.chain), app.chains.get(granted.chain)) else {
            return Err(refusal);
        };
        let Some(writer) = app.chains.writer(granted) else { return Err(refusal) };
        admit::check_known(&self.envelope, rules, &app.store.chain_keys(*chain).await?, app.clock.now(), refusal)?;
        let link = Quarantined {
            chain: *chain,
            name,
            envelope: self.envelope,
            run,
            step: self.step,
            declared: self.declared,
            writer: writer.name.clone(),
            submission,
            received_at: app.clock.now(),
        };
        if !app.store.quarantine(link).await? {
            let detail = format!("chain \"{}\" has no room for more links without a layout", rules.name);
            return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, "quarantine_full", detail));
        }
        app.metrics.records.with_label_values(&["link", "quarantined"]).inc();
        Ok(rules.name.clone())
    }
}

/// Releases what may be released: at the start, when a layout came, and now and then; until `stop`.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        for (index, rules) in app.chains.iter().filter(|(_, rules)| rules.quarantine) {
            if let Err(error) = release(&app, index).await {
                tracing::warn!(chain = rules.name, %error, "links in quarantine");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.released.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn release(app: &App, index: usize) -> Result<(), StoreError> {
    let (Some(chain), Some(rules)) = (app.ids.get(index), app.chains.get(index)) else { return Ok(()) };
    let mut last = 0;
    loop {
        let page = app.store.quarantined(*chain, last, PAGE).await?;
        let Some((end, _)) = page.last() else { return Ok(()) };
        last = *end;
        for (id, link) in page {
            // What it may write is what its writer may write now.
            let Some(writer) = rules.writer(&link.writer) else { continue };
            let request = Request {
                name: link.name.clone(),
                body: link.envelope,
                writers: vec![(index, writer)],
                run: link.run,
                step: link.step,
                declared: link.declared,
                now: app.clock.now(),
            };
            match admit::admit(request, &app.chains, &app.ids, &*app.store).await {
                Ok(mut record) => {
                    record.received_at = link.received_at;
                    match app.store.submit(record, link.submission).await {
                        Ok(_) => {}
                        // One that cannot be kept keeps none of those behind it waiting.
                        Err(error) if error.is_of_one() => {
                            tracing::warn!(digest = %link.name, %error, "stays in quarantine");
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                    app.store.release(id).await?;
                    app.metrics.records.with_label_values(&["link", "released"]).inc();
                    tracing::info!(digest = %link.name, chain = rules.name, "released from quarantine");
                }
                Err(problem) if problem.reason == Reason::SignatureUntrusted.as_str() => {}
                Err(problem) => tracing::warn!(digest = %link.name, reason = problem.reason, "stays in quarantine"),
            }
        }
    }
}
