//! What exceptions waive, and what they do not.

use super::*;

#[test]
fn an_exception_waives_what_it_names_and_nothing_else() {
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    let text = exception(&["released"], &format!("images: [\"{REPOSITORY}\"]"));
    let namespace = sealed(&world, &text);
    let set = set(&world.policy());
    let decision = world.judge_in(&set, &pod(&[&world.pinned()]), Some(&namespace));
    assert!(decision.allowed, "{}", decision.explain());
    let used = &decision.exceptions[0];
    assert!(used.honoured && used.policy == "ClusterImagePolicy/shop" && used.field == "spec.containers[0].image");
    assert!(decision.warnings.iter().any(|w| w.contains("admitted by an exception")), "{:?}", decision.warnings);
    let requirements = &decision.images[0].policies[0].requirements;
    assert_eq!((requirements[0].met, requirements[0].waived), (false, true));
    assert_eq!((requirements[1].met, requirements[1].waived), (true, false));

    // The chain is not waived.
    world.oci = Ok(vec![]);
    let decision = world.judge_in(&set, &pod(&[&world.pinned()]), Some(&namespace));
    assert!(!decision.allowed && decision.exceptions.is_empty());
    // Nor the digest rule, nor the sanity of references, whatever it names.
    let everything = sealed(&world, &exception(&["released", "built-by-us"], &format!("images: [\"{REPOSITORY}\"]")));
    assert!(world.judge_in(&set, &pod(&[&world.pinned()]), Some(&everything)).allowed);
    for image in [format!("{REPOSITORY}:1"), "registry.example.com/shop/API".into()] {
        assert!(!world.judge_in(&set, &pod(&[&image]), Some(&everything)).allowed, "{image}");
    }
    // Another image, another digest, another namespace.
    let other = format!("registry.example.com/shop/web@{}", world.digest());
    assert!(!world.judge_in(&set, &pod(&[&other]), Some(&everything)).allowed);
    let digests = |digest: Digest| exception(&["released", "built-by-us"], &format!("digests: [\"{digest}\"]"));
    let (same, different) = (sealed(&world, &digests(world.digest())), sealed(&world, &digests(Digest::sha256(b"o"))));
    assert!(world.judge_in(&set, &pod(&[&world.pinned()]), Some(&same)).allowed);
    assert!(!world.judge_in(&set, &pod(&[&world.pinned()]), Some(&different)).allowed);
    let workload = Workload { namespace: "shop-test".into(), ..pod(&[&world.pinned()]) };
    assert!(!world.judge_in(&set, &workload, Some(&everything)).allowed);
    // Another policy of the same requirements, and one of the namespace's own that is called the same.
    let other = with(&world.policy(), "metadata: { name: shop }", "metadata: { name: other }");
    let own = with(
        &world.policy(),
        "ClusterImagePolicy\nmetadata: { name: shop }",
        "ImagePolicy\nmetadata: { name: shop, namespace: NAMESPACE }",
    );
    let own = with(&own.replace("NAMESPACE", NAMESPACE), "  namespaces: [\"shop-*\"]\n", "");
    let own = with(&own, "  exceptions: { maxDuration: 30d, signers: security-team }\n", "");
    let both = format!("{}---\n{own}", world.policy().split("---").next().unwrap());
    for (text, unmet) in
        [(other, "ClusterImagePolicy/other".to_owned()), (both, format!("ImagePolicy/{NAMESPACE}/shop"))]
    {
        let decision = world.judge_in(&self::set(&text), &pod(&[&world.pinned()]), Some(&everything));
        let found: Vec<&str> = decision.images[0]
            .policies
            .iter()
            .filter(|policy| !policy.met)
            .map(|policy| policy.policy.as_str())
            .collect();
        assert_eq!((decision.allowed, found), (false, vec![unmet.as_str()]));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    /// Two exceptions of one namespace admit nothing that neither admits (security §2.C9).
    #[test]
    fn two_exceptions_together_do_no_more_than_each(
        met in proptest::collection::vec(proptest::bool::ANY, 4),
        first in proptest::collection::vec(proptest::bool::ANY, 4),
        second in proptest::collection::vec(proptest::bool::ANY, 4),
        needed in 1usize..=4,
    ) {
        let world = WORLD.get_or_init(World::new);
        let items: String = (0..4)
            .map(|i| format!("        - {{ name: r{i}, signature: {{ cosign: {{ trust: release-keys }} }} }}\n"))
            .collect();
        let policy = with(&world.policy(), "    all:\n", &format!("    atLeast:\n      count: {needed}\n      of:\n{items}"));
        let policy: String = policy.lines().filter(|l| !l.starts_with("      - {")).map(|l| format!("{l}\n")).collect();
        let set = set(&policy);
        let requirements: Vec<_> = met.iter().enumerate().map(|(i, met)| RequirementDecision {
            name: format!("r{i}"),
            met: *met,
            class: (!met).then_some(Class::Missing),
            reason: (!met).then_some(Reason::NoSignature),
            ..Default::default()
        }).collect();
        let count = met.iter().filter(|met| **met).count();
        let judge = |exceptions: &[&Vec<bool>]| {
            let texts: Vec<String> = exceptions.iter().map(|waived| {
                let names: Vec<String> = (0..4).filter(|i| waived[*i]).map(|i| format!("r{i}")).collect();
                json!({"images": [REPOSITORY], "policy": "shop", "requirements": names, "until": "2026-12-01T00:00:00Z", "reason": "x"}).to_string()
            }).collect();
            let namespace = sealed(world, &format!("[{}]", texts.join(",")));
            let verdict = ImageVerdict {
                policies: vec![PolicyDecision { policy: "ClusterImagePolicy/shop".into(), mode: Mode::Enforce, met: count >= needed, requirements: requirements.clone() }],
                warnings: vec![],
                valid_until: None,
            };
            let workload = pod(&[&world.pinned()]);
            let decision = set.decide(&workload, Some(&namespace), set.read(&workload), vec![Some(Ok((world.digest(), verdict.into())))], noon());
            decision.allowed
        };
        let nonempty = |waived: &Vec<bool>| waived.contains(&true);
        proptest::prop_assume!(nonempty(&first) && nonempty(&second));
        let (one, other) = (judge(&[&first]), judge(&[&second]));
        proptest::prop_assert_eq!(judge(&[&first, &second]), one || other);
        proptest::prop_assert_eq!(judge(&[&second, &first]), one || other);
    }
}
static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
