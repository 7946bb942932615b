//! From an image to its chains, their layouts, and the links in hand. `READING` has them all, for the tests that look at their plans.

use super::{InList, RECORD_BY_NAME, Rows};

// From an image to its chains, their layouts, and the links in hand.

pub const CHAINS_OF_SUBJECT: &str = "SELECT DISTINCT chain_id FROM subject WHERE digest = $1 LIMIT $2";
pub const CHAINS_OF_BINDING: &str = "SELECT l.chain_id, b.layout_id FROM layout_binding b JOIN layout l ON l.id = b.layout_id \
     WHERE b.digest = $1 ORDER BY b.layout_id DESC LIMIT $2";
pub const SUBJECTS_OF_IMAGE: &str = "SELECT chain_id, role, record_id, run_id FROM subject WHERE digest = $1 LIMIT $2";
pub const SUBJECTS: &str = "SELECT role, record_id, run_id FROM subject WHERE digest = $1 AND chain_id = $2 AND role < 2 \
     ORDER BY role DESC, record_id DESC LIMIT $3";
pub const STATEMENTS: &str = "SELECT role, record_id, run_id FROM subject WHERE digest = $1 AND chain_id = $2 AND role = 2 \
     ORDER BY record_id DESC LIMIT $3";
pub const LAYOUTS: &str = "SELECT id, expires_at FROM layout WHERE chain_id = $1 ORDER BY version DESC LIMIT $2";
pub const STEPS_OF_LAYOUTS: InList =
    InList { before: "SELECT step FROM layout_key WHERE layout_id IN ", fixed: 0, after: "" };
pub const RECORDS: InList =
    InList { before: "SELECT id, kind, step, in_set, out_set FROM record WHERE id IN ", fixed: 0, after: "" };
pub const RECORDS_OF_RUN: &str =
    "SELECT id, kind, step, in_set, out_set FROM record WHERE run_id = $1 AND kind = 2 ORDER BY id DESC LIMIT $2";
pub const SIGNERS_OF_MANY: InList =
    InList { before: "SELECT record_id, signer_id FROM signature WHERE record_id IN ", fixed: 0, after: "" };
pub const SIGNERS: &str = "SELECT n.keyid FROM signature s JOIN signer n ON n.id = s.signer_id WHERE s.record_id = $1";
/// Records with their bodies' rows and those of the bodies' keyframes (`body::BlobColumns`).
pub const ENVELOPES: InList = InList {
    before: "SELECT r.id, r.chain_id, r.payload_digest, r.kind, r.step, b.digest, b.codec, b.size, b.inline, b.location, \
         k.codec, k.size, k.inline, k.location FROM record r JOIN blob b ON b.id = r.blob_id \
         LEFT JOIN blob k ON k.id = b.base_id WHERE r.id IN ",
    fixed: 0,
    after: "",
};
pub const ENVELOPE_SIZES: InList = InList {
    before: "SELECT r.id, b.size FROM record r JOIN blob b ON b.id = r.blob_id WHERE r.id IN ",
    fixed: 0,
    after: "",
};
pub const STEP_KEYS: &str = "SELECT k.public FROM key_grant g JOIN key_ k ON k.keyid = g.keyid \
     WHERE g.chain_id = $1 AND g.step = $2 LIMIT $3";

// By shared artifacts.

pub const CHUNKS_OF_SET: &str = "SELECT b.digest, b.codec, b.size, b.inline, b.location, k.codec, k.size, k.inline, k.location \
     FROM set_chunk s JOIN chunk c ON c.id = s.chunk_id JOIN blob b ON b.id = c.blob_id LEFT JOIN blob k ON k.id = b.base_id \
     WHERE s.set_id = $1 LIMIT $2";
pub const CHUNKS_OF_ONE: &str = "SELECT d64, chunk_id FROM posting WHERE d64 = $1 ORDER BY chunk_id DESC LIMIT $2";
pub const CHUNKS_OF_MANY: InList =
    InList { before: "SELECT d64, chunk_id FROM posting WHERE d64 IN ", fixed: 1, after: " LIMIT $1" };
/// Chunks that are kept as differences to one, with what they lack of it.
pub const FAMILY_OF_MANY: InList =
    InList { before: "SELECT base_id, id, lacks FROM chunk WHERE base_id IN ", fixed: 1, after: " LIMIT $1" };
