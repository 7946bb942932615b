//! Who brought a record, tokens that write once, and what is kept aside.

pub const ADD_SUBMISSION: &str = "INSERT INTO submission (record_id, principal, issuer, subject, claims, received_at) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (record_id, principal) DO NOTHING";
pub const USE_TOKEN: &str =
    "INSERT INTO used_token (token, record, expires_at) VALUES ($1, $2, $3) ON CONFLICT (token) DO NOTHING";
pub const USE_OF_TOKEN: &str = "SELECT record FROM used_token WHERE token = $1";
pub const FORGET_TOKENS: &str = "DELETE FROM used_token WHERE expires_at < $1";

pub const QUARANTINE_USE: &str =
    "SELECT count(*), CAST(coalesce(sum(length(envelope)), 0) AS BIGINT) FROM quarantine WHERE chain_id = $1";
pub const ADD_QUARANTINED: &str = "INSERT INTO quarantine (id, chain_id, name, digest, envelope, run_key, step, declared, writer, \
     principal, issuer, subject, claims, received_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (chain_id, digest) DO NOTHING";
pub const IS_QUARANTINED: &str = "SELECT id FROM quarantine WHERE chain_id = $1 AND digest = $2";
pub const QUARANTINED: &str = "SELECT id, name, envelope, run_key, step, declared, writer, principal, issuer, subject, claims, \
     received_at FROM quarantine WHERE chain_id = $1 AND id > $2 ORDER BY id LIMIT $3";
pub const RELEASE: &str = "DELETE FROM quarantine WHERE id = $1";
pub const CHAIN_KEYS: &str =
    "SELECT DISTINCT k.public FROM key_grant g JOIN key_ k ON k.keyid = g.keyid WHERE g.chain_id = $1 LIMIT $2";
