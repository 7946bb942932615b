//! Artifact lists, content-addressed: one chunk a directory, so that the thousand files a build did not touch cost
//! nothing when the next build lists them again. Never one row per artifact per record.

use crate::{
    digest::{Digest, DigestSet},
    image::artifact_repository,
    intoto::Artifacts,
};
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Images of one link that are found by their digest at once; any further one is named beside it.
pub const IMAGES_MAX: usize = 1_024;
/// Fewer names are kept whole: the hash would cost what it saves.
const NAMES_MIN: usize = 4;

/// One directory's sorted (name, digests).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// SHA-256 of `bytes`.
    pub digest: Vec<u8>,
    /// JSON: `[[name, {algorithm: hex}], …]`; the directory's own name is not in it.
    pub bytes: Vec<u8>,
    /// What its names hash to, where they are many: chunks of the same names are one directory at different times, and each is kept as
    /// the difference to an earlier one.
    pub names: Option<i64>,
    /// What it is found by: the first eight bytes of every digest.
    pub postings: BTreeSet<i64>,
    /// How many artifacts.
    pub count: usize,
}

/// A whole list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// SHA-256 over (directory, chunk digest) of each chunk, in order.
    pub root: Vec<u8>,
    pub count: usize,
    pub chunks: Vec<Chunk>,
}

/// A name within its directory, and its digests.
type Entry<'a> = (&'a str, &'a DigestSet);

/// The list as chunks; `None` when it is empty.
pub fn set(artifacts: &Artifacts) -> Option<Set> {
    let mut directories: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
    for (path, digests) in artifacts {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        directories.entry(directory).or_default().push((name, digests));
    }
    if directories.is_empty() {
        return None;
    }
    let mut roots = Vec::new();
    let mut chunks = Vec::with_capacity(directories.len());
    for (directory, entries) in &directories {
        let bytes = text(entries);
        let digest = Digest::sha256(&bytes);
        // The name goes in as JSON text, so no directory name can look like two.
        roots.extend(text(&(directory, digest.hex())));
        chunks.push(Chunk {
            digest: raw(&digest),
            bytes,
            names: names(entries),
            postings: entries.iter().flat_map(|(_, digests)| digests.iter().filter_map(prefix)).collect(),
            count: entries.len(),
        });
    }
    Some(Set { root: raw(&Digest::sha256(&roots)), count: artifacts.len(), chunks })
}

/// How many artifacts a stored chunk has, and their postings; `None` when its bytes are none we wrote.
pub fn entries(bytes: &[u8]) -> Option<(usize, BTreeSet<i64>)> {
    let entries: Vec<(String, BTreeMap<String, String>)> = serde_json::from_slice(bytes).ok()?;
    let hashes = entries.iter().flat_map(|(_, digests)| digests);
    Some((entries.len(), hashes.filter_map(|(algorithm, hex)| prefix((algorithm, hex.into()))).collect()))
}

/// The SHA-256 digests in a stored chunk; `None` when its bytes are none we wrote.
pub fn digests(bytes: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let entries: Vec<(String, BTreeMap<String, String>)> = serde_json::from_slice(bytes).ok()?;
    let hashes = entries.iter().filter_map(|(_, digests)| digests.get("sha256"));
    Some(hashes.filter_map(|hex| hex::decode(hex).ok()).collect())
}

/// What a digest is found by.
pub fn posting(digest: &Digest) -> Option<i64> {
    prefix((digest.algorithm().name(), digest.hex().into()))
}

/// The digest of these bytes; `None` for another number of them.
pub fn sha256_of(raw: &[u8]) -> Option<Digest> {
    format!("sha256:{}", hex::encode(raw)).parse().ok()
}

/// The images among a link's products: what `oci:…` names, and files of an OCI image layout, `…blobs/sha256/<hex>`, whose
/// content is what their name says. At most `max` of them, `oci:` first.
pub fn images(products: &Artifacts, max: usize) -> BTreeSet<Digest> {
    let named = products.iter().filter(|(path, _)| artifact_repository(path).is_some());
    let blobs = products.iter().filter(|(path, digests)| {
        let mut parts = path.rsplit('/');
        let name = parts.next();
        name.is_some()
            && parts.next() == Some("sha256")
            && parts.next() == Some("blobs")
            && digests.get("sha256").as_deref() == name
    });
    named.chain(blobs).filter_map(|(_, digests)| sha256(digests)).take(max).collect()
}

/// The bytes of a digest.
pub fn raw(digest: &Digest) -> Vec<u8> {
    hex::decode(digest.hex()).unwrap_or_default()
}

