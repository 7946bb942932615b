//! Evidence from the metadata store: GET /v1/evidence/sha256:{hex} (design §8), with a deadline of its own, bounded, nothing believed.
use crate::{digest::Digest, reason::Fault};
use std::time::Instant;
pub struct StoreClient {/* owner */}
#[derive(Clone, Debug)]
pub struct Options {
    pub url: String,
    pub token: Option<String>,
    pub ca_file: Option<std::path::PathBuf>,
    pub timeout: std::time::Duration,
}
impl StoreClient {
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let _ = options;
        todo!()
    }
    /// Every envelope the store has for the image, whose bytes hash to the record names it gives (`digest_mismatch` otherwise).
    pub async fn envelopes(&self, image: &Digest, deadline: Instant) -> Result<Vec<Vec<u8>>, Fault> {
        let _ = (image, deadline);
        todo!()
    }
    pub fn requests(&self) -> u64 {
        todo!()
    }
}
