//! Supply chains of any size, as files that every verifier reads.

use std::{fs, path::Path};
use tidewaiter::{
    digest::{Digest, DigestSet},
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE, Signature},
    intoto::{Artifacts, Layout, Link, Rule, Step},
    json::{self, Value},
    key::{KeyRing, NamedKey, Scheme, SecretKey},
    verify::{self, ChainDemand, Piece, Rejection, VerifiedChain},
};

/// What a chain is like.
#[derive(Clone, Copy)]
pub struct Shape {
    pub steps: usize,
    /// Materials and products of each link. Every step changes every other one.
    pub artifacts: usize,
    /// So many functionaries report each step.
    pub threshold: u32,
    pub scheme: Scheme,
    pub dsse: bool,
    pub rules: Rules,
    /// Signatures of strangers in front of that of each functionary.
    pub strangers: usize,
    /// Links of strangers beside those of the functionaries.
    pub spare: usize,
}

/// The rules of each list; each ends with `DISALLOW *`.
#[derive(Clone, Copy)]
pub enum Rules {
    /// Three: MATCH or MODIFY, ALLOW, DISALLOW.
    Globs,
    /// One ALLOW for each artifact.
    Literals,
    /// So many that have to look at every name to its end, and match none.
    Hard(usize),
}

impl Shape {
    pub const USUAL: Shape = Shape {
        steps: 10,
        artifacts: 1_000,
        threshold: 1,
        scheme: Scheme::Ed25519,
        dsse: false,
        rules: Rules::Globs,
        strangers: 0,
        spare: 0,
    };
}

/// A chain in memory.
pub struct Chain {
    pub layout: Vec<u8>,
    pub links: Vec<Vec<u8>>,
    names: Vec<String>,
    owner: SecretKey,
}

impl Chain {
    pub fn new(shape: Shape) -> Self {
        let key = || SecretKey::generate(shape.scheme).expect("a key");
        let (owner, stranger) = (key(), key());
        let functionaries: Vec<SecretKey> = (0..shape.threshold).map(|_| key()).collect();
        let (mut links, mut names) = (Vec::new(), Vec::new());
        for step in 0..shape.steps {
            let link = Link {
                name: step_name(step),
                command: vec!["make".into(), step_name(step)],
                materials: artifacts(shape.artifacts, step),
                products: artifacts(shape.artifacts, step + 1),
                byproducts: object(&[("return-value", Value::Number("0".into()))]),
                environment: object(&[]),
            };
            for functionary in &functionaries {
                let mut envelope = seal(link.to_value(), functionary, shape.dsse);
                let junk = stranger.sign(b"something else").expect("a signature");
                let stranger = Signature { sig: junk, ..Signature::default() };
                envelope.signatures.splice(0..0, std::iter::repeat_n(stranger, shape.strangers));
                let id: String = functionary.public().id().chars().take(8).collect();
                names.push(format!("{}.{id}.link", step_name(step)));
                links.push(envelope.to_bytes());
            }
        }
        let of_strangers = |at: usize| {
            let name = format!("spare-{at}");
            let (materials, products) = (artifacts(shape.artifacts, 0), artifacts(shape.artifacts, 1));
            let (byproducts, environment) = (object(&[]), object(&[]));
            let link = Link { name, command: Vec::new(), materials, products, byproducts, environment };
            seal(link.to_value(), &stranger, shape.dsse).to_bytes()
        };
        names.extend((0..shape.spare).map(|at| format!("spare-{at}.00000000.link")));
        links.extend((0..shape.spare).map(of_strangers));
        let mut layout = layout(shape, &functionaries).to_value();
        go_key_objects(&mut layout);
        let mut layout = seal(layout, &owner, shape.dsse);
        // Each peer looks for the owner by an id of its own.
        let signature = layout.signatures.remove(0);
        let ids = owner.public().ids().iter();
        layout.signatures.extend(ids.map(|id| Signature { keyid: Some(id.clone()), ..signature.clone() }));
        Chain { layout: layout.to_bytes(), links, names, owner }
    }

    pub fn demand(&self) -> ChainDemand {
        demand(self.owner.public().clone())
    }

    pub fn verify(&self, demand: &ChainDemand) -> Result<VerifiedChain, Rejection> {
        let links: Vec<Piece<'_>> = self.links.iter().map(|link| Piece::of(link)).collect();
        verify::verify_given(demand, None, &self.layout, &links, jiff::Timestamp::now())
    }

