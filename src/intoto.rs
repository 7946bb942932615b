//! in-toto's nouns: layout, step, inspection, artifact rule, link (specification v1.0, §4).

pub mod layout;
pub mod link;
pub mod rule;
pub mod statement;

pub use layout::{Inspection, Layout, Step};
pub use link::{Artifacts, Link};
pub use rule::Rule;
