//! The store's SQL: one text for every database. Placeholders `$n`, `ON CONFLICT`, row limits; no JSON operators, no
//! arrays, no sequences. What differs between databases is in their migrations alone.
//!
//! Each statement of the reading path is keyed: `sqlite`'s tests ask the database for the plan of every one in `READING`.

/// How many digests one `CHUNKS_OF_MANY` asks for, and one `ADD_POSTINGS` adds.
pub const BATCH: usize = 64;

// Reading: from an image to its chains, their layouts, and the links in hand.

pub const CHAINS_OF_SUBJECT: &str = "SELECT DISTINCT chain_id FROM subject WHERE digest = $1 LIMIT $2";
pub const CHAINS_OF_BINDING: &str = "SELECT l.chain_id, b.layout_id FROM layout_binding b JOIN layout l ON l.id = b.layout_id \
     WHERE b.digest = $1 ORDER BY b.layout_id DESC LIMIT $2";
pub const SUBJECTS: &str = "SELECT record_id, run_id FROM subject WHERE digest = $1 AND chain_id = $2 \
     ORDER BY role DESC, record_id DESC LIMIT $3";
pub const LAYOUTS: &str = "SELECT id, expires_at FROM layout WHERE chain_id = $1 ORDER BY version DESC LIMIT $2";
pub const LAYOUT_STEPS: &str = "SELECT DISTINCT step FROM layout_key WHERE layout_id = $1";
pub const RECORD: &str = "SELECT id, kind, step, in_set, out_set FROM record WHERE id = $1";
pub const RECORDS_OF_RUN: &str =
    "SELECT id, kind, step, in_set, out_set FROM record WHERE run_id = $1 ORDER BY id DESC LIMIT $2";
pub const SIGNERS: &str = "SELECT keyid FROM signature WHERE record_id = $1 ORDER BY keyid";
pub const ENVELOPE: &str = "SELECT r.chain_id, r.payload_digest, r.kind, r.step, b.digest, b.size, b.inline FROM record r \
     JOIN blob b ON b.id = r.blob_id WHERE r.id = $1";
pub const ENVELOPE_SIZE: &str = "SELECT b.size FROM record r JOIN blob b ON b.id = r.blob_id WHERE r.id = $1";
pub const STEP_KEYS: &str = "SELECT k.public FROM key_grant g JOIN key_ k ON k.keyid = g.keyid \
     WHERE g.chain_id = $1 AND g.step = $2 LIMIT $3";

// Reading: by shared artifacts.

pub const CHUNKS_OF_SET: &str = "SELECT b.inline FROM set_chunk s JOIN chunk c ON c.id = s.chunk_id JOIN blob b ON b.id = c.blob_id \
     WHERE s.set_id = $1 LIMIT $2";
pub const CHUNKS_OF_ONE: &str = "SELECT d64, chunk_id FROM posting WHERE d64 = $1 ORDER BY chunk_id DESC LIMIT $2";
pub const CHUNKS_OF_MANY: &str = "SELECT d64, chunk_id FROM posting WHERE d64 IN ( \
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
     $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, \
     $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, $60, $61, $62, $63, $64) LIMIT $65";
pub const SETS_OF_CHUNK: &str = "SELECT set_id FROM set_chunk WHERE chunk_id = $1 ORDER BY set_id DESC LIMIT $2";
pub const RECORDS_MAKING: &str =
    "SELECT id, step FROM record WHERE out_set = $1 AND chain_id = $2 ORDER BY id DESC LIMIT $3";
pub const RECORDS_USING: &str =
    "SELECT id, step FROM record WHERE in_set = $1 AND chain_id = $2 ORDER BY id DESC LIMIT $3";

/// Every statement of the reading path.
pub const READING: &[&str] = &[
    CHAINS_OF_SUBJECT,
    CHAINS_OF_BINDING,
    SUBJECTS,
    LAYOUTS,
    LAYOUT_STEPS,
    RECORD,
    RECORDS_OF_RUN,
    SIGNERS,
    ENVELOPE,
    ENVELOPE_SIZE,
    STEP_KEYS,
    CHUNKS_OF_SET,
    CHUNKS_OF_ONE,
    CHUNKS_OF_MANY,
    SETS_OF_CHUNK,
    RECORDS_MAKING,
    RECORDS_USING,
    RECORD_BY_NAME,
];

// Writing.

pub const LAST_IDS: &str = "SELECT max(m) FROM (SELECT max(id) AS m FROM chain UNION ALL SELECT max(id) FROM run \
     UNION ALL SELECT max(id) FROM blob UNION ALL SELECT max(id) FROM art_set UNION ALL SELECT max(id) FROM chunk \
     UNION ALL SELECT max(id) FROM record)";
