//! Verdicts are reports and no evidence: those of long ago may be forgotten, and with each the workload that nothing newer was said of.

use super::{
    Database, StoreError, id, sql,
    write::{Work, Write},
};
use crate::args;
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;

/// All of it is done by one writer of the database, in order.
const AFFINITY: u64 = 0x666f_7267;

impl Database {
    /// Forgets a piece of the verdicts that came before then, the oldest first. How many there were; none, when all are forgotten.
    ///
    /// # Errors
    /// The database.
    pub async fn forget_verdicts(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(Forget { before }).await
    }
}

struct Forget {
    before: Timestamp,
}

impl Work for Forget {
    type Output = u64;

    fn affinity(&self) -> u64 {
        AFFINITY
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<u64, StoreError>> {
        async move {
            let before = id::first_at(self.before.as_millisecond());
            let last: Option<i64> = write.session.value(sql::LAST_OF_PIECE, args![before]).await?;
            let end = last.map_or(before, |last| last + 1);
            write.session.execute(sql::FORGET_WORKLOADS, args![end]).await?;
            write.session.execute(sql::FORGET_VERDICTS, args![end]).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        store::{
            database,
            databases::{On, Place, on_both},
            verdicts::{self, Decided, Of, Report, Verdict},
        },
    };
    use std::time::Duration;

    on_both!(verdicts_of_long_ago_are_forgotten_and_others_are_not);

    fn verdict(uid: &str, at: Timestamp) -> Verdict {
        Verdict {
            id: 0,
            cluster: "prod".into(),
            namespace: "shop".into(),
            kind: "Deployment".into(),
            name: "api".into(),
            uid: uid.into(),
            image: "registry.example.com/shop/api:1".into(),
            digest: Some(Digest::sha256(b"image")),
            decided: Decided::Allowed,
            reason: None,
            policy: None,
            at,
        }
    }

    async fn verdicts_of_long_ago_are_forgotten_and_others_are_not(on: On) {
        let place = Place::new(on);
        let store = database::Database::open(database::Options::at(place.url.parse().unwrap())).await.unwrap();
        let report = async |verdicts: Vec<Verdict>| {
            store.write(Report { verdicts, received_at: Timestamp::now() }).await.unwrap();
        };
        let start = Timestamp::now();
        // More than a piece; of the first, more is told later.
        let early = (0..600).map(|number| verdict(&format!("early-{number}"), start));
        report(early.chain([verdict("lasting", start)]).collect()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let between = Timestamp::now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        report(vec![verdict("lasting", between), verdict("late", between)]).await;

        assert_eq!(
            store.forget_verdicts(start - jiff::SignedDuration::from_hours(1)).await.unwrap(),
            0,
            "none is so old"
        );
        let pieces = async || store.forget_verdicts(between).await.unwrap();
        assert_eq!([pieces().await, pieces().await, pieces().await], [500, 101, 0]);
        let mut session = store.read().await.unwrap();
        let of = Of::Cluster("prod".into());
        let left = verdicts::verdicts(&mut session, &of, i64::MAX, 1_000).await.unwrap();
        assert_eq!(left.iter().map(|verdict| verdict.uid.as_str()).collect::<Vec<_>>(), ["late", "lasting"]);
        let seen = verdicts::workloads(&mut session, &of, &(String::new(), Vec::new()), 1_000).await.unwrap();
        assert_eq!(seen.iter().map(|workload| workload.uid.as_str()).collect::<Vec<_>>(), ["lasting", "late"]);
    }
}
