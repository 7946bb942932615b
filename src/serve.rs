//! Listener, TLS with reload, drain (crates §3.4, security §3).
use axum::Router;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    /// `tls.crt` and `tls.key`, watched; `None`: plain http (store on loopback, metrics).
    pub tls: Option<(PathBuf, PathBuf)>,
    pub connections_max: usize,
    pub drain: Duration,
}
/// A port that is open, with its certificate read.
pub struct Bound {/* owner */}
pub async fn bind(options: Options) -> anyhow::Result<Bound> {
    let _ = options;
    todo!()
}
impl Bound {
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }
    /// Serves until `stop`, then drains.
    pub async fn run(self, app: Router, stop: CancellationToken) -> anyhow::Result<()> {
        let _ = (app, stop);
        todo!()
    }
}
