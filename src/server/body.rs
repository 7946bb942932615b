//! Bodies of requests: whole, bounded, in time, and unpacked within the same bound. They arrive before their request takes a place among
//! those that are worked on: who sends slowly, or never to the end, keeps nobody out but themselves.

use super::problem::Problem;
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::BodyExt as _;
use std::{
    collections::HashMap,
    io::Read as _,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Bytes of a request's body that are read, packed or not (research: 16 MiB; an envelope itself has at most 8).
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// Log2 of the memory that unpacking may take: 16 MiB, which every level of zstd but the ultra ones keeps to.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;
/// What one sender may have of the room for bodies: so much part of it.
const SENDER_PART: usize = 4;
/// Bodies of one sender that arrive or wait for room; those of HTTP/2 have some bytes with us already.
const SENDER_BODIES_MAX: usize = 256;
/// Senders without a body are forgotten when there are so many.
const SENDERS_MAX: usize = 1_024;

/// How long a body may take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// What any body has.
    pub grace: Duration,
    /// And beyond it this pace, from its first byte on.
    pub bytes_per_second: u32,
    /// How long a body waits for room; nothing of it is read before.
    pub room_wait: Duration,
}

impl Default for Pace {
    /// Half a megabit: whoever is slower on purpose gives up their place, and whoever is so by nature still sends links.
    fn default() -> Self {
        Pace { grace: Duration::from_secs(5), bytes_per_second: 64 << 10, room_wait: Duration::from_secs(10) }
    }
}

/// Room for bodies that arrive, in KiB, by the length that their requests state.
#[derive(Debug)]
pub struct Bodies {
    room: Arc<Semaphore>,
    kib_of_one: usize,
    /// What each sender has left of their part.
    senders: Mutex<HashMap<String, Weak<Semaphore>>>,
    pace: Pace,
}

/// A body that is here.
#[derive(Debug)]
pub struct Arrived {
    bytes: Vec<u8>,
    packed: bool,
    what: &'static str,
    max: usize,
    _room: [OwnedSemaphorePermit; 2],
}

impl Bodies {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize, pace: Pace) -> Self {
        let kib = bytes_max >> 10;
        let (room, kib_of_one) = (Arc::new(Semaphore::new(kib)), kib / SENDER_PART);
        Bodies { room, kib_of_one, senders: Mutex::default(), pace }
    }

    /// The whole body of a request whose sender is known, of at most `max` bytes once it is unpacked. `what` is named when it is more;
    /// reading stops at twice that, so that whoever sends a little too much is still told.
    ///
    /// # Errors
    /// 408 where it came too slowly, 413, 415 for an encoding other than zstd, 400 where it ended early, 503 where there is no room.
    pub async fn receive(
        &self,
        sender: &str,
        headers: &HeaderMap,
        body: Body,
        what: &'static str,
        max: usize,
    ) -> Result<Arrived, Problem> {
        let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
        let packed = match encoding.as_deref() {
            None | Some(b"identity") => false,
            Some(b"zstd") => true,
            Some(_) => {
                let detail = "a body comes as it is, or with Content-Encoding: zstd";
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding_unsupported", detail));
            }
        };
        let read_max = max.saturating_mul(2).min(BODY_BYTES_MAX);
        let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if stated.is_some_and(|bytes| bytes > read_max) {
            return Err(Problem::too_large(what, max));
        }
        let room = tokio::time::timeout(self.pace.room_wait, self.room(sender, stated.unwrap_or(read_max)));
        let room = room.await.ok().flatten().ok_or_else(Problem::overloaded)?;
        let bytes =
            self.read(body, stated.unwrap_or(0), read_max).await?.ok_or_else(|| Problem::too_large(what, max))?;
        Ok(Arrived { bytes, packed, what, max, _room: room })
    }

    /// Room of the sender's own part first: whoever waits for that keeps nobody else waiting.
    async fn room(&self, sender: &str, bytes: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        let kib = u32::try_from(bytes.div_ceil(1 << 10).clamp(1, self.kib_of_one)).ok()?;
        let own = self.of_sender(sender)?.acquire_many_owned(kib).await.ok()?;
        Some([own, Arc::clone(&self.room).acquire_many_owned(kib).await.ok()?])
    }

    /// A sender's part; `None` where they have more in hand than anybody may.
    fn of_sender(&self, sender: &str) -> Option<Arc<Semaphore>> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = senders.get(sender).and_then(Weak::upgrade) {
            return (Arc::strong_count(&part) <= SENDER_BODIES_MAX).then_some(part);
        }
        if senders.len() >= SENDERS_MAX {
            senders.retain(|_, part| part.strong_count() > 0);
        }
        let part = Arc::new(Semaphore::new(self.kib_of_one));
        senders.insert(sender.to_owned(), Arc::downgrade(&part));
        Some(part)
    }

    /// `None`: it has more than is read.
    async fn read(&self, mut body: Body, stated: usize, read_max: usize) -> Result<Option<Vec<u8>>, Problem> {
        let (start, mut bytes) = (Instant::now(), Vec::with_capacity(stated));
        loop {
            let sent = Duration::from_secs_f64(bytes.len() as f64 / f64::from(self.pace.bytes_per_second.max(1)));
            let frame = match tokio::time::timeout_at(start + self.pace.grace + sent, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(Problem::bad_request("the body ended before it was whole")),
                Ok(None) => return Ok(Some(bytes)),
                Err(_) => {
                    let detail = "the body came too slowly";
                    return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail));
                }
            };
            // Trailers say nothing to us.
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > read_max {
                return Ok(None);
            }
            bytes.extend_from_slice(&data);
        }
    }
}

