//! The one writer. It takes what is waiting, up to a batch, into one transaction, and answers after the commit: one
//! wait for the disk serves them all.

use super::error;
use crate::{
    digest::Digest,
    intoto::Artifacts,
    store::{LayoutFacts, NewRecord, Put, StoreError, VerifiedSignature, artifacts, id::Ids, merge, sql},
};
use jiff::Timestamp;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use std::collections::BTreeSet;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Jobs of one transaction.
const BATCH_MAX: usize = 64;

/// Something to write, and whom to tell.
pub enum Job {
    Chain { name: String, answer: oneshot::Sender<Result<i64, StoreError>> },
    Record { record: Box<NewRecord>, answer: oneshot::Sender<Result<Put, StoreError>> },
}

/// A job done in a transaction that is not committed yet.
enum Done {
    Chain(oneshot::Sender<Result<i64, StoreError>>, Result<i64, StoreError>),
    Record(oneshot::Sender<Result<Put, StoreError>>, Result<Put, StoreError>),
}

impl Done {
    /// Tells the one who waits: what happened, or why nothing of the whole batch was kept.
    fn tell(self, committed: &Result<(), StoreError>) {
        // A receiver that is gone has stopped waiting; what was written stays.
        match self {
            Done::Chain(answer, result) => drop(answer.send(committed.clone().and(result))),
            Done::Record(answer, result) => drop(answer.send(committed.clone().and(result))),
        }
    }
}

/// Ids above all in the database.
pub async fn ids(connection: &mut SqliteConnection) -> Result<Ids, StoreError> {
    let last: Option<i64> = sqlx::query_scalar(sql::LAST_IDS).fetch_one(connection).await.map_err(error)?;
    let mut process = [0u8; 1];
    // Without randomness two processes on one file could make the same id; the primary key then refuses the second.
    let _ = aws_lc_rs::rand::fill(&mut process);
    Ok(Ids::new(process[0], last.unwrap_or(0)))
}

/// The writer's state.
pub struct Writer {
    options: SqliteConnectOptions,
    /// `None` after a failed transaction: a new connection has no doubt about what it is in.
    connection: Option<SqliteConnection>,
    ids: Ids,
    broken: CancellationToken,
}

impl Writer {
    pub fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        ids: Ids,
        broken: CancellationToken,
    ) -> Self {
        Writer { options, connection: Some(connection), ids, broken }
    }

    /// Writes until nobody can send any more.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while jobs.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let mut done = Vec::with_capacity(batch.len());
            let committed = if self.broken.is_cancelled() {
                Err(StoreError::Broken("an earlier write failed".into()))
            } else {
                self.write(&mut batch, &mut done).await
            };
            if let Err(StoreError::Broken(why)) = &committed {
                tracing::error!(why, "the disk failed under a write; nothing more is written");
                self.broken.cancel();
            }
            for job in batch.drain(..) {
                match job {
                    Job::Chain { answer, .. } => done.push(Done::Chain(answer, Ok(0))),
                    Job::Record { answer, .. } => done.push(Done::Record(answer, Ok(Put::Known))),
                }
            }
            for job in done {
                job.tell(&committed);
            }
        }
        if let Some(connection) = self.connection.take() {
            // Closing checkpoints the log; a failure here loses nothing that was committed.
            let _ = connection.close().await;
        }
    }

    /// One transaction. Jobs move from `batch` to `done` as they are done; what is left in `batch` when it fails was not.
    async fn write(&mut self, batch: &mut Vec<Job>, done: &mut Vec<Done>) -> Result<(), StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await.map_err(error)?,
        };
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(error)?;
        batch.reverse();
        while let Some(job) = batch.pop() {
            // A savepoint a job: one that fails takes nothing of the others with it.
            let mut savepoint = transaction.begin().await.map_err(error)?;
            let mut write = Write { connection: &mut savepoint, ids: &mut self.ids };
            match job {
                Job::Chain { name, answer } => {
                    let result = write.chain(&name).await;
                    let fatal = fatal(&result);
                    done.push(Done::Chain(answer, result));
                    fatal?;
                }
                Job::Record { record, answer } => {
                    let result = write.record(&record).await;
                    let fatal = fatal(&result);
                    done.push(Done::Record(answer, result));
                    fatal?;
                }
            }
            let failed = match done.last() {
                Some(Done::Chain(_, result)) => result.is_err(),
                Some(Done::Record(_, result)) => result.is_err(),
                None => false,
            };
            if failed {
                savepoint.rollback().await.map_err(error)?;
            } else {
                savepoint.commit().await.map_err(error)?;
            }
        }
        transaction.commit().await.map_err(error)?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// Errors after which SQLite may have ended the whole transaction by itself.
