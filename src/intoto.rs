//! in-toto's nouns: layout, step, inspection, artifact rule, link (specification v1.0, §4).

pub mod artifacts;
pub mod facts;
pub mod layout;
pub mod link;
pub mod parameters;
mod profile;
pub mod rule;
pub mod statement;

pub use artifacts::Artifacts;
pub use facts::{Fact, Facts};
pub use layout::{Inspection, Layout, Step};
pub use link::Link;
pub use parameters::{Parameter, Parameters};
pub use profile::Profile;
pub use rule::Rule;
pub use statement::Reported;
