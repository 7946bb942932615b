//! A record: made where it is new, extended where it is known.

use super::{Arg, Digest, News, StoreError, Work, Write, affinity, args, artifacts, sql};
use crate::{
    intoto::Fact,
    store::{
        Kind, LayoutFacts, NewRecord, Put, RunFacts, VerifiedSignature,
        artifacts::Set,
        body::{self, Body},
        dictionary,
        failpoint::{self, Point},
        merge, read,
    },
};
use futures::{FutureExt as _, future::BoxFuture};

/// A record whose body is packed, and durable already where it is an object, and whose artifact lists are cut: what can be done before the
/// transaction is.
pub struct Recording {
    pub record: NewRecord,
    body: Body,
    inputs: Option<Set>,
    outputs: Option<Set>,
}

impl Recording {
    pub fn new(record: NewRecord, body: Body) -> Self {
        let (inputs, outputs) = (artifacts::set(&record.materials), artifacts::set(&record.products));
        Recording { record, body, inputs, outputs }
    }
}

impl Work for Recording {
    type Output = Put;

    fn affinity(&self) -> u64 {
        let record = &self.record;
        match (&record.layout, &record.run) {
            (Some(_), _) => affinity(record.chain),
            (None, Some(run)) => affinity((record.chain, run)),
            (None, None) => affinity((record.chain, record.digest.hex())),
        }
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<Put, StoreError>> {
        write.record(self).boxed()
    }
}

impl Write {
    async fn record(&mut self, recording: &Recording) -> Result<Put, StoreError> {
        let record = &recording.record;
        let name = artifacts::raw(&record.digest);
        let known = self.session.value(sql::RECORD_BY_NAME, args![&name, record.chain, &record.payload_type]).await?;
        match known {
            Some(id) if recording.body.mends => match read::envelope(&mut self.session, id).await {
                Err(StoreError::Corrupt(why)) => self.mend(id, recording, &why).await,
                // Another was faster.
                _ => self.extend(id, record).await,
            },
            Some(id) => self.extend(id, record).await,
            None => self.create(recording).await.map(|()| Put::Created),
        }
    }

    async fn create(&mut self, recording: &Recording) -> Result<(), StoreError> {
        let Recording { record, body, inputs, outputs } = recording;
        let run = self.run(record).await?;
        failpoint::reach(Point::Run);
        let inputs = self.set(inputs.as_ref()).await?;
        let outputs = self.set(outputs.as_ref()).await?;
        failpoint::reach(Point::Listed);
        let blob = self.body(body).await?;
        failpoint::reach(Point::Body);
        let (id, name) = (self.id(), artifacts::raw(&record.digest));
        let columns = args![
            id,
            record.chain,
            run,
            record.kind.code(),
            &record.step,
            &name,
            &record.payload_type,
            blob,
            inputs,
            outputs,
            record.return_code,
            record.received_at.as_microsecond(),
            &record.submitter,
            &record.predicate_type,
            record.started_at.map(|time| time.as_microsecond()),
            record.finished_at.map(|time| time.as_microsecond()),
        ];
        self.session.execute(sql::ADD_RECORD, columns).await?;
        self.session.execute(sql::ADD_RECORD_KEY, args![&name, record.chain, &record.payload_type, id]).await?;
        failpoint::reach(Point::Record);
        let signatures: Vec<&VerifiedSignature> = record.signatures.iter().collect();
        self.signatures(id, &signatures).await?;
        failpoint::reach(Point::Signed);
        if let Some(layout) = &record.layout {
            self.layout(id, record, layout).await?;
        }
        self.subjects(id, record, run).await?;
        failpoint::reach(Point::Subjects);
        self.facts(id, record).await?;
        self.announce(id, News::New);
        Ok(())
    }

