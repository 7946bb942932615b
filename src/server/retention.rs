//! Forgets what clusters reported long ago (`--keep-verdicts`): now and then, a piece at a time.

use super::http::App;
use crate::store::StoreError;
use jiff::SignedDuration;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// From having forgotten all to looking again.
const INTERVAL: Duration = Duration::from_mins(10);

/// Forgets verdicts that came longer ago than `keep`, until `stop`.
pub async fn run(app: Arc<App>, keep: SignedDuration, stop: CancellationToken) {
    loop {
        match forget(&app, keep, &stop).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "verdicts of long ago are forgotten"),
            Err(error) => tracing::warn!(%error, "verdicts of long ago"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// How many.
async fn forget(app: &App, keep: SignedDuration, stop: &CancellationToken) -> Result<u64, StoreError> {
    let Ok(before) = app.clock.now().checked_sub(keep) else { return Ok(0) };
    let mut all = 0;
    while !stop.is_cancelled() {
        match app.database.forget_verdicts(before).await? {
            0 => break,
            count => all += count,
        }
    }
    Ok(all)
}
