//! What is found decides: each piece of evidence, and each field of the policy, alone.

use super::*;

#[test]
fn the_good_image_is_allowed_and_says_by_whom() {
    let mut world = World::new();
    let decision = world.judge(&set(&world.policy()), &pod(&[&world.pinned()]));
    assert!(decision.allowed, "{}", decision.explain());
    assert_eq!((decision.exit_code(), decision.reason(), decision.message()), (0, None, String::new()));
    let requirements = &decision.images[0].policies[0].requirements;
    assert_eq!(requirements[0].by, ["release"]);
    assert_eq!(requirements[1].by, ["alice", "bob"]);
    // All of a round at once: the manifest beside the evidence.
    assert_eq!(world.asked, [Want::Manifest(world.digest()), Want::Signatures, Want::Envelopes(EvidenceSource::Oci)]);
}

#[test]
fn every_field_alone_makes_the_difference() {
    let policy = World::new().policy();
    for (field, from, to, unmatched, expected) in [
        (
            "images",
            "images: [\"registry.example.com/shop/**\"]",
            "images: [\"registry.example.com/shop2/**\"]",
            Unmatched::Deny,
            Reason::UnmatchedImage,
        ),
        ("exclude", "shop/sandbox/**", "shop/a*", Unmatched::Deny, Reason::UnmatchedImage),
        ("namespaces", "\"shop-*\"", "\"shop\"", Unmatched::Deny, Reason::UnmatchedImage),
        (
            "signature.cosign.trust",
            "trust: release-keys",
            "trust: strangers",
            Unmatched::Warn,
            Reason::SignatureUntrusted,
        ),
        ("signature.cosign.trust", "trust: release-keys", "trust: nobody", Unmatched::Warn, Reason::NoTrustRoot),
        (
            "layout.owners",
            "owners: shop-owners, threshold: 2",
            "owners: strangers",
            Unmatched::Warn,
            Reason::LayoutUntrusted,
        ),
        ("layout.owners", "owners: shop-owners", "owners: nobody", Unmatched::Warn, Reason::NoTrustRoot),
        ("evidence", "evidence: [oci]", "evidence: [store]", Unmatched::Warn, Reason::NoLayout),
        // A root's keys are trusted for what names it: the release key owns no layout.
        (
            "layout.owners",
            "owners: shop-owners, threshold: 2",
            "owners: release-keys",
            Unmatched::Warn,
            Reason::LayoutUntrusted,
        ),
    ] {
        let mut world = World::new();
        let text = with(&world.policy(), from, to);
        let reasons: Vec<Reason> = world.deny(&text, unmatched).into_iter().map(|(_, reason)| reason).collect();
        assert_eq!(reasons, [expected], "{field}: {from} -> {to}");
    }
    assert!(policy.contains("digest: Pin"));
}

#[test]
fn the_threshold_of_owners_is_what_the_policy_says() {
    let mut world = World::new();
    world.oci = Ok(world.chain("2030-01-01T00:00:00Z", &["alice"], &world.digest()));
    let policy = world.policy();
    assert_eq!(world.deny(&policy, Unmatched::Warn), [(Class::Invalid, Reason::LayoutUntrusted)]);
    // Absent: all of them.
    assert_eq!(
        world.deny(&with(&policy, ", threshold: 2", ""), Unmatched::Warn),
        [(Class::Invalid, Reason::LayoutUntrusted)]
    );
    assert_eq!(world.deny(&with(&policy, "threshold: 2", "threshold: 1"), Unmatched::Warn), []);
}

