//! One document, one thing wrong: the error names document and field.

use super::*;

const POLICY: &str = r#"apiVersion: tidewaiter.dev/v1alpha1
kind: ClusterImagePolicy
metadata: { name: shop }
spec:
  images: ["registry.example.com/shop/**"]   # ours
  exclude: ["registry.example.com/shop/sandbox/**"]
  namespaces: ["shop-*"]
  mode: Enforce
  digest: Pin
  require:
    all:
      - name: released
        signature: { cosign: { trust: release-keys } }
      - name: built-by-us
        supplyChain:
          layout: { owners: shop-owners, threshold: 2 }
          evidence: [oci, store]
  exceptions: { maxDuration: 30d, signers: security-team }
"#;

/// The messages for the policy with one text replaced by another.
fn refused(from: &str, to: &str) -> Vec<String> {
    assert!(POLICY.contains(from), "{from}");
    match parse("f", &POLICY.replacen(from, to, 1)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|e| e.message).collect(),
    }
}

#[test]
fn the_example_of_the_design_is_read() {
    let resources = parse("f", POLICY).unwrap();
    let [Resource::ClusterImagePolicy(policy)] = resources.as_slice() else { panic!("{resources:?}") };
    assert_eq!(policy.metadata.name, "shop");
    assert_eq!(policy.spec.mode, Mode::Enforce);
    assert_eq!(policy.spec.digest, DigestRule::Pin);
    assert_eq!(policy.spec.require.items().len(), 2);
    let chain = policy.spec.require.items()[1].supply_chain.as_ref().unwrap();
    assert_eq!(chain.evidence, [EvidenceSource::Oci, EvidenceSource::Store]);
    assert_eq!(chain.layout.threshold, Some(2));
}

#[test]
fn json_says_the_same_as_yaml() {
    let yaml = parse("f", POLICY).unwrap();
    let Resource::ClusterImagePolicy(policy) = &yaml[0] else { panic!() };
    let json = serde_json::to_string_pretty(policy).unwrap();
    assert_eq!(parse("f", &json).unwrap(), yaml);
}

