//! Status conditions and counts of our resources.
