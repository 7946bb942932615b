//! Searching records by any combination of filters, newest first, in pages whose cost is bounded.
//!
//! Every filter has an index that gives its records newest first. The one whose newest records reach furthest back is the most selective
//! near where the page begins: it leads, and the others are asked about the records it gives. A page looks at a bounded number of records;
//! one that ends before it is full says where to go on.

use super::{
    Kind, StoreError, artifacts, id,
    records::{self, Row},
    session::{Arg, Session},
    sql,
};
use crate::{args, digest::Digest};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Records that a leading filter gives at once.
const BATCH: usize = 256;
/// Records that one page looks at, of all chains together; of each chain at least one batch.
const EXAMINED_MAX: usize = 16 * 1_024;

/// What is looked for; all that is named must hold of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// An image it is about.
    pub digest: Option<Digest>,
    /// The run, by its key.
    pub run: Option<String>,
    /// A key that signed it, by its id.
    pub key: Option<String>,
    pub step: Option<String>,
    pub predicate_type: Option<String>,
    pub kind: Option<Kind>,
    pub facts: Vec<(String, Is)>,
    /// Received not before, and before.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// What a fact must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Is {
    /// A number as its digits.
    Text(String),
    /// A number from and to, both included.
    Between(i64, i64),
}

/// Some of the records, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// Where the next page begins: below this id. `None`: there is no more.
    pub next: Option<i64>,
}

/// A page of records of these chains below the id `before`, at most `limit`.
pub async fn search(
    session: &mut Session,
    filter: &Filter,
    chains: &BTreeSet<i64>,
    before: Option<i64>,
    limit: usize,
) -> Result<Page, StoreError> {
    let mut floor = filter.since.map_or(0, |time| id::first_at(time.as_millisecond()));
    let until = filter.until.map_or(i64::MAX, |time| id::first_at(time.as_millisecond()));
    let before = before.unwrap_or(i64::MAX).min(until);
    let mut page = Page::default();
    let Some(terms) = terms(session, filter).await? else { return Ok(page) };
    let mut budget = EXAMINED_MAX;
    for chain in chains {
        let Some(terms) = of_chain(session, *chain, &terms).await? else { continue };
        let mut look = Look { session: &mut *session, chain: *chain, before, floor, budget: &mut budget };
        let (rows, looked_to) = look.page(&terms, limit).await?;
        page.rows.extend(rows);
        page.rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
        page.rows.truncate(limit);
        // What is older than what one chain was looked through to is for the next page, of every chain.
        let full = page.rows.get(limit.saturating_sub(1)).map(|row| row.id);
        for to in [looked_to, full].into_iter().flatten() {
            floor = floor.max(to);
            page.next = Some(floor);
        }
    }
    page.rows.retain(|row| row.id >= floor);
    Ok(page)
}

/// A filter with the names in it looked up.
#[derive(Clone, Debug)]
enum Term {
    Digest(Vec<u8>),
    /// By its key; each chain has runs of its own.
    RunNamed(String),
    Run(i64),
    Key(String),
    Text(i64, String),
    Between(i64, i64, i64),
    Predicate(String),
    Step(String),
    Kind(Kind),
}

/// The filters that were named; `None` when no record can have them.
async fn terms(session: &mut Session, filter: &Filter) -> Result<Option<Vec<Term>>, StoreError> {
    let mut terms = Vec::new();
    terms.extend(filter.digest.as_ref().map(|digest| Term::Digest(artifacts::raw(digest))));
    terms.extend(filter.run.clone().map(Term::RunNamed));
    terms.extend(filter.key.clone().map(Term::Key));
    for (name, is) in &filter.facts {
        let Some(key) = session.value(sql::FACT_KEY, args![name]).await? else { return Ok(None) };
        terms.push(match is {
            Is::Text(text) => Term::Text(key, text.clone()),
            Is::Between(from, to) => Term::Between(key, *from, *to),
        });
    }
    terms.extend(filter.predicate_type.clone().map(Term::Predicate));
    terms.extend(filter.step.clone().map(Term::Step));
    terms.extend(filter.kind.map(Term::Kind));
    Ok(Some(terms))
}

/// The same for one chain; `None` when it has no such run.
async fn of_chain(session: &mut Session, chain: i64, terms: &[Term]) -> Result<Option<Vec<Term>>, StoreError> {
    let mut here = Vec::with_capacity(terms.len());
    for term in terms {
        let term = match term {
            Term::RunNamed(key) => match session.value(sql::RUN_BY_KEY, args![chain, key]).await? {
                Some(run) => Term::Run(run),
                None => return Ok(None),
            },
            term => term.clone(),
        };
        here.push(term);
    }
    Ok(Some(here))
}

/// The part of a page that is one chain's.
struct Look<'l> {
    session: &'l mut Session,
    chain: i64,
    before: i64,
    floor: i64,
    budget: &'l mut usize,
}