#[test]
fn what_kubectl_prints_is_what_was_applied() {
    let printed = POLICY.replace(
        "{ name: shop }",
        "{ name: shop, uid: 0e9c, resourceVersion: \"12\", generation: 3, creationTimestamp: \"2026-01-01T00:00:00Z\", managedFields: [{ manager: kubectl }] }",
    ) + "status: { conditions: [{ type: Ready, status: \"True\" }] }\n";
    assert_eq!(parse("f", &printed).unwrap(), parse("f", POLICY).unwrap());
    assert_eq!(refused("{ name: shop }", "{ name: shop, uuid: 0e9c }").len(), 1, "a slip is still one");
    assert_eq!(refused("exceptions:", "stati: {}\n  exceptions:").len(), 1);
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    for (from, to, expected) in [
        ("name: shop }", "name: shop, colour: red }", "metadata.colour: unknown field `colour`"),
        ("name: shop }", "name: Shop }", "metadata.name: \"Shop\" is no name"),
        ("name: shop }", "name: shop, namespace: x }", "metadata.namespace: this kind belongs to the cluster"),
        ("  mode: Enforce", "  mode: enforce", "spec.mode: unknown variant `enforce`"),
        ("  mode: Enforce", "  mdoe: Enforce", "spec.mdoe: unknown field `mdoe`"),
        ("digest: Pin", "digest: Maybe", "spec.digest: unknown variant `Maybe`"),
        ("namespaces: [\"shop-*\"]", "namespaces: []", "spec.namespaces: is empty"),
        ("namespaces: [\"shop-*\"]", "namespaces: [\"Shop\"]", "spec.namespaces[0]: \"Shop\" is no pattern"),
        ("images: [\"registry.example.com/shop/**\"]", "images: []", "spec.images: is empty"),
        ("images: [\"registry.example.com/shop/**\"]", "images: [1]", "spec.images[0]: invalid type: integer `1`"),
        ("    all:", "    all: []\n    any:", "spec.require: expected exactly one of all, any, atLeast, found 2"),
        ("    all:", "    most:", "spec.require.most: unknown variant `most`"),
        ("name: built-by-us", "name: released", "spec.require.all[1].name: duplicate requirement \"released\""),
        ("name: built-by-us", "name: digest", "spec.require.all[1].name: \"digest\" is what the digest rule"),
        ("name: built-by-us", "name: built by us", "spec.require.all[1].name: \"built by us\" is no name"),
        (
            "signature: { cosign: { trust: release-keys } }",
            "attestation: {}",
            "spec.require.all[0].attestation: is not supported yet",
        ),
        (
            "signature: { cosign: { trust: release-keys } }",
            "signature: {}",
            "spec.require.all[0].signature.cosign: is missing",
        ),
        (
            "        signature: { cosign: { trust: release-keys } }\n",
            "",
            "spec.require.all[0]: expected exactly one of signature",
        ),
        (
            "trust: release-keys",
            "trust: Release Keys",
            "spec.require.all[0].signature.cosign.trust: \"Release Keys\" is no name of a TrustRoot",
        ),
        (
            "owners: shop-owners",
            "owners: \"\"",
            "spec.require.all[1].supplyChain.layout.owners: \"\" is no name of a TrustRoot",
        ),
        ("signers: security-team", "signers: \"*\"", "spec.exceptions.signers: \"*\" is no name of a TrustRoot"),
        ("threshold: 2", "threshold: 0", "spec.require.all[1].supplyChain.layout.threshold: is 0"),
        ("threshold: 2", "threshold: -1", "spec.require.all[1].supplyChain.layout.threshold: invalid value"),
        ("evidence: [oci, store]", "evidence: []", "spec.require.all[1].supplyChain.evidence: is empty"),
        (
            "evidence: [oci, store]",
            "evidence: [oci, oci]",
            "spec.require.all[1].supplyChain.evidence[1]: is named twice",
        ),
        ("evidence: [oci, store]", "evidence: [disk]", "spec.require.all[1].supplyChain.evidence[0]: unknown variant"),
        (
            "evidence: [oci, store]",
            "parameters: { A.b: c }",
            "spec.require.all[1].supplyChain.parameters: the parameter name \"A.b\" is not made of letters, digits, _ and -",
        ),
        (
            "evidence: [oci, store]",
            "refuse: [commandMismatch, commandMismatch]",
            "spec.require.all[1].supplyChain.refuse[1]: is named twice",
        ),
        (
            "evidence: [oci, store]",
            "refuse: [everything]",
            "spec.require.all[1].supplyChain.refuse[0]: unknown variant",
        ),
        ("maxDuration: 30d", "maxDuration: 30", "spec.exceptions.maxDuration: invalid type: integer `30`"),
        ("maxDuration: 30d", "maxDuration: 30w", "spec.exceptions.maxDuration: \"30w\": expected a length of time"),
        ("kind: ClusterImagePolicy", "kind: Policy", "kind: is \"Policy\""),
        ("v1alpha1", "v1", "apiVersion: is \"tidewaiter.dev/v1\""),
        ("  exceptions:", "status: {}\n  exceptions:", ""),
    ] {
        let found = refused(from, to);
        assert!(!found.is_empty() && found.iter().any(|m| m.starts_with(expected)), "{from} -> {to}: {found:?}");
    }
}

#[test]
fn yaml_that_two_readers_may_read_differently_is_refused() {
    for (from, to, expected) in [
        ("{ name: shop }", "&a { name: shop }", "anchors are not allowed"),
        ("{ name: shop }", "!!map { name: shop }", "tags are not allowed"),
        ("mode: Enforce", "mode: !x Enforce", "tags are not allowed"),
        ("mode: Enforce", "mode: Enforce\n  mode: Audit", "duplicate key \"mode\""),
        ("name: shop }", "name: shop, \"name\": other }", "duplicate key \"name\""),
        ("name: shop }", "name: shop, 1: other }", "must be a text"),
        ("name: shop }", "name: shop, [a]: other }", "must be a text"),
    ] {
        let found = refused(from, to);
        assert!(found.iter().any(|m| m.contains(expected)), "{from} -> {to}: {found:?}");
    }
    let alias = POLICY.replacen("{ name: shop }", "&a { name: shop }\nother: *a", 1);
    assert!(parse("f", &alias).is_err());
}

