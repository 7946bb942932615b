//! The serving certificate in its Secret: made, stored and renewed in three steps (security §3).
