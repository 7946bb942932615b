//! What clusters report: their decisions, and by them what runs where.

use super::{
    StoreError, artifacts,
    session::Session,
    sql,
    write::{Work, Write, affinity},
};
use crate::{args, digest::Digest};
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;

/// How a cluster decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decided {
    Allowed,
    Denied,
    Warned,
    Audited,
}

impl Decided {
    const ALL: [(Decided, i64, &'static str); 4] = [
        (Decided::Allowed, 1, "allowed"),
        (Decided::Denied, 2, "denied"),
        (Decided::Warned, 3, "warned"),
        (Decided::Audited, 4, "audited"),
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(decided, _, _)| *decided == self).map_or("denied", |(_, _, word)| word)
    }

    /// The decision behind a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, _, known)| *known == word).map(|(decided, _, _)| *decided)
    }

    fn code(self) -> i64 {
        Self::ALL.iter().find(|(decided, _, _)| *decided == self).map_or(2, |(_, code, _)| *code)
    }

    fn from_code(code: i64) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == code).map(|(decided, _, _)| *decided)
    }
}

/// One decision about one image of one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The store's number for it; 0 before it is kept.
    pub id: i64,
    pub cluster: String,
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// Empty before the API server gave one.
    pub uid: String,
    /// As the workload names it.
    pub image: String,
    /// What it was found to be.
    pub digest: Option<Digest>,
    pub decided: Decided,
    pub reason: Option<String>,
    pub policy: Option<String>,
    pub at: Timestamp,
}

/// What is reported at once, mostly by one cluster: all of it is kept, or none.
pub struct Report {
    pub verdicts: Vec<Verdict>,
    pub received_at: Timestamp,
}

impl Work for Report {
    type Output = ();

    fn affinity(&self) -> u64 {
        affinity(self.verdicts.first().map(|verdict| &verdict.cluster))
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<(), StoreError>> {
        async move {
            for verdict in &self.verdicts {
                self.keep(write, verdict).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

impl Report {
    async fn keep(&self, write: &mut Write, verdict: &Verdict) -> Result<(), StoreError> {
        let id = write.id();
        let digest = verdict.digest.as_ref().map(artifacts::raw);
        let at = verdict.at.as_microsecond();
        let columns = args![
            id,
            &verdict.cluster,
            &verdict.namespace,
            &verdict.uid,
            &verdict.kind,
            &verdict.name,
            &verdict.image,
            &digest,
            verdict.decided.code(),
            &verdict.reason,
            &verdict.policy,
            at,
            self.received_at.as_microsecond(),
        ];
        write.session.execute(sql::ADD_VERDICT, columns).await?;
        // What was denied does not run, and what has no uid is not there yet.
        if let Some(digest) = digest.filter(|_| verdict.decided != Decided::Denied && !verdict.uid.is_empty()) {
            let (kind, name) = (&verdict.kind, &verdict.name);
            let columns =
                args![&verdict.cluster, &verdict.uid, &digest, &verdict.namespace, kind, name, &verdict.image, at, id];
            write.session.execute(sql::SEE_WORKLOAD, columns).await?;
        }
        Ok(())
    }
}

type Columns =
    (i64, String, String, String, String, String, String, Option<Vec<u8>>, i64, Option<String>, Option<String>, i64);

fn verdict(columns: Columns) -> Option<Verdict> {
    let (id, cluster, namespace, uid, kind, name, image, digest, decided, reason, policy, at) = columns;
    Some(Verdict {
        id,
        cluster,
        namespace,
        kind,
        name,
        uid,
        image,
        digest: digest.and_then(|digest| artifacts::sha256_of(&digest)),
        decided: Decided::from_code(decided)?,
        reason,
        policy,
        at: Timestamp::from_microsecond(at).ok()?,
    })
}

/// Which verdicts or workloads are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    Image(Digest),
    Cluster(String),
}

/// Verdicts, newest first, below the id `before`.
pub async fn verdicts(session: &mut Session, of: &Of, before: i64, limit: i64) -> Result<Vec<Verdict>, StoreError> {
    let found: Vec<Columns> = match of {
        Of::Image(digest) => {
            session.rows(sql::VERDICTS_OF_DIGEST, args![&artifacts::raw(digest), before, limit]).await?
        }
        Of::Cluster(cluster) => session.rows(sql::VERDICTS_OF_CLUSTER, args![cluster, before, limit]).await?,
    };
    Ok(found.into_iter().filter_map(verdict).collect())
}

/// An image that a workload has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub cluster: String,
    pub uid: String,
    pub digest: Digest,
    pub namespace: String,
    pub kind: String,
    pub name: String,
    pub image: String,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

/// Workloads with an image, or those of a cluster by uid and digest, after the one of `after`.
pub async fn workloads(
    session: &mut Session,
    of: &Of,
    after: &(String, Vec<u8>),
    limit: i64,
) -> Result<Vec<Workload>, StoreError> {
    type Columns = (String, String, Vec<u8>, String, String, String, String, i64, i64);
    let found: Vec<Columns> = match of {
        Of::Image(digest) => session.rows(sql::WORKLOADS_OF_DIGEST, args![&artifacts::raw(digest), limit]).await?,
        Of::Cluster(cluster) => {
            session.rows(sql::WORKLOADS_OF_CLUSTER, args![cluster, &after.0, &after.1, limit]).await?
        }
    };
    let workload = |(cluster, uid, digest, namespace, kind, name, image, first_seen, last_seen): Columns| {
        Some(Workload {
            cluster,
            uid,
            digest: artifacts::sha256_of(&digest)?,
            namespace,
            kind,
            name,
            image,
            first_seen: Timestamp::from_microsecond(first_seen).ok()?,
            last_seen: Timestamp::from_microsecond(last_seen).ok()?,
        })
    };
    Ok(found.into_iter().filter_map(workload).collect())
}
