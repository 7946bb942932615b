-- Key ids are long and few: a signature names its signer by a number.
CREATE TABLE signer (
    id    BIGINT PRIMARY KEY,
    keyid TEXT NOT NULL UNIQUE
);
INSERT INTO signer (id, keyid)
    SELECT row_number() OVER (ORDER BY keyid), keyid FROM (SELECT DISTINCT keyid FROM signature) AS keyids;

ALTER TABLE signature RENAME TO signature_before;
ALTER INDEX signature_pkey RENAME TO signature_before_pkey;
CREATE TABLE signature (
    record_id BIGINT NOT NULL,
    signer_id BIGINT NOT NULL,
    alg       TEXT NOT NULL,
    sig       BYTEA NOT NULL,
    log_index BIGINT,
    PRIMARY KEY (record_id, signer_id)
);
INSERT INTO signature (record_id, signer_id, alg, sig, log_index)
    SELECT s.record_id, n.id, s.alg, s.sig, s.log_index FROM signature_before s JOIN signer n ON n.keyid = s.keyid;
DROP TABLE signature_before;
CREATE INDEX signature_by_signer ON signature (signer_id, record_id);
