use super::*;
use std::{fs, os::unix::fs::symlink};

/// A tree of files: (path, content), parents made.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}
fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
fn recorder(excludes: &[&str], lstrip: &[&str]) -> Recorder {
    Recorder::new(&strings(excludes), &strings(lstrip), false).unwrap()
}
fn record(recorder: &Recorder, base: &Path, paths: &[&str]) -> Result<Recording, RecordError> {
    recorder.record(base, &strings(paths), &Known::default(), Progress::Hidden)
}
fn recorded(recorder: &Recorder, base: &Path, paths: &[&str]) -> Vec<String> {
    record(recorder, base, paths).unwrap().artifacts.keys().map(str::to_owned).collect()
}

#[test]
fn names_are_as_the_paths_were_given() {
    let tree = tree(&[("src/a.c", "a"), ("src/sub/b.c", "b"), ("top", "t")]);
    let plain = recorder(&[], &[]);
    assert_eq!(recorded(&plain, tree.path(), &["."]), ["src/a.c", "src/sub/b.c", "top"]);
    assert_eq!(recorded(&plain, tree.path(), &["./src//", "src/../top"]), ["src/a.c", "src/sub/b.c", "top"]);
    assert_eq!(recorded(&plain, tree.path(), &["file:src/sub"]), ["file:src/sub/b.c"]);
    let absolute = tree.path().join("src/sub").to_str().unwrap().to_owned();
    assert_eq!(recorded(&plain, Path::new("/"), &[&absolute]), [format!("{absolute}/b.c")]);
}

#[test]
fn a_directory_as_one_has_no_name_of_two_lines() {
    let odd = format!("odd/a\n{}  b", "0".repeat(64));
    let tree = tree(&[("plain/a", "a"), (odd.as_str(), "a")]);
    let plain = recorder(&[], &[]);
    assert_eq!(recorded(&plain, tree.path(), &["dir:plain"]), ["dir:plain"]);
    let error = record(&plain, tree.path(), &["dir:odd"]).unwrap_err().to_string();
    assert!(error.contains("has a line break in its name"), "{error}");
}

