//! Certificates, which OpenPGP calls transferable public keys (RFC 9580 10.1.1): which of their keys sign, and until when.
//!
//! Nothing in a certificate counts but what its master signed. Stricter than GnuPG: SHA-1 vouches for nothing (a revocation by it is
//! honoured), flags must say that a key signs, and whatever the reason of a revocation, the key is revoked for everything.

use super::{
    Part, Pgp, Validity, armor,
    body::{self, Body},
    packet::{self, Packet},
    signature::{HASH_SHA256, Headers, Signature},
};
use crate::key::KeyError;
use std::collections::BTreeMap;

/// People have two or three.
const SUBKEYS_MAX: usize = 64;
/// Signatures that say they are by the master. Each costs a verification, and an honest certificate has one or two a component.
const OWN_SIGNATURES_MAX: usize = 512;

// Kinds of signatures (RFC 9580 5.2.1).
const CERTIFICATION: [u8; 4] = [0x10, 0x11, 0x12, 0x13];
const SUBKEY_BINDING: [u8; 1] = [0x18];
const PRIMARY_KEY_BINDING: u8 = 0x19;
const DIRECT_KEY: [u8; 1] = [0x1f];
const KEY_REVOCATION: [u8; 1] = [0x20];
const SUBKEY_REVOCATION: [u8; 1] = [0x28];
const CERTIFICATION_REVOCATION: [u8; 1] = [0x30];

/// The flag of a key that signs data (RFC 9580 5.2.3.29).
const SIGNS: u8 = 2;

/// Reads a certificate, armored or not.
pub(super) fn read(bytes: &[u8]) -> Result<Pgp, KeyError> {
    let bytes = armor::open(bytes)?;
    let packets = packet::read(&bytes)?;
    let Some((first, rest)) = packets.split_first() else { return Err(NO_KEY) };
    let rest = components(rest)?;
    match first.tag {
        packet::PUBLIC_KEY => {}
        tag if packet::SECRET.contains(&tag) => return Err(PRIVATE),
        _ => return Err(NO_KEY),
    }
    let body = body::read(first.body)?;
    let master = Part::new(body.id.clone(), body.material.clone()?, Validity::default())?;
    Certificate { body, master, components: rest }.judge()
}

const NO_KEY: KeyError = KeyError::Malformed { what: "the OpenPGP certificate does not begin with a public key" };
const PRIVATE: KeyError = KeyError::Malformed { what: "it is a private OpenPGP key, expected a public one" };

/// The master, a user, or a subkey, with the signatures behind it.
struct Component<'b> {
    kind: Kind,
    signatures: Vec<Signature<'b>>,
}
enum Kind {
    Master,
    /// A user's name or picture, as signatures hash it.
    User(Vec<u8>),
    Subkey(Body),
    /// A subkey of a version that we do not read.
    Other,
}

fn components<'b>(packets: &[Packet<'b>]) -> Result<Vec<Component<'b>>, KeyError> {
    let mut components = Vec::new();
    let mut last = Component { kind: Kind::Master, signatures: Vec::new() };
    for packet in packets {
        let kind = match packet.tag {
            packet::SIGNATURE => {
                last.signatures.extend(Signature::read(packet.body));
                continue;
            }
            packet::USER_ID => Kind::User(user(0xb4, packet.body)),
            packet::USER_ATTRIBUTE => Kind::User(user(0xd1, packet.body)),
            packet::PUBLIC_SUBKEY => body::read(packet.body).map_or(Kind::Other, Kind::Subkey),
            packet::PUBLIC_KEY => {
                return Err(KeyError::Malformed { what: "there is more than one OpenPGP certificate" });
            }
            tag if packet::SECRET.contains(&tag) => return Err(PRIVATE),
            // Private and experimental ones mean nothing either.
            tag if packet::IDLE.contains(&tag) || tag >= 60 => continue,
            _ => return Err(KeyError::Malformed { what: "a packet of the OpenPGP certificate does not belong there" }),
        };
        components.push(std::mem::replace(&mut last, Component { kind, signatures: Vec::new() }));
    }
    components.push(last);
    Ok(components)
}

/// As a certification hashes a user (RFC 9580 5.2.4). No packet is longer than the input.
fn user(prefix: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&[prefix], len.to_be_bytes().as_slice(), body].concat()
}

struct Certificate<'b> {
    body: Body,
    /// When it holds is still to be found.
    master: Part,
    components: Vec<Component<'b>>,
}

