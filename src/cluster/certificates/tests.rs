use super::{
    pki::Validity,
    secret::{Seen, Stored},
    step::{Leaf, Step, next},
    *,
};

fn ours() -> Vec<String> {
    names("tidewaiter", "security")
}
fn now() -> Timestamp {
    Timestamp::now()
}
fn made() -> Stored {
    Stored::make(&ours(), &Times::default(), now()).unwrap()
}
/// Everything has been seen for long.
fn seen() -> Seen {
    Seen { asked: false, trusted_for: Some(Duration::MAX), same_for: Duration::MAX }
}
fn step(stored: &Stored, seen: &Seen) -> Step {
    next(&stored.state(seen, &ours(), now()), &Times::default(), now())
}
fn certificates(bundle: &[u8]) -> usize {
    pki::bundle(bundle).len()
}

#[test]
fn what_is_made_is_sound_under_every_name_of_the_service_and_no_other() {
    let stored = made();
    let ca = stored.sound(&ours(), now()).unwrap();
    assert_eq!(step(&stored, &seen()), Step::Wait);
    assert_eq!(
        ours(),
        ["tidewaiter.security.svc", "tidewaiter.security.svc.cluster.local", "tidewaiter.security", "tidewaiter"]
    );
    for stranger in ["tidewaiter.other.svc", "kubernetes.default.svc"] {
        let error = stored.sound(&[stranger.into()], now()).unwrap_err();
        assert!(format!("{error:#}").contains(stranger), "{error:#}");
        assert!(!ca.permits(&[stranger.into()]));
    }
    let (expires, ends) = (Certificates::held(&stored.certificate, &stored.key).unwrap().expires(), ca.validity.until);
    let days = |until: Timestamp| (until.as_second() - now().as_second() + 60) / 86_400;
    assert_eq!((days(expires), days(ends)), (90, 365));
}

/// The name constraints are not only written: a certificate that our CA's key signed for another name is refused.
#[test]
fn our_ca_cannot_vouch_for_another_name() {
    let (ca, key) = Authority::make(&ours(), &Times::default(), now()).unwrap();
    for (stranger, trusted) in [("kubernetes.default.svc", false), ("tidewaiter.security.svc", true)] {
        let names = [stranger.to_owned()];
        let (leaf, _) = ca.sign(&key, &names, &Times::default(), now()).unwrap();
        let vouched = pki::issuer_of(leaf.as_bytes(), std::slice::from_ref(&ca), &names, now());
        assert_eq!(vouched.is_ok(), trusted, "{stranger}");
    }
}

#[test]
fn a_leaf_does_not_outlive_its_ca() {
    let times = Times { ca: Duration::from_secs(3600), ..Times::default() };
    let stored = Stored::make(&ours(), &times, now()).unwrap();
    let ca = stored.sound(&ours(), now()).unwrap();
    assert_eq!(Certificates::held(&stored.certificate, &stored.key).unwrap().expires(), ca.validity.until);
}

#[test]
fn a_full_renewal_is_trusted_at_every_moment() {
    let (names, times) = (ours(), Times::default());
    let first = made();
    let asked = Seen { asked: true, ..seen() };
    assert_eq!(step(&first, &asked), Step::Trust);
    let second = first.with_new_ca(&names, &times, now()).unwrap();
    assert_eq!((certificates(&second.bundle), &second.certificate), (2, &first.certificate));
    second.sound(&names, now()).unwrap();
    assert_eq!(step(&second, &Seen { trusted_for: None, ..seen() }), Step::Wait);
    assert_eq!(step(&second, &seen()), Step::Sign);
    let third = second.with_new_leaf(&names, &times, now()).unwrap();
    assert_ne!(third.certificate, first.certificate);
    // Whoever still serves the old pair is trusted, and so is the new one.
    for pair in [&first, &third] {
        Stored { bundle: third.bundle.clone(), ..pair.clone() }.sound(&names, now()).unwrap();
    }
    assert_eq!(step(&third, &Seen { same_for: Duration::ZERO, ..seen() }), Step::Wait);
    assert_eq!(step(&third, &seen()), Step::Forget);
    let last = third.with_one_ca(&names).unwrap();
    assert_eq!(certificates(&last.bundle), 1);
    last.sound(&names, now()).unwrap();
    assert_eq!(step(&last, &seen()), Step::Wait);
    Stored { bundle: last.bundle.clone(), ..first }.sound(&names, now()).unwrap_err();
}