#[test]
fn a_scalar_that_only_resembles_a_number_is_no_text() {
    for text in ["0x1f", "1e3", "1.5", ".5", "007", "+1", "0o17", ".inf", "123456789012345678901234567890"] {
        for field in ["threshold: 2", "name: released"] {
            let (key, _) = field.split_once(' ').unwrap();
            let found = refused(field, &format!("{key} {text}"));
            assert!(found.iter().any(|m| m.contains("is no plain integer")), "{field} {text}: {found:?}");
        }
    }
    // A date or a version with two points is a text in YAML 1.2, and quoted numbers are what they say.
    for text in ["1.2.3", "\"007\"", "'1e3'", "1h"] {
        assert!(refused("name: released", &format!("name: {text}")).is_empty(), "{text}");
    }
}

#[test]
fn sizes_and_depths_are_bounded() {
    let long = format!("# {}\n{POLICY}", "x".repeat(TEXT_BYTES_MAX));
    assert!(parse("f", &long).unwrap_err()[0].message.contains("more than 262144"));
    let deep = format!("a: {}{}", "[".repeat(60), "]".repeat(60));
    assert!(parse("f", &deep).unwrap_err()[0].message.contains("nested deeper than 32"));
    let wide = format!("a: [{}]", "1,".repeat(60_000));
    assert!(parse("f", &wide).unwrap_err()[0].message.contains("more than 50000 values"));
    let many = "---\n{}\n".repeat(300);
    assert!(parse("f", &many).unwrap_err()[0].message.contains("more than 256 documents"));
    assert!(parse("f", &format!("\u{feff}{POLICY}")).unwrap_err()[0].message.contains("byte order mark"));
}

#[test]
fn errors_name_file_and_document_and_all_are_told() {
    let text = format!(
        "{POLICY}---\n# nothing here\n---\n{}---\n{}",
        POLICY.replacen("Pin", "Pni", 1),
        POLICY.replacen("shop }", "x y }", 1)
    );
    let errors = parse("policy.yaml", &text).unwrap_err();
    let numbers: Vec<usize> = errors.iter().map(|e| e.document).collect();
    assert_eq!(numbers, [3, 4]);
    assert!(
        errors[0].to_string().starts_with("policy.yaml: document 3: spec.digest: unknown variant `Pni`"),
        "{}",
        errors[0]
    );
    assert_eq!(parse("f", "").unwrap(), []);
    assert!(parse("f", "{").is_err());
    assert!(parse("f", "- a\n").is_err());
}

#[test]
fn a_namespaces_policy_needs_its_namespace_and_has_no_say_elsewhere() {
    let policy = |metadata: &str, extra: &str| {
        format!(
            "apiVersion: tidewaiter.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {metadata}\nspec:\n  images: [\"r.example/a\"]\n  require: {{ any: [{{ name: a, signature: {{ cosign: {{ trust: t }} }} }}] }}\n{extra}"
        )
    };
    assert!(parse("f", &policy("{ name: a, namespace: shop }", "")).is_ok());
    for (metadata, extra, expected) in [
        ("{ name: a }", "", "metadata.namespace: is missing"),
        ("{ name: a, namespace: A }", "", "metadata.namespace: \"A\" is no name of a namespace"),
        ("{ name: a, namespace: shop }", "  namespaces: [x]\n", "spec.namespaces: an ImagePolicy applies to its own"),
        ("{ name: a, namespace: shop }", "  exceptions: { maxDuration: 1d, signers: t }\n", "spec.exceptions: only a"),
    ] {
        let errors = parse("f", &policy(metadata, extra)).unwrap_err();
        assert!(errors.iter().any(|e| e.message.starts_with(expected)), "{errors:?}");
    }
}

