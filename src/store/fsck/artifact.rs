//! Artifact lists: a chunk is the directory it is named after and found by each of its digests; a list is that of the link which has it.

use super::{Fault, Look, PAGE, hash};
use crate::{
    args,
    intoto::Artifacts,
    store::{StoreError, artifacts, family::Found, sql},
};
use std::collections::BTreeSet;

/// Id, digest, number of artifacts, blob, and the chunk it is a difference to with what it lacks of that.
type ChunkColumns = (i64, Vec<u8>, i64, i64, Option<i64>, Option<Vec<u8>>);

/// A list that was looked at.
pub struct List {
    root: Vec<u8>,
    /// Whether its chunks were those of a link with that root; what is wrong otherwise.
    detail: Option<String>,
}

impl Look<'_> {
    /// Every chunk.
    pub(super) async fn chunks(&mut self) -> Result<(), StoreError> {
        let mut after = 0i64;
        loop {
            let page: Vec<ChunkColumns> = self.session.rows(sql::CHUNKS_AFTER, args![after, PAGE]).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.0;
            for row in page {
                let what = format!("chunk {}", super::name(&row.1));
                if let Err((fault, detail)) = self.chunk(row).await? {
                    self.damaged(fault, what, detail);
                }
                self.report.chunks += 1;
            }
            self.progress("chunks", self.report.chunks);
        }
    }

    async fn chunk(&mut self, row: ChunkColumns) -> Result<Result<(), (Fault, String)>, StoreError> {
        let (id, digest, count, blob, base, lacks) = row;
        let bytes = match self.body(blob, &format!("chunk {id}")).await? {
            Ok(bytes) => bytes,
            Err(fault) => return Ok(Err(fault)),
        };
        let damaged = |detail: &str| Ok(Err((Fault::ChunkDamaged, detail.to_owned())));
        if hash(&bytes) != digest {
            return damaged("is another directory's");
        }
        let Some((entries, postings)) = artifacts::entries(&bytes) else { return damaged("is no list") };
        if i64::try_from(entries) != Ok(count) {
            return damaged("has another number of artifacts than its row says");
        }
        let expected = match base {
            None => Found::alone(postings),
            Some(base) => match self.postings(base).await? {
                Some(theirs) => Found::beside(base, &theirs, &postings),
                None => return damaged("is in the family of no chunk that can be read"),
            },
        };
        if lacks != expected.lacks {
            return damaged("lacks other digests than its row says");
        }
        for posting in expected.postings {
            let found: Option<i64> = self.session.value(sql::POSTING, args![posting, id]).await?;
            if found.is_none() {
                return damaged("is not found by every digest in it");
            }
        }
        Ok(Ok(()))
    }

    /// What a chunk that is kept whole is posted by; `None` where there is none that can be read.
    async fn postings(&mut self, chunk: i64) -> Result<Option<BTreeSet<i64>>, StoreError> {
        let Some(blob) = self.session.value(sql::BASE, args![chunk]).await? else { return Ok(None) };
        let bytes = self.body(blob, &format!("chunk {chunk}")).await?.ok();
        Ok(bytes.and_then(|bytes| artifacts::entries(&bytes)).map(|(_, postings)| postings))
    }

    /// What is wrong with the list that a link has under this id.
    pub(super) async fn list(&mut self, list: &Artifacts, id: Option<i64>) -> Result<Option<String>, StoreError> {
        let (set, id) = match (artifacts::set(list), id) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Ok(Some("is missing".into())),
            (None, Some(_)) => return Ok(Some("is of another link".into())),
            (Some(set), Some(id)) => (set, id),
        };
        if let Some(known) = self.lists.get(&id) {
            let same = known.root == set.root;
            return Ok(if same { known.detail.clone() } else { Some("is of another link".into()) });
        }
        let row: Option<(Vec<u8>, i64)> = self.session.row(sql::SET, args![id]).await?;
        let detail = match row {
            None => Some("is missing".to_owned()),
            Some((root, _)) if root != set.root => Some("is of another link".to_owned()),
            Some((_, count)) if i64::try_from(set.count) != Ok(count) => {
                Some("has another number of artifacts".to_owned())
            }
            Some(_) => {
                let found: Vec<Vec<u8>> = self.session.values(sql::CHUNK_DIGESTS_OF_SET, args![id]).await?;
                let found: BTreeSet<Vec<u8>> = found.into_iter().collect();
                let expected: BTreeSet<Vec<u8>> = set.chunks.iter().map(|chunk| chunk.digest.clone()).collect();
                (found != expected).then(|| "has other directories".to_owned())
            }
        };
        self.lists.insert(id, List { root: set.root, detail: detail.clone() });
        Ok(detail)
    }
}
