-- What is asked beside an image's evidence: facts, runs, the ordered stream, verdicts, workloads, publishing.

-- One row each, counted up inside the transaction that needs the number. lane: which ids a process makes (`id`). stream: the last position.
CREATE TABLE counter (
    name  TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('lane', 0);

-- The order in which readers learn of records. Positions are given at the end of a transaction, while the counter's row is held, so none
-- becomes visible after a greater one. what 1: the record is new, 2: it has a further signature.
CREATE TABLE stream (
    seq       INTEGER PRIMARY KEY,
    record_id BIGINT NOT NULL REFERENCES record (id),
    what      SMALLINT NOT NULL
);
CREATE INDEX stream_by_record ON stream (record_id);
INSERT INTO stream (seq, record_id, what) SELECT row_number() OVER (ORDER BY id), id, 1 FROM record;
INSERT INTO counter (name, value) SELECT 'stream', count(*) FROM record;

ALTER TABLE record ADD COLUMN predicate_type TEXT;
ALTER TABLE record ADD COLUMN started_at BIGINT;
ALTER TABLE record ADD COLUMN finished_at BIGINT;
-- Most records are links, and the chain's own index has those.
CREATE INDEX record_by_kind ON record (chain_id, kind, id DESC) WHERE kind <> 2;
CREATE INDEX record_by_step ON record (chain_id, step, id DESC);
CREATE INDEX record_by_predicate ON record (chain_id, predicate_type, id DESC) WHERE predicate_type IS NOT NULL;
CREATE INDEX run_by_commit ON run (commit_id, id DESC) WHERE commit_id IS NOT NULL;
-- A read of one record's subjects, and of one run's.
CREATE INDEX subject_by_record ON subject (record_id);

-- What a record says of itself, where somebody may ask for it: a text or a number.
CREATE TABLE fact_key (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE fact (
    record_id BIGINT NOT NULL REFERENCES record (id),
    key_id    BIGINT NOT NULL REFERENCES fact_key (id),
    chain_id  BIGINT NOT NULL,
    txt       TEXT,
    num       BIGINT,
    PRIMARY KEY (record_id, key_id)
) WITHOUT ROWID;
CREATE INDEX fact_by_txt ON fact (key_id, txt, chain_id, record_id DESC) WHERE txt IS NOT NULL;
CREATE INDEX fact_by_num ON fact (key_id, chain_id, num, record_id DESC) WHERE num IS NOT NULL;

-- Decisions that clusters report. decision 1: allowed, 2: denied, 3: warned, 4: audited.
CREATE TABLE verdict (
    id            INTEGER PRIMARY KEY,
    cluster       TEXT NOT NULL,
    namespace     TEXT NOT NULL,
    workload_uid  TEXT NOT NULL,
    workload_kind TEXT NOT NULL,
    workload_name TEXT NOT NULL,
    image         TEXT NOT NULL,
    digest        BLOB,
    decision      SMALLINT NOT NULL,
    reason        TEXT,
    policy        TEXT,
    layout_id     BIGINT,
    at            BIGINT NOT NULL,
    micros        BIGINT,
    received_at   BIGINT NOT NULL
);
CREATE INDEX verdict_by_digest ON verdict (digest, id DESC) WHERE digest IS NOT NULL;
CREATE INDEX verdict_by_cluster ON verdict (cluster, id DESC);

-- What runs where, by the latest verdict.
CREATE TABLE workload (
    cluster    TEXT NOT NULL,
    uid        TEXT NOT NULL,
    digest     BLOB NOT NULL,
    namespace  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    image      TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    verdict_id BIGINT NOT NULL,
    PRIMARY KEY (cluster, uid, digest)
) WITHOUT ROWID;
CREATE INDEX workload_by_digest ON workload (digest);

-- Evidence sets beside their images in registries. state 0: to do, 1: published, 2: given up.
CREATE TABLE publication (
    digest     BLOB NOT NULL,
    repository TEXT NOT NULL,
    set_digest BLOB,
    manifest   BLOB,
    state      SMALLINT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    error      TEXT,
    at         BIGINT NOT NULL,
    PRIMARY KEY (digest, repository)
) WITHOUT ROWID;
CREATE INDEX publication_by_state ON publication (state, at);
