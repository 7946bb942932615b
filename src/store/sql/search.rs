//! What is asked beside an image's evidence. A filter's statement gives ids, newest first: `$1` the chain, `$2` below which id, `$3` from
//! which id, `$4` how many, and then what is looked for. `SEARCHING` has them all, for the tests that look at their plans.

use super::InList;

// One filter each.

pub const OF_CHAIN: &str =
    "SELECT id FROM record WHERE chain_id = $1 AND id < $2 AND id >= $3 ORDER BY id DESC LIMIT $4";
pub const OF_STEP: &str =
    "SELECT id FROM record WHERE chain_id = $1 AND id < $2 AND id >= $3 AND step = $5 ORDER BY id DESC LIMIT $4";
pub const OF_PREDICATE: &str = "SELECT id FROM record \
     WHERE chain_id = $1 AND id < $2 AND id >= $3 AND predicate_type = $5 ORDER BY id DESC LIMIT $4";
/// Not for links, which are what most records are: their index is that of the chain.
pub const OF_KIND: &str = "SELECT id FROM record \
     WHERE chain_id = $1 AND id < $2 AND id >= $3 AND kind <> 2 AND kind = $5 ORDER BY id DESC LIMIT $4";
pub const OF_RUN: &str = "SELECT id FROM record \
     WHERE chain_id = $1 AND id < $2 AND id >= $3 AND run_id = $5 ORDER BY id DESC LIMIT $4";
/// Its index has no chain: a key of several chains is walked over their records together.
pub const OF_KEY: &str = "SELECT s.record_id FROM signature s JOIN record r ON r.id = s.record_id \
     WHERE r.chain_id = $1 AND s.record_id < $2 AND s.record_id >= $3 AND s.signer_id = (SELECT id FROM signer WHERE keyid = $5) \
     ORDER BY s.record_id DESC LIMIT $4";
pub const OF_DIGEST: &str = "SELECT DISTINCT record_id FROM subject \
     WHERE chain_id = $1 AND record_id < $2 AND record_id >= $3 AND digest = $5 ORDER BY record_id DESC LIMIT $4";
pub const OF_TEXT: &str = "SELECT record_id FROM fact \
     WHERE chain_id = $1 AND record_id < $2 AND record_id >= $3 AND key_id = $5 AND txt = $6 \
     ORDER BY record_id DESC LIMIT $4";
pub const OF_NUMBER: &str = "SELECT record_id FROM fact \
     WHERE chain_id = $1 AND record_id < $2 AND record_id >= $3 AND key_id = $5 AND num >= $6 AND num <= $7 \
     ORDER BY record_id DESC LIMIT $4";

/// Filters whose ids come out of their index in order.
pub const FILTERS: &[&str] = &[OF_CHAIN, OF_STEP, OF_PREDICATE, OF_KIND, OF_KEY, OF_TEXT];
/// Filters whose ids are sorted: those of one run, of one image in one chain, of one range of numbers.
pub const SORTED_FILTERS: &[&str] = &[OF_RUN, OF_DIGEST, OF_NUMBER];

// The same filters, of records in hand.

pub const HAVING_KEY: InList = InList {
    before: "SELECT record_id FROM signature WHERE signer_id = (SELECT id FROM signer WHERE keyid = $1) AND record_id IN ",
    fixed: 1,
    after: "",
};
pub const HAVING_DIGEST: InList =
    InList { before: "SELECT record_id FROM subject WHERE digest = $1 AND record_id IN ", fixed: 1, after: "" };
pub const HAVING_TEXT: InList = InList {
    before: "SELECT record_id FROM fact WHERE key_id = $1 AND txt = $2 AND record_id IN ",
    fixed: 2,
    after: "",
};
pub const HAVING_NUMBER: InList = InList {
    before: "SELECT record_id FROM fact WHERE key_id = $1 AND num >= $2 AND num <= $3 AND record_id IN ",
    fixed: 3,
    after: "",
};

// Records in hand: what they say.

pub const ROWS: InList = InList {
    before: "SELECT id, chain_id, run_id, kind, step, payload_digest, predicate_type, return_code, received_at, \
         submitter, state, in_set, out_set FROM record WHERE id IN ",
    fixed: 0,
    after: "",
};
pub const SIGNERS_OF: InList = InList {
    before: "SELECT s.record_id, n.keyid FROM signature s JOIN signer n ON n.id = s.signer_id WHERE s.record_id IN ",
    fixed: 0,
    after: "",
};
pub const FACTS_OF: InList = InList {
    before: "SELECT f.record_id, k.name, f.txt, f.num FROM fact f JOIN fact_key k ON k.id = f.key_id WHERE f.record_id IN ",
    fixed: 0,
    after: "",
};
pub const RUN_KEYS: InList = InList { before: "SELECT id, run_key FROM run WHERE id IN ", fixed: 0, after: "" };
pub const SUBJECTS_OF: &str = "SELECT digest, role FROM subject WHERE record_id = $1 LIMIT $2";
pub const FACT_KEY: &str = "SELECT id FROM fact_key WHERE name = $1";
/// The records of one name: a chain may have it in both containers.
pub const RECORDS_BY_DIGEST: &str = "SELECT record_id FROM record_key WHERE payload_digest = $1 LIMIT $2";

// Images.

/// The chains whose links made some images (role 0).
pub const CHAINS_MAKING: InList = InList {
    before: "SELECT DISTINCT digest, chain_id FROM subject WHERE role = 0 AND digest IN ",
    fixed: 0,
    after: "",
};

// The stream.

pub const STREAM: &str = "SELECT seq, record_id, what FROM stream WHERE seq > $1 ORDER BY seq LIMIT $2";

