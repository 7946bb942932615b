//! Bytes and artifact lists, each kept once, by their hash.

use super::{Arg, StoreError, Write, args, artifacts, sql};
use crate::store::{
    body::{self, Body},
    family::{self, Found},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

impl Write {
    /// The id of a body; whether it is this very row, or one that was there before, is not the caller's to know.
    pub async fn body(&mut self, body: &Body) -> Result<i64, StoreError> {
        let id = self.bodies(std::slice::from_ref(body)).await?.pop();
        id.ok_or_else(|| StoreError::Database("a body that was written has no row".into()))
    }

    /// The same, for bytes whose row may be damaged: it is written over.
    pub async fn body_anew(&mut self, body: &Body) -> Result<i64, StoreError> {
        let [_, digest, size, codec, base, inline, location] = columns(0, body);
        self.session.execute(sql::MEND_BLOB, &[digest, size, codec, base, inline, location]).await?;
        self.body(body).await
    }

    /// The ids of bodies, in their order.
    async fn bodies(&mut self, bodies: &[Body]) -> Result<Vec<i64>, StoreError> {
        let new: Vec<(i64, &Body)> = bodies.iter().map(|body| (self.id(), body)).collect();
        let rows: Vec<[Arg<'_>; 7]> = new.iter().map(|(id, body)| columns(*id, body)).collect();
        let mut ids: HashMap<Vec<u8>, i64> = new.iter().map(|(id, body)| (body.digest.clone(), *id)).collect();
        if self.session.add_rows(&sql::ADD_BLOBS, &rows).await? < rows.len() as u64 {
            let digests: Vec<Arg<'_>> = bodies.iter().map(|body| Arg::from(&body.digest)).collect();
            ids.extend(self.session.rows_in::<(Vec<u8>, i64)>(&sql::BLOBS_BY_DIGEST, &[], &digests).await?);
        }
        Ok(bodies.iter().filter_map(|body| ids.get(&body.digest).copied()).collect())
    }

    /// The id of an artifact list; a list that is known costs one look-up, and chunks that are known one together.
    pub async fn set(&mut self, set: Option<&artifacts::Set>) -> Result<Option<i64>, StoreError> {
        let Some(set) = set else { return Ok(None) };
        let known: Option<i64> = self.session.value(sql::SET_BY_ROOT, args![&set.root]).await?;
        if known.is_some() {
            return Ok(known);
        }
        let id = self.id();
        if self.session.execute(sql::ADD_SET, args![id, &set.root, count(set.count)]).await? == 0 {
            // Another transaction was faster.
            return self.session.value(sql::SET_BY_ROOT, args![&set.root]).await;
        }
        let chunks = self.chunks(&set.chunks).await?;
        let rows: Vec<[Arg<'_>; 2]> = chunks.iter().map(|chunk| [(*chunk).into(), id.into()]).collect();
        self.session.add_rows(&sql::ADD_SET_CHUNKS, &rows).await?;
        Ok(Some(id))
    }

    /// The ids of the blobs of new chunks, each packed against an earlier one of the same names, and how each is found.
    async fn chunk_bodies(&mut self, chunks: &[&artifacts::Chunk]) -> Result<Vec<(i64, Found)>, StoreError> {
        let names: BTreeSet<i64> = chunks.iter().filter_map(|chunk| chunk.names).collect();
        let names: Vec<i64> = names.into_iter().collect();
        let mut families = family::of_names(&mut self.session, &names).await?;
        let mut postings = HashMap::<i64, Option<BTreeSet<i64>>>::new();
        let (mut bodies, mut found) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let family = chunk.names.and_then(|names| families.get_mut(&names)).filter(|family| family.room > 0);
            let keyframe = family.as_ref().map(|family| std::slice::from_ref(&family.keyframe));
            let body = body::small(&chunk.bytes, keyframe.unwrap_or_default());
            found.push(match family.filter(|_| body.base.is_some()) {
                None => Found::alone(chunk.postings.clone()),
                Some(family) => {
                    family.room -= 1;
                    match postings.entry(family.chunk).or_insert_with(|| family.postings()) {
                        Some(theirs) => Found::beside(family.chunk, theirs, &chunk.postings),
                        None => Found::alone(chunk.postings.clone()),
                    }
                }
            });
            bodies.push(body);
        }
        Ok(self.bodies(&bodies).await?.into_iter().zip(found).collect())
    }

    /// The ids of chunks, with those that are new added.
    async fn chunks(&mut self, chunks: &[artifacts::Chunk]) -> Result<BTreeSet<i64>, StoreError> {
        let digests: Vec<Arg<'_>> = chunks.iter().map(|chunk| Arg::from(&chunk.digest)).collect();
        let known: Vec<(Vec<u8>, i64)> = self.session.rows_in(&sql::CHUNKS_BY_DIGEST, &[], &digests).await?;
        let mut ids: HashMap<Vec<u8>, i64> = known.into_iter().collect();
        // In the order of their digests, as every transaction does: so two that add the same ones wait, but not for each other.
        let new = chunks.iter().filter(|chunk| !ids.contains_key(&chunk.digest)).map(|chunk| (&chunk.digest, chunk));
        let new: BTreeMap<&Vec<u8>, &artifacts::Chunk> = new.collect();
        ids.extend(self.new_chunks(new.into_values().collect()).await?);
        Ok(chunks.iter().filter_map(|chunk| ids.get(&chunk.digest).copied()).collect())
    }

    async fn new_chunks(&mut self, chunks: Vec<&artifacts::Chunk>) -> Result<HashMap<Vec<u8>, i64>, StoreError> {
        let bodies = self.chunk_bodies(&chunks).await?;
        let chunks: Vec<(i64, &artifacts::Chunk, i64, Found)> =
            chunks.into_iter().zip(bodies).map(|(chunk, (blob, found))| (self.id(), chunk, blob, found)).collect();
        let rows: Vec<[Arg<'_>; 7]> = chunks
            .iter()
            .map(|(id, chunk, blob, found)| {
                *args![*id, &chunk.digest, count(chunk.count), chunk.names, *blob, found.base, &found.lacks]
            })
            .collect();
        let mut ids: HashMap<Vec<u8>, i64> = chunks.iter().map(|(id, chunk, ..)| (chunk.digest.clone(), *id)).collect();
        if self.session.add_rows(&sql::ADD_CHUNKS, &rows).await? < rows.len() as u64 {
            // Another transaction was faster with some of them: those are its own to post.
            let digests: Vec<Arg<'_>> = chunks.iter().map(|(_, chunk, ..)| Arg::from(&chunk.digest)).collect();
            ids.extend(self.session.rows_in::<(Vec<u8>, i64)>(&sql::CHUNKS_BY_DIGEST, &[], &digests).await?);
        }
        let ours = chunks.iter().filter(|(id, chunk, ..)| ids.get(&chunk.digest) == Some(id));
        let postings: Vec<[Arg<'_>; 2]> =
            ours.flat_map(|(id, .., found)| found.postings.iter().map(|d64| *args![*d64, *id])).collect();
        self.session.add_rows(&sql::ADD_POSTINGS, &postings).await?;
        Ok(ids)
    }
}

/// A row of `blob`.
fn columns(id: i64, body: &Body) -> [Arg<'_>; 7] {
    let codec = body.codec.code();
    let [inline, location] = body.packed.columns();
    let [id, digest, size, codec, base] = *args![id, &body.digest, body.size, codec, body.base];
    [id, digest, size, codec, base, inline, location]
}

pub(super) fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
