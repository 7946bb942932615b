//! The scenarios, a file each group.

pub mod evidence;
