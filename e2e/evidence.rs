//! The world: keys, registries, and the images of `cases.rs` with their evidence, made by the tools a pipeline would use: `in-toto-run`,
//! `in-toto-sign`, both generations of cosign, and tidewaiter's own `run`, `layout` and `publish`.

use crate::{
    cases::{CASES, Case, Host, Image, Recipe, Shape, Signed, Tampered, case},
    policies::{self, TOKEN},
    registry::{MANIFEST, PASSWORD, Program, Registry, Tls, docker_config},
    tools::{Ran, TIDEWAITER, Workshop, cluster_tool, free_port, listens, signing_tool},
    ways::{Treatment, Way},
};
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    panic::resume_unwind,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};
use tidewaiter::digest::Digest;

/// One answer is waited for for 3 s, and a decision takes 8.5 s at most.
const SLOW: Duration = Duration::from_secs(9);
/// An image by digest, what refers to it, and then their blobs behind three redirects: six answers, one after the other.
const LATE: Duration = Duration::from_millis(1800);

/// The first step, to `in-toto-run`.
const FETCH: &[&str] = &["-n", "fetch", "-p", "src"];

/// Registries that run, and what is in them.
pub struct World {
    pub shop: Workshop,
    pub tls: Tls,
    registries: BTreeMap<Host, Registry>,
    ways: BTreeMap<Host, Way>,
    down: SocketAddr,
    /// By case.
    digests: BTreeMap<&'static str, String>,
}

