//! A close that loses nothing: we say that we are done, and go on reading until the peer is done too.
//!
//! A connection that is closed with bytes unread is reset. A client that sent its next request while our GOAWAY was on its way would read that
//! reset instead of the GOAWAY, and could not tell that its request was never looked at.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// A connection whose shutdown waits for the peer's end.
pub(super) struct Lingering<I> {
    io: I,
    /// How long the peer has to notice that we are done.
    patience: Duration,
    /// Since our side is shut; what arrives is read and dropped.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<I> Lingering<I> {
    pub(super) fn new(io: I, patience: Duration) -> Self {
        Lingering { io, patience, waiting: None }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Lingering<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let waiting = match &mut this.waiting {
            Some(waiting) => waiting,
            None => {
                ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
                this.waiting.insert(Box::pin(tokio::time::sleep(this.patience)))
            }
        };
        let mut scratch = [0; 4096];
        loop {
            if waiting.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut dropped = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.io).poll_read(cx, &mut dropped)) {
                Ok(()) if !dropped.filled().is_empty() => {}
                // Its end, or its reset: either way it knows.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn the_close_waits_for_the_peer_and_takes_what_it_sent() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut ours = Lingering::new(ours, Duration::from_secs(60));
        let closing = tokio::spawn(async move { ours.shutdown().await });
        // Our end is told at once, and what is on its way is still taken, more than fits on the way.
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 0);
        theirs.write_all(&[7; 10_000]).await.unwrap();
        assert!(!closing.is_finished());
        drop(theirs);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_says_nothing_is_not_waited_for_longer() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let (begun, patience) = (std::time::Instant::now(), Duration::from_millis(30));
        Lingering::new(ours, patience).shutdown().await.unwrap();
        assert!(begun.elapsed() >= patience);
    }
}
