//! How the bytes of a record or of a chunk are packed: as they are, compressed, or as the difference to a *keyframe*, an
//! earlier record of the same chain and step (docs/store.md). Pure: where packed bytes lie is the databases' and
//! `objects`' business.
//!
//! What is unpacked is hashed always, so damage is an error and never other bytes.

use crate::{digest::Digest, store::StoreError};

pub mod keyframes;
pub mod objects;
mod part;

/// The largest blob that is packed or unpacked: twice what an envelope may have, for the signatures that join it.
pub const BLOB_BYTES_MAX: usize = 16 << 20;
/// Packed bytes from which on a body goes to object storage, where there is one.
pub const INLINE_BYTES_MAX: usize = 64 << 10;
/// A difference that is no smaller than this part of what compression alone gives is not worth a second read; what is then kept
/// whole is the next keyframe.
const DELTA_PER_CENT_MAX: usize = 40;
/// Fewer bytes are never a difference: what that saves is not worth the second read, nor what a damaged keyframe takes with it.
const DELTA_BYTES_MIN: usize = 1 << 10;
/// A difference of at most this part of the bytes is good enough: nothing else is tried.
const DELTA_PART_GOOD: usize = 32;
/// zstd's own default; higher ones cost much and give little on hashes.
const LEVEL: i32 = 3;

/// How bytes are packed: the column `blob.codec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As they are.
    Raw,
    /// zstd over the parted form.
    Zstd,
    /// zstd over the parted form, with the parted form of a keyframe as dictionary.
    Delta,
}

impl Codec {
    /// The number in the column.
    pub fn code(self) -> i64 {
        match self {
            Codec::Raw => 0,
            Codec::Zstd => 1,
            Codec::Delta => 2,
        }
    }

    /// The codec behind a number; `None` for one we did not write.
    pub fn from_code(code: i64) -> Option<Self> {
        [Codec::Raw, Codec::Zstd, Codec::Delta].into_iter().find(|codec| codec.code() == code)
    }
}

/// Packed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    pub codec: Codec,
    pub bytes: Vec<u8>,
}

/// What a difference is taken to: the parted form of a blob that is kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(Vec<u8>);

/// Why packed bytes are not what was packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A number in `blob.codec` that we did not write.
    #[error("is packed in no way known")]
    Codec,
    /// `blob.size` is beyond what is ever kept.
    #[error("is said to have {0} bytes")]
    Size(i64),
    /// No zstd, or more than the recorded size comes out.
    #[error("does not unpack")]
    Packing,
    /// Another number of bytes than recorded.
    #[error("has {found} bytes, and {expected} were written")]
    Length { found: usize, expected: usize },
    /// A difference without its keyframe, or to another difference.
    #[error("has no keyframe")]
    Base,
    /// The right number of other bytes.
    #[error("has other bytes than were written")]
    Digest,
}

/// The bytes packed, and the place among the bases of that which it is a difference to: the first difference that is tiny, otherwise the
/// smallest packing. A difference is taken where it is worth a second read, and `pays`, asked with its size, agrees.
pub fn pack<B: AsRef<Base>>(bytes: &[u8], bases: &[B], pays: impl Fn(usize, usize) -> bool) -> (Packed, Option<usize>) {
    let parted = part::part(bytes);
    // zstd fails for want of memory alone, and then the bytes are kept as they are.
    let bases = if bytes.len() < DELTA_BYTES_MIN { &[] } else { bases };
    let mut smallest: Option<(usize, Vec<u8>)> = None;
    for (place, base) in bases.iter().enumerate() {
        let Ok(delta) = compress(&parted, &base.as_ref().0) else { continue };
        if delta.len() <= bytes.len() / DELTA_PART_GOOD && pays(place, delta.len()) {
            return (Packed { codec: Codec::Delta, bytes: delta }, Some(place));
        }
        if smallest.as_ref().is_none_or(|(_, other)| delta.len() < other.len()) {
            smallest = Some((place, delta));
        }
    }
    let delta = |max: usize| {
        let (place, delta) = smallest.filter(|(_, delta)| delta.len() <= max)?;
        pays(place, delta.len()).then_some((Packed { codec: Codec::Delta, bytes: delta }, Some(place)))
    };
    let raw = || Packed { codec: Codec::Raw, bytes: bytes.to_vec() };
    let plain = compress(&parted, &[]).ok().filter(|plain| plain.len() < bytes.len());
    let whole = plain.map_or_else(raw, |plain| Packed { codec: Codec::Zstd, bytes: plain });
    delta(whole.bytes.len() * DELTA_PER_CENT_MAX / 100).unwrap_or((whole, None))
}