#[test]
fn evidence_alone_makes_the_difference() {
    type Break = fn(&mut World);
    let cases: [(&str, Break, (Class, Reason)); 8] = [
        ("no signature", |w| w.signatures = Ok(vec![]), (Class::Missing, Reason::NoSignature)),
        (
            "a stranger's",
            |w| w.signatures = Ok(vec![w.signature("stranger", &w.digest())]),
            (Class::Invalid, Reason::SignatureUntrusted),
        ),
        (
            "an owner's",
            |w| w.signatures = Ok(vec![w.signature("alice", &w.digest())]),
            (Class::Invalid, Reason::SignatureUntrusted),
        ),
        (
            "another image's",
            |w| w.signatures = Ok(vec![w.signature("release", &Digest::sha256(b"other"))]),
            (Class::Invalid, Reason::SignatureInvalid),
        ),
        (
            "registry down",
            |w| w.signatures = Err(Fault::new(Reason::RegistryTimeout, "slow")),
            (Class::Unavailable, Reason::RegistryTimeout),
        ),
        ("no chain", |w| w.oci = Ok(vec![]), (Class::Missing, Reason::NoLayout)),
        (
            "expired",
            |w| w.oci = Ok(w.chain("2026-11-23T11:59:59Z", &["alice", "bob"], &w.digest())),
            (Class::Invalid, Reason::LayoutExpired),
        ),
        ("no link", |w| w.oci.as_mut().unwrap().truncate(1), (Class::Missing, Reason::ThresholdNotMet)),
    ];
    for (name, spoil, expected) in cases {
        let mut world = World::new();
        spoil(&mut world);
        let policy = world.policy();
        assert_eq!(world.deny(&policy, Unmatched::Warn), [expected], "{name}");
    }
}

#[test]
fn a_source_that_failed_denies_only_where_the_rest_does_not_suffice() {
    let both = |world: &World| with(&world.policy(), "evidence: [oci]", "evidence: [oci, store]");
    let down = || Err(Fault::new(Reason::StoreUnavailable, "the store does not answer"));

    let mut world = World::new();
    world.store = down();
    let policy = both(&world);
    assert_eq!(world.deny(&policy, Unmatched::Warn), []);

    let mut world = World::new();
    (world.oci, world.store) = (Ok(world.oci.clone().unwrap()[..1].to_vec()), down());
    assert_eq!(world.deny(&both(&world), Unmatched::Warn), [(Class::Unavailable, Reason::StoreUnavailable)]);

    // Both together suffice where neither does.
    let mut world = World::new();
    let chain = world.oci.clone().unwrap();
    (world.oci, world.store) = (Ok(chain[..1].to_vec()), Ok(chain[1..].to_vec()));
    assert_eq!(world.deny(&both(&world), Unmatched::Warn), []);
}

#[test]
fn what_was_found_in_part_counts_where_it_suffices_and_is_unavailable_where_not() {
    let judge = |world: &World, signatures: Vec<Candidate>, envelopes: Vec<Vec<u8>>| {
        let set = set(&world.policy());
        let mut assessment = Assessment::new(&set, &world.pinned().parse().unwrap(), NAMESPACE);
        let slow = || Err(Fault::new(Reason::RegistryTimeout, "the registry is slow"));
        assessment.give(&Want::Manifest(world.digest()), Ok(Given::Manifest(world.manifest.clone())));
        assessment.give(&Want::Signatures, Ok(Given::Signatures(signatures)));
        assessment.give(&Want::Signatures, slow());
        let oci = Want::Envelopes(EvidenceSource::Oci);
        assessment.give(&oci, Ok(Given::Envelopes(envelopes)));
        assessment.give(&oci, slow());
        let verdict = assessment.finish(noon());
        verdict.policies[0].requirements.iter().map(|item| item.reason).collect::<Vec<_>>()
    };
    let world = World::new();
    let (signatures, chain) = (world.signatures.clone().unwrap(), world.oci.clone().unwrap());
    assert_eq!(judge(&world, signatures, chain.clone()), [None, None]);
    let strangers = vec![world.signature("stranger", &world.digest())];
    let blind = Some(Reason::RegistryTimeout);
    assert_eq!(judge(&world, strangers, chain[..1].to_vec()), [blind, blind]);
    // Evidence of the owners that says no says no.
    let expired = world.chain("2020-01-01T00:00:00Z", &["alice", "bob"], &world.digest());
    assert_eq!(judge(&world, vec![], expired), [blind, Some(Reason::LayoutExpired)]);
}

