//! Our kinds as the API server has them: for each field a document in which only that field is wrong is refused by its name (T-16), by the
//! schema where it can say so and by our webhook where it cannot, and always by the loader.
//!
//! `tests/attacks/T16-*/resource.yaml` says `kind`, the field's place (`at`, a JSON pointer), the wrong `value` (none: the field is taken
//! away), the `field` that the refusal names, and who refuses it first (`by`): the API server's `schema`, its `strict` reading of fields
//! that nobody knows, or our `webhook`. `with` is a merge patch of the good document, for what is only wrong beside something else.
#![cfg(feature = "programs")]

#[allow(dead_code)]
#[path = "support/apiserver.rs"]
mod apiserver;

#[path = "crds/cluster.rs"]
mod cluster;
#[path = "crds/corpus.rs"]
mod corpus;
#[path = "crds/fields.rs"]
mod fields;
#[path = "crds/loader.rs"]
mod loader;
#[path = "crds/shown.rs"]
mod shown;
#[path = "crds/written.rs"]
mod written;

/// One API server for all of it: it takes longer to start than all that is asked of it.
#[tokio::test(flavor = "multi_thread")]
async fn at_a_real_api_server() {
    let cluster = cluster::Cluster::start().await;
    shown::the_definitions_are_accepted_and_explained(&cluster);
    fields::each_field_is_refused_by_its_name(&cluster).await;
    fields::what_is_unknown_is_refused_or_pruned(&cluster).await;
    written::what_the_documents_show_is_accepted(&cluster).await;
    written::the_examples_are_stored_as_they_are_read(&cluster).await;
    written::a_status_is_written_beside_the_spec(&cluster).await;
    shown::the_tables_show_what_matters(&cluster);
}