// Runs, layouts, keys.

pub const RUNS_OF_CHAIN: &str = "SELECT id, chain_id, run_key, provider, url, commit_id, ref, trigger_, actor, \
     started_at, finished_at, outcome FROM run WHERE chain_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
pub const RUNS_OF_COMMIT: &str = "SELECT id, chain_id, run_key, provider, url, commit_id, ref, trigger_, actor, \
     started_at, finished_at, outcome FROM run WHERE commit_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
pub const RUN: &str = "SELECT id, chain_id, run_key, provider, url, commit_id, ref, trigger_, actor, \
     started_at, finished_at, outcome FROM run WHERE id = $1";
pub const RECORDS_OF_RUN_ALL: &str = "SELECT id FROM record WHERE run_id = $1 ORDER BY id DESC LIMIT $2";
pub const LAYOUTS_OF_CHAIN: &str = "SELECT l.id, l.version, l.issued_at, l.expires_at, r.payload_digest \
     FROM layout l JOIN record r ON r.id = l.id WHERE l.chain_id = $1 AND l.version < $2 ORDER BY l.version DESC LIMIT $3";
pub const LAYOUT_KEYS: &str = "SELECT step, keyid FROM layout_key WHERE layout_id = $1 LIMIT $2";
pub const KEYS_OF_CHAIN: &str = "SELECT g.step, g.keyid, k.alg, k.public FROM key_grant g JOIN key_ k ON k.keyid = g.keyid \
     WHERE g.chain_id = $1 ORDER BY g.step, g.keyid LIMIT $2";

// The graph.

pub const MAKERS: &str = "SELECT record_id FROM subject WHERE digest = $1 AND chain_id = $2 AND role < 2 \
     ORDER BY role DESC, record_id DESC LIMIT $3";
pub const MADE: InList = InList {
    before: "SELECT digest, chain_id, record_id FROM subject WHERE role < 2 AND digest IN ",
    fixed: 0,
    after: " LIMIT 1000",
};

pub const CHUNK: &str = "SELECT b.digest, b.codec, b.size, b.inline, b.location, k.codec, k.size, k.inline, k.location \
     FROM chunk c JOIN blob b ON b.id = c.blob_id LEFT JOIN blob k ON k.id = b.base_id WHERE c.id = $1";

// Verdicts and what runs.

pub const VERDICTS_OF_DIGEST: &str = "SELECT id, cluster, namespace, workload_uid, workload_kind, workload_name, image, \
     digest, decision, reason, policy, at FROM verdict WHERE digest = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
pub const VERDICTS_OF_CLUSTER: &str = "SELECT id, cluster, namespace, workload_uid, workload_kind, workload_name, image, \
     digest, decision, reason, policy, at FROM verdict WHERE cluster = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
pub const WORKLOADS_OF_DIGEST: &str = "SELECT cluster, uid, digest, namespace, kind, name, image, first_seen, last_seen \
     FROM workload WHERE digest = $1 LIMIT $2";
pub const WORKLOADS_OF_CLUSTER: &str = "SELECT cluster, uid, digest, namespace, kind, name, image, first_seen, last_seen \
     FROM workload WHERE cluster = $1 AND (uid, digest) > ($2, $3) ORDER BY uid, digest LIMIT $4";

pub const ADD_VERDICT: &str = "INSERT INTO verdict (id, cluster, namespace, workload_uid, workload_kind, workload_name, \
     image, digest, decision, reason, policy, at, received_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
/// What runs where: an older report that comes late does not take the place of a newer one.
pub const SEE_WORKLOAD: &str = "INSERT INTO workload (cluster, uid, digest, namespace, kind, name, image, first_seen, \
     last_seen, verdict_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9) ON CONFLICT (cluster, uid, digest) DO UPDATE \
     SET last_seen = excluded.last_seen, verdict_id = excluded.verdict_id, image = excluded.image \
     WHERE workload.last_seen < excluded.last_seen";

/// The last of a piece of the verdicts below an id, the oldest; then the piece. So few that nobody waits for it.
pub const LAST_OF_PIECE: &str = "SELECT id FROM verdict WHERE id < $1 ORDER BY id LIMIT 1 OFFSET 499";
pub const FORGET_VERDICTS: &str = "DELETE FROM verdict WHERE id < $1";
/// The workloads that no later verdict is about.
pub const FORGET_WORKLOADS: &str = "DELETE FROM workload WHERE verdict_id < $1";

/// Every statement of this file that reads, without the filters.
pub const ASKING: &[&str] = &[
    SUBJECTS_OF,
    FACT_KEY,
    RECORDS_BY_DIGEST,
    STREAM,
    RUNS_OF_CHAIN,
    RUNS_OF_COMMIT,
    RUN,
    LAYOUTS_OF_CHAIN,
    LAYOUT_KEYS,
    KEYS_OF_CHAIN,
    MAKERS,
    CHUNK,
    VERDICTS_OF_DIGEST,
    VERDICTS_OF_CLUSTER,
    WORKLOADS_OF_DIGEST,
    WORKLOADS_OF_CLUSTER,
    LAST_OF_PIECE,
    FORGET_VERDICTS,
    FORGET_WORKLOADS,
];
/// Those of them that sort what belongs to one run.
pub const ASKING_SORTED: &[&str] = &[RECORDS_OF_RUN_ALL];
/// And those over lists.
pub const ASKING_LISTS: &[InList] =
    &[HAVING_KEY, HAVING_DIGEST, HAVING_TEXT, HAVING_NUMBER, ROWS, SIGNERS_OF, FACTS_OF, RUN_KEYS, MADE, CHAINS_MAKING];
