//! A real Kubernetes API server on loopback: etcd and kube-apiserver, without nodes. It ends with its value.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running API server and its store. Dropped: both processes end, and the directory goes.
pub struct ApiServer {
    pub url: String,
    /// For `system:masters`.
    pub kubeconfig: PathBuf,
    pub directory: tempfile::TempDir,
    /// How the API server is started again.
    command: Command,
    store: Child,
    server: Option<Child>,
}

/// `(token, user, group)`: rows of the token file.
pub const ADMIN: (&str, &str, &str) = ("admin-token", "admin", "system:masters");

impl ApiServer {
    /// Starts both and waits until the API server is ready. `more`: further flags of the API server.
    pub fn start(more: &[&str]) -> Self {
        let tools = tools();
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path();
        let (etcd, peer, secure) = (free_port(), free_port(), free_port());
        run(Command::new("openssl").args(["genrsa", "-out"]).arg(dir.join("sa.key")).arg("2048"));
        run(Command::new("openssl")
            .args(["rsa", "-pubout", "-in"])
            .arg(dir.join("sa.key"))
            .arg("-out")
            .arg(dir.join("sa.pub")));
        std::fs::write(dir.join("tokens.csv"), format!("{},{},{},{}\n", ADMIN.0, ADMIN.1, ADMIN.1, ADMIN.2)).unwrap();
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let etcd_url = at(etcd);
        let mut store = Command::new(tools.join("etcd"));
        store.args(["--unsafe-no-fsync", "--log-level=error", "--data-dir"]).arg(dir.join("etcd"));
        for (flag, url) in [("client", at(etcd)), ("peer", at(peer))] {
            store.args([format!("--listen-{flag}-urls"), url]);
        }
        store.args(["--advertise-client-urls", &etcd_url, "--initial-advertise-peer-urls", &at(peer)]);
        store.args(["--initial-cluster", &format!("default={}", at(peer))]);
        let mut server = Command::new(tools.join("kube-apiserver"));
        server.args(["--etcd-servers", &etcd_url, "--secure-port", &secure.to_string(), "--bind-address", "127.0.0.1"]);
        server.arg("--cert-dir").arg(dir.join("certs")).arg("--token-auth-file").arg(dir.join("tokens.csv"));
        server.args(["--authorization-mode", "RBAC", "--service-account-issuer", "https://kubernetes.default.svc"]);
        server.arg("--service-account-key-file").arg(dir.join("sa.pub"));
        server.arg("--service-account-signing-key-file").arg(dir.join("sa.key"));
        server.args(["--service-cluster-ip-range", "10.97.0.0/16", "--disable-admission-plugins", "ServiceAccount"]);
        server.args(more);
        let store = spawn(&mut store, &dir.join("etcd.log"));
        let url = format!("https://127.0.0.1:{secure}");
        let kubeconfig = dir.join("kubeconfig");
        std::fs::write(&kubeconfig, config(&url, ADMIN.0)).unwrap();
        let mut this = ApiServer { url, kubeconfig, directory, command: server, store, server: None };
        this.restart();
        this
    }

    /// SIGKILL: no connection is closed in good order. The store stays.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts it (again) at the same address, with the same certificate, and waits until it is ready.
    pub fn restart(&mut self) {
        self.kill();
        let log = self.directory.path().join("apiserver.log");
        self.server = Some(spawn(&mut self.command, &log));
        self.wait();
    }

    /// `kubectl` as the administrator.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(tools().join("kubectl"));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.directory.path());
        command
    }

    /// `kubectl` with these arguments and this input must succeed; what it printed.
    pub fn run(&self, arguments: &[&str], input: &str) -> String {
        let mut command = self.kubectl();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let ready = self.kubectl().args(["get", "--raw", "/readyz"]).output().unwrap();
            let listed = self.kubectl().args(["get", "namespace", "default"]).output().unwrap();
            if ready.status.success() && listed.status.success() {
                return;
            }
            let log = std::fs::read_to_string(self.directory.path().join("apiserver.log")).unwrap_or_default();
            assert!(Instant::now() < until, "the API server is not ready: {log}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for process in self.server.iter_mut().chain([&mut self.store]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Where `e2e/tools/install` put the programs; it is asked where nobody has done so yet.
pub fn tools() -> PathBuf {
    static TOOLS: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let install = || match std::env::var_os("TIDEWAITER_CLUSTER_TOOLS_DIR") {
        Some(directory) => directory.into(),
        None => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/tools/install");
            let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
            assert!(output.status.success(), "e2e/tools/install failed");
            PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
        }
    };
    TOOLS.get_or_init(install).clone()
}

/// A kubeconfig for one token. The server's certificate is of its own making, on loopback.
pub fn config(url: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters:\n- name: test\n  cluster: {{ server: \"{url}\", insecure-skip-tls-verify: true }}\n\
         users:\n- name: test\n  user: {{ token: \"{token}\" }}\ncontexts:\n- name: test\n  context: {{ cluster: test, user: test }}\n"
    )
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let file = std::fs::File::options().create(true).append(true).open(log).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