pub const ADD_CHAIN: &str = "INSERT INTO chain (id, tenant_id, name) VALUES ($1, 1, $2) ON CONFLICT DO NOTHING";
pub const CHAIN_BY_NAME: &str = "SELECT id FROM chain WHERE tenant_id = 1 AND name = $1";
pub const ADD_RUN: &str = "INSERT INTO run (id, chain_id, run_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
pub const RUN_BY_KEY: &str = "SELECT id FROM run WHERE chain_id = $1 AND run_key = $2";
pub const ADD_BLOB: &str =
    "INSERT INTO blob (id, digest, size, codec, inline) VALUES ($1, $2, $3, 0, $4) ON CONFLICT DO NOTHING";
pub const BLOB_BY_DIGEST: &str = "SELECT id FROM blob WHERE digest = $1";
pub const SET_BY_ROOT: &str = "SELECT id FROM art_set WHERE root = $1";
pub const ADD_SET: &str = "INSERT INTO art_set (id, root, n) VALUES ($1, $2, $3)";
pub const CHUNK_BY_DIGEST: &str = "SELECT id FROM chunk WHERE digest = $1";
pub const ADD_CHUNK: &str = "INSERT INTO chunk (id, digest, n, blob_id) VALUES ($1, $2, $3, $4)";
pub const ADD_SET_CHUNK: &str = "INSERT INTO set_chunk (chunk_id, set_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub const ADD_POSTING: &str = "INSERT INTO posting (d64, chunk_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub const ADD_POSTINGS: &str = "INSERT INTO posting (d64, chunk_id) VALUES \
     ($2, $1), ($3, $1), ($4, $1), ($5, $1), ($6, $1), ($7, $1), ($8, $1), ($9, $1), ($10, $1), ($11, $1), ($12, \
     $1), ($13, $1), ($14, $1), ($15, $1), ($16, $1), ($17, $1), ($18, $1), ($19, $1), ($20, $1), ($21, $1), \
     ($22, $1), ($23, $1), ($24, $1), ($25, $1), ($26, $1), ($27, $1), ($28, $1), ($29, $1), ($30, $1), ($31, \
     $1), ($32, $1), ($33, $1), ($34, $1), ($35, $1), ($36, $1), ($37, $1), ($38, $1), ($39, $1), ($40, $1), \
     ($41, $1), ($42, $1), ($43, $1), ($44, $1), ($45, $1), ($46, $1), ($47, $1), ($48, $1), ($49, $1), ($50, \
     $1), ($51, $1), ($52, $1), ($53, $1), ($54, $1), ($55, $1), ($56, $1), ($57, $1), ($58, $1), ($59, $1), \
     ($60, $1), ($61, $1), ($62, $1), ($63, $1), ($64, $1), ($65, $1) \
     ON CONFLICT DO NOTHING";
pub const RECORD_BY_NAME: &str = "SELECT record_id FROM record_key \
     WHERE payload_digest = $1 AND tenant_id = 1 AND chain_id = $2 AND payload_type = $3";
pub const ADD_RECORD_KEY: &str = "INSERT INTO record_key (payload_digest, tenant_id, chain_id, payload_type, record_id) \
     VALUES ($1, 1, $2, $3, $4)";
pub const ADD_RECORD: &str = "INSERT INTO record (id, tenant_id, chain_id, run_id, kind, step, payload_digest, payload_type, \
     blob_id, in_set, out_set, return_code, received_at, submitter) \
     VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
pub const SET_RECORD_BLOB: &str = "UPDATE record SET blob_id = $2 WHERE id = $1";
pub const SET_RECORD_RUN: &str = "UPDATE record SET run_id = $2 WHERE id = $1 AND run_id IS NULL";
pub const SET_SUBJECT_RUN: &str = "UPDATE subject SET run_id = $4 \
     WHERE digest = $1 AND chain_id = $2 AND role IN (0, 1) AND record_id = $3";
pub const RUN_OF_RECORD: &str = "SELECT run_id FROM record WHERE id = $1";
pub const ADD_SIGNATURE: &str = "INSERT INTO signature (record_id, keyid, alg, sig) VALUES ($1, $2, $3, $4)";
pub const ADD_SUBJECT: &str = "INSERT INTO subject (digest, chain_id, role, record_id, run_id) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT DO NOTHING";
pub const NEXT_VERSION: &str = "SELECT coalesce(max(version), 0) + 1 FROM layout WHERE chain_id = $1";
pub const ADD_LAYOUT: &str =
    "INSERT INTO layout (id, chain_id, version, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
pub const ADD_LAYOUT_KEY: &str =
    "INSERT INTO layout_key (layout_id, step, keyid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
pub const ADD_BINDING: &str = "INSERT INTO layout_binding (digest, layout_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub const ADD_KEY: &str = "INSERT INTO key_ (keyid, alg, public) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
pub const ADD_GRANT: &str = "INSERT INTO key_grant (chain_id, step, keyid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