/// The bytes as they were packed. `size` and `digest` (SHA-256) are those of the bytes.
///
/// # Errors
/// Anything that is not exactly what was packed.
pub fn unpack(codec: Codec, packed: &[u8], size: usize, digest: &[u8], base: Option<&Base>) -> Result<Vec<u8>, Damage> {
    let bytes = match (codec, base) {
        (Codec::Raw, _) => packed.to_vec(),
        (Codec::Zstd, _) => part::join(&decompress(packed, &[], size)?, size).ok_or(Damage::Packing)?,
        (Codec::Delta, None) => return Err(Damage::Base),
        (Codec::Delta, Some(base)) => part::join(&decompress(packed, &base.0, size)?, size).ok_or(Damage::Packing)?,
    };
    if bytes.len() != size {
        return Err(Damage::Length { found: bytes.len(), expected: size });
    }
    if Digest::sha256(&bytes).hex() != hex::encode(digest) {
        return Err(Damage::Digest);
    }
    Ok(bytes)
}

/// A recorded size, if it can be one.
///
/// # Errors
/// [`Damage::Size`].
pub fn size(recorded: i64) -> Result<usize, Damage> {
    usize::try_from(recorded).ok().filter(|size| *size <= BLOB_BYTES_MAX).ok_or(Damage::Size(recorded))
}

impl AsRef<Base> for Base {
    fn as_ref(&self) -> &Base {
        self
    }
}

impl Base {
    /// The base that these bytes make.
    pub fn of(bytes: &[u8]) -> Self {
        Base(part::part(bytes))
    }

    /// The `size` bytes that it was made of.
    pub fn bytes(&self, size: usize) -> Option<Vec<u8>> {
        part::join(&self.0, size)
    }

    /// The base that packed bytes make. What is unpacked with its help is hashed, so it need not be.
    ///
    /// # Errors
    /// It does not unpack, or is itself a difference.
    pub fn unpack(codec: Codec, packed: &[u8], size: usize) -> Result<Self, Damage> {
        match codec {
            Codec::Raw if packed.len() <= size => Ok(Base::of(packed)),
            Codec::Raw => Err(Damage::Length { found: packed.len(), expected: size }),
            Codec::Zstd => decompress(packed, &[], size).map(Base),
            // One deep: a damaged record damages those of its own keyframe at most.
            Codec::Delta => Err(Damage::Base),
        }
    }
}

impl Damage {
    /// As an error of the thing of this name.
    pub fn of(self, what: &str) -> StoreError {
        StoreError::Corrupt(format!("{what} {self}"))
    }
}

fn compress(bytes: &[u8], dictionary: &[u8]) -> std::io::Result<Vec<u8>> {
    use zstd::zstd_safe::CParameter;
    let mut compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary)?;
    // Matches reach back to the begin of the dictionary, however large the two are.
    let reach = (bytes.len() + dictionary.len()).next_power_of_two().ilog2().clamp(10, 25);
    compressor.set_parameter(CParameter::WindowLog(reach))?;
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    compressor.compress(bytes)
}

/// At most what a blob of `size` bytes has in its parted form.
fn decompress(packed: &[u8], dictionary: &[u8], size: usize) -> Result<Vec<u8>, Damage> {
    let mut decompressor = zstd::bulk::Decompressor::with_dictionary(dictionary).map_err(|_| Damage::Packing)?;
    decompressor.decompress(packed, size + part::HEADER_BYTES).map_err(|_| Damage::Packing)
}

#[cfg(test)]
mod tests;
