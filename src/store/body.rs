//! Rows of `blob`: what is read from one, and what becomes one. `blob` knows how bytes are packed, this where they lie.

use super::{
    StoreError, artifacts,
    blob::{
        self, Base, Codec, INLINE_BYTES_MAX,
        keyframes::{Keyframe, Place},
        objects::Objects,
    },
    failpoint::{self, Point},
    session::{Arg, Session},
    sql,
};
use crate::{args, digest::Digest};

/// Packed bytes as a row has them: codec, size, inline, location.
pub type PackedColumns = (i64, i64, Option<Vec<u8>>, Option<String>);

/// A row of `blob` with that of its keyframe: digest, then codec, size, inline and location of both.
pub type BlobColumns =
    (Vec<u8>, i64, i64, Option<Vec<u8>>, Option<String>, Option<i64>, Option<i64>, Option<Vec<u8>>, Option<String>);

/// A row of `blob` to be.
#[derive(Clone, Debug)]
pub struct Body {
    /// SHA-256 of the bytes.
    pub digest: Vec<u8>,
    /// How many they are.
    pub size: i64,
    pub codec: Codec,
    /// The keyframe of a difference.
    pub base: Option<i64>,
    pub packed: Packed,
    /// It is to take the place of damaged ones.
    pub mends: bool,
}

/// Where the packed bytes of a row are: there is no row without.
#[derive(Clone, Debug)]
pub enum Packed {
    Inline(Vec<u8>),
    /// An object's location.
    Object(String),
}

impl Packed {
    /// As the columns `inline` and `location`.
    pub fn columns(&self) -> [Arg<'_>; 2] {
        match self {
            Packed::Inline(bytes) => [Arg::Bytes(Some(bytes)), Arg::Text(None)],
            Packed::Object(location) => [Arg::Bytes(None), Arg::Text(Some(location))],
        }
    }
}

/// The bytes of a row, as they were written. `what` is named in the error.
///
/// # Errors
/// [`StoreError::Corrupt`] for anything else; an object that cannot be reached.
pub async fn bytes(session: &Session, row: BlobColumns, what: &str) -> Result<Vec<u8>, StoreError> {
    let (digest, codec, size, inline, location, base_codec, base_size, base_inline, base_location) = row;
    let size = blob::size(size).map_err(|damage| damage.of(what))?;
    let codec = Codec::from_code(codec).ok_or_else(|| blob::Damage::Codec.of(what))?;
    let base = match (codec, base_codec, base_size) {
        (Codec::Delta, Some(codec), Some(size)) => {
            Some(base(session, (codec, size, base_inline, base_location), &format!("the keyframe of {what}")).await?)
        }
        _ => None,
    };
    let packed = packed(session, inline, location, what).await?;
    blob::unpack(codec, &packed, size, &digest, base.as_ref()).map_err(|damage| damage.of(what))
}

/// The base that a row of a keyframe makes.
async fn base(session: &Session, row: PackedColumns, what: &str) -> Result<Base, StoreError> {
    let (codec, size, inline, location) = row;
    let size = blob::size(size).map_err(|damage| damage.of(what))?;
    let codec = Codec::from_code(codec).ok_or_else(|| blob::Damage::Codec.of(what))?;
    let packed = packed(session, inline, location, what).await?;
    Base::unpack(codec, &packed, size).map_err(|damage| damage.of(what))
}

async fn packed(
    session: &Session,
    inline: Option<Vec<u8>>,
    location: Option<String>,
    what: &str,
) -> Result<Vec<u8>, StoreError> {
    match (inline, location, session.objects()) {
        (Some(inline), ..) => Ok(inline),
        (None, Some(location), Some(objects)) => objects.get(&location).await,
        // Nothing is damaged: who started this store forgot where the bodies are.
        (None, Some(location), None) => {
            Err(StoreError::Unavailable(format!("{what} is object {location}, and no object storage is configured")))
        }
        (None, None, _) => Err(StoreError::Corrupt(format!("{what} has no bytes"))),
    }
}

/// The bytes packed, and in object storage where they are many and there is one; durable then. The row is still to be written.
///
/// # Errors
/// [`StoreError::Full`] or [`StoreError::Unavailable`] of the object storage.
pub async fn prepare(objects: Option<&Objects>, bytes: &[u8], keyframes: &[Keyframe]) -> Result<Body, StoreError> {
    let mut body = small(bytes, keyframes);
    failpoint::reach(Point::Packed);
    match (body.packed, objects) {
        (Packed::Inline(bytes), Some(objects)) if bytes.len() > INLINE_BYTES_MAX => {
            body.packed = Packed::Object(objects.put(bytes).await?);
            failpoint::reach(Point::Stored);
        }
        (packed, _) => body.packed = packed,
    }
    Ok(body)
}

/// The bytes packed, and inline whatever their number.
pub fn small(bytes: &[u8], keyframes: &[Keyframe]) -> Body {
    let keyframe = |place: usize| keyframes.get(place);
    let pays = |place, bytes| keyframe(place).is_some_and(|keyframe| keyframe.pays(bytes));
    let (packed, base) = blob::pack(bytes, keyframes, pays);
    Body {
        digest: artifacts::raw(&Digest::sha256(bytes)),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        codec: packed.codec,
        base: base.and_then(keyframe).map(|keyframe| keyframe.blob),
        packed: Packed::Inline(packed.bytes),
        mends: false,
    }
}

/// What the next record of a place may be packed against: the keyframe of the latest one.
pub async fn keyframe_of_place(session: &mut Session, place: &Place) -> Result<Option<Keyframe>, StoreError> {
    let latest: Option<i64> = match place {
        Place::Layouts(chain) => session.value(sql::LATEST_LAYOUT, args![*chain]).await?,
        Place::Step(chain, step) => session.value(sql::LATEST_OF_STEP, args![*chain, step]).await?,
        Place::Chain(chain) => session.value(sql::LATEST_OF_CHAIN, args![*chain]).await?,
    };
    match latest {
        Some(blob) => keyframe(session, blob).await,
        None => Ok(None),
    }
}

/// What a body is packed against, or the body itself where it is kept whole. One that is damaged serves nobody any more.
pub async fn keyframe(session: &mut Session, blob: i64) -> Result<Option<Keyframe>, StoreError> {
    match session.row(sql::KEYFRAME, args![blob]).await? {
        Some(row) => Ok(keyframe_of(session, row).await),
        None => Ok(None),
    }
}

/// A keyframe's row: id, codec, size, inline, location.
pub(super) type KeyframeColumns = (i64, i64, i64, Option<Vec<u8>>, Option<String>);

/// The keyframe that a row makes; none where it is damaged.
pub(super) async fn keyframe_of(session: &Session, row: KeyframeColumns) -> Option<Keyframe> {
    let (blob, codec, size, inline, location) = row;
    // One in object storage cost more than can be inline.
    let packed = inline.as_ref().map_or(INLINE_BYTES_MAX, Vec::len);
    match base(session, (codec, size, inline, location), &format!("keyframe {blob}")).await {
        Ok(base) => Some(Keyframe::new(blob, base, packed)),
        Err(error) => {
            tracing::warn!(%error, "a body is kept whole");
            None
        }
    }
}