#[test]
fn counts_of_at_least_are_checked() {
    for (count, ok) in [("0", false), ("1", true), ("2", true), ("3", false)] {
        let text = POLICY
            .replace("all:", &format!("atLeast:\n      count: {count}\n      of:"))
            .replace("      - name", "        - name")
            .replace("        s", "          s")
            .replace("          layout", "            layout")
            .replace("          evidence", "            evidence");
        assert_eq!(parse("f", &text).is_ok(), ok, "{count}: {:?}", parse("f", &text));
    }
}

fn one(kind: &str, spec: &str) -> Result<Vec<Resource>, Vec<ResourceError>> {
    parse("f", &format!("apiVersion: tidewaiter.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: a }}\nspec: {spec}\n"))
}

#[test]
fn a_trust_root_holds_usable_keys_under_distinct_names() {
    assert!(one("TrustRoot", "{ keys: [] }").is_ok());
    assert!(one("TrustRoot", "{ keys: [{ name: a, secretKeyRef: { name: s, key: k.pem } }] }").is_ok());
    for (spec, expected) in [
        ("{ keys: [{ name: a, pem: nonsense }] }", "spec.keys[0].pem: "),
        (
            "{ keys: [{ name: a, pgp: x }] }",
            "spec.keys[0].pgp: the key is malformed: it is not one block PGP PUBLIC KEY BLOCK",
        ),
        ("{ keys: [{ name: a, pgp: x, pem: y }] }", "spec.keys[0]: expected exactly one of pem, secretKeyRef, pgp"),
        (
            "{ keys: [{ name: a, secretKeyRef: { name: ../s, key: k } }] }",
            "spec.keys[0].secretKeyRef.name: \"../s\" is no name of a Secret",
        ),
        (
            "{ keys: [{ name: a, secretKeyRef: { name: s, key: k/v } }] }",
            "spec.keys[0].secretKeyRef.key: \"k/v\" is no key of a Secret",
        ),
        (
            "{ keys: [{ name: a, pem: x, secretKeyRef: { name: s, key: k } }] }",
            "spec.keys[0]: expected exactly one of pem, secretKeyRef, pgp",
        ),
        ("{ keys: [{ name: a }] }", "spec.keys[0]: expected exactly one of pem, secretKeyRef, pgp"),
        ("{ keys: [{ name: a, pem: x }, { name: a, pem: x }] }", "spec.keys[1].name: duplicate key name"),
        ("{ keys: [{ name: a, pem: x, use: layout }] }", "spec.keys[0].use: unknown field"),
    ] {
        let errors = one("TrustRoot", spec).unwrap_err();
        assert!(errors.iter().any(|e| e.message.starts_with(expected)), "{spec}: {errors:?}");
    }
}

