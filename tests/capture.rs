//! The capture tool as a pipeline uses it, by the program itself (docs/capture.md): facts, secrets, the tree's own words, the spool, the
//! store, and the snippets of `examples/ci`.
#![cfg(feature = "programs")]

#[path = "capture/advisories.rs"]
mod advisories;
#[path = "capture/attest.rs"]
mod attest;
#[path = "capture/bench.rs"]
mod bench;
#[path = "capture/config.rs"]
mod config;
#[path = "capture/docs.rs"]
mod docs;
#[path = "capture/facts.rs"]
mod facts;
#[path = "capture/faults.rs"]
mod faults;
#[allow(dead_code)]
#[path = "support/issuer.rs"]
mod issuer;
#[path = "capture/secrets.rs"]
mod secrets;
#[path = "capture/snippets.rs"]
mod snippets;
#[path = "capture/spool.rs"]
mod spool;
