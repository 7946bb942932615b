//! A directory with a key in it, the program in it with nothing of this machine's environment, and a real store beside it.

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tidewaiter::{
    capture::upload::{self, Belongs, Credential},
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    intoto::{Link, Profile},
    json as strict,
    key::SecretKey,
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewaiter");
/// The token of the chain's writer.
pub const TOKEN: &str = "writer-token-0123456789";

pub struct Bench {
    pub directory: tempfile::TempDir,
}

impl Bench {
    /// With a functionary's key.
    pub fn new() -> Self {
        let bench = Bench { directory: tempfile::tempdir().unwrap() };
        code(&bench.run(&["key", "new", "-o", "key.pem"]), 0);
        bench
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    /// The environment of a command: a path, a home, a spool, and the program by its name.
    pub fn clean(&self, command: &mut Command) {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", Path::new(PROGRAM).parent().unwrap().display());
        command.current_dir(self.directory.path()).env_clear().env("PATH", path).env("HOME", self.directory.path());
        command.env("TIDEWAITER_SPOOL", self.path("spool")).env("TIDEWAITER_FACTS", "always").stdin(Stdio::null());
    }
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args);
        self.clean(&mut command);
        command
    }
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
    pub fn run_in(&self, environment: &[(&str, &str)], args: &[&str]) -> Output {
        self.command(args).envs(environment.iter().copied()).output().unwrap()
    }
    /// `run --step build --key key.pem -o out.link ARGS`.
    pub fn step(&self, environment: &[(&str, &str)], args: &[&str]) -> Output {
        let first = ["run", "--step", "build", "--key", "key.pem", "-o", "out.link"];
        self.run_in(environment, &[&first, args].concat())
    }
    pub fn link(&self) -> Link {
        let envelope = Envelope::parse(&fs::read(self.path("out.link")).unwrap()).unwrap();
        Link::of(&envelope, Profile::Strict).unwrap().link.unwrap()
    }
    /// The signed text.
    pub fn payload(&self) -> String {
        let envelope = Envelope::parse(&fs::read(self.path("out.link")).unwrap()).unwrap();
        String::from_utf8(envelope.content().to_vec()).unwrap()
    }
    pub fn facts(&self) -> Value {
        Value::from(&self.link().environment)["facts"].clone()
    }
    pub fn key(&self) -> SecretKey {
        SecretKey::from_pem(&fs::read_to_string(self.path("key.pem")).unwrap()).unwrap()
    }
    /// The records in the spool, whole ones and all other files.
    pub fn spooled(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let entries =
            fs::read_dir(self.path("spool")).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
        let files: Vec<PathBuf> = entries.unwrap_or_default();
        let files = files.into_iter().filter(|path| path.is_file());
        files.partition(|path| {
            path.to_string_lossy().ends_with(".link.json")
                && !path.file_name().unwrap().to_string_lossy().starts_with('.')
        })
    }
}

#[track_caller]
pub fn code(output: &Output, expected: i32) {
    assert_eq!(output.status.code(), Some(expected), "{}{}", String::from_utf8_lossy(&output.stdout), said(output));
}
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A real store with one chain, `shop`: its owner and its functionary are the bench's key.
pub struct Store {
    child: Child,
    pub address: SocketAddr,
}

impl Store {
    /// With a layout of these steps in it. `tokens` write.
    pub fn start(bench: &Bench, steps: &[&str], tokens: &[&str]) -> Self {
        Store::with(bench, steps, tokens.iter().enumerate().map(writer).collect(), tokens[0])
    }

    /// With writers of any kind; `token` is of one that may write the layout.
    pub fn with(bench: &Bench, steps: &[&str], writers: Vec<Value>, token: &str) -> Self {
        let store = Store::serve(bench, writers);
        store.take(bench, &layout(&bench.key(), &[&bench.key()], steps), token);
        store
    }

