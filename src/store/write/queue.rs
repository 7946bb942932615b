//! The writers and what waits for them.

use super::{Work, Write};
use crate::store::{
    StoreError,
    blob::objects::Objects,
    failpoint::{self, Point},
    id::Ids,
    session::Pool,
    sql,
};
use futures::{FutureExt as _, future::BoxFuture};
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Work of one transaction.
const BATCH_MAX: usize = 64;
/// Work that may wait for one writer; the next is answered `Overloaded`.
const WAITING_MAX: usize = 256;
/// How often a transaction is tried that others got in the way of.
const TRIES: u32 = 8;
/// A transaction that takes longer is given up: the server, or the way to it, is gone without a word.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Work with whom to tell.
trait Job: Send {
    fn run<'j>(&'j mut self, write: &'j mut Write) -> BoxFuture<'j, Result<(), StoreError>>;
    fn tell(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Waiting<W: Work> {
    work: W,
    output: Option<W::Output>,
    answer: oneshot::Sender<Result<W::Output, StoreError>>,
}

impl<W: Work> Job for Waiting<W> {
    fn run<'j>(&'j mut self, write: &'j mut Write) -> BoxFuture<'j, Result<(), StoreError>> {
        async move {
            self.output = Some(self.work.run(write).await?);
            Ok(())
        }
        .boxed()
    }

    fn tell(self: Box<Self>, committed: Result<(), StoreError>) {
        let output = self.output.ok_or_else(|| StoreError::Broken("the writer ended".into()));
        // A receiver that is gone has stopped waiting; what was written stays.
        let _ = self.answer.send(committed.and(output));
    }
}

/// The way to the writers. They end when the last queue is dropped and nothing waits.
pub struct Queue {
    writers: Vec<mpsc::Sender<Box<dyn Job>>>,
    broken: CancellationToken,
}

impl Queue {
    /// Starts so many writers.
    pub async fn start(pool: Pool, count: u32, objects: Option<Objects>) -> Result<Self, StoreError> {
        let mut session = pool.session().await?;
        let lane = session.one(sql::NEXT_LANE, &[]).await?;
        let last: Option<i64> = session.one(sql::LAST_IDS, &[]).await?;
        drop(session);
        let ids = Arc::new(Mutex::new(Ids::new(lane, last.unwrap_or(0))));
        let broken = CancellationToken::new();
        let writers = (0..count.max(1)).map(|_| {
            let (sender, jobs) = mpsc::channel(WAITING_MAX);
            let writer =
                Writer { pool: pool.clone(), objects: objects.clone(), ids: ids.clone(), broken: broken.clone() };
            let panicked = broken.clone();
            tokio::spawn(async move {
                // A writer that is gone writes nothing more: that is told, and the process begins anew.
                if AssertUnwindSafe(writer.run(jobs)).catch_unwind().await.is_err() {
                    panicked.cancel();
                }
            });
            sender
        });
        Ok(Queue { writers: writers.collect(), broken })
    }

    /// Cancelled once the disk failed under a write.
    pub fn broken(&self) -> CancellationToken {
        self.broken.clone()
    }

    /// Queues work and waits for its answer, which comes after the commit.
    pub fn ask<W: Work>(&self, work: W) -> impl Future<Output = Result<W::Output, StoreError>> + Send + use<W> {
        let (answer, answered) = oneshot::channel();
        let place = work.affinity() % self.writers.len().max(1) as u64;
        let job = Box::new(Waiting { work, output: None, answer });
        let queued = match self.writers.get(place as usize).map(|writer| writer.try_send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(mpsc::error::TrySendError::Full(_))) => Err(StoreError::Overloaded),
            Some(Err(mpsc::error::TrySendError::Closed(_))) | None => Err(ended()),
        };
        async move {
            queued?;
            answered.await.unwrap_or_else(|_| Err(ended()))
        }
    }
}

fn ended() -> StoreError {
    StoreError::Broken("the writer ended".into())
}

/// One writer's state.
struct Writer {
    pool: Pool,
    objects: Option<Objects>,
    ids: Arc<Mutex<Ids>>,
    broken: CancellationToken,
}

impl Writer {
    /// Writes until nobody can send any more.
    async fn run(self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while jobs.recv_many(&mut batch, BATCH_MAX).await > 0 {
            failpoint::reach(Point::Taken);
            match self.write(&mut batch).await {
                // One of them may be to blame: each alone, so that it takes nothing of the others with it.
                Err(error) if batch.len() > 1 && error.is_of_one() => {
                    for mut job in batch.drain(..) {
                        let committed = self.write(std::slice::from_mut(&mut job)).await;
                        job.tell(committed);
                    }
                }
                committed => {
                    for job in batch.drain(..) {
                        job.tell(committed.clone());
                    }
                }
            }
        }
        // Closing checkpoints SQLite's log; without it nothing that was committed would be lost.
        if let Pool::Sqlite(pool) = &self.pool {
            pool.close().await;
        }
    }

    /// One transaction, again where others got in its way.
    async fn write(&self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            if self.broken.is_cancelled() {
                return Err(StoreError::Broken("an earlier write failed".into()));
            }
            match self.transaction(batch).await {
                Err(StoreError::Conflict) if tries < TRIES => {
                    tries += 1;
                    // The other is done sooner than that, or it is beaten to it the next time.
                    tokio::time::sleep(Duration::from_millis(1 << tries)).await;
                }
                Err(StoreError::Broken(why)) => {
                    tracing::error!(why, "the disk failed under a write; nothing more is written");
                    self.broken.cancel();
                    return Err(StoreError::Broken(why));
                }
                done => return done,
            }
        }
    }

    async fn transaction(&self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let session = self.pool.session().await?.with_objects(self.objects.clone());
        let mut write = Write { session, ids: self.ids.clone(), news: Vec::new() };
        let all = async {
            write.session.begin().await?;
            failpoint::reach(Point::Begun);
            for job in batch {
                job.run(&mut write).await?;
            }
            write.commit().await
        };
        let done = match tokio::time::timeout(TRANSACTION_TIMEOUT, all).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::Unavailable("the database does not answer".into())),
        };
        if done.is_err() {
            // A new connection has no doubt about what it is in.
            write.session.discard();
        }
        done
    }
}
