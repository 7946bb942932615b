//! One server at a time has a file of SQLite; others may look at it meanwhile.

use super::{bodies::tidewaiter, program::Program, shop::*};

#[test]
fn a_file_of_sqlite_has_one_server_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", dir.path().join("store.db").display());
    std::fs::write(dir.path().join("chains.yaml"), documents(&Keys::new())).unwrap();
    let first = Program::start(dir.path(), &database, &[], &[]);
    let more = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let config = dir.path().join("chains.yaml").display().to_string();
    let second =
        tidewaiter(&["serve", "--listen", "127.0.0.1:0"], &more(&["--database", &database, "--config", &config]));
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && error.contains("another store serves it"), "{error}");
    assert!(error.contains("store.db.lock") && second.stdout.is_empty(), "{error}");
    let copy = dir.path().join("copy.db").display().to_string();
    for beside in [more(&["migrate"]), more(&["fsck"]), more(&["backup", "--to", &copy])] {
        let output = tidewaiter(&[], &[beside, more(&["--database", &database])].concat());
        assert!(output.status.success(), "{output:?}");
    }
    // Killed: nothing of it is left that keeps the next one out.
    drop(first);
    Program::start(dir.path(), &database, &[], &[]);
}
