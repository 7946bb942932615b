//! The cluster of `e2e/cluster/up`, and the people at its keyboard.

use crate::{
    evidence::World,
    tools::{Ran, checkout, cluster_tool},
};
use serde_json::Value;
use std::{
    fs,
    net::{IpAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Instant, SystemTime},
};

/// Who types.
#[derive(Clone, Copy)]
pub enum Who {
    Administrator,
    /// An editor of namespaces, and no more.
    Developer,
}

pub struct Cluster {
    pub dir: PathBuf,
    pub ip: IpAddr,
}

/// A cluster that is coming up.
pub struct Rising {
    dir: PathBuf,
    /// None: it was up already.
    up: Option<Child>,
    start: Instant,
}

impl Rising {
    /// Begins; where the directory holds a cluster that answers, it is that one.
    pub fn begin(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).expect("a directory");
        let running = kubectl(&dir.join("kubeconfig")).args(["get", "--raw", "/readyz"]).output();
        let up = match running {
            Ok(output) if output.status.success() => None,
            _ => Some(
                script("up", &dir).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("e2e/cluster/up runs"),
            ),
        };
        Rising { dir, up, start: Instant::now() }
    }

    /// The node's address, as soon as there is one.
    pub fn ip(&mut self) -> IpAddr {
        let common = fs::read_to_string(checkout("e2e/cluster/common.sh")).expect("common.sh");
        let ip = common.split_whitespace().find_map(|it| it.strip_prefix("node_ip=")).expect("node_ip in common.sh");
        let ip = ip.parse().expect("an address");
        crate::tools::eventually(60, "the node has its address", || {
            self.ended();
            TcpListener::bind((ip, 0)).ok()
        });
        ip
    }

    /// Waits for it.
    pub fn wait(mut self) -> Cluster {
        let ip = self.ip();
        crate::tools::eventually(300, "e2e/cluster/up has done its work", || self.ended());
        if self.up.is_some() {
            println!("        the cluster is up: {:.1} s", self.start.elapsed().as_secs_f32());
        }
        Cluster { dir: self.dir, ip }
    }

    /// Whether it is up; a panic where it cannot be.
    fn ended(&mut self) -> Option<()> {
        let Some(up) = &mut self.up else { return Some(()) };
        let status = up.try_wait().expect("it can be asked")?;
        assert!(status.success(), "e2e/cluster/up failed; its logs: {}/logs", self.dir.display());
        Some(())
    }
}

fn script(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(checkout("e2e/cluster").join(name));
    command.arg(dir);
    command
}

fn kubectl(config: &Path) -> Command {
    let mut command = Command::new(cluster_tool("kubectl"));
    command.arg("--kubeconfig").arg(config);
    command
}

impl Cluster {
    /// A kubectl command that would run.
    pub fn command(&self, who: Who) -> Command {
        kubectl(&self.dir.join(match who {
            Who::Administrator => "kubeconfig",
            Who::Developer => "kubeconfig.dev",
        }))
    }

