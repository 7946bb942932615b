-- Evidence sets beside their images in registries: one row an image and chain, instead of one a repository, which the links alone know.
-- Nothing wrote the table before.

DROP TABLE publication;
CREATE TABLE publication (
    digest     BLOB NOT NULL,
    chain_id   BIGINT NOT NULL,
    -- 0: to be done when it is due, 1: done, 2: given up.
    state      SMALLINT NOT NULL,
    due        BIGINT NOT NULL,
    -- Counts what came in: what was done of an earlier one is not all.
    revision   BIGINT NOT NULL DEFAULT 0,
    -- Who does it, and until when nobody else does.
    holder     BIGINT NOT NULL DEFAULT 0,
    held_until BIGINT NOT NULL DEFAULT 0,
    -- Since what came in last.
    since      BIGINT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    -- The envelopes that are out there, and the artifact they are.
    content    BLOB,
    set_digest BLOB,
    error      TEXT,
    PRIMARY KEY (digest, chain_id)
) WITHOUT ROWID;
CREATE INDEX publication_by_due ON publication (state, due);

-- How far the publisher has read the stream.
INSERT INTO counter (name, value) VALUES ('publication', 0);
CREATE INDEX layout_binding_by_layout ON layout_binding (layout_id);
