-- A directory's names: its list is kept as the difference to an earlier one of the same names.
ALTER TABLE chunk ADD COLUMN names BIGINT;
CREATE INDEX chunk_by_names ON chunk (names, id DESC) WHERE names IS NOT NULL;
