//! Both databases: a test that is listed in `on_both!` runs on SQLite and on PostgreSQL, each time on a database of its own.
//!
//! PostgreSQL is Debian's, one server for all tests of a program. It is a child of a shell that reads from a pipe this program holds: when
//! the program ends, in whatever way, the pipe does, and the shell ends the server and removes its directory.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// Runs each of the functions, which take an `On`, on both.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite { $(#[tokio::test] async fn $name() { super::$name(super::On::Sqlite).await })* }
        mod on_postgres { $(#[tokio::test] async fn $name() { super::$name(super::On::Postgres).await })* }
    };
}
pub(crate) use on_both;

/// A database of its own, empty.
pub struct Place {
    pub dir: tempfile::TempDir,
    /// As `--database` takes it.
    pub url: String,
}

impl Place {
    pub fn new(on: On) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = match on {
            On::Sqlite => format!("sqlite:{}", dir.path().join("store.db").display()),
            On::Postgres => Postgres::shared().database(),
        };
        Place { dir, url }
    }
}

/// A server of PostgreSQL.
pub struct Postgres {
    bin: PathBuf,
    pub port: u16,
    /// The shell; its standard input is what keeps the server.
    keeper: Child,
    says: BufReader<ChildStdout>,
}

/// Where Debian puts the programs; the newest version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL: tests/tools/install");
    let newest = versions.filter_map(|entry| Some((entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?, ())));
    let (version, ()) = newest.max().expect("PostgreSQL: tests/tools/install");
    Path::new("/usr/lib/postgresql").join(version.to_string()).join("bin")
}

/// Makes a cluster in `$3`, serves it on port `$2` with the programs in `$1` until its input ends, and removes it. PostgreSQL will not run
/// as root.
const KEEPER: &str = r#"
set -eu
bin=$1 port=$2 dir=$3; shift 3
mkdir -m 0700 "$dir"
as=
if [ "$(id -u)" = 0 ]; then
  as="setpriv --reuid=postgres --regid=postgres --clear-groups"
  chown postgres: "$dir"
fi
cd "$dir"
$as "$bin/initdb" -D data -U postgres -A trust --no-sync --locale=C.UTF-8 >log 2>&1
server=
stop() { [ -z "$server" ] || { kill -"$1" $server 2>/dev/null || true; wait $server || true; server=; }; }
trap 'stop INT; cd /; rm -rf "$dir"' EXIT
start() {
  $as "$bin/postgres" -D data -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= "$@" >>log 2>&1 </dev/null &
  server=$!
  until "$bin/pg_isready" -q -U postgres -h 127.0.0.1 -p "$port"; do
    kill -0 $server 2>/dev/null || { cat log >&2; exit 1; }
    sleep 0.05
  done
}
start "$@"
echo started
while read -r word; do
  case $word in crash) stop QUIT ;; start) start "$@" ;; esac
  echo done
done
"#;

impl Postgres {
    /// The one that all tests of this program share.
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Postgres::start(&[]))
    }

    /// A server of its own, with these settings (`name=value`).
    pub fn start(settings: &[&str]) -> Self {
        let bin = programs();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = std::env::temp_dir().join(format!("tidewaiter-postgres-{}-{port}", std::process::id()));
        let settings = settings.iter().flat_map(|setting| ["-c", *setting]);
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&bin)
            .arg(port.to_string())
            .arg(dir)
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(keeper.stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        assert_eq!(line, "started\n", "PostgreSQL did not start");
        Postgres { bin, port, keeper, says }
    }

    /// Ends the server without a shutdown: what was not committed is gone, and the next start recovers.
    pub fn crash(&mut self) {
        self.tell("crash");
    }

    /// Serves again.
    pub fn start_again(&mut self) {
        self.tell("start");
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.keeper.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "{word}");
    }

    /// A database of its own.
    pub fn database(&self) -> String {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", LAST.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a statement and gives back what it prints.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let output = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database), "-c", statement])
            .output()
            .unwrap();
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
