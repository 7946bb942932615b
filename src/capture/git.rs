//! The commit a step was run on: id, tree, signature, remote, and whether the files are the commit's.
//!
//! A checked-out tree must not run anything by being looked at, so git never reads its configuration: it is shown a directory of ours
//! in the place of `.git`, with the repository's objects and a copy of its index. No hook, no filter, no monitor and no helper is known
//! there, nothing is written, and nothing is fetched. Whoever owns the files, git has no reason to distrust them.

use super::facts::Facts;
use crate::file;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{io::AsyncReadExt as _, process::Command};

/// A reference, HEAD, the configuration: each is small.
const TEXT_BYTES_MAX: usize = 1 << 20;
const PACKED_REFS_BYTES_MAX: usize = 64 << 20;
/// A commit has a message and a signature.
const COMMIT_BYTES_MAX: u64 = 1 << 20;
/// Looking at a very large tree takes seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A repository and what is checked out of it.
struct Repository {
    root: PathBuf,
    /// Of this work tree.
    own: PathBuf,
    /// Of all work trees.
    common: PathBuf,
}

/// What can be known of the repository `directory` lies in; nothing where there is none. What git itself must tell is missing where
/// there is no git.
pub async fn facts(directory: &Path) -> Facts {
    let mut facts = Facts::default();
    let Some(repository) = Repository::around(directory) else { return facts };
    if let Some(remote) = repository.remote() {
        facts.set("git.remote", remote);
    }
    let Some((branch, commit)) = repository.head() else { return facts };
    if let Some(branch) = branch {
        facts.set("git.branch", branch);
    }
    facts.set("git.commit", commit.as_str());
    let Some(shadow) = Shadow::of(&repository, &commit) else { return facts };
    if let Some((Some(0), object)) = shadow.git(&["cat-file", "commit", &commit]).await {
        of_commit(&String::from_utf8_lossy(&object), &mut facts);
    }
    let unlike = ["diff", "--quiet", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "HEAD"];
    match shadow.git(&unlike).await {
        Some((Some(0), _)) => facts.set("vcs.dirty", false),
        Some((Some(1), _)) => facts.set("vcs.dirty", true),
        _ => {}
    }
    facts
}

/// The tree, and the kind of signature the commit has. That it verifies is not said here: it would take keys we do not have.
fn of_commit(object: &str, facts: &mut Facts) {
    let header = object.split("\n\n").next().unwrap_or_default();
    if let Some(tree) = header.lines().find_map(|line| line.strip_prefix("tree ")) {
        facts.set("git.tree", tree);
    }
    let signature =
        header.lines().find_map(|line| line.strip_prefix("gpgsig ").or_else(|| line.strip_prefix("gpgsig-sha256 ")));
    let kind = match signature {
        None => "none",
        Some(text) if text.contains("SSH SIGNATURE") => "ssh",
        Some(text) if text.contains("SIGNED MESSAGE") => "x509",
        Some(_) => "pgp",
    };
    facts.set("commit.signed", signature.is_some());
    facts.set("commit.signature", kind);
}

impl Repository {
    fn around(directory: &Path) -> Option<Self> {
        let directory = directory.canonicalize().ok()?;
        let root = directory.ancestors().find(|parent| parent.join(".git").symlink_metadata().is_ok())?.to_owned();
        let marker = root.join(".git");
        let own = if marker.is_dir() { marker } else { root.join(text(&marker)?.strip_prefix("gitdir:")?.trim()) };
        let common = text(&own.join("commondir")).map_or_else(|| own.clone(), |path| own.join(path.trim()));
        Some(Repository { root, own, common })
    }

