//! Texts that are long, few and in many rows: the rows have numbers that stand for them.
//!
//! A number is given in a transaction of its own, before the one that uses it, and all by one writer: so nobody waits for another's new text
//! while that waits for his. Once given it stays, so it may be remembered.

use super::{
    Database, StoreError,
    session::Arg,
    sql,
    write::{Work, Write, affinity},
};
use crate::args;
use futures::{FutureExt as _, future::BoxFuture};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Texts remembered of one dictionary.
const REMEMBERED_MAX: usize = 4_096;

/// The numbers of texts.
pub type Numbers = HashMap<String, i64>;

/// The number of a text that was given one before.
///
/// # Errors
/// It was not.
pub fn number(numbers: &Numbers, text: &str) -> Result<i64, StoreError> {
    numbers.get(text).copied().ok_or_else(|| StoreError::Database(format!("\"{text}\" has no number")))
}

/// A table of texts, and what is remembered of it.
#[derive(Debug)]
pub struct Dictionary {
    table: Table,
    remembered: Mutex<Numbers>,
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

    /// The numbers of the texts, given to those that are new.
    ///
    /// # Errors
    /// Those of reading and of writing.
    pub async fn numbers(&self, database: &Database, texts: BTreeSet<&String>) -> Result<Numbers, StoreError> {
        let mut numbers: Numbers = {
            let remembered = self.remembered();
            texts
                .iter()
                .filter_map(|text| remembered.get_key_value(*text))
                .map(|(text, n)| (text.clone(), *n))
                .collect()
        };
        let unknown: Vec<&String> = texts.into_iter().filter(|text| !numbers.contains_key(*text)).collect();
        if unknown.is_empty() {
            return Ok(numbers);
        }
        let asked: Vec<Arg<'_>> = unknown.iter().map(|text| Arg::from(*text)).collect();
        let mut found: Vec<(String, i64)> = database.read().await?.rows_in(self.table.numbers, &[], &asked).await?;
        if found.len() < unknown.len() {
            let texts = unknown.into_iter().cloned().collect();
            found = database.write(Entries { table: self.table, texts }).await?;
        }
        let mut remembered = self.remembered();
        if remembered.len() > REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.extend(found.iter().cloned());
        numbers.extend(found);
        Ok(numbers)
    }

    fn remembered(&self) -> MutexGuard<'_, Numbers> {
        // Nothing that holds the lock can fail half-way.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Texts that are to have numbers.
struct Entries {
    table: Table,
    texts: Vec<String>,
}

impl Work for Entries {
    type Output = Vec<(String, i64)>;

    fn affinity(&self) -> u64 {
        affinity("dictionary")
    }

    fn run<'w>(&'w self, write: &'w mut Write) -> BoxFuture<'w, Result<Self::Output, StoreError>> {
        async move {
            for text in &self.texts {
                let number = write.id();
                write.session.execute(self.table.add, args![number, text]).await?;
            }
            let texts: Vec<Arg<'_>> = self.texts.iter().map(Arg::from).collect();
            write.session.rows_in(self.table.numbers, &[], &texts).await
        }
        .boxed()
    }
}
