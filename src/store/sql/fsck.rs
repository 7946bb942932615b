//! What `fsck` and `backup` ask: pages by id, and what belongs to one row. No request of a client comes here.

pub const BLOB: &str = "SELECT b.digest, b.codec, b.size, b.inline, b.location, k.codec, k.size, k.inline, k.location \
     FROM blob b LEFT JOIN blob k ON k.id = b.base_id WHERE b.id = $1";
pub const BLOBS_AFTER: &str = "SELECT id FROM blob WHERE id > $1 ORDER BY id LIMIT $2";
pub const LOCATIONS_AFTER: &str =
    "SELECT id, location FROM blob WHERE location IS NOT NULL AND id > $1 ORDER BY id LIMIT $2";
pub const RECORDS_AFTER: &str = "SELECT r.id, c.name, r.kind, r.step, r.payload_digest, r.payload_type, r.blob_id, r.in_set, \
     r.out_set, r.received_at, r.return_code, r.predicate_type, r.started_at, r.finished_at FROM record r LEFT JOIN chain c ON c.id = r.chain_id WHERE r.id > $1 ORDER BY r.id LIMIT $2";
pub const RECORD_KEY: &str = "SELECT record_id FROM record_key k JOIN record r ON r.id = k.record_id \
     WHERE k.payload_digest = $1 AND k.record_id = $2 AND k.payload_type = $3 AND k.chain_id = r.chain_id";
pub const SIGNATURES_OF: &str = "SELECT coalesce(n.keyid, ''), s.sig, k.public FROM signature s LEFT JOIN signer n ON n.id = s.signer_id \
     LEFT JOIN key_ k ON k.keyid = n.keyid WHERE s.record_id = $1 ORDER BY n.keyid";
pub const IMAGES_IN_ROLE: &str = "SELECT digest FROM subject WHERE record_id = $1 AND role = $2";
/// Whether some signer of a record has its step from a layout of its chain.
pub const SIGNED_AS_GRANTED: &str = "SELECT r.id FROM record r JOIN signature s ON s.record_id = r.id \
     JOIN signer n ON n.id = s.signer_id JOIN key_grant g ON g.chain_id = r.chain_id AND g.step = r.step AND g.keyid = n.keyid \
     WHERE r.id = $1 LIMIT 1";
/// What hangs from a record and is in another chain, or in another run.
pub const STRAYED: &str = "SELECT 'an image' AS what FROM subject s JOIN record r ON r.id = s.record_id \
     WHERE r.id = $1 AND (s.chain_id <> r.chain_id OR coalesce(s.run_id, 0) <> coalesce(r.run_id, 0)) \
     UNION SELECT 'a fact' FROM fact f JOIN record r ON r.id = f.record_id WHERE r.id = $1 AND f.chain_id <> r.chain_id \
     UNION SELECT 'the run' FROM run n JOIN record r ON r.run_id = n.id WHERE r.id = $1 AND n.chain_id <> r.chain_id";
pub const ANNOUNCED: &str = "SELECT seq FROM stream WHERE record_id = $1 AND what = 1 LIMIT 1";
/// A position that the counter has not come to.
pub const POSITION_BEYOND: &str = "SELECT seq FROM stream \
     WHERE seq > (SELECT coalesce(max(value), 0) FROM counter WHERE name = 'stream') LIMIT 1";
/// When a layout expires, and whether its row is of another chain or time than its record's.
pub const LAYOUT_KEPT: &str = "SELECT l.expires_at, CAST(CASE WHEN l.chain_id = r.chain_id AND l.issued_at = r.received_at \
     THEN 0 ELSE 1 END AS BIGINT) FROM layout l JOIN record r ON r.id = l.id WHERE l.id = $1";
pub const LAYOUT_KEYS_ALL: &str = "SELECT step, keyid FROM layout_key WHERE layout_id = $1";
/// Keys of a layout that its chain does not know.
pub const GRANTS_MISSING: &str = "SELECT k.step FROM layout_key k JOIN layout l ON l.id = k.layout_id \
     LEFT JOIN key_grant g ON g.chain_id = l.chain_id AND g.step = k.step AND g.keyid = k.keyid \
     WHERE k.layout_id = $1 AND g.keyid IS NULL";
/// And keys that a chain knows of no layout.
pub const GRANTS_FOREIGN: &str = "SELECT coalesce(c.name, ''), g.step, g.keyid FROM key_grant g LEFT JOIN chain c ON c.id = g.chain_id \
     WHERE NOT EXISTS (SELECT 1 FROM layout_key k JOIN layout l ON l.id = k.layout_id \
     WHERE k.keyid = g.keyid AND k.step = g.step AND l.chain_id = g.chain_id) ORDER BY g.chain_id, g.step, g.keyid LIMIT $1";
