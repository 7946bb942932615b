//! What a verdict comes to: modes, several policies, images that nothing selects.

use super::*;

#[test]
fn modes_deny_warn_or_record() {
    for (mode, allowed, warned) in [("Enforce", false, false), ("Warn", true, true), ("Audit", true, false)] {
        let mut world = World::new();
        world.signatures = Ok(vec![]);
        let policy = with(&world.policy(), "mode: Enforce", &format!("mode: {mode}"));
        let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
        assert_eq!(decision.allowed, allowed, "{mode}");
        assert!(!decision.images[0].policies[0].met, "recorded as it is in every mode");
        let told = decision.warnings.iter().any(|w| w.contains("would deny") && w.contains("[no_signature]"));
        assert_eq!(told, warned, "{mode}: {:?}", decision.warnings);
    }
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    let enforced = set(&world.policy());
    let hash = enforced.hash().clone();
    let audited = enforced.audit_only();
    assert_ne!(audited.hash(), &hash);
    let decision = world.judge(&audited, &pod(&[&world.pinned()]));
    assert!(decision.allowed && decision.images[0].policies[0].mode == Mode::Audit);
    let decision = world.judge(&set_with("", Unmatched::Deny).audit_only(), &pod(&[&world.pinned()]));
    assert!(decision.allowed);
}

#[test]
fn every_policy_that_selects_must_be_met() {
    let second = |namespace: &str, mode: &str| {
        format!(
            "---\napiVersion: tidewaiter.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{ name: extra, namespace: {namespace} }}\nspec:\n  images: [\"**\"]\n  mode: {mode}\n  require: {{ all: [{{ name: own, signature: {{ cosign: {{ trust: strangers }} }} }}] }}\n"
        )
        .replace("\"**\"", "\"registry.example.com/**\"")
    };
    for (namespace, mode, expected) in [
        (NAMESPACE, "Enforce", vec![(Class::Invalid, Reason::SignatureUntrusted)]),
        (NAMESPACE, "Warn", vec![]),
        // A namespace's policy has no say elsewhere.
        ("shop-test", "Enforce", vec![]),
    ] {
        let mut world = World::new();
        let policy = world.policy() + &second(namespace, mode);
        assert_eq!(world.deny(&policy, Unmatched::Warn), expected, "{namespace} {mode}");
    }
    // Nor does it loosen the cluster's.
    let mut world = World::new();
    world.signatures = Ok(vec![world.signature("stranger", &world.digest())]);
    let policy = world.policy() + &second(NAMESPACE, "Enforce");
    assert_eq!(world.deny(&policy, Unmatched::Warn), [(Class::Invalid, Reason::SignatureUntrusted)]);
}

#[test]
fn the_digest_rule_is_the_strictest_of_those_that_enforce() {
    let tag = format!("{REPOSITORY}:1");
    for (rule, mode, is_pod, allowed, warned) in [
        ("Require", "Enforce", true, false, ""),
        ("Require", "Enforce", false, false, ""),
        ("Pin", "Enforce", true, false, ""),
        ("Pin", "Enforce", false, true, ""),
        ("Resolve", "Enforce", true, true, "judged as sha256:"),
        ("Require", "Warn", false, true, "[image_not_pinned]"),
        ("Pin", "Warn", true, true, "has no digest; ClusterImagePolicy \"shop\" enforced would pin it"),
        ("Pin", "Warn", false, true, ""),
        ("Require", "Audit", true, true, ""),
        ("Pin", "Audit", true, true, ""),
    ] {
        let mut world = World::new();
        let policy = with(
            &with(&world.policy(), "mode: Enforce", &format!("mode: {mode}")),
            "digest: Pin",
            &format!("digest: {rule}"),
        );
        let workload = Workload { is_pod, ..pod(&[&tag]) };
        let decision = world.judge(&set(&policy), &workload);
        let case = format!("{rule} {mode} {is_pod}: {}", decision.explain());
        assert_eq!(decision.allowed, allowed, "{case}");
        if allowed {
            assert!(decision.warnings.iter().all(|w| w.contains(warned)), "{case}");
            assert_eq!(decision.warnings.is_empty(), warned.is_empty(), "{case}");
            let recorded = decision.images[0].policies[0].requirements.iter().any(|item| item.name == "digest");
            assert_eq!(recorded, rule == "Require", "{case}");
        } else {
            assert_eq!((decision.reason(), decision.exit_code()), (Some(Reason::ImageNotPinned), 1), "{case}");
            assert_eq!(world.asked, [], "no packet leaves");
        }
    }
}

#[test]
fn an_image_that_nothing_selects_is_the_installations_matter() {
    let image = format!("docker.io/library/busybox@{}", Digest::sha256(b"x"));
    for (unmatched, allowed, warned) in
        [(Unmatched::Allow, true, false), (Unmatched::Warn, true, true), (Unmatched::Deny, false, false)]
    {
        let mut world = World::new();
        let decision = world.judge(&set_with(&world.policy(), unmatched), &pod(&[&image]));
        assert_eq!((decision.allowed, decision.warnings.len() == 1), (allowed, warned), "{unmatched:?}");
        assert_eq!(decision.reason(), (!allowed).then_some(Reason::UnmatchedImage));
        assert_eq!(world.asked, [], "no packet leaves");
    }
}

