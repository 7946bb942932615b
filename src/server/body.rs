//! Bodies of requests: whole, bounded, and unpacked within the same bound.

use super::problem::Problem;
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use std::io::Read as _;

/// Bytes of a request's body that are read, packed or not (research: 16 MiB; an envelope itself has at most 8).
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// Log2 of the memory that unpacking may take: 16 MiB, which every level of zstd but the ultra ones keeps to.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;

/// The whole body, of at most `max` bytes once it is unpacked. `what` is named when it is more; reading stops at twice that, so that whoever
/// sends a little too much is still told.
///
/// # Errors
/// 413, 415 for an encoding other than zstd, 400 where it ended early or does not unpack.
pub async fn read(headers: &HeaderMap, body: Body, what: &str, max: usize) -> Result<Vec<u8>, Problem> {
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
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|bytes| bytes > read_max as u64) {
        return Err(Problem::too_large(what, max));
    }
    let bytes = match axum::body::to_bytes(body, read_max).await {
        Ok(bytes) => bytes,
        Err(error) if is_limit(&error) => return Err(Problem::too_large(what, max)),
        Err(_) => return Err(Problem::bad_request("the body ended before it was whole")),
    };
    let bytes = if packed {
        unpack(&bytes, max).map_err(|_| Problem::bad_request("the body is no zstd"))?
    } else {
        bytes.to_vec()
    };
    if bytes.len() > max { Err(Problem::too_large(what, max)) } else { Ok(bytes) }
}

/// At most one byte more than `max`: nothing grows beyond what is read, whatever the frame says of itself.
fn unpack(packed: &[u8], max: usize) -> std::io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    let mut bytes = Vec::new();
    decoder.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
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
}