/// Images that a layout was named for and that lead to it in one of the two ways alone.
pub const BOUND_BY_HALF: &str = "SELECT s.digest FROM subject s WHERE s.record_id = $1 AND s.role = 1 \
     AND NOT EXISTS (SELECT 1 FROM layout_binding b WHERE b.digest = s.digest AND b.layout_id = $1) \
     UNION SELECT b.digest FROM layout_binding b WHERE b.layout_id = $1 \
     AND NOT EXISTS (SELECT 1 FROM subject s WHERE s.digest = b.digest AND s.record_id = $1 AND s.role = 1)";
pub const KEYS_AFTER: &str = "SELECT keyid, public FROM key_ WHERE keyid > $1 ORDER BY keyid LIMIT $2";
pub const IMAGES_OF: &str = "SELECT DISTINCT digest FROM subject WHERE record_id = $1 LIMIT $2";
pub const CHUNKS_AFTER: &str =
    "SELECT id, digest, n, blob_id, base_id, lacks FROM chunk WHERE id > $1 ORDER BY id LIMIT $2";
pub const BASE: &str = "SELECT blob_id FROM chunk WHERE id = $1 AND base_id IS NULL";
pub const POSTING: &str = "SELECT chunk_id FROM posting WHERE d64 = $1 AND chunk_id = $2";
pub const SET: &str = "SELECT root, n FROM art_set WHERE id = $1";
pub const CHUNK_DIGESTS_OF_SET: &str =
    "SELECT c.digest FROM set_chunk s JOIN chunk c ON c.id = s.chunk_id WHERE s.set_id = $1";

/// What is referred to, and the ids that are not there. Bodies and lists of records are looked at with the records.
pub const BROKEN_REFERENCES: &[(&str, &str)] = &[
    (
        "record",
        "SELECT s.record_id FROM subject s LEFT JOIN record r ON r.id = s.record_id WHERE r.id IS NULL LIMIT $1",
    ),
    (
        "record",
        "SELECT s.record_id FROM signature s LEFT JOIN record r ON r.id = s.record_id WHERE r.id IS NULL LIMIT $1",
    ),
    (
        "signer",
        "SELECT s.signer_id FROM signature s LEFT JOIN signer n ON n.id = s.signer_id WHERE n.id IS NULL LIMIT $1",
    ),
    (
        "record",
        "SELECT k.record_id FROM record_key k LEFT JOIN record r ON r.id = k.record_id WHERE r.id IS NULL LIMIT $1",
    ),
    ("record", "SELECT s.record_id FROM stream s LEFT JOIN record r ON r.id = s.record_id WHERE r.id IS NULL LIMIT $1"),
    ("record", "SELECT f.record_id FROM fact f LEFT JOIN record r ON r.id = f.record_id WHERE r.id IS NULL LIMIT $1"),
    ("fact", "SELECT f.key_id FROM fact f LEFT JOIN fact_key k ON k.id = f.key_id WHERE k.id IS NULL LIMIT $1"),
    ("layout", "SELECT l.id FROM layout l LEFT JOIN record r ON r.id = l.id WHERE r.id IS NULL LIMIT $1"),
    (
        "layout",
        "SELECT r.id FROM record r LEFT JOIN layout l ON l.id = r.id WHERE r.kind = 1 AND l.id IS NULL LIMIT $1",
    ),
    (
        "layout",
        "SELECT k.layout_id FROM layout_key k LEFT JOIN layout l ON l.id = k.layout_id WHERE l.id IS NULL LIMIT $1",
    ),
    (
        "layout",
        "SELECT b.layout_id FROM layout_binding b LEFT JOIN layout l ON l.id = b.layout_id WHERE l.id IS NULL LIMIT $1",
    ),
    (
        "key of layout",
        "SELECT k.layout_id FROM layout_key k LEFT JOIN key_ y ON y.keyid = k.keyid WHERE y.keyid IS NULL LIMIT $1",
    ),
    (
        "run",
        "SELECT r.run_id FROM record r LEFT JOIN run n ON n.id = r.run_id WHERE r.run_id IS NOT NULL AND n.id IS NULL LIMIT $1",
    ),
    (
        "run",
        "SELECT s.run_id FROM subject s LEFT JOIN run n ON n.id = s.run_id WHERE s.run_id IS NOT NULL AND n.id IS NULL LIMIT $1",
    ),
    ("chunk", "SELECT p.chunk_id FROM posting p LEFT JOIN chunk c ON c.id = p.chunk_id WHERE c.id IS NULL LIMIT $1"),
    ("chunk", "SELECT s.chunk_id FROM set_chunk s LEFT JOIN chunk c ON c.id = s.chunk_id WHERE c.id IS NULL LIMIT $1"),
    (
        "artifact list",
        "SELECT s.set_id FROM set_chunk s LEFT JOIN art_set a ON a.id = s.set_id WHERE a.id IS NULL LIMIT $1",
    ),
];
