//! in-toto's nouns: layout, step, inspection, artifact rule, link (specification v1.0, §4).

pub mod layout;
pub mod link;
pub mod parameters;
mod profile;
pub mod rule;
pub mod statement;

pub use layout::{Inspection, Layout, Step};
pub use link::{Artifacts, Link};
pub use parameters::{Parameter, Parameters};
pub use profile::Profile;
pub use rule::Rule;
pub use statement::Reported;