/// In how many sets each of these chunks is, 17 standing for any number above 16.
pub const POPULARITY: Rows = Rows {
    before: "SELECT n.column1, (SELECT count(*) FROM (SELECT s.set_id FROM set_chunk s WHERE s.chunk_id = n.column1 ORDER BY s.set_id DESC LIMIT 17) AS few) \
         FROM (VALUES",
    columns: 1,
    after: ") AS n",
};
pub const SETS_OF_CHUNKS: InList =
    InList { before: "SELECT chunk_id, set_id FROM set_chunk WHERE chunk_id IN ", fixed: 0, after: "" };
pub const SETS_OF_CHUNK: &str =
    "SELECT chunk_id, set_id FROM set_chunk WHERE chunk_id = $1 ORDER BY set_id DESC LIMIT $2";
pub const RECORDS_MAKING: &str =
    "SELECT out_set, id, step FROM record WHERE out_set = $1 AND chain_id = $2 ORDER BY id DESC LIMIT $3";
pub const RECORDS_USING: &str =
    "SELECT in_set, id, step FROM record WHERE in_set = $1 AND chain_id = $2 ORDER BY id DESC LIMIT $3";
pub const RECORDS_MAKING_ANY: InList = InList {
    before: "SELECT out_set, id, step FROM record WHERE chain_id = $1 AND out_set IN ",
    fixed: 2,
    after: " LIMIT $2",
};
pub const RECORDS_USING_ANY: InList = InList {
    before: "SELECT in_set, id, step FROM record WHERE chain_id = $1 AND in_set IN ",
    fixed: 2,
    after: " LIMIT $2",
};

// What the next body is packed against: the keyframe of another body, or that body itself where it is kept whole.

pub const LATEST_OF_STEP: &str =
    "SELECT blob_id FROM record WHERE chain_id = $1 AND step = $2 ORDER BY id DESC LIMIT 1";
pub const LATEST_OF_CHAIN: &str = "SELECT blob_id FROM record WHERE chain_id = $1 ORDER BY id DESC LIMIT 1";
pub const LATEST_LAYOUT: &str = "SELECT r.blob_id FROM layout l JOIN record r ON r.id = l.id WHERE l.chain_id = $1 \
     ORDER BY l.version DESC LIMIT 1";
pub const BLOB_OF_RECORD: &str = "SELECT blob_id FROM record WHERE id = $1";
pub const KEYFRAME: &str = "SELECT k.id, k.codec, k.size, k.inline, k.location FROM blob b \
     JOIN blob k ON k.id = coalesce(b.base_id, b.id) WHERE b.id = $1";

/// Of chunks of many names at once: the chunk that the latest of them is a difference to, or that chunk itself, and how many are one to it.
pub const KEYFRAMES_OF_NAMES: Rows = Rows {
    before: "SELECT n.column1, f.id, (SELECT count(*) FROM chunk m WHERE m.base_id = f.id), k.id, k.codec, k.size, k.inline, k.location \
         FROM (VALUES",
    columns: 1,
    after: ") AS n JOIN blob b ON b.id = (SELECT c.blob_id FROM chunk c WHERE c.names = n.column1 ORDER BY c.id DESC LIMIT 1) \
         JOIN blob k ON k.id = coalesce(b.base_id, b.id) JOIN chunk f ON f.digest = k.digest AND f.base_id IS NULL",
};

/// Every statement of the reading path.
pub const READING: &[&str] = &[
    CHAINS_OF_SUBJECT,
    CHAINS_OF_BINDING,
    SUBJECTS_OF_IMAGE,
    SUBJECTS,
    STATEMENTS,
    LAYOUTS,
    RECORDS_OF_RUN,
    SIGNERS,
    STEP_KEYS,
    CHUNKS_OF_SET,
    CHUNKS_OF_ONE,
    SETS_OF_CHUNK,
    RECORDS_MAKING,
    RECORDS_USING,
    RECORD_BY_NAME,
    LATEST_OF_STEP,
    LATEST_OF_CHAIN,
    LATEST_LAYOUT,
    BLOB_OF_RECORD,
    KEYFRAME,
];

/// And those over lists.
pub const READING_LISTS: &[InList] = &[
    STEPS_OF_LAYOUTS,
    RECORDS,
    SIGNERS_OF_MANY,
    ENVELOPES,
    ENVELOPE_SIZES,
    CHUNKS_OF_MANY,
    FAMILY_OF_MANY,
    SETS_OF_CHUNKS,
    RECORDS_MAKING_ANY,
    RECORDS_USING_ANY,
];

/// And those that bring rows along.
pub const READING_ROWS: &[Rows] = &[POPULARITY, KEYFRAMES_OF_NAMES];