fn fatal<T>(result: &Result<T, StoreError>) -> Result<(), StoreError> {
    match result {
        Err(error @ (StoreError::Full | StoreError::Broken(_) | StoreError::Corrupt(_) | StoreError::Busy)) => {
            Err(error.clone())
        }
        _ => Ok(()),
    }
}

/// One job's statements.
struct Write<'w> {
    connection: &'w mut SqliteConnection,
    ids: &'w mut Ids,
}

impl Write<'_> {
    fn id(&mut self) -> i64 {
        self.ids.next(Timestamp::now().as_millisecond())
    }

    async fn chain(&mut self, name: &str) -> Result<i64, StoreError> {
        let id = self.id();
        sqlx::query(sql::ADD_CHAIN).bind(id).bind(name).execute(&mut *self.connection).await.map_err(error)?;
        sqlx::query_scalar(sql::CHAIN_BY_NAME).bind(name).fetch_one(&mut *self.connection).await.map_err(error)
    }

    async fn record(&mut self, record: &NewRecord) -> Result<Put, StoreError> {
        let known: Option<i64> = sqlx::query_scalar(sql::RECORD_BY_NAME)
            .bind(artifacts::raw(&record.digest))
            .bind(record.chain)
            .bind(&record.payload_type)
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(error)?;
        match known {
            Some(id) => self.extend(id, record).await,
            None => self.create(record).await.map(|()| Put::Created),
        }
    }

    async fn create(&mut self, record: &NewRecord) -> Result<(), StoreError> {
        let run = self.run(record).await?;
        let inputs = self.set(&record.materials).await?;
        let outputs = self.set(&record.products).await?;
        let blob = self.blob(&record.envelope).await?;
        let id = self.id();
        sqlx::query(sql::ADD_RECORD)
            .bind(id)
            .bind(record.chain)
            .bind(run)
            .bind(record.kind.code())
            .bind(&record.step)
            .bind(artifacts::raw(&record.digest))
            .bind(&record.payload_type)
            .bind(blob)
            .bind(inputs)
            .bind(outputs)
            .bind(record.return_code)
            .bind(record.received_at.as_microsecond())
            .bind(&record.submitter)
            .execute(&mut *self.connection)
            .await
            .map_err(error)?;
        sqlx::query(sql::ADD_RECORD_KEY)
            .bind(artifacts::raw(&record.digest))
            .bind(record.chain)
            .bind(&record.payload_type)
            .bind(id)
            .execute(&mut *self.connection)
            .await
            .map_err(error)?;
        for signature in &record.signatures {
            self.signature(id, signature).await?;
        }
        if let Some(facts) = &record.layout {
            self.layout(id, record, facts).await?;
        }
        self.subjects(id, record, run).await?;
        Ok(())
    }

    /// A known record gains what the write adds: signatures of further keys, subjects, the run it had not named.
    async fn extend(&mut self, id: i64, record: &NewRecord) -> Result<Put, StoreError> {
        let signers: Vec<String> =
            sqlx::query_scalar(sql::SIGNERS).bind(id).fetch_all(&mut *self.connection).await.map_err(error)?;
        let new: Vec<&VerifiedSignature> =
            record.signatures.iter().filter(|signature| !signers.contains(&signature.keyid)).collect();
        if !new.is_empty() {
            let stored = super::read::envelope(self.connection, id).await?;
            let indexes: Vec<usize> = new.iter().map(|signature| signature.index).collect();
            let merged = merge::add_signatures(&stored.envelope, &record.envelope, &indexes)
                .ok_or_else(|| StoreError::Corrupt(format!("record {} has no list of signatures", record.digest)))?;
            let blob = self.blob(&merged).await?;
            sqlx::query(sql::SET_RECORD_BLOB)
                .bind(id)
                .bind(blob)
                .execute(&mut *self.connection)
                .await
                .map_err(error)?;
            for signature in &new {
                self.signature(id, signature).await?;
            }
        }
        let ran = self.join_run(id, record).await?;
        let run: Option<i64> =
            sqlx::query_scalar(sql::RUN_OF_RECORD).bind(id).fetch_one(&mut *self.connection).await.map_err(error)?;
        let named = self.subjects(id, record, run).await?;
        Ok(if new.is_empty() && !ran && !named { Put::Known } else { Put::Extended })
    }

    async fn join_run(&mut self, id: i64, record: &NewRecord) -> Result<bool, StoreError> {
        let Some(run) = self.run(record).await? else { return Ok(false) };
        let joined = sqlx::query(sql::SET_RECORD_RUN)
            .bind(id)
            .bind(run)
            .execute(&mut *self.connection)
            .await
            .map_err(error)?
            .rows_affected()
            > 0;
        if joined {
            for digest in record.produced.union(&record.declared) {
                sqlx::query(sql::SET_SUBJECT_RUN)
                    .bind(artifacts::raw(digest))
                    .bind(record.chain)
                    .bind(id)
                    .bind(run)
                    .execute(&mut *self.connection)
                    .await
                    .map_err(error)?;
            }
        }
        Ok(joined)
    }

    async fn run(&mut self, record: &NewRecord) -> Result<Option<i64>, StoreError> {
        let Some(key) = &record.run else { return Ok(None) };
        let id = self.id();
        sqlx::query(sql::ADD_RUN)
            .bind(id)
            .bind(record.chain)
            .bind(key)
            .execute(&mut *self.connection)
            .await
            .map_err(error)?;
        let found = sqlx::query_scalar(sql::RUN_BY_KEY).bind(record.chain).bind(key);
        found.fetch_one(&mut *self.connection).await.map(Some).map_err(error)
    }

    async fn signature(&mut self, id: i64, signature: &VerifiedSignature) -> Result<(), StoreError> {
        sqlx::query(sql::ADD_SIGNATURE)
            .bind(id)
            .bind(&signature.keyid)
            .bind(&signature.alg)
            .bind(&signature.sig)
            .execute(&mut *self.connection)
            .await
            .map_err(error)?;
        Ok(())
    }

    /// Whether any was new.
    async fn subjects(&mut self, id: i64, record: &NewRecord, run: Option<i64>) -> Result<bool, StoreError> {
        let mut added = 0;
        for (role, digests) in [(0i64, &record.produced), (1, &record.declared)] {
            added += self.subjects_as(role, digests, id, record.chain, run).await?;
        }
        if record.layout.is_some() {
            for digest in &record.declared {
                let binding = sqlx::query(sql::ADD_BINDING).bind(artifacts::raw(digest)).bind(id);
                added += binding.execute(&mut *self.connection).await.map_err(error)?.rows_affected();
            }
        }
        Ok(added > 0)
    }

    async fn subjects_as(
        &mut self,
        role: i64,
        digests: &BTreeSet<Digest>,
        id: i64,
        chain: i64,
        run: Option<i64>,
    ) -> Result<u64, StoreError> {
        let mut added = 0;
        for digest in digests {
            added += sqlx::query(sql::ADD_SUBJECT)
                .bind(artifacts::raw(digest))
                .bind(chain)
                .bind(role)
                .bind(id)
                .bind(run)
                .execute(&mut *self.connection)
                .await
                .map_err(error)?
                .rows_affected();
        }
        Ok(added)
    }

    async fn layout(&mut self, id: i64, record: &NewRecord, facts: &LayoutFacts) -> Result<(), StoreError> {
        let version: i64 = sqlx::query_scalar(sql::NEXT_VERSION)
            .bind(record.chain)
            .fetch_one(&mut *self.connection)
            .await
            .map_err(error)?;
        sqlx::query(sql::ADD_LAYOUT)
            .bind(id)
            .bind(record.chain)
            .bind(version)
            .bind(record.received_at.as_microsecond())
            .bind(facts.expires.as_microsecond())
            .execute(&mut *self.connection)
            .await
            .map_err(error)?;
        for key in &facts.keys {
            let connection = &mut *self.connection;
            let add = sqlx::query(sql::ADD_KEY).bind(&key.keyid).bind(&key.alg).bind(&key.public);
            add.execute(&mut *connection).await.map_err(error)?;
            let add = sqlx::query(sql::ADD_LAYOUT_KEY).bind(id).bind(&key.step).bind(&key.keyid);
            add.execute(&mut *connection).await.map_err(error)?;
            let add = sqlx::query(sql::ADD_GRANT).bind(record.chain).bind(&key.step).bind(&key.keyid);
            add.execute(&mut *connection).await.map_err(error)?;
        }
        Ok(())
    }

    /// The id of these bytes, kept once.
    async fn blob(&mut self, bytes: &[u8]) -> Result<i64, StoreError> {
        let digest = artifacts::raw(&Digest::sha256(bytes));
        let id = self.id();
        sqlx::query(sql::ADD_BLOB)
            .bind(id)
            .bind(&digest)
            .bind(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .bind(bytes)
            .execute(&mut *self.connection)
            .await
            .map_err(error)?;
        sqlx::query_scalar(sql::BLOB_BY_DIGEST).bind(&digest).fetch_one(&mut *self.connection).await.map_err(error)
    }

    /// The id of an artifact list; chunks that are known cost one look-up.
    async fn set(&mut self, list: &Artifacts) -> Result<Option<i64>, StoreError> {
        let Some(set) = artifacts::set(list) else { return Ok(None) };
        let known: Option<i64> = sqlx::query_scalar(sql::SET_BY_ROOT)
            .bind(&set.root)
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(error)?;
        if known.is_some() {
            return Ok(known);
        }
        let id = self.id();
        sqlx::query(sql::ADD_SET)
            .bind(id)
            .bind(&set.root)
            .bind(count(set.count))
            .execute(&mut *self.connection)
            .await
            .map_err(error)?;
        for chunk in &set.chunks {
            let chunk_id = self.chunk(chunk).await?;
            let add = sqlx::query(sql::ADD_SET_CHUNK).bind(chunk_id).bind(id);
            add.execute(&mut *self.connection).await.map_err(error)?;
        }
        Ok(Some(id))
    }

    async fn chunk(&mut self, chunk: &artifacts::Chunk) -> Result<i64, StoreError> {
        let known: Option<i64> = sqlx::query_scalar(sql::CHUNK_BY_DIGEST)
            .bind(&chunk.digest)
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(error)?;
        if let Some(id) = known {
            return Ok(id);
        }
        let blob = self.blob(&chunk.bytes).await?;
        let id = self.id();
        sqlx::query(sql::ADD_CHUNK)
            .bind(id)
            .bind(&chunk.digest)
            .bind(count(chunk.count))
            .bind(blob)
            .execute(&mut *self.connection)
            .await
            .map_err(error)?;
        let postings: Vec<i64> = chunk.postings.iter().copied().collect();
        let batches = postings.chunks_exact(sql::BATCH);
        for one in batches.remainder() {
            let add = sqlx::query(sql::ADD_POSTING).bind(one).bind(id);
            add.execute(&mut *self.connection).await.map_err(error)?;
        }
        for batch in batches {
            let add = batch.iter().fold(sqlx::query(sql::ADD_POSTINGS).bind(id), |add, one| add.bind(*one));
            add.execute(&mut *self.connection).await.map_err(error)?;
        }
        Ok(id)
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
