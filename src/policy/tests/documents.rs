//! What several documents say together.

use super::*;

#[test]
fn what_several_documents_get_wrong_is_named() {
    let policy = World::new().policy();
    for (from, to, expected) in [
        (
            "trust: release-keys",
            "trust: missing",
            "spec.require.all[0].signature.cosign.trust: names TrustRoot \"missing\"",
        ),
        (
            "owners: shop-owners",
            "owners: missing",
            "spec.require.all[1].supplyChain.layout.owners: names TrustRoot \"missing\"",
        ),
        ("signers: security-team", "signers: missing", "spec.exceptions.signers: names TrustRoot \"missing\""),
        ("threshold: 2", "threshold: 3", "spec.require.all[1].supplyChain.layout.threshold: is 3, expected 1 to 2"),
    ] {
        let errors = compile(&with(&policy, from, to), Unmatched::Warn).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.starts_with(expected), "{errors:?}");
        assert_eq!((errors[0].file.as_str(), errors[0].document), ("policy.yaml", 1));
    }
    let first = policy.split("---").next().unwrap();
    let errors = compile(&format!("{policy}---\n{first}"), Unmatched::Warn).unwrap_err();
    assert_eq!(errors[0].message, "metadata.name: duplicate ClusterImagePolicy \"shop\"");
    let registry = "---\napiVersion: tidewaiter.dev/v1alpha1\nkind: RegistryConfig\nmetadata: { name: NAME }\nspec: { host: r.example }\n";
    let two = registry.replace("NAME", "a") + &registry.replace("NAME", "b");
    assert_eq!(
        compile(&two, Unmatched::Warn).unwrap_err()[0].message,
        "spec.host: duplicate RegistryConfig for r.example"
    );
}

#[test]
fn the_hash_is_of_what_is_said_and_not_of_how() {
    let policy = World::new().policy();
    let hash = |text: &str| set(text).hash().clone();
    let (first, rest) = policy.split_once("---").unwrap();
    assert_eq!(hash(&policy), hash(&format!("# by hand\n---\n{rest}---\n{first}")), "order and comments");
    assert_eq!(hash(&policy), hash(&with(&policy, "  digest: Pin\n", "")), "a default written out");
    assert_eq!(hash(&policy), hash(&with(&policy, "{ name: shop }", "{ name: shop, labels: { a: b } }")));
    for (from, to) in [
        ("mode: Enforce", "mode: Warn"),
        ("threshold: 2", "threshold: 1"),
        ("\"shop-*\"", "\"shop-p*\""),
        ("name: alice", "name: carol"),
        ("\"name\":\"alice\"", "\"name\":\"carol\""),
        ("{ name: shop }", "{ name: shop2 }"),
        ("30d", "29d"),
    ] {
        if policy.contains(from) {
            assert_ne!(hash(&policy), hash(&with(&policy, from, to)), "{from}");
        }
    }
    let keyless = policy.replace(&format!("{:?}", "strangers"), "\"renamed\"");
    assert_ne!(hash(&policy), hash(&keyless));
}

#[test]
fn a_policy_that_demands_the_same_as_another_is_judged_alike() {
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    let first = world.policy().split("---").next().unwrap().replace("{ name: shop }", "{ name: shop-too }");
    let policy = world.policy() + "---\n" + &first;
    let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
    let [one, two] = decision.images[0].policies.as_slice() else { panic!() };
    assert_eq!(one.requirements, two.requirements);
    assert!(RELEASED.contains("released") && !one.met);
    assert!(
        decision.message().starts_with("denied by ClusterImagePolicy \"shop\" and ClusterImagePolicy \"shop-too\"\n")
    );
}

#[test]
fn the_examples_compile() {
    for text in
        [include_str!("../../../examples/policy.yaml"), include_str!("../../../examples/namespaced-policy.yaml")]
    {
        assert_eq!(set(text).policies.len(), 1);
    }
}

#[test]
fn the_reference_lists_every_reason() {
    let text = include_str!("../../../docs/policy.md");
    for reason in Reason::ALL {
        let line = format!("| `{}` | {} |", reason.as_str(), message::class_word(reason.class()));
        assert!(text.contains(&line), "{line}");
    }
}
