use super::*;
use crate::{
    intoto::{Profile, Reported},
    key::Scheme,
};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn shell(base: &std::path::Path, script: &str, container: Container) -> Result<Run, Failure> {
    let key = SecretKey::generate(Scheme::Ed25519).unwrap();
    let tree =
        Tree { base: base.to_owned(), recorder: Recorder::new(&[], &[], false).unwrap(), progress: Progress::Hidden };
    let job = Job {
        step: "build",
        materials: &strings(&["."]),
        products: &strings(&["."]),
        tree: &tree,
        argv: &strings(&["sh", "-c", script]),
        directory: base,
        images: &image::Images::default(),
        container,
        streams: command::Streams::Silent,
        notes: Notes::default(),
    };
    run(&job, &key).await
}

#[tokio::test]
async fn materials_are_those_before_and_products_those_after() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in"), "in").unwrap();
    let run = shell(directory.path(), "mv in out; exit 3", Container::Dsse).await.unwrap();
    assert_eq!(run.link.materials.keys().collect::<Vec<_>>(), ["in"]);
    assert_eq!(run.link.products.keys().collect::<Vec<_>>(), ["out"]);
    assert_eq!(run.outcome.unwrap().exit_code, 3);
    assert_eq!(run.link.byproducts.get("return-value"), Some(&Value::Number("3".into())));
    assert_eq!(run.link.environment, Value::Object(vec![]));
}

#[tokio::test]
async fn both_containers_read_back_as_the_link() {
    let directory = tempfile::tempdir().unwrap();
    for container in [Container::Dsse, Container::Metablock] {
        let run = shell(directory.path(), "echo x > made", container).await.unwrap();
        let read = Envelope::parse(&run.envelope.to_bytes()).unwrap();
        assert_eq!(read.payload_type().is_some(), container == Container::Dsse);
        assert_eq!(Link::of(&read, Profile::Strict).unwrap().link.unwrap(), run.link);
    }
}

#[tokio::test]
async fn a_statement_reads_back_as_the_link() {
    let directory = tempfile::tempdir().unwrap();
    let run = shell(directory.path(), "echo x > made", Container::Statement).await.unwrap();
    assert_eq!(run.warnings, Vec::<String>::new());
    let read = Reported::from_value(&run.envelope.value().unwrap()).unwrap();
    assert_eq!((read.step.as_deref(), &read.link.products), (Some("build"), &run.link.products));
    assert_eq!((&read.link.materials, &read.link.command), (&run.link.materials, &run.link.command));
    // About nothing.
    let Err(Failure::NotRecorded(error)) = shell(directory.path(), "rm made", Container::Statement).await else {
        panic!("a statement without a subject");
    };
    assert!(error.to_string().contains("about its products"), "{error:#}");
}

#[test]
fn an_image_has_one_digest() {
    let mut products = Artifacts::new();
    let (one, other) = (crate::digest::Digest::sha256(b"1"), crate::digest::Digest::sha256(b"2"));
    assert!(insert_image(&mut products, "oci:a/b".into(), DigestSet::of(&one)).is_ok());
    assert!(insert_image(&mut products, "oci:a/b".into(), DigestSet::of(&one)).is_ok());
    assert!(insert_image(&mut products, "oci:a/b".into(), DigestSet::of(&other)).is_err());
}
