use super::*;
use crate::{
    envelope::Envelope,
    json,
    key::{KeyRing, Scheme, SecretKey, x509::made},
    verify::{ChainDemand, Piece, Rejection, VerifiedChain, verify},
};
use serde_json::{Value, json};

/// An owner, a root, and builders who have certificates with one name.
struct Shop {
    owner: SecretKey,
    root: SecretKey,
    builders: [SecretKey; 3],
}

const NOW: &str = "2026-11-25T12:00:00Z";

impl Shop {
    fn new() -> Self {
        let key = || SecretKey::generate(Scheme::EcdsaP256).unwrap();
        Shop { owner: key(), root: key(), builders: [key(), key(), key()] }
    }

    fn certificate(&self, builder: usize, common_name: &str) -> String {
        let described = json!({"root": {"ca": true}, "builder": {"by": "root", "cn": common_name}});
        let key = |name: &str| if name == "root" { self.root.to_pem() } else { self.builders[builder].to_pem() };
        made::certificate(&described, "builder", &key)
    }

    fn layout(&self, threshold: usize, pubkeys: &[usize]) -> Vec<u8> {
        let root = made::certificate(&json!({"root": {"ca": true}}), "root", &|_| self.root.to_pem());
        let keys = pubkeys.iter().map(|at| self.builders[*at].public());
        let ids: Vec<_> = keys.clone().map(|key| key.id()).collect();
        let keys: serde_json::Map<_, _> = keys.map(|key| (key.id().to_owned(), key.to_layout())).collect();
        let constraint = |name: &str| json!({"common_name": name, "dns_names": [], "emails": [], "organizations": [], "roots": ["r"], "uris": []});
        let layout = json!({"_type": "layout", "expires": "2030-01-01T00:00:00Z", "readme": "", "keys": keys, "inspect": [],
            "rootcas": {"r": {"keyval": {"certificate": root}}},
            "steps": [{"_type": "step", "name": "build", "threshold": threshold, "pubkeys": ids, "expected_command": [],
                "cert_constraints": [constraint("a"), constraint("b")], "expected_materials": [], "expected_products": []}]});
        Envelope::sign_metablock((&layout).into(), &[&self.owner]).unwrap().to_bytes()
    }

    /// A link by a builder, with certificates of his that call him so.
    fn link(&self, builder: usize, names: &[&str]) -> Vec<u8> {
        let link = json!({"_type": "link", "name": "build", "command": [], "materials": {}, "products": {}, "byproducts": {}, "environment": {}});
        let mut envelope = Envelope::sign_metablock((&link).into(), &[&self.builders[builder]]).unwrap();
        let signed = envelope.signatures[0].clone();
        envelope.signatures = names
            .iter()
            .map(|name| Signature { certificate: Some(self.certificate(builder, name)), ..signed.clone() })
            .chain(names.is_empty().then(|| signed.clone()))
            .collect();
        envelope.to_bytes()
    }

    fn verify(&self, envelopes: &[Vec<u8>]) -> Result<VerifiedChain, Rejection> {
        let owner = NamedKey { name: "owner".into(), key: self.owner.public().clone() };
        let demand = ChainDemand { owners: KeyRing::new(vec![owner]), ..ChainDemand::default() };
        let envelopes: Vec<Piece<'_>> = envelopes.iter().map(|bytes| Piece::of(bytes)).collect();
        verify(&demand, None, &envelopes, NOW.parse().unwrap())
    }
}

#[test]
fn a_functionary_goes_by_certificate_root_constraint_and_key() {
    let shop = Shop::new();
    let chain = shop.verify(&[shop.layout(1, &[]), shop.link(0, &["b"])]).unwrap();
    let id = &shop.builders[0].public().id()[..16];
    assert_eq!(chain.steps()[0].signers, [format!("CN=b (certificate under \"r\" by constraint 2, key {id})")]);
    assert_eq!(chain.expires().to_string(), "2027-01-01T00:00:00Z", "when the certificate does");
    // Under a key of the step it goes by that.
    let chain = shop.verify(&[shop.layout(1, &[0]), shop.link(0, &["b"])]).unwrap();
    assert_eq!(chain.steps()[0].signers, [shop.builders[0].public().id()]);
    assert_eq!(chain.expires().to_string(), "2030-01-01T00:00:00Z", "when the layout does");
}