#[test]
fn a_manifest_that_lies_denies() {
    let mut world = World::new();
    let (set, image) = (set(&world.policy()), world.pinned());
    world.manifest = b"{}".to_vec();
    let digest = image.rsplit_once('@').unwrap().1.parse::<Digest>().unwrap();
    let mut assessment = Assessment::new(&set, &image.parse().unwrap(), NAMESPACE);
    assessment.give(&Want::Manifest(digest.clone()), Ok(Given::Manifest(world.manifest.clone())));
    assert!(!assessment.wants().contains(&Want::Manifest(digest)), "asked for once, found wanting");
    assessment.give(&Want::Signatures, world.signatures.clone().map(Given::Signatures));
    assessment.give(&Want::Envelopes(EvidenceSource::Oci), Ok(Given::Envelopes(Vec::new())));
    let verdict = assessment.finish(noon());
    assert_eq!(verdict.policies[0].requirements[1].reason, Some(Reason::DigestMismatch));
}

#[test]
fn what_was_never_fetched_is_not_taken_for_nothing() {
    let world = World::new();
    let verdict = Assessment::new(&set(&world.policy()), &world.pinned().parse().unwrap(), NAMESPACE).finish(noon());
    let reasons: Vec<_> = verdict.policies[0].requirements.iter().map(|item| item.reason).collect();
    assert_eq!(reasons, [Some(Reason::DeadlineExceeded), Some(Reason::DeadlineExceeded)]);
    assert!(!verdict.policies[0].met);
    assert_eq!(verdict.valid_until, Some(noon()), "a network fault is not kept");
}

#[test]
fn combinations_say_how_many() {
    for (require, spoil_signature, spoil_chain, allowed) in [
        ("all:", false, false, true),
        ("all:", true, false, false),
        ("all:", false, true, false),
        ("any:", true, false, true),
        ("any:", false, true, true),
        ("any:", true, true, false),
    ] {
        let mut world = World::new();
        if spoil_signature {
            world.signatures = Ok(vec![]);
        }
        if spoil_chain {
            world.oci = Ok(vec![]);
        }
        let policy = with(&world.policy(), "    all:", &format!("    {require}"));
        assert_eq!(
            world.deny(&policy, Unmatched::Warn).is_empty(),
            allowed,
            "{require} {spoil_signature} {spoil_chain}"
        );
    }
    for (count, allowed) in [(1, true), (2, false)] {
        let mut world = World::new();
        world.oci = Ok(vec![]);
        let policy = with(&world.policy(), "    all:", &format!("    atLeast:\n      count: {count}\n      of:"))
            .replace("      - { name: ", "        - { name: ");
        assert_eq!(world.deny(&policy, Unmatched::Warn).is_empty(), allowed, "{count}");
    }
}

#[test]
fn invalid_before_missing_before_unavailable() {
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    world.oci = Ok(world.chain("2026-01-01T00:00:00Z", &["alice", "bob"], &world.digest()));
    let policy = world.policy();
    assert_eq!(
        world.deny(&policy, Unmatched::Warn),
        [(Class::Invalid, Reason::LayoutExpired), (Class::Missing, Reason::NoSignature)]
    );
    let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
    assert_eq!((decision.exit_code(), decision.reason()), (1, Some(Reason::LayoutExpired)));
    world.oci = Err(Fault::new(Reason::RegistryUnreachable, "no route"));
    let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
    assert_eq!((decision.exit_code(), decision.reason()), (3, Some(Reason::NoSignature)));
    world.signatures = Err(Fault::new(Reason::RegistryUnreachable, "no route"));
    let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
    assert_eq!((decision.exit_code(), decision.reason()), (4, Some(Reason::RegistryUnreachable)));
}
