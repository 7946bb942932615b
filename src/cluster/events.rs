//! Events on the workload a decision is about.
