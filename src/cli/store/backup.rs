//! `tidewaiter store backup`: a copy while the store serves.

use crate::store::{Location, backup, blob::objects::Objects};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use url::Url;

/// Copy the store into a new file while it serves
#[derive(Debug, clap::Args)]
#[command(after_help = "The copy is a database of SQLite, whatever is copied, and is served and looked at
as it is. Objects go into the directory PATH.objects, or where --objects-to says.

Exit code: 0 copied, 1 copied without objects that are damaged, 2 not copied.

Examples:
  tidewaiter store backup --database sqlite:/var/lib/tidewaiter/store.db \\
      --to /backup/store.db
  tidewaiter store backup --database postgres://db.example.com/tidewaiter \\
      --objects s3://bucket/tidewaiter --to store.db \\
      --objects-to s3://backup/tidewaiter")]
pub struct BackupArgs {
    /// The database: sqlite:PATH or postgres://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE
    #[arg(long, value_name = "URL", env = "TIDEWAITER_STORE_DATABASE", hide_env_values = true)]
    database: String,
    /// The new file; one that is there is not replaced
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Where large bodies are: file:///DIR or s3://BUCKET/PREFIX
    #[arg(long, value_name = "URL", env = "TIDEWAITER_STORE_OBJECTS")]
    objects: Option<String>,
    /// Where they are copied to (default: the directory PATH.objects)
    #[arg(long, value_name = "URL", requires = "objects")]
    objects_to: Option<String>,
}

/// 0: copied; 1: but for what is damaged.
pub async fn run(args: BackupArgs) -> anyhow::Result<u8> {
    let location: Location = args.database.parse().context("--database")?;
    let objects = match &args.objects {
        Some(from) => {
            let from = Objects::open_existing(from).context("--objects")?;
            let to = match args.objects_to {
                Some(to) => to,
                None => beside(&args.to)?,
            };
            Some((from, Objects::open(&to).context("--objects-to")?))
        }
        None => None,
    };
    let copied = backup::backup(&location, &args.to, objects.as_ref().map(|(from, to)| (from, to))).await?;
    for location in &copied.damaged {
        anstream::eprintln!("warning: object {location} is damaged and not in the copy");
    }
    let file = args.to.display();
    anstream::println!("{location} copied to {file}: {} bytes, {} objects", copied.bytes, copied.objects);
    Ok(u8::from(!copied.damaged.is_empty()))
}

/// The address of `PATH.objects`.
fn beside(path: &Path) -> anyhow::Result<String> {
    let mut name = std::path::absolute(path)?.into_os_string();
    name.push(".objects");
    let url =
        Url::from_directory_path(&name).ok().with_context(|| format!("{} is no directory's name", path.display()))?;
    Ok(url.into())
}
