//! Bytes and artifact lists, each kept once, by their hash.

use super::{Arg, StoreError, Write, args, artifacts, sql};
use crate::{
    intoto::Artifacts,
    store::body::{self, Body},
};
use std::collections::HashMap;

impl Write {
    /// The id of a body; whether it is this very row, or one that was there before, is not the caller's to know.
    pub async fn body(&mut self, body: &Body) -> Result<i64, StoreError> {
        let id = self.id();
        let columns = args![id, &body.digest, body.size, body.codec.code(), body.base, &body.inline, &body.location];
        match self.session.value(sql::ADD_BLOB, columns).await? {
            Some(id) => Ok(id),
            None => self.session.one(sql::BLOB_BY_DIGEST, args![&body.digest]).await,
        }
    }

    /// The id of an artifact list; a list that is known costs one look-up, and chunks that are known one together.
    pub async fn set(&mut self, list: &Artifacts) -> Result<Option<i64>, StoreError> {
        let Some(set) = artifacts::set(list) else { return Ok(None) };
        let known: Option<i64> = self.session.value(sql::SET_BY_ROOT, args![&set.root]).await?;
        if known.is_some() {
            return Ok(known);
        }
        let id = self.id();
        self.session.execute(sql::ADD_SET, args![id, &set.root, count(set.count)]).await?;
        let chunks = self.chunks(&set.chunks).await?;
        let rows: Vec<[Arg<'_>; 2]> = chunks.iter().map(|chunk| [(*chunk).into(), id.into()]).collect();
        self.session.add_rows(&sql::ADD_SET_CHUNKS, &rows).await?;
        Ok(Some(id))
    }

    /// A chunk packed against an earlier one of the same names.
    async fn chunk_body(&mut self, chunk: &artifacts::Chunk) -> Result<Body, StoreError> {
        let earlier: Option<i64> = match chunk.names {
            Some(names) => self.session.value(sql::LATEST_OF_NAMES, args![names]).await?,
            None => None,
        };
        let keyframe = match earlier {
            Some(blob) => body::keyframe(&mut self.session, blob).await?,
            None => None,
        };
        Ok(body::small(&chunk.bytes, keyframe.as_slice()))
    }

    /// The ids of chunks, with those that are new added.
    async fn chunks(&mut self, chunks: &[artifacts::Chunk]) -> Result<Vec<i64>, StoreError> {
        let digests: Vec<Arg<'_>> = chunks.iter().map(|chunk| Arg::from(&chunk.digest)).collect();
        let known: Vec<(Vec<u8>, i64)> = self.session.rows_in(&sql::CHUNKS_BY_DIGEST, &[], &digests).await?;
        let mut ids: HashMap<Vec<u8>, i64> = known.into_iter().collect();
        let mut new = Vec::new();
        // In the order of their digests, as every transaction does: so two that add the same ones wait, but not for each other.
        let mut sorted: Vec<&artifacts::Chunk> = chunks.iter().collect();
        sorted.sort_unstable_by(|one, other| one.digest.cmp(&other.digest));
        for chunk in sorted {
            if !ids.contains_key(&chunk.digest) {
                let body = self.chunk_body(chunk).await?;
                let blob = self.body(&body).await?;
                let id = self.id();
                ids.insert(chunk.digest.clone(), id);
                new.push((id, chunk, blob));
            }
        }
        let rows: Vec<[Arg<'_>; 5]> = new
            .iter()
            .map(|(id, chunk, blob)| {
                let many = count(chunk.count);
                [(*id).into(), (&chunk.digest).into(), many.into(), chunk.names.into(), (*blob).into()]
            })
            .collect();
        self.session.add_rows(&sql::ADD_CHUNKS, &rows).await?;
        let postings: Vec<[Arg<'_>; 2]> = new
            .iter()
            .flat_map(|(id, chunk, _)| chunk.postings.iter().map(|d64| [(*d64).into(), (*id).into()]))
            .collect();
        self.session.add_rows(&sql::ADD_POSTINGS, &postings).await?;
        let mut all: Vec<i64> = chunks.iter().filter_map(|chunk| ids.get(&chunk.digest).copied()).collect();
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

pub(super) fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