    /// A known record whose bytes are damaged has those that came now. What else had signed it is to be sent again.
    async fn mend(&mut self, id: i64, recording: &Recording, why: &str) -> Result<Put, StoreError> {
        let Recording { record, body, .. } = recording;
        tracing::warn!(digest = %record.digest, why, "a damaged record is mended by one that was sent again");
        let blob = self.body_anew(body).await?;
        self.session.execute(sql::SET_RECORD_BLOB, args![id, blob]).await?;
        self.session.execute(sql::FORGET_SIGNATURES, args![id]).await?;
        let signatures: Vec<&VerifiedSignature> = record.signatures.iter().collect();
        self.signatures(id, &signatures).await?;
        self.announce(id, News::Signed);
        Ok(Put::Extended)
    }

    /// A known record gains what the write adds: signatures of further keys, subjects, the run it had not named.
    async fn extend(&mut self, id: i64, record: &NewRecord) -> Result<Put, StoreError> {
        let signers: Vec<String> = self.session.values(sql::SIGNERS, args![id]).await?;
        let new: Vec<&VerifiedSignature> =
            record.signatures.iter().filter(|signature| !signers.contains(&signature.keyid)).collect();
        if !new.is_empty() {
            let stored = read::envelope(&mut self.session, id).await?;
            let indexes: Vec<usize> = new.iter().map(|signature| signature.index).collect();
            let merged = merge::add_signatures(&stored.envelope, &record.envelope, &indexes)?;
            // What joined it is little beside what was there.
            let whole: i64 = self.session.one(sql::BLOB_OF_RECORD, args![id]).await?;
            let keyframe = body::keyframe(&mut self.session, whole).await?;
            let body = body::prepare(self.session.objects(), &merged, keyframe.as_slice()).await?;
            let blob = self.body(&body).await?;
            self.session.execute(sql::SET_RECORD_BLOB, args![id, blob]).await?;
            self.signatures(id, &new).await?;
            self.announce(id, News::Signed);
        }
        let ran = self.join_run(id, record).await?;
        let run: Option<i64> = self.session.one(sql::RUN_OF_RECORD, args![id]).await?;
        let named = self.subjects(id, record, run).await?;
        Ok(if new.is_empty() && !ran && !named { Put::Known } else { Put::Extended })
    }

    /// A record that is in no run joins the one that is named; one that is in a run stays there, and no other is made for it.
    async fn join_run(&mut self, id: i64, record: &NewRecord) -> Result<bool, StoreError> {
        let joined: Option<i64> = self.session.one(sql::RUN_OF_RECORD, args![id]).await?;
        if joined.is_some() {
            return Ok(false);
        }
        let Some(run) = self.run(record).await? else { return Ok(false) };
        if self.session.execute(sql::SET_RECORD_RUN, args![id, run]).await? == 0 {
            // Another was faster: begun anew, it finds that run.
            return Err(StoreError::Conflict);
        }
        self.session.execute(sql::SET_SUBJECTS_RUN, args![id, run]).await?;
        Ok(true)
    }

    /// The run a record names, made where it is new.
    async fn run(&mut self, record: &NewRecord) -> Result<Option<i64>, StoreError> {
        let Some(key) = &record.run else { return Ok(None) };
        let run = match self.session.value(sql::RUN_BY_KEY, args![record.chain, key]).await? {
            Some(run) => run,
            None => {
                let run = self.id();
                self.session.execute(sql::ADD_RUN, args![run, record.chain, key]).await?;
                run
            }
        };
        let facts = &record.run_facts;
        if *facts != RunFacts::default() {
            let columns = args![
                run,
                &facts.provider,
                &facts.url,
                &facts.commit_id,
                &facts.git_ref,
                &facts.trigger,
                &facts.actor,
                facts.started_at.map(|time| time.as_microsecond()),
                facts.finished_at.map(|time| time.as_microsecond()),
                facts.outcome,
            ];
            self.session.execute(sql::SET_RUN_FACTS, columns).await?;
        }
        Ok(Some(run))
    }

