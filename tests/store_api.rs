//! The store's door and its answers over real sockets: tokens of a real issuer, client certificates, budgets, batches, tags. For
//! everything that is let in, what is refused, with its reason (docs/store.md).

#[path = "store_api/batch.rs"]
mod batch;
#[path = "support/certificates.rs"]
mod certificates;
#[allow(dead_code)] // other tests use other parts
#[path = "support/databases.rs"]
mod databases;
#[path = "store_api/evidence.rs"]
mod evidence;
#[path = "store_api/identity.rs"]
mod identity;
#[path = "support/issuer.rs"]
mod issuer;
#[path = "store_api/keys.rs"]
mod keys;
#[path = "store_api/mtls.rs"]
mod mtls;
#[path = "store_api/problems.rs"]
mod problems;
#[path = "store_api/quarantine.rs"]
mod quarantine;
#[allow(dead_code)] // other tests use other parts
#[path = "store/shop.rs"]
mod shop;
#[path = "store_api/witness.rs"]
mod witness;
