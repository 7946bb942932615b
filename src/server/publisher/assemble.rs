//! Whether an image's chain is whole, and where its evidence goes. Pure; nothing here decides whether anything counts: that is the reader's.

use crate::{
    digest::Digest,
    envelope::Envelope,
    image::artifact_repository,
    intoto::Layout,
    reference::Reference,
    store::{Found, Kind, document},
};
use std::collections::BTreeSet;

/// What can be done with what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assembled {
    Whole(Set),
    /// What is missed.
    Incomplete(String),
    /// No link names a place that we may write to.
    Nowhere,
}

/// One image's evidence, and the repositories it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub envelopes: Vec<Vec<u8>>,
    pub repositories: BTreeSet<Reference>,
    /// A hash over the envelopes.
    pub content: Vec<u8>,
}

/// Whole is a chain of which some layout has a link for each of its steps. The repositories are those that links name beside the
/// image's digest, as far as `may` lets them through.
pub fn assemble(image: &Digest, records: &[Found], may: impl Fn(&Reference) -> bool) -> Assembled {
    let mut steps: BTreeSet<&str> = BTreeSet::new();
    let (mut layouts, mut repositories) = (Vec::new(), BTreeSet::new());
    for record in records {
        let Ok(envelope) = Envelope::parse(&record.envelope) else { continue };
        match record.kind {
            Kind::Layout => layouts.extend(envelope.value().ok().and_then(|value| Layout::from_value(&value).ok())),
            Kind::Link => {
                steps.extend(record.step.as_deref());
                repositories.extend(named(image, &envelope).into_iter().filter(&may));
            }
            // What else is said of the image goes along.
            Kind::Statement => {}
        }
    }
    let missing = layouts.iter().map(|layout| {
        let names = layout.steps.iter().map(|step| step.name.as_str());
        names.filter(|name| !steps.contains(name)).collect::<Vec<_>>()
    });
    match missing.min_by_key(Vec::len) {
        None => Assembled::Incomplete("there is no layout".into()),
        Some(missing) if !missing.is_empty() => {
            Assembled::Incomplete(format!("there is no link of {}", missing.join(", ")))
        }
        Some(_) if repositories.is_empty() => Assembled::Nowhere,
        Some(_) => {
            let envelopes: Vec<_> = records.iter().map(|record| record.envelope.clone()).collect();
            Assembled::Whole(Set { content: content(&envelopes), envelopes, repositories })
        }
    }
}

/// The images of this digest that a link made, by their names.
fn named(image: &Digest, envelope: &Envelope) -> Vec<Reference> {
    let products = document::products(envelope);
    let made = products.iter().filter(|(_, digests)| digests.get("sha256").as_deref() == Some(image.hex()));
    made.filter_map(|(name, _)| artifact_repository(name)?.parse().ok()).collect()
}

fn content(envelopes: &[Vec<u8>]) -> Vec<u8> {
    let digests: BTreeSet<String> = envelopes.iter().map(|bytes| Digest::sha256(bytes).to_string()).collect();
    let all: Vec<&str> = digests.iter().map(String::as_str).collect();
    crate::store::artifacts::raw(&Digest::sha256(all.join("\n").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Scheme, SecretKey};
    use serde_json::{Value, json};

    fn record(kind: Kind, document: Value) -> Found {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        let bytes = Envelope::sign_metablock((&document).into(), &[&key]).unwrap().to_bytes();
        let step = (kind == Kind::Link).then(|| document["name"].as_str().unwrap().to_owned());
        Found { chain: 1, digest: Digest::sha256(&bytes), kind, step, envelope: bytes }
    }

    fn layout(steps: &[&str]) -> Found {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        let step = |name: &&str| {
            json!({"_type": "step", "name": name, "threshold": 1, "pubkeys": [key.public().id()], "expected_command": [],
                "expected_materials": [], "expected_products": []})
        };
        record(
            Kind::Layout,
            json!({"_type": "layout", "expires": "2099-01-01T00:00:00Z", "readme": "", "inspect": [],
                "keys": {key.public().id(): key.public().to_layout()}, "steps": steps.iter().map(step).collect::<Vec<_>>()}),
        )
    }

    fn link(step: &str, products: Value) -> Found {
        record(
            Kind::Link,
            json!({"_type": "link", "name": step, "command": [], "materials": {}, "products": products, "byproducts": {}, "environment": {}}),
        )
    }

    fn image() -> Digest {
        Digest::sha256(b"image")
    }

    fn made(repository: &str, image: &Digest) -> Value {
        json!({format!("oci:{repository}"): {"sha256": image.hex()}})
    }

    const API: &str = "registry.example.com/shop/api";

    fn anywhere(records: &[Found]) -> Assembled {
        assemble(&image(), records, |_| true)
    }

    #[test]
    fn a_chain_is_whole_when_some_layout_has_its_links() {
        let (test, build) = (link("test", json!({})), link("build", made(API, &image())));
        let more = layout(&["test", "build", "scan"]);
        let missing = |names: &str| Assembled::Incomplete(format!("there is no link of {names}"));
        assert_eq!(anywhere(&[test.clone(), build.clone()]), Assembled::Incomplete("there is no layout".into()));
        assert_eq!(anywhere(&[more.clone(), build.clone()]), missing("test, scan"));
        assert_eq!(anywhere(&[more.clone(), test.clone(), build.clone()]), missing("scan"));
        let records = [more, layout(&["build", "test"]), test, build];
        let Assembled::Whole(set) = anywhere(&records) else { panic!("{:?}", anywhere(&records)) };
        assert_eq!(set.envelopes.len(), 4);
        assert_eq!(set.repositories.iter().map(Reference::name).collect::<Vec<_>>(), [API]);
        // The order in which they were found says nothing.
        let mut turned = records.clone();
        turned.reverse();
        let Assembled::Whole(again) = anywhere(&turned) else { panic!() };
        assert_eq!(again.content, set.content);
        let Assembled::Whole(less) = anywhere(&records[1..]) else { panic!() };
        assert_ne!(less.content, set.content);
    }

    #[test]
    fn it_goes_where_a_link_names_the_image_and_the_chain_lets_it() {
        let with = |products: Value| {
            assemble(&image(), &[layout(&["build"]), link("build", products)], |name| {
                name.registry() == "registry.example.com"
            })
        };
        assert!(matches!(with(made(API, &image())), Assembled::Whole(_)));
        for products in [
            made("evil.example.com/shop/api", &image()),
            made(API, &Digest::sha256(b"another")),
            made("registry.example.com", &image()),
            json!({"blobs/sha256/x": {"sha256": image().hex()}}),
        ] {
            assert_eq!(with(products.clone()), Assembled::Nowhere, "{products}");
        }
    }
}