#[test]
fn a_registry_config_cannot_send_credentials_in_the_clear() {
    for spec in [
        "{ host: \"registry.example.com:5000\", allowPrivate: true, mirrors: [mirror.example.com/proxy] }",
        "{ host: \"localhost:5000\", insecure: true }",
        "{ host: r.example, ociLayout: /var/lib/images }",
        // The example of design §6, less what is refused for now.
        "{ host: \"registry.example.com:5000\", allowPrivate: true, insecure: false, caBundle: \"-----BEGIN CERTIFICATE-----\", \
           mirrors: [\"mirror.example.com/proxy\"], ociLayout: /var/lib/tidewaiter/images }",
        "{ host: r.example, credentials: { dockerConfig: /etc/docker/config.json } }",
    ] {
        assert!(one("RegistryConfig", spec).is_ok(), "{spec}: {:?}", one("RegistryConfig", spec));
    }
    for (spec, expected) in [
        ("{ host: \"\" }", "spec.host: "),
        ("{ host: r.example/path }", "spec.host: "),
        ("{ host: registry }", "spec.host: "),
        ("{ host: r.example, mirrors: [\"https://m.example\"] }", "spec.mirrors[0]: "),
        ("{ host: r.example, authRealms: [\"https://auth.example/token\"] }", "spec.authRealms[0]: "),
        ("{ host: r.example, authRealms: [auth.example, \"*.example\"] }", "spec.authRealms[1]: "),
        (
            "{ host: r.example, insecure: true, credentials: { dockerConfig: /c } }",
            "spec.insecure: credentials are not sent",
        ),
        ("{ host: r.example, insecure: true, caBundle: \"-----BEGIN CERTIFICATE-----\" }", "spec.insecure: a caBundle"),
        ("{ host: r.example, caBundle: x }", "spec.caBundle: holds no PEM"),
        (&format!("{{ host: r.example, mirrors: [{}] }}", "m.example,".repeat(17)), "spec.mirrors: has 17 items"),
        (&format!("{{ host: r.example, authRealms: [{}] }}", "a.example,".repeat(17)), "spec.authRealms: has 17 items"),
        ("{ host: r.example, ociLayout: /images, insecure: true }", "spec.ociLayout: is read instead of the network"),
        ("{ host: r.example, ociLayout: images }", "spec.ociLayout: \"images\" is no absolute path"),
        (
            "{ host: r.example, credentials: { secretRef: { name: ../pull } } }",
            "spec.credentials.secretRef.name: \"../pull\" is no name of a Secret",
        ),
        (
            "{ host: r.example, credentials: { secretRef: { name: pull, revision: x } } }",
            "spec.credentials.secretRef.revision: unknown field",
        ),
        (
            "{ host: r.example, ociLayout: /images, credentials: { secretRef: { name: pull } } }",
            "spec.ociLayout: is read instead of the network: no credentials",
        ),
        (
            "{ host: r.example, credentials: { secretRef: { name: pull }, dockerConfig: /c } }",
            "spec.credentials: expected one of dockerConfig, secretRef",
        ),
        ("{ host: r.example, credentials: {} }", "spec.credentials: expected one of dockerConfig, secretRef"),
        ("{ host: r.example, insecure: yes }", "spec.insecure: invalid type: string \"yes\""),
    ] {
        let errors = one("RegistryConfig", spec).unwrap_err();
        assert!(errors.iter().any(|e| e.message.starts_with(expected)), "{spec}: {errors:?}");
    }
}

#[test]
fn a_chain_names_owners_images_and_tokens() {
    let hash = format!("sha256:{}", "a".repeat(64));
    let chain = |writers: &str, more: &str| {
        format!(
            "{{ owners: {{ trust: o, threshold: 2 }}, images: [\"r.example/shop/api\"], writers: [{writers}]{more} }}"
        )
    };
    let writer = format!("{{ name: ci, tokenHash: \"{hash}\", steps: [\"*\"], kinds: [layout, link, fact] }}");
    let reports =
        format!(", facts: [shard, team.name], readers: [{{ name: c, tokenHash: \"{hash}\", reports: true }}]");
    let (published, some) =
        (", publish: {}", ", publish: { repositories: [\"r.example/shop/*\", \"r.example:5000/shop/api\"] }");
    for more in ["", ", quarantine: false", ", quarantine: true", &reports, published, some] {
        assert!(one("Chain", &chain(&writer, more)).is_ok(), "{:?}", one("Chain", &chain(&writer, more)));
    }
    for (spec, expected) in [
        (chain(&writer, ", quarantine: maybe"), "spec.quarantine: invalid type"),
        (chain(&writer.replace(&hash, "sha256:abc"), ""), "spec.writers[0].tokenHash: is not sha256"),
        (chain(&writer.replace("[\"*\"]", "[]"), ""), "spec.writers[0].steps: "),
        (chain(&writer.replace("fact", "rumour"), ""), "spec.writers[0].kinds[2]: unknown variant"),
        (chain(&format!("{writer}, {writer}"), ""), "spec.writers[1].name: duplicate name"),
        (chain(&writer, ", readers: [{ name: c }]"), "spec.readers[0]: needs one of tokenHash, oidc, mtls and"),
        (chain(&writer, ", facts: [\"a b\"]"), "spec.facts[0]: \"a b\" is no name of a fact"),
        (chain(&writer, &format!(", facts: [{}]", "a, ".repeat(25))), "spec.facts: has 25 names, more than"),
        (chain(&writer, &reports.replace("true", "1")), "spec.readers[0].reports: invalid type"),
        // A host that a pattern leaves open would be the writer's choice.
        (
            chain(&writer, published).replace("r.example/shop/api", "**"),
            "spec.images[0]: \"**\" leaves the registry open",
        ),
        (
            chain(&writer, published).replace("r.example/", "*.example.com/"),
            "spec.images[0]: \"*.example.com/shop/api\"",
        ),
        (
            chain(&writer, some).replace("r.example:5000/", "*.example.com/"),
            "spec.publish.repositories[1]: \"*.example",
        ),
        (chain(&writer, some).replace("shop/*", "Shop"), "spec.publish.repositories[0]: "),
        (chain(&writer, ", publish: { to: [] }"), "spec.publish"),
        (chain(&writer, "").replace("threshold: 2", "threshold: 0"), "spec.owners.threshold: is 0"),
    ] {
        let errors = one("Chain", &spec).unwrap_err();
        assert!(errors.iter().any(|e| e.message.starts_with(expected)), "{spec}: {errors:?}");
    }
}