#[test]
fn the_hash_is_of_the_content() {
    let tree = tree(&[("hello", "hello\n")]);
    let artifacts = record(&recorder(&[], &[]), tree.path(), &["hello"]).unwrap().artifacts;
    let hex = &artifacts.get("hello").unwrap().get("sha256").unwrap();
    assert_eq!(hex, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
}

#[test]
fn links_are_followed_under_their_own_names() {
    let tree = tree(&[("real/a", "a")]);
    symlink("real", tree.path().join("linked")).unwrap();
    symlink("real/a", tree.path().join("file-link")).unwrap();
    symlink("nowhere", tree.path().join("broken")).unwrap();
    symlink("itself", tree.path().join("itself")).unwrap();
    let plain = recorder(&[], &[]);
    assert_eq!(recorded(&plain, tree.path(), &["."]), ["file-link", "linked/a", "real/a"]);
    assert_eq!(recorded(&plain, tree.path(), &["linked", "broken", "itself"]), ["linked/a"]);
}

#[test]
fn a_loop_is_an_error_unless_it_is_excluded() {
    let tree = tree(&[("dir/a", "a")]);
    symlink("..", tree.path().join("dir/up")).unwrap();
    let error = record(&recorder(&[], &[]), tree.path(), &["."]).unwrap_err();
    assert!(matches!(&error, RecordError::Loop(path) if path.ends_with("dir/up")), "{error}");
    assert_eq!(recorded(&recorder(&["up"], &[]), tree.path(), &["."]), ["dir/a"]);
}

#[test]
fn excludes_are_gitignore_patterns_and_replace_the_defaults() {
    let tree = tree(&[
        ("a.link", ""),
        ("sub/build.0123.link", ""),
        (".git/HEAD", ""),
        ("x.pyc", ""),
        ("y~", ""),
        ("keep.c", ""),
        ("out/made", ""),
        ("sub/out", ""),
    ]);
    assert_eq!(recorded(&recorder(&[], &[]), tree.path(), &["."]), ["keep.c", "out/made", "sub/out"]);
    assert_eq!(
        recorded(&recorder(&["out/", "/sub", "*.[lp]*"], &[]), tree.path(), &["."]),
        [".git/HEAD", "keep.c", "y~"]
    );
    assert_eq!(recorded(&recorder(&["*", "!*.c"], &[]), tree.path(), &["."]), ["keep.c"]);
    // A path given by name is excluded like one that was found.
    assert_eq!(recorded(&recorder(&[], &[]), tree.path(), &["a.link", ".git", "keep.c"]), ["keep.c"]);
}

#[test]
fn what_is_ignored_by_git_is_recorded() {
    // T-25: nothing in the tree configures the recorder.
    let tree = tree(&[(".gitignore", "secret\n"), (".ignore", "secret\n"), ("secret", ""), (".hidden", "")]);
    assert_eq!(recorded(&recorder(&[], &[]), tree.path(), &["."]), [".gitignore", ".hidden", ".ignore", "secret"]);
}

#[test]
fn a_missing_path_is_a_remark() {
    let tree = tree(&[("a", "")]);
    let recording = record(&recorder(&[], &[]), tree.path(), &["a", "dist", "a/below"]).unwrap();
    assert_eq!(recording.artifacts.len(), 1);
    assert_eq!(recording.warnings.len(), 2);
}

#[test]
fn two_files_never_share_a_name() {
    let tree = tree(&[("src/a", "1"), ("lib/a", "2"), ("x/b\\c", "3"), ("x/b/c", "4")]);
    let error = record(&recorder(&[], &["src/", "lib/"]), tree.path(), &["src", "lib"]).unwrap_err();
    assert!(matches!(&error, RecordError::Collision { name, .. } if name == "a"), "{error}");
    let error = record(&recorder(&[], &[]), tree.path(), &["x"]).unwrap_err();
    assert!(matches!(&error, RecordError::Collision { name, .. } if name == "x/b/c"), "{error}");
    // The same file found twice is one file.
    assert_eq!(recorded(&recorder(&[], &["src/"]), tree.path(), &["src", "src/a", "./src/../src"]), ["a"]);
}

#[test]
fn prefixes_of_each_other_are_refused() {
    let error = Recorder::new(&[], &strings(&["src", "src/x"]), false).unwrap_err();
    assert!(matches!(error, RecordError::Prefixes(..)), "{error}");
}

#[test]
fn line_endings_are_normalised_on_demand() {
    let tree = tree(&[("dos", "a\r\nb\r"), ("unix", "a\nb\n")]);
    let hashes = |normalise| {
        let recorder = Recorder::new(&[], &[], normalise).unwrap();
        let artifacts = record(&recorder, tree.path(), &["."]).unwrap().artifacts;
        ["dos", "unix"].map(|name| artifacts.get(name).unwrap().clone()).into()
    };
    let (dos, unix) = hashes(true);
    assert_eq!(dos, unix);
    let (dos, unix) = hashes(false);
    assert_ne!(dos, unix);
}

#[test]
fn a_name_that_is_not_utf8_is_an_error() {
    use std::os::unix::ffi::OsStrExt as _;
    let tree = tree(&[]);
    fs::write(tree.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
    assert!(matches!(record(&recorder(&[], &[]), tree.path(), &["."]), Err(RecordError::NotUtf8(_))));
}

/// Files that changed long enough ago to be remembered, and what is known of them.
fn remembered(files: usize) -> (tempfile::TempDir, Known) {
    let names: Vec<String> = (0..files).map(|n| format!("f{n}")).collect();
    let tree = tree(&names.iter().map(|name| (name.as_str(), "content")).collect::<Vec<_>>());
    std::thread::sleep(std::time::Duration::from_millis(250));
    let known = record(&recorder(&[], &[]), tree.path(), &["."]).unwrap().known;
    (tree, known)
}
/// The same with other hashes: what comes of it was not read from the files.
fn lying(known: &Known) -> Known {
    known.with_hashes([7; 32])
}
fn hash_of(recording: &Recording, name: &str) -> String {
    recording.artifacts.get(name).unwrap().get("sha256").unwrap().into_owned()
}

#[test]
fn what_is_known_is_not_read_again() {
    let (tree, known) = remembered(1);
    let (content, seven) = (crate::Digest::sha256(b"content"), "07".repeat(32));
    let lying = (0..1_000).map(|_| lying(&known)).find(|lying| lying.samples_none()).unwrap();
    let again =
        |paths: &[&str]| recorder(&[], &[]).record(tree.path(), &strings(paths), &lying, Progress::Hidden).unwrap();
    assert_eq!(hash_of(&again(&["."]), "f0"), seven);
    // Named by itself it is read, whatever is known of it.
    assert_eq!(hash_of(&again(&["f0"]), "f0"), content.hex());
    assert_eq!(hash_of(&again(&[".", "f0"]), "f0"), content.hex());
    // And so it is when it was touched.
    fs::write(tree.path().join("f0"), "content").unwrap();
    assert_eq!(hash_of(&again(&["."]), "f0"), content.hex());
}

#[test]
fn a_sample_that_differs_throws_away_what_is_known() {
    let (tree, known) = remembered(50);
    let lying = (0..1_000).map(|_| lying(&known)).find(|lying| !lying.samples_none()).unwrap();
    let again = recorder(&[], &[]).record(tree.path(), &strings(&["."]), &lying, Progress::Hidden).unwrap();
    assert!(again.warnings.iter().any(|warning| warning.contains("its ctime did not")), "{:?}", again.warnings);
    for name in again.artifacts.keys() {
        assert_eq!(hash_of(&again, name), crate::Digest::sha256(b"content").hex());
    }
}

#[test]
fn what_has_just_changed_is_not_remembered() {
    let tree = tree(&[("a", "1")]);
    assert!(record(&recorder(&[], &[]), tree.path(), &["."]).unwrap().known.is_empty());
}

#[test]
fn a_deep_tree_and_links_that_multiply_are_no_trouble() {
    let tree = tree(&[]);
    let deep = vec!["d"; 1_500].join("/");
    fs::create_dir_all(tree.path().join(&deep)).unwrap();
    fs::write(tree.path().join(&deep).join("f"), "").unwrap();
    assert_eq!(recorded(&recorder(&[], &[]), tree.path(), &["."]), [format!("{deep}/f")]);
}
