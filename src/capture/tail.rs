//! The last bytes of an output that passes through.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// What a command left running may hold its output open; it is not waited for longer than this.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    /// Earlier output is gone.
    cut: bool,
}

/// An output on its way.
pub(super) struct Tail {
    kept: Arc<Mutex<Kept>>,
    passed: oneshot::Receiver<()>,
}

impl Tail {
    /// Passes everything on, on a thread of its own, and keeps the last `bytes_max`.
    pub fn of(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static, bytes_max: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keep = kept.clone();
        let (over, passed) = oneshot::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let piece = match from.read(&mut buffer) {
                    Ok(read @ 1..) => buffer.get(..read).unwrap_or_default(),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    _ => break,
                };
                {
                    let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.bytes.extend(piece);
                    let over = kept.bytes.len().saturating_sub(bytes_max);
                    kept.bytes.drain(..over);
                    kept.cut |= over > 0;
                }
                // Nobody reads on: the command is to learn it, as it would without us.
                if to.write_all(piece).is_err() || to.flush().is_err() {
                    break;
                }
            }
            // Nobody waits any more: that is well.
            let _ = over.send(());
        });
        Tail { kept, passed }
    }

    /// What was kept, as text. The first line is left out where something before it is gone: half of a secret would not be found.
    pub async fn text(tail: Option<Self>) -> String {
        let Some(Tail { kept, passed }) = tail else { return String::new() };
        // What comes after that is passed on still, and not kept.
        let _ = tokio::time::timeout(GRACE, passed).await;
        let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        let bytes: Vec<u8> = kept.bytes.into();
        let text = String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}");
        match kept.cut {
            true => text.split_once('\n').map(|(_, whole)| whole.to_owned()).unwrap_or_default(),
            false => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn whole_lines_of_the_end_are_kept_and_all_is_passed_on() {
        let input = b"first line\nsecond\0 line\nthird line\n";
        let kept = async |bytes_max| {
            let passed = Shared::default();
            let text = Tail::text(Some(Tail::of(&input[..], passed.clone(), bytes_max))).await;
            assert_eq!(*passed.0.lock().unwrap(), input);
            text
        };
        assert_eq!(kept(1_000).await, "first line\nsecond\u{fffd} line\nthird line\n");
        assert_eq!(kept(20).await, "third line\n");
        assert_eq!(kept(5).await, "");
        assert_eq!(Tail::text(None).await, "");
    }
}
