-- A workload is forgotten with the last verdict about it.
CREATE INDEX workload_by_verdict ON workload (verdict_id);
