//! Signed records to the store, now or later: what cannot be sent waits in the spool, and whoever comes next sends it too.

use super::{
    spool::{Entry, Record, Spool},
    upload::{Belongs, Client, Item, NotSent, Store, Stored},
};
use crate::envelope::Envelope;
use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

/// Records of one request, and the bytes they may have together: a store takes a thousand, and 16 MiB.
const BATCH_RECORDS_MAX: usize = 100;
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The first pause between two rounds, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// What became of a record.
#[derive(Debug)]
pub enum Delivery {
    Sent(Stored),
    /// It waits in the spool, or nowhere but where the caller wrote it.
    Waits {
        why: String,
        spooled: Result<(), anyhow::Error>,
    },
    /// The store does not want it; it lies aside with the reason.
    Refused {
        why: String,
    },
}

/// Sends a record that was just signed. A later attempt is the spool's business.
pub async fn deliver(
    store: &anyhow::Result<Store>,
    spool: Option<&Spool>,
    envelope: &Envelope,
    belongs: Belongs,
) -> Delivery {
    let record = Record::new(envelope, belongs);
    let sent = match store {
        Ok(store) => super::upload::put(store, envelope, &record.belongs).await,
        Err(error) => Err(NotSent::Later(anyhow::anyhow!("{error:#}"))),
    };
    let keep = |keep: &dyn Fn(&Spool) -> anyhow::Result<()>| match spool {
        Some(spool) => keep(spool),
        None => Err(anyhow::anyhow!("there is no place for a spool; name one with TIDEWAITER_SPOOL")),
    };
    match sent {
        Ok(stored) => Delivery::Sent(stored),
        Err(NotSent::Refused(refusal)) => {
            let why = refusal.to_string();
            let aside = keep(&|spool| spool.set_aside(&record, refusal.clone()));
            Delivery::Refused { why: aside.err().map_or(why.clone(), |error| format!("{why} ({error:#})")) }
        }
        Err(other) => Delivery::Waits { why: other.to_string(), spooled: keep(&|spool| spool.add(&record)) },
    }
}

/// What a flush did.
#[derive(Debug, Default)]
pub struct Flushed {
    /// Names of records that the store has now.
    pub sent: Vec<String>,
    /// Names of records that lie aside, with why.
    pub refused: Vec<(String, String)>,
    /// How many wait still, and the last reason.
    pub waiting: usize,
    pub why: Option<String>,
    /// Whether the store did not know us.
    pub unauthenticated: bool,
    /// What is no record.
    pub broken: Vec<anyhow::Error>,
}

/// Sends everything that waits, for as long as `patience` where the store does not answer. The spool must be locked by the caller.
///
/// # Errors
/// The spool cannot be read or written, or the store's settings are wrong.
pub async fn flush(store: &Store, spool: &Spool, patience: Duration) -> anyhow::Result<Flushed> {
    let client = Client::new(store)?;
    let mut flushed = Flushed::default();
    let deadline = Instant::now() + patience;
    let mut pause = PAUSE;
    loop {
        let (entries, broken) = spool.waiting()?;
        flushed.broken = broken;
        flushed.why = None;
        flushed.unauthenticated = false;
        for batch in batches(entries) {
            if !round(&client, spool, batch, &mut flushed).await? {
                break;
            }
        }
        flushed.waiting = spool.waiting()?.0.len();
        let left = deadline.saturating_duration_since(Instant::now());
        if flushed.waiting == 0 || left.is_zero() {
            return Ok(flushed);
        }
        tokio::time::sleep(jittered(pause).min(left)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// One batch; whether it is worth going on with the next.
async fn round(client: &Client, spool: &Spool, batch: Vec<Entry>, flushed: &mut Flushed) -> anyhow::Result<bool> {
    let items: Vec<Item<'_>> = batch.iter().map(item).collect();
    let results = match items.len() {
        1 => None,
        _ => match client.batch(&items).await {
            Ok(results) => results,
            // A batch as a whole may be too much where each of it is not.
            Err(NotSent::Refused(_)) => None,
            Err(other) => return Ok(settle_later(other, flushed)),
        },
    };
    drop(items);
    match results {
        Some(results) => {
            for (entry, result) in batch.iter().zip(results) {
                settle(spool, entry, result, flushed)?;
            }
            Ok(true)
        }
        None => {
            for entry in &batch {
                let record = &entry.record;
                let result = client.put(&record.digest, entry.envelope.clone(), &record.belongs).await;
                if !settle(spool, entry, result, flushed)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

fn item(entry: &Entry) -> Item<'_> {
    let record = &entry.record;
    Item { digest: &record.digest, envelope: &record.envelope, belongs: &record.belongs }
}

/// Removes what is sent, sets aside what is refused; `false` where the others would fare no better.
fn settle(
    spool: &Spool,
    entry: &Entry,
    result: Result<Stored, NotSent>,
    flushed: &mut Flushed,
) -> anyhow::Result<bool> {
    let name = entry.record.digest.clone();
    match result {
        Ok(_) => {
            spool.remove(entry)?;
            flushed.sent.push(name);
            Ok(true)
        }
        Err(NotSent::Refused(refusal)) => {
            let why = refusal.to_string();
            spool.move_aside(entry, refusal)?;
            flushed.refused.push((name, why));
            Ok(true)
        }
        Err(other) => Ok(settle_later(other, flushed)),
    }
}

fn settle_later(error: NotSent, flushed: &mut Flushed) -> bool {
    flushed.unauthenticated = matches!(error, NotSent::Unauthenticated(_));
    flushed.why = Some(error.to_string());
    false
}

fn batches(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut batches: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.record.envelope.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_RECORDS_MAX && bytes <= BATCH_BYTES_MAX => batch.push(entry),
            _ => {
                bytes = entry.record.envelope.len();
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

/// Between half of it and all of it, so that the steps of a pipeline do not come back together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(std::process::id()) % 1_000;
    pause / 2 + pause.mul_f64(f64::from(u32::try_from(random).unwrap_or_default()) / 2_000.0)
}
