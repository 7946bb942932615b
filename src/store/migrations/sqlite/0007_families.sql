-- A directory's list that is kept as the difference to an earlier one is posted by what it has more than that one, base_id; lacks are the
-- postings of that one which it has not, eight bytes each.
ALTER TABLE chunk ADD COLUMN base_id BIGINT;
ALTER TABLE chunk ADD COLUMN lacks BLOB;
CREATE INDEX chunk_by_base ON chunk (base_id, id DESC) WHERE base_id IS NOT NULL;