    /// Runs kubectl as the administrator.
    #[track_caller]
    pub fn kubectl(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(Who::Administrator).args(args))
    }

    /// Runs kubectl as a developer.
    #[track_caller]
    pub fn dev(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(Who::Developer).args(args))
    }

    /// `kubectl apply`, or `create`, of these documents by the administrator.
    #[track_caller]
    pub fn apply(&self, documents: &str, more: &[&str]) -> Ran {
        Ran::with_input(self.command(Who::Administrator).args(["apply", "-f", "-"]).args(more), documents)
    }

    /// What `kubectl get … -o json` says.
    #[track_caller]
    pub fn get(&self, args: &[&str]) -> Value {
        self.kubectl(&[&["get", "-o", "json"], args].concat()).expect(0).json()
    }

    /// Runs helm.
    #[track_caller]
    pub fn helm(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(cluster_tool("helm"));
        command.env("KUBECONFIG", self.dir.join("kubeconfig")).env("HOME", &self.dir);
        Ran::of(command.args(args))
    }

    /// Runs a script as the administrator would: with our kubectl, helm and tidewaiter first in the path.
    #[track_caller]
    pub fn shell(&self, text: &str, variables: &[(&str, &str)]) -> Ran {
        let tools = cluster_tool("kubectl").parent().expect("a directory").display().to_string();
        let own = Path::new(crate::tools::TIDEWAITER).parent().expect("a directory").display().to_string();
        let path = format!("{tools}:{own}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.current_dir(&self.dir).args(["-euo", "pipefail", "-c", text]).env("PATH", path);
        command.env("KUBECONFIG", self.dir.join("kubeconfig")).env("AUDIT_LOG", self.dir.join("logs/audit.log"));
        Ran::of(command.envs(variables.iter().copied()))
    }

    /// An image archive onto the node.
    pub fn load(&self, archive: &Path, name: &str) {
        Ran::of(script("load", &self.dir).arg(archive).arg(name)).expect(0);
    }

    /// containerd learns whom the registries' certificates are by.
    pub fn trust(&self, world: &World) {
        for host in world.hosts() {
            let directory = self.dir.join("certs.d").join(&host);
            fs::create_dir_all(&directory).expect("a directory");
            let ca = world.tls.ca_file();
            let text = format!("server = \"https://{host}\"\n[host.\"https://{host}\"]\n  ca = \"{ca}\"\n");
            fs::write(directory.join("hosts.toml"), text).expect("hosts.toml");
        }
    }

    /// A namespace that nobody had before; it goes with the value.
    pub fn namespace(&self, beginning: &str) -> Namespace<'_> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let started = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs() % 1_000_000;
        let name = format!("{beginning}-{started}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name]).expect(0);
        // No pod is admitted before the controller-manager made it.
        let account = ["get", "serviceaccount", "default", "-n", &name];
        crate::tools::eventually(20, "the default service account", || {
            (self.kubectl(&account).code == 0).then_some(())
        });
        Namespace { cluster: self, name }
    }

    /// The audit log's events of requests that created this object.
    pub fn audited(&self, namespace: &str, resource: &str, name: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.dir.join("logs/audit.log")).expect("an audit log");
        let events = log.lines().filter(|it| it.contains(namespace)).filter_map(|it| serde_json::from_str(it).ok());
        let wanted = |it: &Value| {
            let object = &it["objectRef"];
            it["verb"] == "create"
                && object["subresource"].is_null() // the scheduler binds a pod by creating one
                && (&object["namespace"], &object["resource"], &object["name"])
                    == (&namespace.into(), &resource.into(), &name.into())
        };
        events.filter(wanted).collect()
    }

    /// What there is to read of a failure, into `failures/<scenario>`.
    pub fn keep_logs(&self, into: &Path) {
        let _ = fs::create_dir_all(into);
        let _ = fs::copy(self.dir.join("logs/audit.log"), into.join("audit.log"));
        let asked: [(&str, &[&str]); 5] = [
            (
                "webhook.log",
                &[
                    "logs",
                    "-n",
                    "tidewaiter",
                    "-l",
                    "app.kubernetes.io/name=tidewaiter",
                    "--prefix",
                    "--tail=-1",
                    "--ignore-errors",
                ],
            ),
            (
                "webhook.previous.log",
                &[
                    "logs",
                    "-n",
                    "tidewaiter",
                    "-l",
                    "app.kubernetes.io/name=tidewaiter",
                    "--prefix",
                    "--previous",
                    "--tail=-1",
                    "--ignore-errors",
                ],
            ),
            ("events", &["get", "events", "-A", "--sort-by=.lastTimestamp"]),
            ("pods", &["get", "pods", "-A", "-o", "yaml"]),
            (
                "resources",
                &[
                    "get",
                    "-A",
                    "-o",
                    "yaml",
                    "tidewaiter,validatingwebhookconfigurations,mutatingwebhookconfigurations,leases",
                ],
            ),
        ];
        for (file, args) in asked {
            // Of a cluster that is gone there is nothing to be had, and nobody waits for it.
            let ran = self.kubectl(&[&["--request-timeout=5s"], args].concat());
            let _ = fs::write(into.join(file), format!("{}{}", ran.stdout, ran.stderr));
        }
    }

    /// Ends it. Of a cluster whose `up` never began nothing may be ended: what is on the machine is another's.
    pub fn down(&self) {
        let ran = Ran::of(&mut script("down", &self.dir));
        if ran.code != 0 {
            println!("{ran}");
        }
    }
}

/// A namespace of one scenario.
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    pub name: String,
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        let _ =
            self.cluster.command(Who::Administrator).args(["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}

impl Namespace<'_> {
    /// kubectl here, by a developer.
    #[track_caller]
    pub fn kubectl(&self, args: &[&str]) -> Ran {
        self.cluster.dev(&[&["-n", &self.name], args].concat())
    }

    /// A developer's `kubectl run` of one image.
    #[track_caller]
    pub fn run(&self, pod: &str, image: &str, more: &[&str]) -> Ran {
        self.kubectl(&[&["run", pod, "--image", image, "--restart=Never"], more].concat())
    }

    /// A developer's `kubectl apply`.
    #[track_caller]
    pub fn apply(&self, documents: &str, more: &[&str]) -> Ran {
        let mut command = self.cluster.command(Who::Developer);
        Ran::with_input(command.args(["-n", &self.name, "apply", "-f", "-"]).args(more), documents)
    }

    #[track_caller]
    pub fn get(&self, args: &[&str]) -> Value {
        self.kubectl(&[&["get", "-o", "json"], args].concat()).expect(0).json()
    }

    /// Waits until a pod runs; the pod.
    #[track_caller]
    pub fn running(&self, pod: &str) -> Value {
        crate::tools::eventually(60, &format!("pod {pod} of {} runs", self.name), || {
            let pod = self.get(&["pod", pod]);
            (pod["status"]["phase"] == "Running").then_some(pod)
        })
    }
}
