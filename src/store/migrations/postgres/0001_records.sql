-- The metadata store's tables for PostgreSQL (docs/store.md): those of SQLite, column for column. Numbers are BIGINT, which is what the
-- statements bind. No foreign keys: every id was made or looked up in the same transaction, nothing is ever deleted, `fsck` looks, and the
-- check of each would lock a row that all writers share.

CREATE TABLE tenant (
    id   BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
INSERT INTO tenant (id, name) VALUES (1, 'default');

CREATE TABLE chain (
    id         BIGINT PRIMARY KEY,
    tenant_id  BIGINT NOT NULL,
    name       TEXT NOT NULL,
    source_uri TEXT,
    state      BIGINT NOT NULL DEFAULT 0,
    UNIQUE (tenant_id, name)
);

CREATE TABLE run (
    id          BIGINT PRIMARY KEY,
    chain_id    BIGINT NOT NULL,
    run_key     TEXT NOT NULL,
    provider    TEXT,
    url         TEXT,
    commit_id   TEXT,
    ref         TEXT,
    trigger_    TEXT,
    actor       TEXT,
    started_at  BIGINT,
    finished_at BIGINT,
    outcome     BIGINT,
    UNIQUE (chain_id, run_key)
);
CREATE INDEX run_by_chain ON run (chain_id, id DESC);

-- Bytes by their SHA-256. codec 0: as they are; base_id and location are for deltas and object storage.
CREATE TABLE blob (
    id       BIGINT PRIMARY KEY,
    digest   BYTEA NOT NULL UNIQUE,
    size     BIGINT NOT NULL,
    codec    BIGINT NOT NULL DEFAULT 0,
    base_id  BIGINT,
    inline   BYTEA,
    location TEXT
);

ALTER TABLE blob ALTER COLUMN inline SET STORAGE EXTERNAL;

-- Artifact lists: a set is some chunks, a chunk is one directory's sorted (name, digests), posted by the first eight
-- bytes of each digest.
CREATE TABLE art_set (
    id   BIGINT PRIMARY KEY,
    root BYTEA NOT NULL UNIQUE,
    n    BIGINT NOT NULL
);
CREATE TABLE chunk (
    id      BIGINT PRIMARY KEY,
    digest  BYTEA NOT NULL UNIQUE,
    n       BIGINT NOT NULL,
    blob_id BIGINT NOT NULL
);
CREATE TABLE set_chunk (
    chunk_id BIGINT NOT NULL,
    set_id   BIGINT NOT NULL,
    PRIMARY KEY (chunk_id, set_id)
);
CREATE INDEX set_chunk_by_set ON set_chunk (set_id);
CREATE TABLE posting (
    d64      BIGINT NOT NULL,
    chunk_id BIGINT NOT NULL,
    PRIMARY KEY (d64, chunk_id)
);

-- kind 1: layout, 2: link.
CREATE TABLE record (
    id             BIGINT PRIMARY KEY,
    tenant_id      BIGINT NOT NULL,
    chain_id       BIGINT NOT NULL,
    run_id         BIGINT,
    kind           BIGINT NOT NULL,
    step           TEXT,
    payload_digest BYTEA NOT NULL,
    payload_type   TEXT NOT NULL,
    blob_id        BIGINT NOT NULL,
    in_set         BIGINT,
    out_set        BIGINT,
    return_code    BIGINT,
    received_at    BIGINT NOT NULL,
    submitter      TEXT NOT NULL,
    log_index      BIGINT,
    state          BIGINT NOT NULL DEFAULT 0
);
-- In SQLite every index ends in the row id.
CREATE INDEX record_by_run ON record (run_id, id DESC);
CREATE INDEX record_by_chain ON record (chain_id, id DESC);
CREATE INDEX record_by_log ON record (log_index);
CREATE INDEX record_by_out ON record (out_set, chain_id, id DESC);
CREATE INDEX record_by_in ON record (in_set, chain_id, id DESC);

-- What makes a write idempotent. payload_type is empty for a Metablock: the same text signed as DSSE is another record.
CREATE TABLE record_key (
    payload_digest BYTEA NOT NULL,
    tenant_id      BIGINT NOT NULL,
    chain_id       BIGINT NOT NULL,
    payload_type   TEXT NOT NULL,
    record_id      BIGINT NOT NULL,
    PRIMARY KEY (payload_digest, tenant_id, chain_id, payload_type)
);

-- Signatures that verified, by the id of the public key.
CREATE TABLE signature (
    record_id BIGINT NOT NULL,
    keyid     TEXT NOT NULL,
    alg       TEXT NOT NULL,
    sig       BYTEA NOT NULL,
    log_index BIGINT,
    PRIMARY KEY (record_id, keyid)
);
CREATE INDEX signature_by_key ON signature (keyid, record_id);

-- HOT: what an admission can ask for. role 0: a product of the link, 1: named by the writer.
CREATE TABLE subject (
    digest    BYTEA NOT NULL,
    chain_id  BIGINT NOT NULL,
    role      BIGINT NOT NULL,
    record_id BIGINT NOT NULL,
    run_id    BIGINT,
    PRIMARY KEY (digest, chain_id, role, record_id)
);

-- A layout's id is that of its record.
CREATE TABLE layout (
    id         BIGINT PRIMARY KEY,
    chain_id   BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    state      BIGINT NOT NULL DEFAULT 0,
    log_index  BIGINT,
    UNIQUE (chain_id, version)
);
CREATE TABLE layout_key (
    layout_id BIGINT NOT NULL,
    step      TEXT NOT NULL,
    keyid     TEXT NOT NULL,
    PRIMARY KEY (layout_id, step, keyid)
);
CREATE INDEX layout_key_by_key ON layout_key (keyid);
CREATE TABLE layout_binding (
    digest    BYTEA NOT NULL,
    layout_id BIGINT NOT NULL,
    PRIMARY KEY (digest, layout_id)
);

-- Keys the owner-signed layouts of a chain have ever authorised, and for which steps.
CREATE TABLE key_ (
    keyid  TEXT NOT NULL PRIMARY KEY,
    alg    TEXT NOT NULL,
    public TEXT NOT NULL
);
CREATE TABLE key_grant (
    chain_id   BIGINT NOT NULL,
    step       TEXT NOT NULL,
    keyid      TEXT NOT NULL,
    from_index BIGINT,
    PRIMARY KEY (chain_id, step, keyid)
);
CREATE INDEX key_grant_by_key ON key_grant (keyid);