    async fn signatures<'s>(&mut self, id: i64, signatures: &[&'s VerifiedSignature]) -> Result<(), StoreError> {
        let keyids: Vec<&String> = signatures.iter().map(|signature| &signature.keyid).collect();
        let signers = dictionary::numbers(&mut self.session, &sql::SIGNERS_BY_KEY, &keyids).await?;
        let row = |signature: &&'s VerifiedSignature| -> Result<[Arg<'s>; 4], StoreError> {
            let signer = dictionary::number(&signers, &signature.keyid)?;
            Ok([id.into(), signer.into(), (&signature.alg).into(), (&signature.sig).into()])
        };
        let rows: Vec<[Arg<'_>; 4]> = signatures.iter().map(row).collect::<Result<_, _>>()?;
        self.session.add_rows(&sql::ADD_SIGNATURES, &rows).await.map(drop)
    }

    /// Whether any was new.
    async fn subjects(&mut self, id: i64, record: &NewRecord, run: Option<i64>) -> Result<bool, StoreError> {
        // What a statement is about is not what a link made: none of it may crowd out links.
        let about = |role: i64| if record.kind == Kind::Statement { 2 } else { role };
        let named = |role: i64, digest: &Digest| (about(role), artifacts::raw(digest));
        let produced = record.produced.iter().map(|digest| named(0, digest));
        let subjects: Vec<(i64, Vec<u8>)> =
            produced.chain(record.declared.iter().map(|digest| named(1, digest))).collect();
        let rows: Vec<[Arg<'_>; 5]> = subjects
            .iter()
            .map(|(role, digest)| [digest.into(), record.chain.into(), (*role).into(), id.into(), run.into()])
            .collect();
        let mut added = self.session.add_rows(&sql::ADD_SUBJECTS, &rows).await?;
        if record.layout.is_some() {
            let declared = subjects.iter().filter(|(role, _)| *role == 1);
            let rows: Vec<[Arg<'_>; 2]> = declared.map(|(_, digest)| [digest.into(), id.into()]).collect();
            added += self.session.add_rows(&sql::ADD_BINDINGS, &rows).await?;
        }
        Ok(added > 0)
    }

    async fn layout(&mut self, id: i64, record: &NewRecord, facts: &LayoutFacts) -> Result<(), StoreError> {
        let version: i64 = self.session.one(sql::NEXT_VERSION, args![record.chain]).await?;
        let times = (record.received_at.as_microsecond(), facts.expires.as_microsecond());
        self.session.execute(sql::ADD_LAYOUT, args![id, record.chain, version, times.0, times.1]).await?;
        let keys = &facts.keys;
        let rows: Vec<[Arg<'_>; 3]> =
            keys.iter().map(|key| [(&key.keyid).into(), (&key.alg).into(), (&key.public).into()]).collect();
        self.session.add_rows(&sql::ADD_KEYS, &rows).await?;
        let of = |owner: i64| -> Vec<[Arg<'_>; 3]> {
            keys.iter().map(|key| [owner.into(), (&key.step).into(), (&key.keyid).into()]).collect()
        };
        self.session.add_rows(&sql::ADD_LAYOUT_KEYS, &of(id)).await?;
        self.session.add_rows(&sql::ADD_GRANTS, &of(record.chain)).await.map(drop)
    }

    async fn facts(&mut self, id: i64, record: &NewRecord) -> Result<(), StoreError> {
        let names: Vec<&String> = record.facts.iter().map(|(name, _)| name).collect();
        let keys = dictionary::numbers(&mut self.session, &sql::FACT_KEYS, &names).await?;
        // A number is kept as its digits too, so that whoever asks for a value need not know which it is.
        let row = |(name, fact): (&String, &Fact)| {
            let (text, number) = match fact {
                Fact::Text(text) => (text.clone(), None),
                Fact::Number(number) => (number.to_string(), Some(*number)),
            };
            Ok((dictionary::number(&keys, name)?, text, number))
        };
        let facts: Vec<(i64, String, Option<i64>)> = record.facts.iter().map(row).collect::<Result<_, StoreError>>()?;
        let rows: Vec<[Arg<'_>; 5]> = facts
            .iter()
            .map(|(key, text, number)| [id.into(), (*key).into(), record.chain.into(), text.into(), (*number).into()])
            .collect();
        self.session.add_rows(&sql::ADD_FACTS, &rows).await.map(drop)
    }
}
