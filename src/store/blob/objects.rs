//! Bodies that are large, in a directory or in S3: written, and durable, before the row that names them is committed. Append-only, as all
//! that the store keeps.

use super::{BLOB_BYTES_MAX, Damage};
use crate::{digest::Digest, store::StoreError};
use anyhow::{Context as _, bail};
use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path,
};
use std::{fmt, sync::Arc, time::Duration};
use url::Url;

/// One request to S3, and all tries of it: shorter than a request to the store may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
const TRIES_TIMEOUT: Duration = Duration::from_secs(10);
const TRIES_MAX: usize = 4;
/// What every key begins with, behind the prefix of the address.
const PREFIX: &str = "blobs";

/// Where large bodies are.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    address: String,
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As in the column `blob.location`.
    pub location: String,
    pub bytes: u64,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}

impl Objects {
    /// `file:///DIR` (made where it is missing) or `s3://BUCKET/PREFIX`, whose credentials, region and endpoint come from the environment
    /// that every client of S3 knows (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …).
    ///
    /// # Errors
    /// No such address; the directory cannot be made; the environment is incomplete.
    pub fn open(address: &str) -> anyhow::Result<Self> {
        Objects::at(address, true)
    }

    /// The same, to read from: a directory must be there.
    ///
    /// # Errors
    /// As for [`Objects::open`].
    pub fn open_existing(address: &str) -> anyhow::Result<Self> {
        Objects::at(address, false)
    }

    fn at(address: &str, make: bool) -> anyhow::Result<Self> {
        let url: Url = address.parse().with_context(|| format!("\"{address}\" is no URL"))?;
        let prefix = Path::from_url_path(url.path()).with_context(|| format!("the path of {url}"))?;
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            bail!("{} is more than a place: expected file:///DIR or s3://BUCKET/PREFIX", url.scheme());
        }
        let address = url.to_string();
        match url.scheme() {
            "file" => {
                let Ok(directory) = url.to_file_path() else { bail!("{address} is no directory's address") };
                if make {
                    std::fs::create_dir_all(&directory)
                        .with_context(|| format!("directory {}", directory.display()))?;
                }
                // Without fsync an object could be lost with the power, and its row be there.
                let store = LocalFileSystem::new_with_prefix(&directory)?.with_fsync(true);
                Ok(Objects { store: Arc::new(store), prefix: Path::default(), address })
            }
            "s3" => {
                let retry =
                    RetryConfig { retry_timeout: TRIES_TIMEOUT, max_retries: TRIES_MAX - 1, ..RetryConfig::default() };
                let builder = AmazonS3Builder::from_env().with_url(&address).with_retry(retry);
                let options = client_options();
                let store = builder.with_client_options(options).build().with_context(|| address.clone())?;
                Ok(Objects { store: Arc::new(store), prefix, address })
            }
            scheme => bail!("\"{scheme}\" is no object storage: expected file:///DIR or s3://BUCKET/PREFIX"),
        }
    }

    /// Keeps the bytes and says where; durable when it answers. Their name is their hash, so writing them again changes nothing, and mends
    /// what was damaged.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unavailable`].
    pub async fn put(&self, bytes: Vec<u8>) -> Result<String, StoreError> {
        let location = location(&bytes);
        self.store.put(&self.path(&location), bytes.into()).await.map_err(fault)?;
        Ok(location)
    }

    /// The bytes that were kept.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where they are missing, or not those; [`StoreError::Unavailable`].
    pub async fn get(&self, location: &str) -> Result<Vec<u8>, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("object {location} {what}"));
        let found = match self.store.get(&self.path(location)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(corrupt("is missing")),
            found => found.map_err(fault)?,
        };
        // Its size is known before its bytes are read.
        if found.meta.size > BLOB_BYTES_MAX as u64 {
            return Err(
                Damage::Size(i64::try_from(found.meta.size).unwrap_or(i64::MAX)).of(&format!("object {location}"))
            );
        }
        let bytes: Vec<u8> = found.bytes().await.map_err(fault)?.into();
        if self::location(&bytes) != location {
            return Err(corrupt("has other bytes than were written"));
        }
        Ok(bytes)
    }

    /// All objects, in no order.
    pub fn list(&self) -> BoxStream<'_, Result<Listed, StoreError>> {
        let all = self.store.list(Some(&self.path(PREFIX)));
        let skip = self.prefix.parts().count();
        all.map(move |found| {
            let found = found.map_err(fault)?;
            let parts: Vec<_> = found.location.parts().skip(skip).map(|part| part.as_ref().to_owned()).collect();
            Ok(Listed { location: parts.join("/"), bytes: found.size })
        })
        .boxed()
    }

    fn path(&self, location: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(location).parts()))
    }
}