#[test]
fn a_writer_proves_itself_in_one_way() {
    let chain = |identity: &str| {
        format!(
            "{{ owners: {{ trust: o }}, images: [\"r.example/a\"], writers: [{{ name: ci, {identity}, steps: [a], kinds: [link] }}] }}"
        )
    };
    let oidc =
        "oidc: { issuer: \"https://ci.example\", audience: tidewaiter, claims: { repository_id: \"123\" }, MORE }";
    let with = |from: &str, to: &str| oidc.replace(from, to).replace(", MORE", "");
    let more = |text: &str| oidc.replace("MORE", text);
    let account =
        "kubernetes: { issuer: \"https://k8s.example\", audience: tidewaiter, namespace: ci, serviceAccount: build }";
    let (token, mtls) =
        (format!("tokenHash: \"sha256:{}\"", "a".repeat(64)), "mtls: { spiffe: \"spiffe://corp/ns/ci/sa/*\" }");
    let yes = [
        token.clone(),
        with("", ""),
        with("https://ci.example", "http://127.0.0.1:8080/realm"),
        with("https://ci.example", "http://[::1]:8080"),
        more("run: \"{repository}/{run_id}\", oneTime: true, maxLifetime: 10m"),
        more("jwks: { keys: [] }"),
        more("jwksFile: /etc/keys.json"),
        mtls.into(),
        account.into(),
    ];
    for identity in &yes {
        assert!(one("Chain", &chain(identity)).is_ok(), "{identity}: {:?}", one("Chain", &chain(identity)));
    }
    for (identity, expected) in [
        ("oidc: {}".into(), ".oidc."),
        (format!("{token}, {mtls}"), ": has several of tokenHash, oidc, mtls and kubernetes"),
        (format!("{}, {account}", with("", "")), ": has several of"),
        (with("https:", "http:"), ".oidc.issuer: expected https, or http on loopback"),
        (with("https://ci.example", "http://127.0.0.1.example"), ".oidc.issuer: expected https, or http on loopback"),
        (with("https://ci.example", "https://a@ci.example"), ".oidc.issuer: has credentials"),
        (with("https://ci.example", "https:///x"), ".oidc.issuer: has no host"),
        (with("audience: tidewaiter", "audience: \"\""), ".oidc.audience: expected"),
        (with("{ repository_id: \"123\" }", "{}"), ".oidc.claims: expected 1 to 32 claims"),
        (with("\"123\"", "\"**\""), ".oidc.claims: are all *"),
        (with("\"123\"", "\"\""), ".oidc.claims.repository_id: is empty"),
        (with("\"123\"", "\"[a\""), ".oidc.claims.repository_id: \"[a\""),
        (with("repository_id", "aud"), ".oidc.claims.aud: has a field of its own"),
        (with("\"123\"", "123"), ".oidc.claims.repository_id: invalid type"),
        (more("run: main"), ".oidc.run: expected text with"),
        (more("maxLifetime: 0s"), ".oidc.maxLifetime: "),
        (more("jwks: []"), ".oidc.jwks: expected a JWK set"),
        (more("jwks: { keys: [] }, jwksFile: f"), ".oidc.jwksFile: stands beside jwks"),
        (more("caBundle: none"), ".oidc.caBundle: holds no PEM"),
        (more("jwksFile: f, caBundle: \"-----BEGIN CERTIFICATE-----\""), ".oidc.caBundle: means nothing"),
        (more("issuers: []"), ".oidc.issuers: unknown field"),
        (mtls.replace("ns/ci/sa/*", "*"), ".mtls.spiffe: names everybody"),
        (mtls.replace("corp", "*"), ".mtls.spiffe: the trust domain"),
        (mtls.replace("spiffe://", "https://"), ".mtls.spiffe: expected spiffe://"),
        (account.replace("namespace: ci", "namespace: \"*\""), ".kubernetes.namespace: \"*\" is no name"),
        (account.replace("serviceAccount: build", "serviceAccount: \"\""), ".kubernetes.serviceAccount: "),
        (account.replace("https:", "ftp:"), ".kubernetes.issuer: expected https"),
    ] {
        let errors = one("Chain", &chain(&identity)).unwrap_err();
        let expected = format!("spec.writers[0]{expected}");
        assert!(errors.iter().any(|e| e.message.starts_with(&expected)), "{identity}: {expected}: {errors:?}");
    }
    for field in ["run: \"{a}\"", "oneTime: true"] {
        let readers = format!("readers: [{{ name: r, {} }}]", more(field));
        let spec = format!("{{ owners: {{ trust: o }}, images: [\"r.example/a\"], {readers} }}");
        let errors = one("Chain", &spec).unwrap_err();
        assert!(errors.iter().any(|e| e.message.ends_with("means nothing for a reader")), "{spec}: {errors:?}");
    }
}