fn names(entries: &[Entry<'_>]) -> Option<i64> {
    let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
    if names.len() < NAMES_MIN {
        return None;
    }
    let digest = raw(&Digest::sha256(&text(&names)));
    digest.first_chunk().map(|head| i64::from_be_bytes(*head))
}

/// As JSON. Texts, and lists and maps of them, are JSON always.
fn text<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The SHA-256 among the digests of one thing.
pub fn sha256(digests: &DigestSet) -> Option<Digest> {
    format!("sha256:{}", digests.get("sha256")?).parse().ok()
}

fn prefix((algorithm, hex): (&str, Cow<'_, str>)) -> Option<i64> {
    if !matches!(algorithm, "sha256" | "sha384" | "sha512") {
        return None;
    }
    let head = hex.get(..16)?;
    u64::from_str_radix(head, 16).ok().map(|bits| i64::from_be_bytes(bits.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> DigestSet {
        DigestSet::of(&Digest::sha256(content.as_bytes()))
    }

    fn tree(files: &[(&str, &str)]) -> Artifacts {
        files.iter().map(|(path, content)| (path.to_string(), file(content))).collect()
    }

    #[test]
    fn an_unchanged_directory_is_the_same_chunk() {
        let one = set(&tree(&[("src/a", "1"), ("src/b", "2"), ("README", "3")])).unwrap();
        let two = set(&tree(&[("src/a", "1"), ("src/b", "2"), ("README", "4")])).unwrap();
        assert_ne!(one.root, two.root);
        assert_eq!((one.chunks.len(), one.count), (2, 3));
        assert_eq!(one.chunks[1], two.chunks[1]);
        assert_ne!(one.chunks[0], two.chunks[0]);
    }

    #[test]
    fn the_same_files_in_another_directory_are_another_set() {
        let one = set(&tree(&[("a/x", "1")])).unwrap();
        let two = set(&tree(&[("b/x", "1")])).unwrap();
        assert_eq!(one.chunks, two.chunks);
        assert_ne!(one.root, two.root);
    }

    #[test]
    fn nothing_is_no_set() {
        assert_eq!(set(&Artifacts::new()), None);
    }

    #[test]
    fn a_chunk_reads_back_its_postings() {
        let set = set(&tree(&[("a", "1"), ("b", "2"), ("c", "1")])).unwrap();
        assert_eq!(entries(&set.chunks[0].bytes), Some((3, set.chunks[0].postings.clone())));
        assert_eq!(set.chunks[0].postings.len(), 2);
        assert_eq!(entries(b"[[1]]"), None);
        let one = Digest::sha256(b"1");
        let found = digests(&set.chunks[0].bytes).unwrap();
        assert_eq!((found.len(), found.contains(&raw(&one))), (2, true));
        assert_eq!(sha256_of(&raw(&one)), Some(one.clone()));
        assert!(set.chunks[0].postings.contains(&posting(&one).unwrap()));
        assert_eq!((digests(b"[[1]]"), sha256_of(b"short")), (None, None));
    }

    #[test]
    fn a_directory_is_known_by_its_names_where_they_are_many() {
        let names = |files: &[(&str, &str)]| set(&tree(files)).unwrap().chunks[0].names;
        let five = [("a/1", "x"), ("a/2", "x"), ("a/3", "x"), ("a/4", "x"), ("a/5", "x")];
        let changed = [("b/1", "x"), ("b/2", "y"), ("b/3", "x"), ("b/4", "x"), ("b/5", "x")];
        assert!(names(&five).is_some());
        assert_eq!(names(&five), names(&changed));
        assert_ne!(names(&five), names(&five[1..]));
        assert_eq!(names(&five[..3]), None);
    }

    #[test]
    fn images_are_oci_names_and_blobs_that_are_what_they_say() {
        let image = Digest::sha256(b"manifest");
        let products: Artifacts = [
            ("oci:registry.example.com/shop/api".to_string(), file("index")),
            (format!("out/blobs/sha256/{}", image.hex()), file("manifest")),
            // Says one thing, is another.
            (format!("out/blobs/sha256/{}", Digest::sha256(b"other").hex()), file("evil")),
            // Not in a blobs directory.
            (format!("sha256/{}", Digest::sha256(b"bare").hex()), file("bare")),
            ("bin/app".to_string(), file("app")),
        ]
        .into();
        assert_eq!(images(&products, 10), [Digest::sha256(b"index"), image].into());
        assert_eq!(images(&products, 1), [Digest::sha256(b"index")].into());
    }
}
