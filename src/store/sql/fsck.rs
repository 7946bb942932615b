//! What `fsck` and `backup` ask: pages by id, and what belongs to one row. No request of a client comes here.

pub const BLOB: &str = "SELECT b.digest, b.codec, b.size, b.inline, b.location, k.codec, k.size, k.inline, k.location \
     FROM blob b LEFT JOIN blob k ON k.id = b.base_id WHERE b.id = $1";
pub const BLOBS_AFTER: &str = "SELECT id FROM blob WHERE id > $1 ORDER BY id LIMIT $2";
pub const LOCATIONS_AFTER: &str =
    "SELECT id, location FROM blob WHERE location IS NOT NULL AND id > $1 ORDER BY id LIMIT $2";
pub const RECORDS_AFTER: &str = "SELECT r.id, c.name, r.kind, r.step, r.payload_digest, r.payload_type, r.blob_id, r.in_set, \
     r.out_set, r.received_at FROM record r LEFT JOIN chain c ON c.id = r.chain_id WHERE r.id > $1 ORDER BY r.id LIMIT $2";
pub const RECORD_KEY: &str = "SELECT record_id FROM record_key k JOIN record r ON r.id = k.record_id \
     WHERE k.payload_digest = $1 AND k.record_id = $2 AND k.payload_type = $3 AND k.chain_id = r.chain_id";
pub const SIGNATURES_OF: &str = "SELECT coalesce(n.keyid, ''), s.sig, k.public FROM signature s LEFT JOIN signer n ON n.id = s.signer_id \
     LEFT JOIN key_ k ON k.keyid = n.keyid WHERE s.record_id = $1 ORDER BY n.keyid";
pub const PRODUCED_BY: &str = "SELECT digest FROM subject WHERE record_id = $1 AND role = 0";
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
