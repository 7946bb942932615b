//! The registry credentials of one pod, read by name (security §2.G4-G6).
