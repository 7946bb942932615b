//! Writing: work that waits is done in one transaction with what waits beside it, and answered after the commit: one wait for the disk
//! serves them all.

use super::{
    StoreError, artifacts,
    failpoint::{self, Point},
    id::Ids,
    session::{Arg, Session},
    sql,
};
use crate::{args, digest::Digest};
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

mod content;
mod queue;
mod record;

pub use queue::Queue;
pub use record::Recording;

/// Something to write. It may be run again, after all it did was undone.
pub trait Work: Send + Sync + 'static {
    type Output: Send + 'static;

    /// Work of the same affinity is done by the same writer, in order. Work that makes the same rows should have the same, or transactions
    /// wait for each other.
    fn affinity(&self) -> u64;

    /// Writes, in a transaction that is not this work's alone.
    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<Self::Output, StoreError>>;
}

/// An affinity.
pub(super) fn affinity(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// A transaction.
pub struct Write {
    pub session: Session,
    ids: Arc<Mutex<Ids>>,
    /// Records that readers of the stream must learn of, and why.
    news: Vec<(i64, News)>,
}

/// Why a record is in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    New = 1,
    /// It has a further signature.
    Signed = 2,
}

impl Write {
    /// A new id.
    pub fn id(&mut self) -> i64 {
        let now = Timestamp::now().as_millisecond();
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }

    /// Puts the record into the stream, at the end of the transaction.
    pub fn announce(&mut self, record: i64, news: News) {
        self.news.push((record, news));
    }

    /// Gives what was announced its positions, and commits. From the first to the second no other transaction can take any, so whoever
    /// sees a position has seen all before it.
    async fn commit(&mut self) -> Result<(), StoreError> {
        if !self.news.is_empty() {
            let count = i64::try_from(self.news.len()).unwrap_or(i64::MAX);
            let last: i64 = self.session.one(sql::TAKE_POSITIONS, args![count]).await?;
            let positions: Vec<[Arg<'_>; 3]> = (last - count + 1..)
                .zip(self.news.drain(..))
                .map(|(seq, (record, news))| [seq.into(), record.into(), (news as i64).into()])
                .collect();
            self.session.add_rows(&sql::ADD_POSITIONS, &positions).await?;
        }
        failpoint::reach(Point::Written);
        self.session.commit().await?;
        failpoint::reach(Point::Committed);
        Ok(())
    }
}

/// The id of the chain of this name, made where it is new.
pub struct ChainNamed(pub String);

impl Work for ChainNamed {
    type Output = i64;

    fn affinity(&self) -> u64 {
        affinity(&self.0)
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<i64, StoreError>> {
        async move {
            if let Some(id) = write.session.value(sql::CHAIN_BY_NAME, args![&self.0]).await? {
                return Ok(id);
            }
            let id = write.id();
            write.session.execute(sql::ADD_CHAIN, args![id, &self.0]).await?;
            Ok(id)
        }
        .boxed()
    }
}
