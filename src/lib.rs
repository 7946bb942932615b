//! tidewaiter lets a Kubernetes workload run only when its images came through the supply chain they should have
//! come through.
//!
//! The list below is the architecture, in reading order. A module uses its own floor and the floors above it in this
//! list, never one below. Floors 0 to 2 are pure: bytes, keys and a time come in, a value comes out; they build alone
//! with `--no-default-features`. Only floor 3 waits.
//!
//! ```
//! use tidewaiter::{ChainDemand, KeyRing, Rejection, verify::{Piece, verify}};
//!
//! fn who_vouches(owners: KeyRing, envelopes: &[Piece<'_>], now: jiff::Timestamp) -> Result<Vec<String>, Rejection> {
//!     let demand = ChainDemand { owners, threshold: Some(2), ..ChainDemand::default() };
//!     let chain = verify(&demand, None, envelopes, now)?;
//!     Ok(chain.owners().to_vec())
//! }
//!
//! let nobody = who_vouches(KeyRing::default(), &[], jiff::Timestamp::UNIX_EPOCH);
//! assert_eq!(nobody, Err(Rejection::NoOwners));
//! ```

// Without `programs` this is floors 0 to 2 alone: nothing there may panic on what came from outside (`make lint`).
#![cfg_attr(
    all(not(feature = "programs"), not(test)),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

// Floor 0, bytes: what a signature covers.
pub mod digest;
pub mod envelope;
pub mod json;
pub mod key;
pub mod pattern;
pub mod reference;

// Floor 1, nouns: the words of the specifications.
pub mod cosign;
pub mod image;
pub mod intoto;
pub mod oci;
pub mod reason;
pub mod resource;

// Floor 2, judgement: pure; evidence and time come in as values.
pub mod policy;
pub mod signature;
pub mod verify;

// Floor 3, edges: the only code that waits.
#[cfg(feature = "programs")]
pub mod cache;
#[cfg(feature = "programs")]
pub mod cluster;
#[cfg(feature = "programs")]
pub mod file;
#[cfg(feature = "programs")]
pub mod publish;
#[cfg(feature = "programs")]
pub mod registry;
#[cfg(feature = "programs")]
pub mod serve;
#[cfg(feature = "programs")]
pub mod signer;
#[cfg(feature = "programs")]
pub mod source;
#[cfg(feature = "programs")]
pub mod store;

// Floor 4, programs: one module a program, its parts in its folder.
#[cfg(feature = "programs")]
pub mod author;
#[cfg(feature = "programs")]
pub mod capture;
#[cfg(feature = "programs")]
pub mod cli;
#[cfg(feature = "programs")]
pub mod server;
#[cfg(feature = "programs")]
pub mod webhook;

// What a library user meets first.
pub use digest::Digest;
pub use envelope::Envelope;
pub use image::ImageFacts;
pub use intoto::{Layout, Link};
pub use key::{KeyRing, NamedKey, PublicKey};
pub use policy::{Assessment, Decision, PolicySet, Workload};
pub use reason::{Class, Fault, Reason};
pub use reference::Reference;
pub use verify::{ChainDemand, Rejection, VerifiedChain};
