//! What scenarios share: one directory of a run, in it the world, and a cluster where one was asked for; each made when it is first needed.

use crate::{evidence::World, tools::Workshop};
use std::{
    cell::OnceCell,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::{Instant, SystemTime},
};

pub struct Stage {
    pub shop: Workshop,
    world: OnceCell<World>,
}

impl Stage {
    pub fn new(_cluster: bool) -> Self {
        let started = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        let directory = std::env::var_os("E2E_DIR").map(PathBuf::from);
        let directory = directory.unwrap_or_else(|| std::env::temp_dir().join(format!("tidewaiter-e2e-{started}")));
        println!("everything of this run: {}", directory.display());
        Stage { shop: Workshop::at(directory), world: OnceCell::new() }
    }

    /// Where registries listen.
    pub fn ip(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    pub fn world(&self) -> &World {
        self.world.get_or_init(|| {
            let start = Instant::now();
            let directory = self.shop.path("world");
            let _ = fs::remove_dir_all(&directory);
            let world = World::new(Workshop::at(directory), self.ip());
            println!("        the world is made: {:.1} s", start.elapsed().as_secs_f32());
            world
        })
    }

    pub fn keep_logs(&self, scenario: &str) -> PathBuf {
        self.shop.path(scenario)
    }

    pub fn end(self, _failed: bool) {}
}