#[test]
fn rubbish_in_any_key_is_repaired_around_what_is_known() {
    let (names, times) = (ours(), Times::default());
    let good = made();
    let known = pki::bundle(&good.bundle);
    let held = || Some((good.certificate.clone(), good.key.clone()));
    let rubbish = || b"rubbish".to_vec();
    let leaf_alone = [
        Stored { certificate: rubbish(), ..good.clone() },
        Stored { key: rubbish(), ..good.clone() },
        Stored { key: made().key, ..good.clone() },
        Stored { certificate: made().certificate, key: made().key, ..good.clone() },
    ];
    for stored in leaf_alone {
        stored.sound(&names, now()).unwrap_err();
        assert_eq!(step(&stored, &seen()), Step::Sign, "its CA is whole");
        stored.with_new_leaf(&names, &times, now()).unwrap().sound(&names, now()).unwrap();
    }
    let all = [
        Stored { bundle: rubbish(), ..good.clone() },
        Stored { ca_key: rubbish(), ..good.clone() },
        Stored { ca_key: made().ca_key, ..good.clone() },
        Stored { certificate: rubbish(), key: rubbish(), bundle: rubbish(), ca_key: rubbish() },
        Stored::default(),
    ];
    for stored in all {
        assert_eq!(step(&stored, &seen()), Step::Repair);
        let repaired = stored.repaired(&known, held(), &names, &times, now()).unwrap();
        let issuer = repaired.sound(&names, now()).unwrap();
        assert_eq!(
            (&repaired.certificate, &issuer),
            (&good.certificate, &known[0]),
            "what is served stays until the new CA is trusted"
        );
        assert_eq!(certificates(&repaired.bundle), 2);
        assert_eq!(step(&repaired, &Seen { trusted_for: None, ..seen() }), Step::Wait);
        assert_eq!(step(&repaired, &seen()), Step::Sign);
        // Where nothing is known, a new pair is better than none.
        let anew = Stored::default().repaired(&[], None, &names, &times, now()).unwrap();
        anew.sound(&names, now()).unwrap();
        assert_eq!(step(&anew, &seen()), Step::Wait);
    }
}

#[test]
fn a_service_of_another_name_needs_a_ca_that_may_sign_for_it() {
    let stored = made();
    let names = names("renamed", "security");
    let state = stored.state(&seen(), &names, now());
    assert_eq!((state.ca, state.leaf), (None, Leaf::Broken));
    let repaired = stored.repaired(&pki::bundle(&stored.bundle), None, &names, &Times::default(), now()).unwrap();
    repaired.sound(&names, now()).unwrap();
}

#[test]
fn a_bundle_is_read_as_far_as_it_can_be() {
    let good = made().bundle;
    let twice = [good.clone(), good.clone()].concat();
    assert_eq!((certificates(&good), certificates(&twice), certificates(b"")), (1, 1, 0));
    let leaf = made().certificate;
    assert_eq!(certificates(&[leaf, good.clone()].concat()), 1, "a certificate that is no CA's vouches for nothing");
    let pem = String::from_utf8(good).unwrap();
    assert_eq!(pki::pem(&pki::bundle(pem.as_bytes())), pem);
    let cut = &pem[..pem.len() / 2];
    assert_eq!(certificates(format!("{pem}{cut}").as_bytes()), 1);
}

#[test]
fn the_last_third_begins_at_two_thirds() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let validity = Validity { from: at(0), until: at(90) };
    assert_eq!([59, 60, 90, 91].map(|second| validity.due(at(second))), [false, true, true, true]);
    assert_eq!([-1, 0, 89, 90].map(|second| validity.holds(at(second))), [false, true, true, false]);
}
