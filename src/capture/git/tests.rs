use super::{super::facts::Fact, *};
use std::os::unix::fs::PermissionsExt as _;

/// A repository with one commit, made by git itself with no configuration but ours.
struct Tree {
    directory: tempfile::TempDir,
}
impl Tree {
    fn new(format: &str) -> Self {
        let tree = Tree { directory: tempfile::tempdir().unwrap() };
        tree.git(&["init", "-q", "-b", "main", &format!("--object-format={format}")]);
        fs::write(tree.path("main.c"), "int main;\n").unwrap();
        tree.git(&["add", "main.c"]);
        tree.git(&["commit", "-q", "-m", "one"]);
        tree
    }
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    fn git(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
    async fn facts(&self) -> Facts {
        facts(self.directory.path()).await
    }
}

#[tokio::test]
async fn commit_tree_branch_and_remote() {
    for format in ["sha1", "sha256"] {
        let tree = Tree::new(format);
        tree.git(&["remote", "add", "origin", "https://me:swordfish@git.example.com/shop/api.git"]);
        let found = tree.facts().await;
        assert_eq!(found.get("git.commit"), Some(&tree.git(&["rev-parse", "HEAD"]).into()), "{format}");
        assert_eq!(found.get("git.tree"), Some(&tree.git(&["rev-parse", "HEAD^{tree}"]).into()));
        assert_eq!(found.get("git.branch"), Some(&"main".into()));
        assert_eq!(found.get("git.remote"), Some(&"https://git.example.com/shop/api.git".into()));
        assert_eq!(found.get("vcs.dirty"), Some(&false.into()));
        assert_eq!(found.get("commit.signed"), Some(&false.into()));
        assert_eq!(found.get("commit.signature"), Some(&"none".into()));
        // Below the root, and with its references packed.
        tree.git(&["pack-refs", "--all"]);
        fs::create_dir(tree.path("below")).unwrap();
        assert_eq!(facts(&tree.path("below")).await.get("git.commit"), found.get("git.commit"));
    }
}

#[tokio::test]
async fn a_change_makes_it_dirty_and_a_touch_does_not() {
    let tree = Tree::new("sha1");
    let later = std::time::SystemTime::now() + Duration::from_secs(60);
    fs::File::options().write(true).open(tree.path("main.c")).unwrap().set_modified(later).unwrap();
    assert_eq!(tree.facts().await.get("vcs.dirty"), Some(&false.into()));
    fs::write(tree.path("untracked"), "").unwrap();
    assert_eq!(tree.facts().await.get("vcs.dirty"), Some(&false.into()));
    fs::write(tree.path("main.c"), "int evil;\n").unwrap();
    assert_eq!(tree.facts().await.get("vcs.dirty"), Some(&true.into()));
}

#[tokio::test]
async fn a_worktree_has_its_own_head() {
    let tree = Tree::new("sha1");
    tree.git(&["worktree", "add", "-q", "-b", "topic", "other"]);
    let found = facts(&tree.path("other")).await;
    assert_eq!(found.get("git.branch"), Some(&"topic".into()));
    assert_eq!(found.get("vcs.dirty"), Some(&false.into()));
    assert_eq!(found.get("git.commit"), tree.facts().await.get("git.commit"));
}

#[tokio::test]
async fn nothing_in_the_tree_is_executed() {
    let tree = Tree::new("sha1");
    let script = tree.path("evil.sh");
    fs::write(&script, format!("#!/bin/sh\ntouch {}\ncat\n", tree.path("ran").display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = script.to_str().unwrap();
    for name in [
        "core.fsmonitor",
        "filter.evil.clean",
        "filter.evil.process",
        "diff.external",
        "diff.evil.textconv",
        "diff.evil.command",
        "core.pager",
    ] {
        tree.git(&["config", name, evil]);
    }
    tree.git(&["config", "core.hooksPath", tree.directory.path().to_str().unwrap()]);
    fs::write(tree.path(".gitattributes"), "* filter=evil diff=evil\n").unwrap();
    fs::write(tree.path("main.c"), "int more;\n").unwrap();
    assert_eq!(tree.facts().await.get("vcs.dirty"), Some(&true.into()));
    assert!(!tree.path("ran").exists());
    // The very same runs where git reads that configuration.
    let _ = std::process::Command::new("git").args(["diff", "--stat"]).current_dir(tree.directory.path()).output();
    assert!(tree.path("ran").exists());
}

#[tokio::test]
async fn no_repository_no_facts() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(facts(empty.path()).await, Facts::default());
    fs::create_dir(empty.path().join(".git")).unwrap();
    fs::write(empty.path().join(".git/HEAD"), "ref: ../../../etc/passwd\n").unwrap();
    assert_eq!(facts(empty.path()).await, Facts::default());
}

#[test]
fn signatures_are_told_apart() {
    for (header, signed, kind) in [
        ("", false, "none"),
        ("\ngpgsig -----BEGIN PGP SIGNATURE-----\n abc", true, "pgp"),
        ("\ngpgsig -----BEGIN SSH SIGNATURE-----\n abc", true, "ssh"),
        ("\ngpgsig-sha256 -----BEGIN SIGNED MESSAGE-----\n abc", true, "x509"),
    ] {
        let mut facts = Facts::default();
        of_commit(&format!("tree abc\nauthor a{header}\n\ngpgsig in the message\n"), &mut facts);
        assert_eq!(facts.get("commit.signed"), Some(&Fact::Truth(signed)));
        assert_eq!(facts.get("commit.signature"), Some(&kind.into()));
        assert_eq!(facts.get("git.tree"), Some(&"abc".into()));
    }
}

#[test]
fn urls_lose_who_logs_in() {
    for (url, expected) in [
        ("https://x-access-token:ghp_x@git.example.com/a?b=c", "https://git.example.com/a"),
        ("https://git.example.com/@scope/a", "https://git.example.com/@scope/a"),
        ("ssh://git@git.example.com/a", "ssh://git.example.com/a"),
        ("git@git.example.com:shop/a.git", "git.example.com:shop/a.git"),
        ("/srv/a.git", "/srv/a.git"),
    ] {
        assert_eq!(without_userinfo(url), expected);
    }
}