#[test]
fn a_reference_that_cannot_be_read_counts_as_selected() {
    let enforced = World::new().policy();
    let warning = with(&enforced, "mode: Enforce", "mode: Warn");
    let elsewhere = with(&enforced, "\"shop-*\"", "\"other\"");
    for (policy, unmatched, allowed) in [
        (&enforced, Unmatched::Allow, false),
        (&warning, Unmatched::Warn, true),
        (&warning, Unmatched::Deny, false),
        (&elsewhere, Unmatched::Warn, true),
    ] {
        let mut world = World::new();
        let decision = world.judge(&set_with(policy, unmatched), &pod(&["registry.example.com/Shop/API"]));
        assert_eq!(decision.allowed, allowed, "{unmatched:?}");
        assert_eq!(decision.warnings.len(), usize::from(allowed));
        assert_eq!(decision.images[0].fault.as_ref().map(|f| f.reason), Some(Reason::ImageRefInvalid));
    }
}

#[test]
fn more_images_than_a_review_may_have_are_not_looked_at() {
    let images: Vec<String> =
        (0..=IMAGES_MAX).map(|i| format!("{REPOSITORY}@{}", Digest::sha256(&i.to_be_bytes()))).collect();
    let all: Vec<&str> = images.iter().map(String::as_str).collect();
    let mut world = World::new();
    let set = set(&world.policy());
    let decision = world.judge(&set, &pod(&all));
    assert_eq!(decision.reason(), Some(Reason::TooManyImages));
    assert_eq!(world.asked, []);
    assert!(decision.message().len() <= 1024 && decision.message().contains("more"), "{}", decision.message());
    // The same image many times over is one.
    let same = vec![all[0]; 300];
    assert!(set.read(&pod(&same)).iter().all(|reading| matches!(reading, Reading::Judge { .. })));
    assert!(set.read(&pod(&all[1..])).iter().all(|reading| matches!(reading, Reading::Judge { .. })));
}

#[test]
fn an_unchanged_image_is_not_judged_again() {
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    let mut workload = pod(&[&world.pinned()]);
    workload.images[0].unchanged = true;
    assert!(world.judge(&set(&world.policy()), &workload).allowed);
    workload.images[0].unchanged = false;
    assert!(!world.judge(&set(&world.policy()), &workload).allowed);
}

#[test]
fn only_a_completed_verification_allows() {
    let world = World::new();
    let set = set(&world.policy());
    let workload = pod(&[&world.pinned()]);
    let reading = || vec![Reading::Judge { reference: world.pinned().parse().unwrap() }];
    let empty = || std::sync::Arc::new(ImageVerdict { policies: vec![], warnings: vec![], valid_until: None });
    for (readings, verdicts) in [
        (vec![], vec![]),
        (reading(), vec![]),
        (reading(), vec![None]),
        (reading(), vec![Some(Ok((world.digest(), empty())))]),
        (reading(), vec![Some(Ok((Digest::sha256(b"other"), empty())))]),
        (vec![Reading::Settled], vec![None]),
    ] {
        let decision = set.decide(&workload, None, readings, verdicts, noon());
        assert_eq!((decision.allowed, decision.reason()), (false, Some(Reason::InternalError)));
    }
    let fault = Fault::new(Reason::ImageNotFound, "not there");
    let decision = set.decide(&workload, None, reading(), vec![Some(Err(fault.clone()))], noon());
    assert_eq!((decision.allowed, decision.reason()), (false, Some(Reason::ImageNotFound)));
    assert!(decision.message().starts_with("denied by ClusterImagePolicy \"shop\"\n"), "{}", decision.message());
    let audited = set.audit_only();
    let decision = audited.decide(&workload, None, reading(), vec![Some(Err(fault))], noon());
    assert!(decision.allowed);
    // What is broken in us is no finding of an audit.
    let broken = Fault::new(Reason::InternalError, "broken");
    let decision = audited.decide(&workload, None, reading(), vec![Some(Err(broken))], noon());
    assert_eq!((decision.allowed, decision.reason()), (false, Some(Reason::InternalError)));
}

#[test]
fn a_verdict_outlives_no_metadata() {
    let until = |spoil: fn(&mut World)| {
        let mut world = World::new();
        spoil(&mut world);
        let set = set(&world.policy());
        let mut assessment = Assessment::new(&set, &world.pinned().parse().unwrap(), NAMESPACE);
        for want in assessment.wants() {
            let found = match want {
                Want::Manifest(_) => Ok(Given::Manifest(world.manifest.clone())),
                Want::Signatures => world.signatures.clone().map(Given::Signatures),
                Want::Envelopes(_) => world.oci.clone().map(Given::Envelopes),
            };
            assessment.give(&want, found);
        }
        assessment.finish(noon()).valid_until.map(|until| until.to_string())
    };
    assert_eq!(until(|_| {}), Some("2030-01-01T00:00:00Z".into()));
    assert_eq!(until(|w| w.signatures = Ok(vec![])), Some("2026-11-23T12:00:10Z".into()));
    let down = |w: &mut World| w.signatures = Err(Fault::new(Reason::RegistryTimeout, "slow"));
    assert_eq!(until(down), Some("2026-11-23T12:00:00Z".into()));
}
