use super::super::{ChainDemand, Limits, Piece, VerifiedChain, verify};
use super::*;
use crate::{
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE, Signature},
    key::{KeyRing, NamedKey, Scheme, SecretKey},
};
use serde_json::json;

struct Shop {
    owner: SecretKey,
    builders: [SecretKey; 2],
}

impl Shop {
    fn new() -> Self {
        let key = || SecretKey::generate(Scheme::Ed25519).unwrap();
        Shop { owner: key(), builders: [key(), key()] }
    }

    fn layout(&self, threshold: usize) -> Vec<u8> {
        let keys: serde_json::Map<_, _> =
            self.builders.iter().map(|key| (key.public().id().to_owned(), key.public().to_layout())).collect();
        let pubkeys: Vec<_> = keys.keys().cloned().collect();
        let step = json!({ "_type": "step", "name": "build", "threshold": threshold, "pubkeys": pubkeys,
            "expected_command": [], "expected_materials": [], "expected_products": [] });
        let layout = json!({ "_type": "layout", "expires": "2030-01-01T00:00:00Z", "readme": "", "keys": keys,
            "steps": [step], "inspect": [] });
        Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, layout.to_string().into(), &[&self.owner]).unwrap().to_bytes()
    }

    fn verify(&self, envelopes: &[Vec<u8>]) -> Result<VerifiedChain, Rejection> {
        let owner = NamedKey { name: "owner".into(), key: self.owner.public().clone() };
        let demand = ChainDemand { owners: KeyRing::new(vec![owner]), ..ChainDemand::default() };
        verify(&demand, None, &pieces(envelopes), "2026-11-23T12:00:00Z".parse().unwrap())
    }
}

fn pieces(envelopes: &[Vec<u8>]) -> Vec<Piece<'_>> {
    envelopes.iter().map(|bytes| Piece::of(bytes)).collect()
}

fn link(note: &str) -> serde_json::Value {
    json!({ "_type": "link", "name": "build", "command": [], "materials": {}, "products": {},
        "byproducts": { "stdout": note }, "environment": {} })
}

fn dsse(keys: &[&SecretKey]) -> Envelope {
    Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, link("").to_string().into(), keys).unwrap()
}

#[test]
fn a_stranger_who_copies_a_link_makes_no_more_of_it() {
    let shop = Shop::new();
    let signed = dsse(&[&shop.builders[0]]);
    let mut envelopes = vec![shop.layout(1)];
    for copy in 0..2 * Limits::DEFAULT.links_per_step_max {
        let mut other = signed.clone();
        other.signatures.push(Signature { keyid: Some(copy.to_string()), sig: vec![0], ..Signature::default() });
        envelopes.push(other.to_bytes());
    }
    let chain = shop.verify(&envelopes).unwrap();
    assert_eq!(chain.steps()[0].signers, [shop.builders[0].public().id()]);
}

#[test]
fn copies_of_one_link_by_two_functionaries_are_theirs_and_one_by_one_is_not() {
    let shop = Shop::new();
    let [first, second] = [0, 1].map(|at: usize| dsse(&[&shop.builders[at]]).to_bytes());
    let chain = shop.verify(&[shop.layout(2), first.clone(), second]).unwrap();
    assert_eq!(chain.steps()[0].signers.len(), 2);
    let again = [first.as_slice(), b"\n"].concat();
    let rejection = shop.verify(&[shop.layout(2), first, again]).unwrap_err();
    assert!(matches!(&rejection, Rejection::ThresholdNotMet { counted, .. } if counted.len() == 1), "{rejection}");
}

/// To say whose link it is takes verifications, each of the whole: of what is too long it is not said.
#[test]
fn what_is_too_long_to_look_at_is_not_told_of() {
    let shop = Shop::new();
    let told = |bytes: usize| {
        let stranger = SecretKey::generate(Scheme::Ed25519).unwrap();
        let text = link(&"x".repeat(bytes)).to_string();
        let junk = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, text.into(), &[&stranger]).unwrap().to_bytes();
        match shop.verify(&[shop.layout(1), junk]) {
            Err(Rejection::ThresholdNotMet { ignored, .. }) => ignored.len(),
            verdict => panic!("{verdict:?}"),
        }
    };
    let most = Limits::DEFAULT.explained_bytes_max / IGNORED_MAX;
    assert_eq!((told(most / 2), told(most)), (1, 0));
}
