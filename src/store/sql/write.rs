//! What a record becomes.

use super::{InList, Rows};

pub const LAST_IDS: &str = "SELECT max(m) FROM (SELECT max(id) AS m FROM chain UNION ALL SELECT max(id) FROM run \
     UNION ALL SELECT max(id) FROM blob UNION ALL SELECT max(id) FROM art_set UNION ALL SELECT max(id) FROM chunk \
     UNION ALL SELECT max(id) FROM record) AS ids";
pub const ADD_CHAIN: &str = "INSERT INTO chain (id, tenant_id, name) VALUES ($1, 1, $2)";
pub const CHAIN_BY_NAME: &str = "SELECT id FROM chain WHERE tenant_id = 1 AND name = $1";
pub const ADD_RUN: &str = "INSERT INTO run (id, chain_id, run_key) VALUES ($1, $2, $3)";
pub const RUN_BY_KEY: &str = "SELECT id FROM run WHERE chain_id = $1 AND run_key = $2";
/// Of each fact the first that was said.
pub const SET_RUN_FACTS: &str = "UPDATE run SET provider = coalesce(provider, $2), url = coalesce(url, $3), \
     commit_id = coalesce(commit_id, $4), ref = coalesce(ref, $5), trigger_ = coalesce(trigger_, $6), \
     actor = coalesce(actor, $7), started_at = coalesce(started_at, $8), finished_at = coalesce(finished_at, $9), \
     outcome = coalesce(outcome, $10) WHERE id = $1";
pub const ADD_BLOBS: Rows = Rows {
    before: "INSERT INTO blob (id, digest, size, codec, base_id, inline, location) VALUES",
    columns: 7,
    after: " ON CONFLICT (digest) DO NOTHING",
};
pub const BLOBS_BY_DIGEST: InList =
    InList { before: "SELECT digest, id FROM blob WHERE digest IN ", fixed: 0, after: "" };
pub const SET_BY_ROOT: &str = "SELECT id FROM art_set WHERE root = $1";
pub const ADD_SET: &str = "INSERT INTO art_set (id, root, n) VALUES ($1, $2, $3) ON CONFLICT (root) DO NOTHING";
pub const CHUNKS_BY_DIGEST: InList =
    InList { before: "SELECT digest, id FROM chunk WHERE digest IN ", fixed: 0, after: "" };
pub const ADD_CHUNKS: Rows = Rows {
    before: "INSERT INTO chunk (id, digest, n, names, blob_id, base_id, lacks) VALUES",
    columns: 7,
    after: " ON CONFLICT (digest) DO NOTHING",
};
pub const ADD_SET_CHUNKS: Rows =
    Rows { before: "INSERT INTO set_chunk (chunk_id, set_id) VALUES", columns: 2, after: " ON CONFLICT DO NOTHING" };
pub const ADD_POSTINGS: Rows = Rows { before: "INSERT INTO posting (d64, chunk_id) VALUES", columns: 2, after: "" };
pub const RECORD_BY_NAME: &str = "SELECT record_id FROM record_key \
     WHERE payload_digest = $1 AND tenant_id = 1 AND chain_id = $2 AND payload_type = $3";
pub const ADD_RECORD_KEY: &str = "INSERT INTO record_key (payload_digest, tenant_id, chain_id, payload_type, record_id) \
     VALUES ($1, 1, $2, $3, $4)";
pub const ADD_RECORD: &str = "INSERT INTO record (id, tenant_id, chain_id, run_id, kind, step, payload_digest, payload_type, \
     blob_id, in_set, out_set, return_code, received_at, submitter, predicate_type, started_at, finished_at) \
     VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
/// A body's row whose bytes are others than they should be.
pub const MEND_BLOB: &str =
    "UPDATE blob SET size = $2, codec = $3, base_id = $4, inline = $5, location = $6 WHERE digest = $1";
pub const FORGET_SIGNATURES: &str = "DELETE FROM signature WHERE record_id = $1";
pub const SET_RECORD_BLOB: &str = "UPDATE record SET blob_id = $2 WHERE id = $1";
pub const SET_RECORD_RUN: &str = "UPDATE record SET run_id = $2 WHERE id = $1 AND run_id IS NULL";
/// Also those that were named when it was in no run.
pub const SET_SUBJECTS_RUN: &str = "UPDATE subject SET run_id = $2 WHERE record_id = $1";
pub const RUN_OF_RECORD: &str = "SELECT run_id FROM record WHERE id = $1";
pub const ADD_SIGNER: &str = "INSERT INTO signer (id, keyid) VALUES ($1, $2) ON CONFLICT (keyid) DO NOTHING";
pub const SIGNERS_BY_KEY: InList =
    InList { before: "SELECT keyid, id FROM signer WHERE keyid IN ", fixed: 0, after: "" };
pub const ADD_SIGNATURES: Rows =
    Rows { before: "INSERT INTO signature (record_id, signer_id, alg, sig) VALUES", columns: 4, after: "" };
pub const ADD_SUBJECTS: Rows = Rows {
    before: "INSERT INTO subject (digest, chain_id, role, record_id, run_id) VALUES",
    columns: 5,
    after: " ON CONFLICT DO NOTHING",
};
pub const ADD_FACT_KEY: &str = "INSERT INTO fact_key (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
pub const FACT_KEYS: InList = InList { before: "SELECT name, id FROM fact_key WHERE name IN ", fixed: 0, after: "" };
pub const ADD_FACTS: Rows =
    Rows { before: "INSERT INTO fact (record_id, key_id, chain_id, txt, num) VALUES", columns: 5, after: "" };
pub const NEXT_VERSION: &str = "SELECT coalesce(max(version), 0) + 1 FROM layout WHERE chain_id = $1";
pub const ADD_LAYOUT: &str =
    "INSERT INTO layout (id, chain_id, version, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
pub const ADD_KEYS: Rows =
    Rows { before: "INSERT INTO key_ (keyid, alg, public) VALUES", columns: 3, after: " ON CONFLICT DO NOTHING" };
pub const ADD_LAYOUT_KEYS: Rows = Rows {
    before: "INSERT INTO layout_key (layout_id, step, keyid) VALUES",
    columns: 3,
    after: " ON CONFLICT DO NOTHING",
};
pub const ADD_GRANTS: Rows = Rows {
    before: "INSERT INTO key_grant (chain_id, step, keyid) VALUES",
    columns: 3,
    after: " ON CONFLICT DO NOTHING",
};
pub const ADD_BINDINGS: Rows = Rows {
    before: "INSERT INTO layout_binding (digest, layout_id) VALUES",
    columns: 2,
    after: " ON CONFLICT DO NOTHING",
};

// The numbers that are counted up inside a transaction.

pub const NEXT_LANE: &str = "UPDATE counter SET value = value + 1 WHERE name = 'lane' RETURNING value";
/// The last of so many positions. The row is held until the commit: that is what keeps the order.
pub const TAKE_POSITIONS: &str = "UPDATE counter SET value = value + $1 WHERE name = 'stream' RETURNING value";
pub const ADD_POSITIONS: Rows =
    Rows { before: "INSERT INTO stream (seq, record_id, what) VALUES", columns: 3, after: "" };
