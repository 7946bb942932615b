//! SHA-256 of a file, as it is or with its line endings made Unix's.

use super::cache::{Hash, Seen, Stat};
use sha2::{Digest as _, Sha256};
use std::{fs::File, io::Read, path::Path, time::SystemTime};

/// Read in pieces: a mapped file that shrinks would kill us. One buffer serves many files.
pub const BUFFER_BYTES: usize = 128 * 1024;

/// The file's hash, and by what it is known again if it held still while it was read. `normalise` reads `\r\n` and `\r` as `\n`;
/// `buffer` is scratch and must not be empty.
pub fn file(path: &Path, normalise: bool, buffer: &mut [u8]) -> std::io::Result<(Hash, Option<Seen>)> {
    let at = SystemTime::now();
    let mut file = File::open(path)?;
    let before = Stat::of(&file.metadata()?);
    let hash = reader(&mut file, normalise, buffer)?;
    let stat = Stat::of(&file.metadata()?);
    Ok((hash, (stat == before).then_some(Seen { stat, hash, at })))
}

/// The hash of anything that is read.
pub fn reader(mut source: impl Read, normalise: bool, buffer: &mut [u8]) -> std::io::Result<Hash> {
    let mut hasher = Sha256::new();
    let mut lines = LineEndings::default();
    loop {
        let read = match source.read(buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match normalise {
            true => hasher.update(lines.normalise(&mut buffer[..read])),
            false => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().into())
}

/// `\r\n` and `\r` to `\n`, whatever the pieces the bytes come in (R37).
#[derive(Default)]
struct LineEndings {
    after_return: bool,
}
impl LineEndings {
    fn normalise<'b>(&mut self, piece: &'b mut [u8]) -> &'b [u8] {
        let mut kept = 0;
        for at in 0..piece.len() {
            let byte = piece[at];
            let second_half = self.after_return && byte == b'\n';
            self.after_return = byte == b'\r';
            if !second_half {
                piece[kept] = if byte == b'\r' { b'\n' } else { byte };
                kept += 1;
            }
        }
        &piece[..kept]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(bytes: &[u8], normalise: bool, buffer: usize) -> Hash {
        reader(bytes, normalise, &mut vec![0; buffer]).unwrap()
    }

    #[test]
    fn a_return_at_the_edge_of_a_piece() {
        let mut windows = vec![b'x'; 4095];
        windows.extend(b"\r\nafter\r\r\n\r");
        let mut unix = vec![b'x'; 4095];
        unix.extend(b"\nafter\n\n\n");
        for buffer in [1, 2, 4095, 4096, 4097, 8192] {
            assert_eq!(hashed(&windows, true, buffer), hashed(&unix, false, 4096), "{buffer}");
        }
        assert_ne!(hashed(&windows, false, 4096), hashed(&unix, false, 4096));
    }

    #[test]
    fn nothing_else_is_touched() {
        let bytes = b"\n\n a \0 b \n";
        assert_eq!(hashed(bytes, true, 3), hashed(bytes, false, 7));
    }
}
