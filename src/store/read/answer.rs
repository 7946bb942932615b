//! An answer that is being put together, within its limits.

use crate::store::{
    Evidence, EvidenceLimits, Found, Kind, StoreError, body,
    session::{Arg, Session},
    sql,
};
use std::collections::HashMap;

/// Bytes of the envelopes that one statement asks for; each may come with a keyframe of about its size.
const BYTES_AT_ONCE: usize = 4 << 20;

/// What there is, and how much room is left.
pub struct Answer {
    pub evidence: Evidence,
    bytes: usize,
    /// The chain that is read may bring them up to this.
    bytes_until: usize,
    limits: EvidenceLimits,
}

impl Answer {
    pub fn new(limits: EvidenceLimits) -> Self {
        Answer { evidence: Evidence::default(), bytes: 0, bytes_until: 0, limits }
    }

    /// Another chain, and with it so many that are still to come: what is left is theirs in equal parts. A writer of one chain may name
    /// any image, and must not crowd out what the image's own chain knows of it.
    pub fn next_chain(&mut self, left: usize) {
        self.bytes_until = self.bytes + self.limits.bytes_max.saturating_sub(self.bytes) / left.max(1);
    }

    /// Adds records while there is room; sizes are asked before bytes are read.
    pub async fn add(&mut self, session: &mut Session, ids: &[i64]) -> Result<(), StoreError> {
        let all = self.add_some(session, ids, usize::MAX).await?;
        self.evidence.truncated |= !all;
        Ok(())
    }

    /// Adds those that fit and have at most so many bytes; whether it was all of them.
    pub async fn add_some(&mut self, session: &mut Session, ids: &[i64], bytes_max: usize) -> Result<bool, StoreError> {
        let list: Vec<Arg<'_>> = ids.iter().map(|id| (*id).into()).collect();
        let sizes: Vec<(i64, i64)> = session.rows_in(&sql::ENVELOPE_SIZES, &[], &list).await?;
        let sizes: HashMap<i64, i64> = sizes.into_iter().collect();
        let (mut chosen, mut at_once) = (Vec::new(), 0usize);
        let mut all = true;
        for id in ids {
            let size = sizes.get(id).ok_or_else(|| StoreError::Corrupt(format!("record {id} has no envelope")))?;
            let size = usize::try_from(*size).unwrap_or(usize::MAX);
            let records = self.evidence.records.len() + chosen.len();
            let bytes = self.bytes.saturating_add(size);
            if size > bytes_max || bytes > self.bytes_until || records >= self.limits.records_max {
                all = false;
                continue;
            }
            self.bytes = bytes;
            if at_once + size > BYTES_AT_ONCE {
                self.evidence.records.extend(envelopes(session, &chosen).await?);
                (chosen, at_once) = (Vec::new(), 0);
            }
            chosen.push(*id);
            at_once += size;
        }
        self.evidence.records.extend(envelopes(session, &chosen).await?);
        Ok(all)
    }
}

/// Of `ENVELOPES`: id, chain, payload digest, kind and step, then a `BlobColumns`.
type EnvelopeColumns = (
    i64,
    i64,
    Vec<u8>,
    i64,
    Option<String>,
    Vec<u8>,
    i64,
    i64,
    Option<Vec<u8>>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<String>,
);

/// The records as they are given out, in this order; their bytes are those that were written, or it is an error (security §4.3 F11).
pub async fn envelopes(session: &mut Session, ids: &[i64]) -> Result<Vec<Found>, StoreError> {
    let list: Vec<Arg<'_>> = ids.iter().map(|id| (*id).into()).collect();
    let rows: Vec<EnvelopeColumns> = session.rows_in(&sql::ENVELOPES, &[], &list).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        found.insert(row.0, open(session, row).await?);
    }
    let of = |id: &i64| found.remove(id).ok_or_else(|| StoreError::Corrupt(format!("record {id} has no envelope")));
    ids.iter().map(of).collect()
}

async fn open(session: &Session, row: EnvelopeColumns) -> Result<Found, StoreError> {
    let (id, chain, payload_digest, kind, step, digest, codec, size, inline, location, k1, k2, k3, k4) = row;
    let corrupt = |what: &str| StoreError::Corrupt(format!("record {id} {what}"));
    let blob = (digest, codec, size, inline, location, k1, k2, k3, k4);
    let envelope = body::bytes(session, blob, &format!("record {id}")).await?;
    let name = format!("sha256:{}", hex::encode(payload_digest));
    Ok(Found {
        chain,
        digest: name.parse().map_err(|_| corrupt("has no name"))?,
        kind: Kind::from_code(kind).ok_or_else(|| corrupt("is of no kind"))?,
        step,
        envelope,
    })
}