impl Arrived {
    /// The bytes. From here on it is the request's place that bounds them: a packed body may be a thousand times what arrived.
    ///
    /// # Errors
    /// 413, and 400 where it does not unpack.
    pub fn unpack(self) -> Result<Vec<u8>, Problem> {
        let Arrived { bytes, packed, what, max, .. } = self;
        let bytes = match packed {
            true => unpack(&bytes, max).map_err(|_| Problem::bad_request("the body is no zstd"))?,
            false => bytes,
        };
        if bytes.len() > max { Err(Problem::too_large(what, max)) } else { Ok(bytes) }
    }
}

/// At most one byte more than `max`: nothing grows beyond what is read, whatever the frame says of itself.
fn unpack(packed: &[u8], max: usize) -> std::io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    let mut bytes = Vec::new();
    decoder.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unpacks_to_more_is_cut() {
        let packed = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
        assert_eq!(unpack(&packed(b"hello"), 5).unwrap(), b"hello");
        let bomb = packed(&vec![0; 64 << 20]);
        assert!(bomb.len() < 16 << 10);
        assert_eq!(unpack(&bomb, 1_000).unwrap().len(), 1_001);
        let cut = packed(b"hello");
        assert!(unpack(&cut[..cut.len() - 3], 5).is_err());
        assert!(unpack(b"hello", 5).is_err());
        // A frame that wants more memory than we give is none.
        let mut wide = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        wide.window_log(27).unwrap();
        std::io::Write::write_all(&mut wide, &vec![1; 1 << 20]).unwrap();
        assert!(unpack(&wide.finish().unwrap(), 2 << 20).is_err());
    }

    fn quick() -> Pace {
        let (grace, room_wait) = (Duration::from_millis(200), Duration::from_millis(50));
        Pace { grace, room_wait, bytes_per_second: 1 << 20 }
    }

    fn stating(bytes: usize) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, bytes.into())])
    }

    /// A body of these parts, one after each pause.
    fn slow(parts: &'static [&'static [u8]], pause: Duration) -> Body {
        let part = move |part: &'static [u8]| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(part)
        };
        Body::from_stream(futures::StreamExt::then(futures::stream::iter(parts.iter().copied()), part))
    }

    #[tokio::test]
    async fn one_sender_has_a_part_of_the_room() {
        let bodies = Bodies::new(64 << 10, quick());
        let receive = async |sender: &str, bytes: usize| {
            let body = Body::from(vec![b' '; bytes]);
            bodies.receive(sender, &stating(bytes), body, "a record", 64 << 10).await
        };
        let held = receive("ci", 16 << 10).await.unwrap();
        assert_eq!(receive("ci", 1).await.unwrap_err().reason, "overloaded", "all that one may have");
        let others = [receive("a", 16 << 10).await.unwrap(), receive("b", 16 << 10).await.unwrap()];
        // What states no length may have any.
        let unstated = bodies.receive("c", &HeaderMap::new(), Body::from("x"), "a record", 64 << 10).await.unwrap();
        assert_eq!(receive("d", 1).await.unwrap_err().reason, "overloaded", "all there is");
        assert_eq!(held.unpack().unwrap().len(), 16 << 10);
        assert!(receive("d", 1).await.is_ok(), "what was taken up makes room");
        assert!(receive("ci", 1).await.is_ok());
        drop((others, unstated));
        assert_eq!(bodies.room.available_permits(), 64);
    }

    #[tokio::test]
    async fn what_comes_too_slowly_is_given_up() {
        const PARTS: &[&[u8]] = &[b"a", b"b", b"c"];
        let bodies = Bodies::new(64 << 10, quick());
        let receive = async |pause| {
            let body = slow(PARTS, Duration::from_millis(pause));
            bodies.receive("ci", &HeaderMap::new(), body, "a record", 1 << 10).await
        };
        assert_eq!(receive(10).await.unwrap().unpack().unwrap(), b"abc");
        let given_up = receive(150).await.unwrap_err();
        assert_eq!((given_up.status.as_u16(), given_up.reason), (408, "body_too_slow"));
        assert_eq!(bodies.room.available_permits(), 64, "and its room is free again");
    }

    #[tokio::test]
    async fn more_than_is_read_is_told_apart_from_more_than_is_taken() {
        let bodies = Bodies::new(64 << 10, quick());
        for (headers, bytes) in [(stating(3_000), 3_000), (HeaderMap::new(), 3_000), (stating(1_500), 1_500)] {
            let arrived = bodies.receive("ci", &headers, Body::from(vec![0; bytes]), "a record", 1_000).await;
            assert_eq!(arrived.and_then(Arrived::unpack).unwrap_err().reason, "record_too_large", "{bytes}");
        }
        let broken = Body::from_stream(futures::stream::iter([Err::<&[u8], _>(std::io::Error::other("gone"))]));
        let broken = bodies.receive("ci", &HeaderMap::new(), broken, "a record", 1_000).await;
        assert_eq!(broken.unwrap_err().reason, "request_malformed");
    }
}