impl Certificate<'_> {
    fn judge(self) -> Result<Pgp, KeyError> {
        let signatures = self.components.iter().flat_map(|component| &component.signatures);
        if signatures.filter(|signature| signature.claims(&self.master.id)).count() > OWN_SIGNATURES_MAX {
            return Err(KeyError::Malformed {
                what: "the OpenPGP certificate has more than 512 signatures of its own",
            });
        }
        let own = self.own_signatures();
        self.refuse_revoked(&own)?;
        // The newest rules: who extends the life of a key, or shortens it, signs anew.
        let own = own.into_iter().max_by_key(|headers| headers.created).ok_or_else(|| self.master.unbound())?;
        let mut subkeys = BTreeMap::new();
        for component in &self.components {
            let Kind::Subkey(body) = &component.kind else { continue };
            let subkey = self.subkey(component, body);
            if subkeys.insert(body.id.clone(), subkey).is_some() {
                return Err(KeyError::Malformed { what: "a subkey stands twice in the OpenPGP certificate" });
            }
            if subkeys.len() > SUBKEYS_MAX {
                return Err(KeyError::Malformed { what: "the OpenPGP certificate has more than 64 subkeys" });
            }
        }
        let master = Part { validity: validity(self.body.created, own), ..self.master.clone() };
        let pgp = Pgp { master, master_signs: signs(own), subkeys, alone: false };
        if pgp.signing().next().is_some() {
            return Ok(pgp);
        }
        // A key that was meant to sign and no longer may is the more telling reason.
        Err(pgp.unusable().unwrap_or(KeyError::NotForSigning { id: self.master.id }))
    }

    /// What the master says of itself: directly, or of each of its users in the newest certification that it has not revoked.
    fn own_signatures(&self) -> Vec<&Headers> {
        let mut own = Vec::new();
        for component in &self.components {
            match &component.kind {
                Kind::Master => own.extend(self.by_master(component, &DIRECT_KEY, &[]).filter(|it| is_strong(it))),
                Kind::User(user) => {
                    let certified = self.by_master(component, &CERTIFICATION, user).filter(|it| is_strong(it));
                    let revoked = self.by_master(component, &CERTIFICATION_REVOCATION, user).map(|it| it.created).max();
                    own.extend(
                        certified.max_by_key(|it| it.created).filter(|it| revoked.is_none_or(|at| at < it.created)),
                    );
                }
                Kind::Subkey(_) | Kind::Other => {}
            }
        }
        own
    }

    /// Wherever the revocation stands.
    fn refuse_revoked(&self, own: &[&Headers]) -> Result<(), KeyError> {
        if self.components.iter().any(|component| self.by_master(component, &KEY_REVOCATION, &[]).next().is_some()) {
            return Err(KeyError::Revoked { id: self.master.id.clone() });
        }
        let mut signatures = self.components.iter().flat_map(|component| &component.signatures);
        let foreign = signatures.any(|it| it.headers.kind == 0x20 && !it.claims(&self.master.id));
        if foreign && own.iter().any(|headers| headers.revoker) {
            return Err(KeyError::Unsupported { what: "an OpenPGP key with a revocation by another key".into() });
        }
        Ok(())
    }

    /// A subkey signs when its master binds it for that, and it takes its master: else anybody could adopt another's key.
    fn subkey(&self, component: &Component<'_>, body: &Body) -> Result<Part, KeyError> {
        let part = Part::new(body.id.clone(), body.material.clone()?, Validity::default())?;
        if self.by_master(component, &SUBKEY_REVOCATION, &body.hashed).next().is_some() {
            return Err(KeyError::Revoked { id: part.id });
        }
        let message = [self.body.hashed.as_slice(), &body.hashed];
        let bindings = self.signatures(component, &SUBKEY_BINDING, &body.hashed).filter(|it| is_strong(&it.headers));
        let binding = bindings.max_by_key(|it| it.headers.created).ok_or_else(|| part.unbound())?;
        if !signs(&binding.headers) {
            return Err(KeyError::NotForSigning { id: part.id });
        }
        let takes_it = |back: &Signature<'_>| {
            back.headers.kind == PRIMARY_KEY_BINDING
                && is_strong(&back.headers)
                && back.verifies(&part.material, &part.spki, &message)
        };
        match binding.embedded().any(|back| takes_it(&back)) {
            true => Ok(Part { validity: validity(body.created, &binding.headers), ..part }),
            false => Err(part.unbound()),
        }
    }

    fn by_master<'c>(
        &'c self,
        component: &'c Component<'_>,
        kinds: &'c [u8],
        of: &'c [u8],
    ) -> impl Iterator<Item = &'c Headers> {
        self.signatures(component, kinds, of).map(|signature| &signature.headers)
    }

    /// The signatures of these kinds that the master made over itself and `of`.
    fn signatures<'c, 'b>(
        &'c self,
        component: &'c Component<'b>,
        kinds: &'c [u8],
        of: &'c [u8],
    ) -> impl Iterator<Item = &'c Signature<'b>> {
        component.signatures.iter().filter(move |signature| {
            kinds.contains(&signature.headers.kind)
                && signature.claims(&self.master.id)
                && signature.verifies(&self.master.material, &self.master.spki, &[&self.body.hashed, of])
        })
    }
}

/// SHA-256, SHA-384 or SHA-512.
fn is_strong(headers: &Headers) -> bool {
    (HASH_SHA256..=10).contains(&headers.hash)
}

fn signs(headers: &Headers) -> bool {
    headers.flags.is_some_and(|flags| flags & SIGNS != 0)
}

/// A key holds as long as the signature says that vouches for it, and as long as that signature.
fn validity(created: u32, headers: &Headers) -> Validity {
    let of_key = headers.key_expires_after.filter(|period| *period > 0);
    let of_signature = headers.expires().map(|end| u32::try_from(end - i64::from(created)).unwrap_or_default().max(1));
    let period = [of_key, of_signature].into_iter().flatten().min();
    Validity { created: Some(created), period, vouched: headers.created }
}
