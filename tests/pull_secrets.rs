//! Credentials from the cluster, each for the host it is stored for (security §2.G4-G6, T-50): a registry that wants a login, an API
//! server that knows some Secrets and remembers what it was asked, and canaries that must never be told anything.
#![cfg(feature = "programs")]

#[allow(dead_code)] // each test uses its part of the doubles
#[path = "support/apiserver.rs"]
mod apiserver;
#[allow(dead_code)]
#[path = "support/hostile.rs"]
mod hostile;
#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

#[path = "pull_secrets/cluster.rs"]
mod cluster;
#[path = "pull_secrets/hosts.rs"]
mod hosts;
#[path = "pull_secrets/referenced.rs"]
mod referenced;
#[path = "pull_secrets/site.rs"]
mod site;
#[path = "pull_secrets/tenants.rs"]
mod tenants;
#[path = "pull_secrets/useless.rs"]
mod useless;