    /// Whose steps have several functionaries, the bench's among them.
    pub fn of(bench: &Bench, functionaries: &[&SecretKey], steps: &[&str], token: &str) -> Self {
        let store = Store::serve(bench, vec![writer((0, &token))]);
        store.take(bench, &layout(&bench.key(), functionaries, steps), token);
        store
    }

    fn take(&self, bench: &Bench, layout: &Envelope, token: &str) {
        fs::write(bench.path("root.layout"), layout.to_bytes()).unwrap();
        put(&self.url(), token, layout);
    }

    fn serve(bench: &Bench, writers: Vec<Value>) -> Self {
        let pem = bench.key().public().to_pem();
        let documents = [
            json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": {"name": "owners"},
                "spec": {"keys": [{"name": "alice", "pem": pem}]}}),
            json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "Chain", "metadata": {"name": "shop"}, "spec": {
                "owners": {"trust": "owners", "threshold": 1}, "images": ["registry.example.com/shop/api"], "writers": writers}}),
        ];
        bench.write("chains.yaml", &documents.map(|document| document.to_string()).join("\n---\n"));
        let database = format!("sqlite:{}", bench.path("store.db").display());
        let mut command = bench.command(&[
            "store",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database",
            &database,
            "--config",
            "chains.yaml",
        ]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().and_then(|text| text.parse().ok());
        Store { child, address: address.unwrap_or_else(|| panic!("the store says {line:?}")) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn get(&self, path: &str) -> Value {
        block(async {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            http.get(format!("{}/{path}", self.url())).send().await.unwrap().json::<Value>().await.unwrap()
        })
    }

    /// The records it has for an image, `[(kind, step)]`.
    pub fn evidence(&self, image: &str) -> Vec<(String, String)> {
        let answer = self.get(&format!("v1/evidence/{image}"));
        let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let records = answer["records"].as_array().unwrap_or_else(|| panic!("{answer}"));
        records.iter().map(|record| (text(record, "kind"), text(record, "step"))).collect()
    }
}
impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who may write everything.
fn writer((at, token): (usize, &&str)) -> Value {
    let hash = Digest::sha256(token.as_bytes()).to_string();
    json!({"name": format!("writer-{at}"), "tokenHash": hash, "steps": ["*"], "kinds": ["layout", "link", "fact"]})
}

pub fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

fn put(url: &str, token: &str, envelope: &Envelope) {
    let store =
        upload::Store { url: url.into(), credential: Credential::Token(token.to_owned().into()), ca_file: None };
    block(upload::put(&store, envelope, &Belongs::default())).unwrap();
}

/// The owner's layout of these steps, each by any of the functionaries.
pub fn layout(owner: &SecretKey, functionaries: &[&SecretKey], steps: &[&str]) -> Envelope {
    let ids: Vec<&str> = functionaries.iter().map(|key| key.public().id()).collect();
    let keys = functionaries.iter().map(|key| {
        let mut public = key.public().to_layout();
        public["keyid"] = json!(key.public().id());
        (key.public().id().to_owned(), public)
    });
    let step = |name: &&str| {
        json!({"_type": "step", "name": name, "threshold": 1, "pubkeys": ids, "expected_command": [],
            "expected_materials": [["ALLOW", "*"]], "expected_products": [["ALLOW", "*"]]})
    };
    let document = json!({"_type": "layout", "expires": "2099-01-01T00:00:00Z", "readme": "", "inspect": [],
        "keys": keys.collect::<serde_json::Map<_, _>>(), "steps": steps.iter().map(step).collect::<Vec<_>>()});
    let payload = strict::to_text(&(&document).into()).into_bytes();
    Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload, &[owner]).unwrap()
}

/// A URL where nobody listens.
pub fn nowhere() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

/// An image's reference with a digest of its own.
pub fn image(content: &str) -> (String, String) {
    let digest = Digest::sha256(content.as_bytes()).to_string();
    (format!("registry.example.com/shop/api:1@{digest}"), digest)
}
