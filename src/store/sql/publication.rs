//! Which evidence sets are to be published, and by whom.

pub const NEWS_AFTER: &str = "SELECT s.seq, r.id, r.chain_id, r.run_id FROM stream s JOIN record r ON r.id = s.record_id \
     WHERE s.seq > $1 ORDER BY s.seq LIMIT $2";
pub const IMAGES_OF_RECORD: &str = "SELECT digest FROM subject WHERE record_id = $1 LIMIT $2";
pub const IMAGES_OF_RUN: &str = "SELECT s.digest FROM record r JOIN subject s ON s.record_id = r.id \
     WHERE r.run_id = $1 LIMIT $2";
pub const IMAGES_OF_LAYOUT: &str = "SELECT digest FROM layout_binding WHERE layout_id = $1 LIMIT $2";
pub const PUBLICATION_READ: &str = "SELECT value FROM counter WHERE name = 'publication'";
pub const DUE: &str = "SELECT digest, chain_id, revision, since, attempts, content FROM publication \
     WHERE state = 0 AND due <= $1 AND held_until <= $1 ORDER BY due LIMIT $2";

/// Every statement that reads.
pub const PUBLICATION_READING: &[&str] =
    &[NEWS_AFTER, IMAGES_OF_RECORD, IMAGES_OF_RUN, IMAGES_OF_LAYOUT, PUBLICATION_READ, DUE];

pub const SET_PUBLICATION_READ: &str = "UPDATE counter SET value = $1 WHERE name = 'publication' AND value < $1";
pub const WAKE: &str = "INSERT INTO publication (digest, chain_id, state, due, since) VALUES ($1, $2, 0, $3, $3) \
     ON CONFLICT (digest, chain_id) DO UPDATE SET state = 0, due = excluded.due, since = excluded.since, attempts = 0, \
     revision = publication.revision + 1, error = NULL";
/// Compare and swap: of two who saw it free, one takes it.
pub const HOLD: &str = "UPDATE publication SET holder = $3, held_until = $4 \
     WHERE digest = $1 AND chain_id = $2 AND state = 0 AND held_until <= $5";
pub const HOLD_ON: &str = "UPDATE publication SET held_until = $4 WHERE digest = $1 AND chain_id = $2 AND holder = $3";
/// Done, unless more came in meanwhile.
pub const PUBLISHED: &str = "UPDATE publication SET state = CASE WHEN revision = $4 THEN 1 ELSE 0 END, held_until = 0, \
     attempts = 0, content = $5, set_digest = coalesce($6, set_digest), error = NULL WHERE digest = $1 AND chain_id = $2 AND holder = $3";
pub const POSTPONED: &str = "UPDATE publication SET due = CASE WHEN revision = $4 THEN $5 ELSE due END, held_until = 0, \
     attempts = attempts + 1, error = $6 WHERE digest = $1 AND chain_id = $2 AND holder = $3";
pub const GIVEN_UP: &str = "UPDATE publication SET state = CASE WHEN revision = $4 THEN 2 ELSE 0 END, held_until = 0, \
     error = $5 WHERE digest = $1 AND chain_id = $2 AND holder = $3";