#[test]
fn the_examples_are_what_they_show() {
    for (name, text, kinds) in [
        ("policy", include_str!("../../examples/policy.yaml"), "ClusterImagePolicy TrustRoot TrustRoot TrustRoot"),
        (
            "namespaced",
            include_str!("../../examples/namespaced-policy.yaml"),
            "ImagePolicy TrustRoot TrustRoot TrustRoot",
        ),
        ("registries", include_str!("../../examples/registries.yaml"), "RegistryConfig RegistryConfig RegistryConfig"),
        ("chain", include_str!("../../examples/chain.yaml"), "Chain TrustRoot"),
    ] {
        let resources = parse(name, text).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let found: Vec<&str> = resources.iter().map(Resource::kind).collect();
        assert_eq!(found.join(" "), kinds);
    }
}

proptest::proptest! {
    /// Whatever the text, there is an answer, and an error has a document and words.
    #[test]
    fn no_text_is_without_an_answer(
        text in "[-:,\\[\\]{}&*!|>'\"%@`#?~ \n\ta-c01.\u{e9}\u{0}]{0,80}",
        cut in 0usize..900,
        insert in 0usize..900,
    ) {
        let splice = |at: usize| POLICY.char_indices().nth(at).map_or(POLICY.len(), |(index, _)| index);
        let spliced = format!("{}{text}{}", &POLICY[..splice(insert)], &POLICY[splice(cut).min(POLICY.len())..]);
        for text in [text, spliced] {
            if let Err(errors) = parse("f", &text) {
                proptest::prop_assert!(!errors.is_empty() && errors.iter().all(|error| !error.message.is_empty()));
            }
        }
    }
}