impl Look<'_> {
    /// Records with all terms, and the id down to which they are all; `None`: there are no more.
    async fn page(&mut self, terms: &[Term], limit: usize) -> Result<(Vec<Row>, Option<i64>), StoreError> {
        let (leader, mut batch) = self.leader(terms).await?;
        let mut found = Vec::new();
        loop {
            let last = batch.last().copied();
            for row in self.having(&batch, terms, leader).await? {
                let id = row.id;
                found.push(row);
                if found.len() >= limit {
                    return Ok((found, Some(id)));
                }
            }
            *self.budget = self.budget.saturating_sub(batch.len());
            let Some(last) = last.filter(|_| batch.len() >= BATCH) else { return Ok((found, None)) };
            if *self.budget == 0 {
                return Ok((found, Some(last)));
            }
            batch = self.ids(leader.and_then(|leader| terms.get(leader)), last).await?;
        }
    }

    /// The term that leads, and its first records; without terms, the chain's.
    async fn leader(&mut self, terms: &[Term]) -> Result<(Option<usize>, Vec<i64>), StoreError> {
        let mut best: Option<(usize, Vec<i64>)> = None;
        for (at, term) in terms.iter().enumerate().filter(|(_, term)| term.leads()) {
            let ids = self.ids(Some(term), self.before).await?;
            // Few records, or else those that reach furthest back.
            let reach = |ids: &[i64]| (ids.len() >= BATCH, ids.len().min(BATCH - 1), ids.last().copied());
            if best.as_ref().is_none_or(|(_, known)| reach(&ids) < reach(known)) {
                best = Some((at, ids));
            }
        }
        match best {
            Some((at, ids)) => Ok((Some(at), ids)),
            None => Ok((None, self.ids(None, self.before).await?)),
        }
    }

    /// A term's records below an id.
    async fn ids(&mut self, term: Option<&Term>, before: i64) -> Result<Vec<i64>, StoreError> {
        let common: [Arg<'_>; 4] =
            [self.chain.into(), before.into(), self.floor.into(), i64::try_from(BATCH).unwrap_or(i64::MAX).into()];
        let (statement, own): (_, &[Arg<'_>]) = match term {
            Some(Term::Digest(digest)) => (sql::OF_DIGEST, args![digest]),
            Some(Term::Run(run)) => (sql::OF_RUN, args![*run]),
            Some(Term::Key(key)) => (sql::OF_KEY, args![key]),
            Some(Term::Text(key, text)) => (sql::OF_TEXT, args![*key, text]),
            Some(Term::Between(key, from, to)) => (sql::OF_NUMBER, args![*key, *from, *to]),
            Some(Term::Predicate(predicate)) => (sql::OF_PREDICATE, args![predicate]),
            Some(Term::Step(step)) => (sql::OF_STEP, args![step]),
            Some(Term::Kind(kind)) => (sql::OF_KIND, args![kind.code()]),
            Some(Term::RunNamed(_)) | None => (sql::OF_CHAIN, &[]),
        };
        self.session.values(statement, &[common.as_slice(), own].concat()).await
    }

    /// Those of the records that have every term but the one that gave them.
    async fn having(&mut self, ids: &[i64], terms: &[Term], leader: Option<usize>) -> Result<Vec<Row>, StoreError> {
        let mut rows = records::rows(self.session, ids).await?;
        rows.retain(|row| row.chain == self.chain && !row.quarantined);
        let others = terms.iter().enumerate().filter(|(at, _)| leader != Some(*at)).map(|(_, term)| term);
        for term in others {
            match term {
                Term::RunNamed(_) => {}
                Term::Run(run) => rows.retain(|row| row.run == Some(*run)),
                Term::Predicate(predicate) => rows.retain(|row| row.predicate_type.as_ref() == Some(predicate)),
                Term::Step(step) => rows.retain(|row| row.step.as_ref() == Some(step)),
                Term::Kind(kind) => rows.retain(|row| row.kind == *kind),
                Term::Digest(digest) => self.asked(&mut rows, &sql::HAVING_DIGEST, args![digest]).await?,
                Term::Key(key) => self.asked(&mut rows, &sql::HAVING_KEY, args![key]).await?,
                Term::Text(key, text) => self.asked(&mut rows, &sql::HAVING_TEXT, args![*key, text]).await?,
                Term::Between(key, from, to) => {
                    self.asked(&mut rows, &sql::HAVING_NUMBER, args![*key, *from, *to]).await?;
                }
            }
        }
        Ok(rows)
    }

    /// Keeps those that the statement finds.
    async fn asked(
        &mut self,
        rows: &mut Vec<Row>,
        statement: &sql::InList,
        args: &[Arg<'_>],
    ) -> Result<(), StoreError> {
        let list: Vec<Arg<'_>> = rows.iter().map(|row| Arg::from(row.id)).collect();
        let found: Vec<(i64,)> = self.session.rows_in(statement, args, &list).await?;
        let found: BTreeSet<i64> = found.into_iter().map(|(id,)| id).collect();
        rows.retain(|row| found.contains(&row.id));
        Ok(())
    }
}

impl Term {
    /// Whether it has an index of its own. Links are most of what a chain has.
    fn leads(&self) -> bool {
        !matches!(self, Term::Kind(Kind::Link) | Term::RunNamed(_))
    }
}

#[cfg(test)]
mod tests;
