//! Our own resources, watched; the last good version of each.