#[test]
fn the_order_of_certificates_and_links_decides_nothing() {
    let shop = Shop::new();
    let (forth, back) = (shop.link(0, &["a", "b"]), shop.link(0, &["b", "a"]));
    let steps = |envelopes: &[Vec<u8>]| shop.verify(envelopes).unwrap().steps().to_vec();
    assert_eq!(steps(&[shop.layout(1, &[]), forth.clone()]), steps(&[shop.layout(1, &[]), back.clone()]));
    // Two links, two certificates, two names, one key.
    let rejection = shop.verify(&[shop.layout(2, &[]), forth, back]).unwrap_err();
    assert!(matches!(&rejection, Rejection::ThresholdNotMet { counted, .. } if counted.len() == 1), "{rejection}");
    // A key of the step, and two certificates, in every order.
    let mut links = vec![shop.layout(3, &[2]), shop.link(0, &["a"]), shop.link(1, &["a"]), shop.link(2, &[])];
    for _ in 0..links.len() {
        links.rotate_left(1);
        assert_eq!(steps(&links)[0].signers.len(), 3);
    }
    links.truncate(3);
    assert!(shop.verify(&links).is_err());
}

#[test]
fn a_certificate_speaks_for_its_key_wherever_that_signed() {
    let shop = Shop::new();
    let signed = Envelope::parse(&shop.link(0, &["a"])).unwrap();
    // The certificate stands with a signature that is somebody else's, or nobody's; the key's own signature counts.
    let mut envelope = Envelope::parse(&shop.link(0, &[])).unwrap();
    envelope.signatures.push(Signature {
        sig: vec![0; 64],
        keyid: None,
        certificate: signed.signatures[0].certificate.clone(),
        ..Signature::default()
    });
    assert!(shop.verify(&[shop.layout(1, &[]), envelope.to_bytes()]).is_ok());
    envelope.signatures.remove(0);
    let rejection = shop.verify(&[shop.layout(1, &[]), envelope.to_bytes()]).unwrap_err();
    assert!(matches!(&rejection, Rejection::ThresholdNotMet { counted, .. } if counted.is_empty()), "{rejection}");
}

#[test]
fn certificates_are_counted_before_they_are_read() {
    let shop = Shop::new();
    let value = json::parse(&shop.layout(1, &[]), &json::Limits::METADATA).unwrap();
    let layout = Layout::from_value(value.get("signed").unwrap()).unwrap();
    let signature = |at: usize| Signature { certificate: Some(at.to_string()), ..Signature::default() };
    let signatures: Vec<Vec<Signature>> = (0..2_049).map(|at| vec![signature(at)]).collect();
    let find = |count: usize, budget: &mut Budget| {
        Certified::find(&layout, signatures[..count].iter().map(Vec::as_slice), NOW.parse().unwrap(), budget).err()
    };
    let mut budget = Budget::new(Limits::DEFAULT);
    assert_eq!(find(2_047, &mut budget), None);
    assert_eq!(find(1, &mut budget), None, "counted on in a sublayout");
    assert_eq!(find(1, &mut budget).unwrap().to_string(), "2049 certificates, more than 2048");
    // A layout that asks for none is not burdened by any.
    let value: Value = serde_json::from_slice(&shop.layout(1, &[0])).unwrap();
    let mut signed = value["signed"].clone();
    signed["steps"][0]["cert_constraints"] = json!([]);
    let layout = Layout::from_value(&(&signed).into()).unwrap();
    assert!(Certified::find(&layout, signatures.iter().map(Vec::as_slice), NOW.parse().unwrap(), &mut budget).is_ok());
}
