//! A Lease, so that one replica of many writes.
