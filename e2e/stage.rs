//! What scenarios share: the directory of a run; in it the world, and a cluster with tidewaiter where one was asked for. Each is made once,
//! when it is first needed.
//!
//! `E2E_DIR` names the directory; where it holds a cluster that is up, that one is used and left up. `E2E_KEEP=1` leaves everything.

use crate::{
    cluster::{Cluster, Rising},
    evidence::World,
    installation,
    tools::Workshop,
};
use std::{
    cell::{Cell, OnceCell},
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

pub struct Stage {
    pub shop: Workshop,
    /// Whether a chosen scenario asks for a cluster: then the registries listen where its node reaches them.
    with_cluster: bool,
    both: Once<(World, Option<Cluster>)>,
    guarded: Once<Duration>,
    stored: Once<()>,
}

impl Stage {
    pub fn new(with_cluster: bool) -> Self {
        let started = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        let directory = std::env::var_os("E2E_DIR").map(PathBuf::from);
        let directory = directory.unwrap_or_else(|| std::env::temp_dir().join(format!("tidewaiter-e2e-{started}")));
        println!("everything of this run: {}", directory.display());
        Stage {
            shop: Workshop::at(directory),
            with_cluster,
            both: Once::new(),
            guarded: Once::new(),
            stored: Once::new(),
        }
    }

    /// Images and evidence.
    pub fn world(&self) -> &World {
        &self.both().0
    }

    /// The cluster as it comes: nothing guards it.
    pub fn cluster(&self) -> &Cluster {
        self.both().1.as_ref().expect("a scenario that says it needs a cluster")
    }

    /// The cluster with tidewaiter and the world's policies in it.
    pub fn guarded(&self) -> &Cluster {
        self.guarded_after();
        self.cluster()
    }

    /// How long it took from `helm install` until that cluster denied.
    pub fn guarded_after(&self) -> Duration {
        *self.guarded.get("the installation", || installation::install(self))
    }

    /// The same, and the store in it has its evidence.
    pub fn stored(&self) -> &Cluster {
        let cluster = self.guarded();
        self.stored.get("the store", || installation::fill_store(self));
        cluster
    }

    /// Where things listen.
    pub fn ip(&self) -> IpAddr {
        self.both().1.as_ref().map_or(Ipv4Addr::LOCALHOST.into(), |it| it.ip)
    }

    fn both(&self) -> &(World, Option<Cluster>) {
        self.both.get("the world or its cluster", || {
            // The world is made while the cluster comes up: both wait more than they work.
            let mut rising = self.with_cluster.then(|| Rising::begin(self.shop.path("cluster")));
            let ip = rising.as_mut().map_or(Ipv4Addr::LOCALHOST.into(), Rising::ip);
            let start = Instant::now();
            let directory = self.shop.path("world");
            let _ = fs::remove_dir_all(&directory);
            let world = World::new(Workshop::at(directory), ip);
            println!("        the world is made: {:.1} s", start.elapsed().as_secs_f32());
            (world, rising.map(Rising::wait))
        })
    }

    /// What there is to read of a failure; where.
    pub fn keep_logs(&self, scenario: &str) -> PathBuf {
        let into = self.shop.path("failures").join(scenario);
        match self.both.value.get() {
            Some((world, cluster)) => {
                world.keep_logs(&into);
                cluster.iter().for_each(|it| it.keep_logs(&into));
                into
            }
            None => self.shop.path("cluster/logs"),
        }
    }

    /// Ends what was started, unless it is to be kept. What a failure left stays.
    pub fn end(self, failed: bool) {
        let kept = std::env::var_os("E2E_KEEP").is_some() || std::env::var_os("E2E_DIR").is_some();
        if kept {
            return;
        }
        // Also one that did not get as far as being used; but not where `up` refused to begin: the cluster that is there is another's.
        if self.shop.path("cluster/pids").exists() {
            Cluster { dir: self.shop.path("cluster"), ip: Ipv4Addr::LOCALHOST.into() }.down();
        }
        let directory = self.shop.path("");
        drop(self.both);
        if !failed {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// Made once, also where that failed: what comes after it need not wait for the same failure again.
struct Once<T> {
    value: OnceCell<T>,
    begun: Cell<bool>,
}

impl<T> Once<T> {
    fn new() -> Self {
        Once { value: OnceCell::new(), begun: Cell::new(false) }
    }

    #[track_caller]
    fn get(&self, what: &str, make: impl FnOnce() -> T) -> &T {
        if self.value.get().is_none() {
            assert!(!self.begun.replace(true), "{what} failed before");
        }
        self.value.get_or_init(make)
    }
}