    /// Bytes of all links.
    pub fn bytes(&self) -> usize {
        self.links.iter().map(Vec::len).sum()
    }

    /// As in-toto-verify and in-toto-golang expect it: `root.layout`, `owner.pub`, `<step>.<key id>.link`.
    pub fn write(&self, dir: &Path) {
        fs::create_dir_all(dir).expect("a directory");
        fs::write(dir.join("root.layout"), &self.layout).expect("a layout");
        fs::write(dir.join("owner.pub"), self.owner.public().to_pem()).expect("a key");
        for (name, link) in self.names.iter().zip(&self.links) {
            fs::write(dir.join(name), link).expect("a link");
        }
    }
}

pub fn demand(owner: tidewaiter::key::PublicKey) -> ChainDemand {
    ChainDemand { owners: KeyRing::new(vec![NamedKey { name: "owner".into(), key: owner }]), ..ChainDemand::default() }
}

fn seal(signed: Value, key: &SecretKey, dsse: bool) -> Envelope {
    match dsse {
        true => Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, json::to_text(&signed).into_bytes(), &[key]).expect("DSSE"),
        false => Envelope::sign_metablock(signed, &[key]).expect("a Metablock"),
    }
}

fn step_name(step: usize) -> String {
    format!("step-{step:02}")
}

fn file_name(artifact: usize) -> String {
    format!("src/module-{:03}/file-{artifact:05}.rs", artifact / 100)
}

/// The tree before that step: step `s` changes the artifacts `a` of which `a + s` is even.
fn artifacts(count: usize, step: usize) -> Artifacts {
    let changes = |artifact: usize| (step + usize::from(artifact.is_multiple_of(2))) / 2;
    let one = |artifact: usize| {
        let content = format!("{artifact} {}", changes(artifact));
        (file_name(artifact), DigestSet::of(&Digest::sha256(content.as_bytes())))
    };
    (0..count).map(one).collect()
}

fn layout(shape: Shape, functionaries: &[SecretKey]) -> Layout {
    let ids: Vec<String> = functionaries.iter().map(|key| key.public().id().to_owned()).collect();
    let keys = functionaries.iter().map(|key| (key.public().id().to_owned(), Ok(key.public().clone()))).collect();
    let step = |step: usize| {
        let before = step.checked_sub(1).map(step_name);
        Step {
            name: step_name(step),
            threshold: shape.threshold,
            pubkeys: ids.clone(),
            cert_constraints: Vec::new(),
            expected_command: Vec::new(),
            expected_materials: rules(
                shape,
                before.map_or("ALLOW src/*".into(), |before| format!("MATCH src/* WITH PRODUCTS FROM {before}")),
            ),
            expected_products: rules(shape, "MODIFY src/*".into()),
        }
    };
    Layout {
        expires: "2090-01-01T00:00:00Z".parse().expect("a time"),
        readme: String::new(),
        keys,
        authorities: Default::default(),
        steps: (0..shape.steps).map(step).collect(),
        inspections: Vec::new(),
    }
}

/// in-toto-golang writes the layout anew before it verifies the signature, with this member in every key.
fn go_key_objects(layout: &mut Value) {
    let algorithms = Value::Array(["sha256", "sha512"].map(Value::from).into());
    let Value::Object(members) = layout else { return };
    for (name, keys) in members {
        let Value::Object(keys) = keys else { continue };
        for (_, key) in keys.iter_mut().filter(|_| name == "keys") {
            let Value::Object(key) = key else { continue };
            key.push(("keyid_hash_algorithms".to_owned(), algorithms.clone()));
        }
    }
}

fn rules(shape: Shape, first: String) -> Vec<Rule> {
    let mut rules = match shape.rules {
        Rules::Globs => vec![first],
        Rules::Literals => (0..shape.artifacts).map(|artifact| format!("ALLOW {}", file_name(artifact))).collect(),
        Rules::Hard(count) => (0..count).map(|n| format!("ALLOW *e*o*u*l*0*f*i*l*e*{n:03}*x")).collect(),
    };
    if !matches!(shape.rules, Rules::Literals) {
        rules.push("ALLOW src/module-*".into());
    }
    rules.push("DISALLOW *".into());
    let words = |rule: String| rule.split(' ').map(Value::from).collect::<Vec<_>>();
    rules.into_iter().map(|rule| Rule::parse(&words(rule)).expect("a rule")).collect()
}

fn object(members: &[(&str, Value)]) -> Value {
    Value::Object(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}
