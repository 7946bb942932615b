//! Who brought a record, kept beside it: the writer's identity as its token or certificate proved it, a second witness of the step under
//! another key than the functionary's (store §3.5). And tokens that write once.

use super::{
    Put, StoreError, artifacts, sql,
    write::{Recording, Work, Write},
};
use crate::args;
use futures::{FutureExt as _, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};

/// How long a token that was used is remembered beyond its end: clocks differ, and go back.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// Who brings a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// `token:<chain>/<writer>`, `oidc:<issuer>#<sub>` or `mtls:<SPIFFE ID>`.
    pub principal: String,
    pub issuer: Option<String>,
    pub subject: Option<String>,
    /// What the token said, as a JSON object of at most 4 KiB.
    pub claims: String,
    /// For a token that writes once.
    pub once: Option<Once>,
}

/// A token that writes one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// A hash of its issuer and its name.
    pub token: Vec<u8>,
    pub expires: Timestamp,
}

/// What a submission did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    Kept(Put),
    /// Nothing: its token has written another record.
    Replayed,
}

/// A record with who brings it.
pub struct Brought {
    pub recording: Recording,
    pub submission: Submission,
}

impl Work for Brought {
    type Output = Submitted;

    fn affinity(&self) -> u64 {
        self.recording.affinity()
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<Submitted, StoreError>> {
        self.bring(write).boxed()
    }
}

impl Brought {
    async fn bring(&self, write: &mut Write) -> Result<Submitted, StoreError> {
        let Brought { recording, submission } = self;
        let record = &recording.record;
        let name = artifacts::raw(&record.digest);
        if let Some(once) = &submission.once {
            // The same record may be sent again by whoever did not hear the answer.
            let this = [name.as_slice(), &record.chain.to_be_bytes()].concat();
            let received = record.received_at;
            let forgotten = received.saturating_sub(REMEMBERED).map_or(i64::MIN, Timestamp::as_microsecond);
            write.session.execute(sql::FORGET_TOKENS, args![forgotten]).await?;
            write.session.execute(sql::USE_TOKEN, args![&once.token, &this, once.expires.as_microsecond()]).await?;
            let used: Vec<u8> = write.session.one(sql::USE_OF_TOKEN, args![&once.token]).await?;
            if used != this {
                return Ok(Submitted::Replayed);
            }
        }
        let put = recording.run(write).await?;
        if put != Put::Known {
            let id: i64 =
                write.session.one(sql::RECORD_BY_NAME, args![&name, record.chain, &record.payload_type]).await?;
            let columns = args![
                id,
                &submission.principal,
                &submission.issuer,
                &submission.subject,
                &submission.claims,
                record.received_at.as_microsecond(),
            ];
            write.session.execute(sql::ADD_SUBMISSION, columns).await?;
        }
        Ok(Submitted::Kept(put))
    }
}