impl World {
    /// Builds everything in that directory, with registries on that address.
    pub fn new(shop: Workshop, ip: IpAddr) -> Self {
        let tls = Tls::new(&shop, ip);
        let start = |host, program, name, login| (host, Registry::start(&shop, &tls, program, ip, name, login));
        let registries = BTreeMap::from([
            start(Host::Distribution, Program::Distribution, "distribution", false),
            start(Host::Referrers, Program::Referrers, "referrers", false),
            start(Host::DistributionLogin, Program::Distribution, "distribution-login", true),
            start(Host::ReferrersLogin, Program::Referrers, "referrers-login", true),
        ]);
        let way = |host| (host, Way::new(&tls, ip, registries[&Host::Distribution].addr));
        let ways = [Host::Slow, Host::Late, Host::Lying].map(way).into();
        let mut world = World { ways, down: free_port(ip), registries, tls, digests: BTreeMap::new(), shop };
        world.keys();
        world.fetch();
        world.shop.write("docker/config.json", docker_config(&world.hosts(), PASSWORD));
        // Independent of each other, and mostly waiting for small programs.
        let made: Vec<&Case> = CASES.iter().filter(|it| it.recipe().is_some()).collect();
        let half = made.len().div_ceil(2);
        let digests = thread::scope(|scope| {
            let workers: Vec<_> = made
                .chunks(half)
                .map(|cases| {
                    let world = &world;
                    scope.spawn(move || cases.iter().map(|it| (it.name, world.make(it))).collect::<Vec<_>>())
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<Vec<_>>()
        });
        world.digests = digests.into_iter().collect();
        policies::write(&world);
        world.treat();
        world
    }

    /// From here on tidewaiter is treated as the ways' names say.
    fn treat(&self) {
        self.ways[&Host::Slow].treat(Treatment { late: SLOW, ..Treatment::default() });
        self.ways[&Host::Late].treat(Treatment { late: LATE, redirects: 3, ..Treatment::default() });
        let manifest = |name: &str, what: &str| format!("/v2/shop/{name}/manifests/{what}");
        let at_digest = |name: &str| manifest(name, self.digest(name));
        let lies = BTreeMap::from([
            // Another image's manifest under the digest that is asked for.
            (at_digest("digest-lied-about"), at_digest("good")),
            // And the good one under the tag, wherever that leads by now.
            (manifest("tag-lied-about", "v1"), at_digest("tag-lied-about")),
        ]);
        self.ways[&Host::Lying].treat(Treatment { lies, ..Treatment::default() });
    }

    /// `address:port`, as references name it.
    pub fn host(&self, host: Host) -> String {
        match host {
            Host::Down => self.down.to_string(),
            _ => self.ways.get(&host).map_or_else(|| self.registries[&host].host(), |way| way.addr.to_string()),
        }
    }

    /// All of them.
    pub fn hosts(&self) -> Vec<String> {
        let all = [
            Host::Distribution,
            Host::Referrers,
            Host::DistributionLogin,
            Host::ReferrersLogin,
            Host::Slow,
            Host::Late,
            Host::Lying,
            Host::Down,
        ];
        all.map(|it| self.host(it)).into()
    }

    /// `host/path` of a case's image.
    pub fn repository(&self, name: &str) -> String {
        let (host, recipe, name) = origin(case(name));
        format!("{}/{}/{name}", self.host(host), recipe.line)
    }

    /// Its digest.
    pub fn digest(&self, name: &str) -> &str {
        &self.digests[origin(case(name)).2]
    }

    /// `host/path@digest`.
    pub fn pinned(&self, name: &str) -> String {
        format!("{}@{}", self.repository(name), self.digest(name))
    }

    /// `host/path:v1`.
    pub fn tagged(&self, name: &str) -> String {
        format!("{}:v1", self.repository(name))
    }

    /// Pushes the image of a case to a repository's tag `v1`: a tag that moves.
    pub fn tag(&self, repository: &str, name: &str) -> String {
        let layout = self.shop.path(name).join(if origin(case(name)).1.swapped { "swapped" } else { "image" });
        self.registries[&Host::Distribution].push(repository, "v1", &layout)
    }

    /// Pushes the image of an OCI layout directory to a path of a registry; its digest.
    pub fn push(&self, host: Host, path: &str, layout: &Path) -> String {
        self.registries[&host].push(path, "v1", layout)
    }

    /// The digest of what the tag of a case's image names to this User-Agent.
    pub fn named(&self, name: &str, agent: &str) -> String {
        let (host, path) =
            self.repository(name).split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a path");
        let (accept, url) = (format!("Accept: {MANIFEST}"), format!("https://{host}/v2/{path}/manifests/v1"));
        let args = ["-sS", "--fail-with-body", "--cacert", self.tls.ca_file(), "-A", agent, "-H", &accept, &url];
        Digest::sha256(Ran::of(self.shop.command("curl").args(args)).expect(0).stdout.as_bytes()).to_string()
    }

    /// A public key.
    pub fn public(&self, name: &str) -> String {
        self.shop.read(&format!("keys/{name}.pub"))
    }

    /// A private key's file.
    pub fn key(&self, name: &str) -> String {
        self.shop.file(&format!("keys/{name}"))
    }

    /// `tidewaiter verify` over the policies of the cluster, with more arguments.
    pub fn verify(&self, image: &str, more: &[&str]) -> Ran {
        let policies = self.shop.file("policies");
        self.shop.tidewaiter(&[&["verify", image, "--policy", &policies, "--output", "json"], more].concat())
    }

    /// Sends the stored case's evidence to a store.
    pub fn fill_store(&self, url: &str, ca: &str) {
        for (name, recipe) in CASES.iter().filter_map(|it| Some((it.name, it.recipe()?))).filter(|it| it.1.stored) {
            for file in self.evidence(name, recipe) {
                let bytes = fs::read(&file).expect("an envelope");
                let digest = tidewaiter::envelope::Envelope::parse(&bytes).expect("an envelope").digest();
                let authorization = format!("Authorization: Bearer {TOKEN}");
                let url = format!("{url}/v1/records/{digest}?run={name}&subject={}", self.digest(name));
                let args = ["-sS", "--fail-with-body", "--cacert", ca, "-H", &authorization, "-T", &file, &url];
                Ran::of(self.shop.command("curl").args(args)).expect(0);
            }
        }
    }

    /// A store on this machine with that evidence.
    pub fn local_store(&self, ip: IpAddr) -> LocalStore {
        let addr = free_port(ip);
        let log = fs::File::create(self.shop.path("store.log")).expect("a log");
        let database = format!("sqlite:{}", self.shop.file("store.db"));
        let (config, cert, key) = (self.shop.file("store.yaml"), self.tls.ca_file(), self.shop.file("tls.key"));
        let listen = addr.to_string();
        let args = ["store", "serve", "--listen", &listen, "--database", &database, "--config", &config];
        let mut command = self.shop.command(TIDEWAITER);
        command.args(args).args(["--tls-cert", cert, "--tls-key", &key]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the store starts");
        listens(addr);
        let store = LocalStore { child, url: format!("https://{addr}") };
        self.fill_store(&store.url, self.tls.ca_file());
        store
    }

    /// What the registries logged.
    pub fn keep_logs(&self, into: &Path) {
        let _ = fs::create_dir_all(into);
        for name in ["distribution", "referrers", "distribution-login", "referrers-login"] {
            let _ = fs::copy(self.shop.path(&format!("{name}.log")), into.join(format!("{name}.log")));
        }
    }

    /// Everybody's keys: in-toto's by tidewaiter, cosign's by cosign.
    fn keys(&self) {
        let keys = Workshop::at(self.shop.path("keys"));
        let ours =
            ["alice", "bob", "fetcher", "tester", "builder", "packer", "second-tester", "officer", "stranger-owner"];
        for name in ours {
            keys.tidewaiter(&["key", "new", "-o", name]).expect(0);
        }
        for name in ["release", "ci", "stranger"] {
            keys.tool("cosign-3", &["generate-key-pair", "--output-key-prefix", name]);
        }
        let args = ["--no-default-fulcio", "--no-default-oidc", "--no-default-rekor", "--no-default-tsa"];
        let args = [&["signing-config", "create"], &args[..], &["--out", "signing.json"]].concat();
        keys.tool("cosign-3", &args);
        keys.write("root.json", r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#);
        self.gnupg();
    }

    /// The first step, once: every image is made of the same sources.
    fn fetch(&self) {
        let fetched = Workshop::at(self.shop.path("fetched"));
        fetched.write("upstream/app.sh", include_str!("pipeline/app.sh"));
        fs::copy(cluster_tool("busybox"), fetched.path("upstream/busybox")).expect("busybox is there");
        let key = self.key("fetcher");
        let copy = ["--", "cp", "-r", "upstream", "src"];
        fetched.tool("in-toto-run", &[FETCH, &["--signing-key", &key], &copy].concat());
    }

    /// Builds, records, pushes, publishes and signs the image of a case; its digest.
    fn make(&self, case: &Case) -> String {
        let recipe = case.recipe().expect("a recipe");
        let bench = Workshop::at(self.shop.path(case.name));
        let repository = self.repository(case.name);
        bench.write("build.sh", include_str!("pipeline/build.sh"));
        match recipe.shape {
            Shape::OpenPgp => self.by_gnupg(&bench, "fetcher", FETCH, &["cp", "-r", "../fetched/upstream", "src"]),
            _ => drop(Ran::of(bench.command("sh").args(["-c", "cp -r ../fetched/src ../fetched/*.link ."])).expect(0)),
        }
        self.test(&bench, recipe);
        match recipe.tampered {
            Tampered::No => {}
            Tampered::Added => drop(bench.write("src/evil.sh", "echo evil")),
            Tampered::Changed => drop(bench.write("src/app.sh", "echo evil")),
        }
        match recipe.shape {
            Shape::Sublayout { packed } => self.pack_and_release(&bench, packed, &repository, case.name),
            Shape::Provenance => drop(Ran::of(bench.command("sh").args(["build.sh", case.name])).expect(0)),
            _ => self.build(&bench, recipe, &repository, case.name),
        }
        let registry = self.registries.get(&recipe.host).unwrap_or(&self.registries[&Host::Distribution]);
        let path = format!("{}/{}", recipe.line, case.name);
        let digest = match recipe.swapped {
            false => registry.push(&path, "v1", &bench.path("image")),
            true => {
                fs::rename(bench.path("image"), bench.path("recorded")).expect("the recorded image");
                Ran::of(bench.command("sh").args(["build.sh", "another"])).expect(0);
                fs::rename(bench.path("image"), bench.path("swapped")).expect("another image");
                registry.push(&path, "v1", &bench.path("swapped"))
            }
        };
        let pinned = format!("{repository}@{digest}");
        if recipe.chain {
            self.layout(&bench, recipe, &repository);
            if !recipe.stored {
                self.publish(&bench, recipe, case.name, &pinned);
            }
            if recipe.shape == Shape::Provenance {
                self.attest(&bench, recipe, &pinned);
            }
        }
        self.sign(&bench, recipe, &pinned);
        digest
    }

    fn test(&self, bench: &Workshop, recipe: &Recipe) {
        bench.write("test.sh", "sh -n src/app.sh && sha256sum src/app.sh > report.txt");
        let Some(tester) = recipe.tested_by else {
            Ran::of(bench.command("sh").arg("test.sh")).expect(0);
            return;
        };
        if recipe.shape == Shape::OpenPgp {
            return self.by_gnupg(bench, tester, &["-n", "test", "-m", "src", "-p", "report.txt"], &["sh", "test.sh"]);
        }
        let key = self.key(tester);
        let args = ["run", "--step", "test", "--key", &key, "-m", "src", "-p", "report.txt", container(recipe)];
        bench.tidewaiter(&[&args[..], &["--", "sh", "test.sh"]].concat()).expect(0);
    }

    fn build(&self, bench: &Workshop, recipe: &Recipe, repository: &str, name: &str) {
        let key = self.key("builder");
        let args = ["run", "--step", "build", "--key", &key, "-m", "src", "-m", "report.txt", container(recipe)];
        let image: &[&str] = match recipe.blobs {
            true => &["-p", "image"],
            false => &["--image", repository, "--image-from-file", "image"],
        };
        bench.tidewaiter(&[&args[..], image, &["--", "sh", "build.sh", name]].concat()).expect(0);
        if recipe.broken_link {
            let link = self.evidence(name, recipe).into_iter().find(|it| it.contains("/build.")).expect("a link");
            bench.write("broken.py", include_str!("pipeline/broken.py"));
            bench.tool("python3", &["broken.py", &key, &link]);
        }
    }

    /// Layout and links of a case.
    fn evidence(&self, name: &str, _: &Recipe) -> Vec<String> {
        let files = fs::read_dir(self.shop.path(name)).expect("the case's directory").flatten();
        let mut files: Vec<String> = files.map(|it| it.path().display().to_string()).collect();
        files.retain(|it| it.ends_with(".link") || it.ends_with(".layout"));
        files.sort_by_key(|it| it.ends_with(".link"));
        files
    }

    fn publish(&self, bench: &Workshop, recipe: &Recipe, name: &str, pinned: &str) {
        let files = self.evidence(name, recipe);
        let docker = self.shop.file("docker/config.json");
        let mut args = vec!["publish", pinned, "--ca-file", self.tls.ca_file(), "--docker-config", &docker];
        args.extend(files.iter().map(String::as_str));
        bench.tidewaiter(&args).expect(0);
    }

    fn sign(&self, bench: &Workshop, recipe: &Recipe, pinned: &str) {
        match recipe.signed {
            Signed::No => {}
            Signed::Legacy(key) | Signed::Bundle(key) => self.cosign(bench, recipe, key, &["sign"], pinned),
        }
    }

    /// cosign, of the generation that signs the image.
    pub fn cosign(&self, bench: &Workshop, recipe: &Recipe, key: &str, what: &[&str], pinned: &str) {
        let (version, how): (_, &[&str]) = match recipe.signed {
            Signed::No | Signed::Legacy(_) => ("cosign-2", &["--tlog-upload=false"]),
            Signed::Bundle(_) => {
                ("cosign-3", &["--signing-config", "../keys/signing.json", "--trusted-root", "../keys/root.json"])
            }
        };
        let key = format!("{}.key", self.key(key));
        let mut command = bench.command(signing_tool(version));
        command.env("SSL_CERT_FILE", self.tls.ca_file()).env("DOCKER_CONFIG", self.shop.path("docker"));
        Ran::of(command.args(what).args(["-y", "--key", &key]).args(how).arg(pinned)).expect(0);
    }
}

/// A metadata store on this machine; it ends with the value.
pub struct LocalStore {
    child: Child,
    pub url: String,
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a case is looked for, and whose image it is.
fn origin(it: &'static Case) -> (Host, &'static Recipe, &'static str) {
    match &it.image {
        Image::Made(recipe) => (recipe.host, recipe, it.name),
        Image::Elsewhere(host, name) => (*host, case(name).recipe().expect("a recipe"), name),
    }
}

pub fn container(recipe: &Recipe) -> &'static str {
    if recipe.metablock { "--metablock" } else { "--dsse" }
}