    /// The branch, where one is checked out, and the commit.
    fn head(&self) -> Option<(Option<String>, String)> {
        let head = text(&self.own.join("HEAD"))?;
        let Some(name) = head.trim().strip_prefix("ref:").map(str::trim) else {
            return Some((None, object_id(&head)?));
        };
        if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
            return None;
        }
        let loose =
            || [&self.own, &self.common].into_iter().find_map(|directory| object_id(&text(&directory.join(name))?));
        let packed = || {
            let all = file::read_text(&self.common.join("packed-refs"), PACKED_REFS_BYTES_MAX).ok()?;
            all.lines().find_map(|line| object_id(line.strip_suffix(name)?.strip_suffix(' ')?))
        };
        let branch = name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
        Some((Some(branch), loose().or_else(packed)?))
    }

    /// The URL of `origin`, else of the first remote, without who logs in there.
    fn remote(&self) -> Option<String> {
        let config = text(&self.common.join("config"))?;
        let mut first = None;
        let mut section = "";
        for line in config.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if let (true, Some(url)) = (section.starts_with("[remote "), url_of(line)) {
                if section == "[remote \"origin\"]" {
                    return Some(without_userinfo(url));
                }
                first.get_or_insert_with(|| without_userinfo(url));
            }
        }
        first
    }
}

fn url_of(line: &str) -> Option<&str> {
    let (name, value) = line.split_once('=')?;
    (name.trim() == "url").then(|| value.trim().trim_matches('"'))
}

/// Neither `user:password@` nor a query.
pub fn without_userinfo(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let end = rest.find(if scheme.is_empty() { ':' } else { '/' }).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}{host}{path}")
}

fn text(path: &Path) -> Option<String> {
    file::read_text(path, TEXT_BYTES_MAX).ok()
}

fn object_id(text: &str) -> Option<String> {
    let text = text.trim();
    (matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_lowercase())
}

/// The directory that git is shown in the place of `.git`.
struct Shadow<'a> {
    directory: tempfile::TempDir,
    repository: &'a Repository,
}

impl<'a> Shadow<'a> {
    fn of(repository: &'a Repository, commit: &str) -> Option<Self> {
        let directory = tempfile::tempdir().ok()?;
        let config = match commit.len() {
            40 => "[core]\nrepositoryformatversion = 0\nbare = false\n",
            _ => "[core]\nrepositoryformatversion = 1\nbare = false\n[extensions]\nobjectFormat = sha256\n",
        };
        let own = directory.path();
        fs::write(own.join("config"), config).ok()?;
        fs::write(own.join("HEAD"), format!("{commit}\n")).ok()?;
        fs::create_dir(own.join("refs")).ok()?;
        let index = repository.own.join("index");
        fs::copy(&index, own.join("index")).ok()?;
        // The index trusts no file that is as new as itself.
        let modified = fs::metadata(&index).and_then(|metadata| metadata.modified()).ok()?;
        fs::File::options().write(true).open(own.join("index")).and_then(|copy| copy.set_modified(modified)).ok()?;
        Some(Shadow { directory, repository })
    }

    /// Exit code and the beginning of the output.
    async fn git(&self, arguments: &[&str]) -> Option<(Option<i32>, Vec<u8>)> {
        let own = self.directory.path();
        let mut command = Command::new("git");
        command
            .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-pager"])
            .args(arguments)
            .current_dir(&self.repository.root)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("GIT_DIR", own)
            .env("GIT_WORK_TREE", &self.repository.root)
            .env("GIT_INDEX_FILE", own.join("index"))
            .env("GIT_OBJECT_DIRECTORY", self.repository.common.join("objects"))
            .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_ATTR_NOSYSTEM", "1")])
            .envs([
                ("GIT_OPTIONAL_LOCKS", "0"),
                ("GIT_NO_LAZY_FETCH", "1"),
                ("GIT_NO_REPLACE_OBJECTS", "1"),
                ("LC_ALL", "C"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let answer = async {
            let mut child = command.spawn().ok()?;
            let mut output = Vec::new();
            child.stdout.take()?.take(COMMIT_BYTES_MAX).read_to_end(&mut output).await.ok()?;
            Some((child.wait().await.ok()?.code(), output))
        };
        tokio::time::timeout(TIMEOUT, answer).await.ok()?
    }
}

#[cfg(test)]
mod tests;
