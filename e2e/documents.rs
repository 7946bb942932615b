//! The commands of the documents: blocks of shell that are marked `try=NAME`, run as they stand.

use crate::{
    cluster::Cluster,
    tools::{Ran, checkout},
};

/// The block of that name.
#[track_caller]
pub fn block(document: &str, name: &str) -> String {
    let text = std::fs::read_to_string(checkout("docs").join(document)).unwrap_or_else(|e| panic!("{document}: {e}"));
    let head = format!("```sh try={name}\n");
    let block = text.split(&head).nth(1).and_then(|it| it.split("```").next());
    block.unwrap_or_else(|| panic!("{document} has no block try={name}")).to_owned()
}

/// Runs the block as the administrator; it must succeed.
#[track_caller]
pub fn tried(cluster: &Cluster, document: &str, name: &str, variables: &[(&str, &str)]) -> Ran {
    cluster.shell(&block(document, name), variables).expect(0)
}