/// `blobs/sha256/<two digits>/<the other sixty-two>` of these very bytes: the same body packed in two ways is two objects.
fn location(bytes: &[u8]) -> String {
    let digest = Digest::sha256(bytes);
    let (head, tail) = digest.hex().split_at(2);
    format!("{PREFIX}/sha256/{head}/{tail}")
}

/// Those of the environment (`AWS_ALLOW_HTTP`), and a time for each try.
fn client_options() -> ClientOptions {
    let options = ClientOptions::new().with_timeout(TRY_TIMEOUT).with_connect_timeout(TRY_TIMEOUT);
    let allow_http = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| matches!(value.as_str(), "true" | "1"));
    options.with_allow_http(allow_http)
}

/// A full disk is told apart; whatever else it is may be over at the next try.
fn fault(error: object_store::Error) -> StoreError {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(StorageFull | QuotaExceeded)) {
            return StoreError::Full;
        }
        cause = error.source();
    }
    StoreError::Unavailable(format!("object storage: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &tempfile::TempDir) -> Objects {
        Objects::open(Url::from_directory_path(dir.path().join("objects")).unwrap().as_str()).unwrap()
    }

    #[tokio::test]
    async fn an_object_is_kept_under_its_hash_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let objects = open(&dir);
        let location = objects.put(b"body".to_vec()).await.unwrap();
        let hex = Digest::sha256(b"body").hex().to_owned();
        assert_eq!(location, format!("blobs/sha256/{}/{}", &hex[..2], &hex[2..]));
        assert_eq!(std::fs::read(dir.path().join("objects").join(&location)).unwrap(), b"body");
        assert_eq!(objects.put(b"body".to_vec()).await, Ok(location.clone()));
        assert_eq!(objects.get(&location).await, Ok(b"body".to_vec()));
        let listed: Vec<Listed> = objects.list().map(Result::unwrap).collect().await;
        assert_eq!(listed, [Listed { location, bytes: 4 }]);
    }

    #[tokio::test]
    async fn what_is_missing_or_damaged_is_corrupt_and_mended_by_the_next_write() {
        let dir = tempfile::tempdir().unwrap();
        let objects = open(&dir);
        let location = objects.put(b"body".to_vec()).await.unwrap();
        let file = dir.path().join("objects").join(&location);
        let is_corrupt = async |what: &str| {
            let found = objects.get(&location).await;
            assert!(matches!(&found, Err(StoreError::Corrupt(why)) if why.contains(what)), "{found:?}");
        };
        std::fs::write(&file, b"bodx").unwrap();
        is_corrupt("has other bytes").await;
        std::fs::File::create(&file).unwrap().set_len(BLOB_BYTES_MAX as u64 + 1).unwrap();
        is_corrupt("is said to have").await;
        std::fs::remove_file(&file).unwrap();
        is_corrupt("is missing").await;
        assert!(matches!(objects.get("../store.db").await, Err(StoreError::Corrupt(_) | StoreError::Unavailable(_))));
        objects.put(b"body".to_vec()).await.unwrap();
        assert_eq!(objects.get(&location).await, Ok(b"body".to_vec()));
    }

    #[test]
    fn an_address_is_a_directory_or_a_bucket() {
        for no in [
            "objects",
            "/objects",
            "https://host/bucket",
            "file://host/dir?x=1",
            "s3://key:secret@bucket/",
            "memory:///",
        ] {
            assert!(Objects::open(no).is_err(), "{no}");
        }
    }
}
