-- Who brought a record: a witness beside what is signed, under another key than the functionary's. claims: a JSON object of at most 4 KiB.
CREATE TABLE submission (
    record_id   BIGINT NOT NULL,
    principal   TEXT NOT NULL,
    issuer      TEXT,
    subject     TEXT,
    claims      TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (record_id, principal)
);

-- Tokens that write once, by the hash of issuer and jti, with what they wrote. Forgotten an hour after their end.
CREATE TABLE used_token (
    token      BYTEA NOT NULL PRIMARY KEY,
    record     BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_token_by_end ON used_token (expires_at);

-- Links that no layout authorises yet, as they came. They are no records: nothing but the release reads them.
CREATE TABLE quarantine (
    id          BIGINT PRIMARY KEY,
    chain_id    BIGINT NOT NULL,
    name        BYTEA NOT NULL,
    digest      BYTEA NOT NULL,
    envelope    BYTEA NOT NULL,
    run_key     TEXT,
    step        TEXT,
    declared    TEXT NOT NULL,
    writer      TEXT NOT NULL,
    principal   TEXT NOT NULL,
    issuer      TEXT,
    subject     TEXT,
    claims      TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    UNIQUE (chain_id, digest)
);
CREATE INDEX quarantine_by_chain ON quarantine (chain_id, id);
