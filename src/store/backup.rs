//! A copy of a store while it serves: one file of SQLite, consistent in itself, and the objects it names beside it. It can be looked at and
//! served as it is; a copy of PostgreSQL is the way from there to SQLite too.

use super::{Location, StoreError, blob::objects::Objects, engine, session::Session, sql};
use crate::args;
use anyhow::{Context as _, bail};
use futures::{StreamExt as _, stream};
use std::path::Path;

mod postgres;

/// Objects copied at once.
const OBJECTS_AT_ONCE: usize = 8;
/// Rows read at once.
const PAGE: i64 = 256;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of the database's file.
    pub bytes: u64,
    pub objects: u64,
    /// Objects that are missing or damaged, and so not in the copy.
    pub damaged: Vec<String>,
}

/// Copies the database into a new file, and the objects it names from the first place to the second. `to` is there when all of it is
/// durable, and not before.
///
/// # Errors
/// `to` is there already; the database or a place of objects cannot be reached; the database names objects and no places are given.
pub async fn backup(from: &Location, to: &Path, objects: Option<(&Objects, &Objects)>) -> anyhow::Result<Copied> {
    if to.try_exists().with_context(|| to.display().to_string())? {
        bail!("{} is there already, and a backup replaces nothing", to.display());
    }
    let directory = match to.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    // Removed when this fails; a copy that is there is whole.
    let partial = tempfile::Builder::new()
        .prefix(".tidewaiter-backup-")
        .tempfile_in(directory)
        .with_context(|| format!("directory {}", directory.display()))?;
    match from {
        Location::Sqlite(_) => vacuum(from, partial.path()).await?,
        Location::Postgres(url) => postgres::copy(url.as_str(), partial.path()).await?,
    }
    let mut copied = copy_objects(partial.path(), objects).await?;
    let file = partial.as_file();
    file.sync_all().with_context(|| partial.path().display().to_string())?;
    copied.bytes = file.metadata()?.len();
    partial.persist_noclobber(to).with_context(|| to.display().to_string())?;
    std::fs::File::open(directory)?.sync_all().with_context(|| format!("directory {}", directory.display()))?;
    Ok(copied)
}

/// SQLite's own copy: one read transaction, beside which the store goes on writing.
async fn vacuum(from: &Location, to: &Path) -> anyhow::Result<()> {
    let Some(to) = to.to_str() else { bail!("{} is no UTF-8", to.display()) };
    let pool = engine::look(from).await?;
    pool.session().await?.execute("VACUUM INTO $1", args![to]).await.with_context(|| from.to_string())?;
    pool.close().await;
    Ok(())
}

/// The objects that the copied database names: all of them are there, since an object comes before its row.
async fn copy_objects(database: &Path, objects: Option<(&Objects, &Objects)>) -> anyhow::Result<Copied> {
    let pool = engine::look(&Location::Sqlite(database.to_owned())).await?;
    let mut session = pool.session().await?;
    let mut copied = Copied::default();
    let mut after = 0i64;
    while let Some(page) = locations(&mut session, &mut after).await? {
        let Some((from, to)) = objects else {
            bail!("the database names objects: say where they are, and where they are to be copied to");
        };
        let copies = page.into_iter().map(|location| async move {
            let done = match from.get(&location).await {
                Ok(bytes) => to.put(bytes).await.map(drop),
                Err(error) => Err(error),
            };
            (location, done)
        });
        let mut copies = stream::iter(copies).buffer_unordered(OBJECTS_AT_ONCE);
        while let Some((location, done)) = copies.next().await {
            match done {
                Ok(()) => copied.objects += 1,
                Err(StoreError::Corrupt(_)) => copied.damaged.push(location),
                Err(error) => return Err(error).with_context(|| format!("object {location}")),
            }
        }
    }
    drop(session);
    pool.close().await;
    Ok(copied)
}

async fn locations(session: &mut Session, after: &mut i64) -> Result<Option<Vec<String>>, StoreError> {
    let page: Vec<(i64, String)> = session.rows(sql::LOCATIONS_AFTER, args![*after, PAGE]).await?;
    let Some((last, _)) = page.last() else { return Ok(None) };
    *after = *last;
    Ok(Some(page.into_iter().map(|(_, location)| location).collect()))
}
