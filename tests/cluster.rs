//! The webhook beside a real API server: what it reads of the cluster decides, and goes on deciding when the API server is gone.
#![cfg(feature = "programs")]

#[allow(dead_code)]
#[path = "support/apiserver.rs"]
mod apiserver;
#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

#[path = "cluster/namespaces.rs"]
mod namespaces;
#[path = "cluster/outage.rs"]
mod outage;
#[path = "cluster/resources.rs"]
mod resources;
#[path = "cluster/site.rs"]
mod site;
