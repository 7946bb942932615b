//! What people are told, by a real API server: events, status, warnings, audit annotations, and the demonstration in a cluster.
#![cfg(feature = "programs")]

#[allow(dead_code)]
#[path = "support/apiserver.rs"]
mod apiserver;

#[path = "told/answers.rs"]
mod answers;
#[path = "told/cluster.rs"]
mod cluster;
#[path = "told/demo.rs"]
mod demo;
#[path = "told/documents.rs"]
mod documents;
#[path = "told/events.rs"]
mod events;
#[path = "told/status.rs"]
mod status;
