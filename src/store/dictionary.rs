//! Texts that are long, few and in many rows: the rows have numbers that stand for them.
//!
//! A number is given in a transaction of its own, before the one that uses it, and all by one writer of a process: so its writers do not wait
//! for each other's new texts. Whoever uses a number looks it up again: what was committed may be gone from a standby that took over.

use super::{
    Database, StoreError,
    session::{Arg, Session},
    sql,
    write::{Work, Write, affinity},
};
use crate::args;
use futures::{FutureExt as _, future::BoxFuture};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Texts remembered of one dictionary.
const REMEMBERED_MAX: usize = 4_096;

/// The numbers of texts.
pub type Numbers = HashMap<String, i64>;

/// The number of a text that has one.
///
/// # Errors
/// It has none, though it was given one: [`StoreError::Conflict`], and the dictionary is to forget.
pub fn number(numbers: &Numbers, text: &str) -> Result<i64, StoreError> {
    numbers.get(text).copied().ok_or(StoreError::Conflict)
}

/// A table of texts, and what is remembered of it.
#[derive(Debug)]
pub struct Dictionary {
    table: Table,
    /// Texts that have numbers.
    remembered: Mutex<HashSet<String>>,
}

#[derive(Clone, Copy, Debug)]
struct Table {
    numbers: &'static sql::InList,
    add: &'static str,
}

impl Dictionary {
    /// The ids of the keys that signed.
    pub fn of_signers() -> Self {
        Dictionary::of(Table { numbers: &sql::SIGNERS_BY_KEY, add: sql::ADD_SIGNER })
    }

    /// The names of facts.
    pub fn of_facts() -> Self {
        Dictionary::of(Table { numbers: &sql::FACT_KEYS, add: sql::ADD_FACT_KEY })
    }

    fn of(table: Table) -> Self {
        Dictionary { table, remembered: Mutex::default() }
    }

    /// Gives numbers to those of the texts that have none.
    ///
    /// # Errors
    /// Those of reading and of writing.
    pub async fn learn(&self, database: &Database, texts: BTreeSet<&String>) -> Result<(), StoreError> {
        let unknown: Vec<&String> = {
            let remembered = self.remembered();
            texts.into_iter().filter(|text| !remembered.contains(*text)).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let found = numbers(&mut database.read().await?, self.table.numbers, &unknown).await?;
        let new: Vec<String> =
            unknown.iter().filter(|text| !found.contains_key(**text)).map(ToString::to_string).collect();
        if !new.is_empty() {
            database.write(Entries { table: self.table, texts: new }).await?;
        }
        let mut remembered = self.remembered();
        if remembered.len() > REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.extend(unknown.into_iter().cloned());
        Ok(())
    }

    /// Something went wrong: what was remembered may not be there.
    pub fn forget(&self) {
        self.remembered().clear();
    }

    fn remembered(&self) -> MutexGuard<'_, HashSet<String>> {
        // Nothing that holds the lock can fail half-way.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers of those texts that have some.
pub async fn numbers(session: &mut Session, table: &sql::InList, texts: &[&String]) -> Result<Numbers, StoreError> {
    let asked: Vec<Arg<'_>> = texts.iter().map(|text| Arg::from(*text)).collect();
    let found: Vec<(String, i64)> = session.rows_in(table, &[], &asked).await?;
    Ok(found.into_iter().collect())
}

/// Texts that are to have numbers.
struct Entries {
    table: Table,
    texts: Vec<String>,
}

impl Work for Entries {
    type Output = ();

    fn affinity(&self) -> u64 {
        affinity("dictionary")
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<(), StoreError>> {
        async move {
            for text in &self.texts {
                let number = write.id();
                write.session.execute(self.table.add, args![number, text]).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
