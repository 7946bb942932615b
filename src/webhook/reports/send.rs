//! The task that talks to the store: a hundred verdicts at a time, or what came in five seconds; one question at a time.

use super::{Counts, Verdict};
use crate::source::store::{StoreClient, Untold};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

const BATCH_MAX: usize = 100;
/// For what waits when we are stopped.
const LAST: Duration = Duration::from_secs(2);

/// How long is waited; the tests shorten it.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For a batch to fill.
    pub gather: Duration,
    /// For an answer.
    pub patience: Duration,
    /// Before each further try.
    pub pauses: [Duration; 3],
}
impl Default for Times {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Times { gather: seconds(5), patience: seconds(10), pauses: [seconds(1), seconds(5), seconds(20)] }
    }
}

pub struct Sender {
    pub store: Arc<StoreClient>,
    pub counts: Arc<Counts>,
    pub times: Times,
}

impl Sender {
    pub async fn run(self, mut waiting: Receiver<Verdict>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut due = Instant::now();
        loop {
            if batch.is_empty() {
                due = Instant::now() + self.times.gather;
            }
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                () = stop.cancelled() => break,
                count = waiting.recv_many(&mut batch, room) => match count {
                    0 => break,
                    _ if batch.len() < BATCH_MAX => continue,
                    _ => {}
                },
                () = sleep_until(due), if !batch.is_empty() => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.send(&batch, &self.times.pauses) => batch.clear(),
            }
        }
        waiting.close();
        let rest = async {
            while !batch.is_empty() || waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
                self.send(&batch, &[]).await;
                batch.clear();
            }
        };
        let _ = timeout(LAST, rest).await;
    }

    /// Sends a batch, again after each of these pauses where that may help.
    async fn send(&self, batch: &[Verdict], pauses: &[Duration]) {
        let question = serde_json::json!({ "verdicts": batch });
        let mut pauses = pauses.iter();
        let count = loop {
            match timeout(self.times.patience, self.store.tell_verdicts(&question)).await {
                Ok(Ok(())) => break &self.counts.sent,
                Ok(Err(Untold { fault, again: false })) => {
                    tracing::warn!(verdicts = batch.len(), why = %fault, "the store would not have our verdicts");
                    break &self.counts.refused;
                }
                Ok(Err(_)) | Err(_) => {}
            }
            match pauses.next() {
                Some(pause) => sleep(*pause).await,
                None => {
                    tracing::warn!(verdicts = batch.len(), "verdicts could not be reported");
                    break &self.counts.failed;
                }
            }
        };
        count.fetch_add(batch.len() as u64, Relaxed);
    }
}
