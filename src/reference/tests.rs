use super::*;
use proptest::prelude::*;

const HEX: &str = "3f9a7d0c3f9a7d0c3f9a7d0c3f9a7d0c3f9a7d0c3f9a7d0c3f9a7d0c3f9a7d0c";

fn read(text: &str) -> Result<String, ReferenceError> {
    text.parse::<Reference>().map(|r| r.to_string())
}

#[test]
fn a_reference_has_one_canonical_form() {
    let long_host = format!("{}.example.com/a", "a".repeat(63));
    for (text, canonical) in [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("shop/api", "docker.io/shop/api:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/shop/api:1", "docker.io/shop/api:1"),
        ("registry-1.docker.io/library/busybox:1", "registry-1.docker.io/library/busybox:1"),
        ("Registry.Example.COM/Shop:1".to_lowercase().as_str(), "registry.example.com/shop:1"),
        ("Registry.Example.COM/shop:V1", "registry.example.com/shop:V1"),
        ("REGISTRY:5000/shop", "registry:5000/shop:latest"),
        ("registry.example.com:443/shop:1", "registry.example.com/shop:1"),
        // Without its port it would be a path of Docker Hub. Found by fuzzing.
        ("registry:443/shop:1", "registry:443/shop:1"),
        ("localhost:443/shop:1", "localhost/shop:1"),
        ("localhost/shop:1", "localhost/shop:1"),
        ("localhost:5000/a/b/c:1", "localhost:5000/a/b/c:1"),
        ("10.0.0.1:5000/a:1", "10.0.0.1:5000/a:1"),
        ("[::1]:5000/a:1", "[::1]:5000/a:1"),
        ("[2001:DB8::1]/a:1", "[2001:db8::1]/a:1"),
        ("a.b/c__d/e-----f/g.h_i:_x", "a.b/c__d/e-----f/g.h_i:_x"),
        ("cafe:1", "docker.io/library/cafe:1"),
        ("docker.io/library/cafe", "docker.io/library/cafe:latest"),
        ("registry.example.com", "docker.io/library/registry.example.com:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        (long_host.as_str(), format!("{long_host}:latest").as_str()),
    ] {
        assert_eq!(read(text).as_deref(), Ok(canonical), "{text}");
    }
}

#[test]
fn a_digest_stands_beside_a_tag_and_drops_the_default() {
    let text = format!("shop/api:1@sha256:{HEX}");
    let reference: Reference = text.parse().unwrap();
    assert_eq!(reference.to_string(), format!("docker.io/{text}"));
    assert_eq!((reference.tag(), reference.digest().map(Digest::hex)), (Some("1"), Some(HEX)));
    let digest = reference.digest().unwrap().clone();
    assert_eq!(reference.pinned(digest).to_string(), format!("docker.io/shop/api@sha256:{HEX}"));
    let untagged: Reference = format!("cafe@sha256:{HEX}").parse().unwrap();
    assert_eq!((untagged.tag(), untagged.name().as_str()), (None, "docker.io/library/cafe"));
    assert_eq!((untagged.registry(), untagged.repository()), ("docker.io", "library/cafe"));
}

#[test]
fn what_is_no_reference_is_invalid() {
    let upper = format!("a@sha256:{}", HEX.to_uppercase());
    let sha512 = format!("a@sha512:{HEX}{HEX}");
    let (long_tag, long_name) = (format!("a:{}", "b".repeat(129)), format!("a.b/{}", "c".repeat(252)));
    let (huge, long_label) = ("a".repeat(513), format!("{}.com/a", "a".repeat(64)));
    let (twice, short) = (format!("a@sha256:{HEX}@sha256:{HEX}"), format!("a@sha256:{}", &HEX[1..]));
    let long_hub = "z".repeat(240);
    for text in [
        "",
        " ",
        "a b",
        " a",
        "a\n",
        "a\0",
        "é",
        "a/é",
        "https://a.b/c",
        "docker://a",
        "docker:a/b",
        "A",
        "a/B",
        "shop/API:1",
        "a/",
        "/a",
        "a//b",
        "a.b/",
        "a/./b",
        "a/../b",
        "-a",
        "a-",
        "a..b/c",
        "a...b",
        "a/b..c",
        "a/___b",
        "a/b_",
        "a/_b",
        "a/.b",
        "a/b%20",
        "a:",
        "a:-b",
        "a:.b",
        "a:b/c",
        "a:b:c",
        "a@",
        "a@b",
        "a@sha256",
        "a@sha256:",
        "@",
        ":",
        "/",
        "a.b:0/c",
        "a.b:65536/c",
        "a.b:x/c",
        "a.b:/c",
        "a.b:+80/c",
        "a.b:1:2/c",
        ".a/b",
        "-a.b/c",
        "a-.b/c",
        "a_b.c/d",
        "a_b:5000/d",
        "user@a.b/c",
        "user:pw@a.b/c",
        "[::1/a",
        "[::1]x/a",
        "[::g]/a",
        "[]/a",
        "[fe80::1%25eth0]/a",
        "a.b/c?d",
        "a.b/c#d",
        "a.b\\c/d",
        "*",
        "a/*",
        "a.b/c:1@",
        &upper,
        &sha512,
        &long_tag,
        &long_name,
        &huge,
        &long_label,
        &twice,
        &short,
        &long_hub,
    ] {
        assert!(matches!(read(text), Err(ReferenceError::Invalid { .. })), "{text:?} {:?}", read(text));
    }
    assert!(read(&long_hub[1..]).is_err() && read(&long_hub[5..]).is_ok(), "the name is measured as written out");
}

#[test]
fn what_parsers_read_differently_is_ambiguous() {
    let (id, bare, tagged) = (format!("sha256:{HEX}"), HEX.to_owned(), format!("{HEX}:1"));
    for text in [
        "LOCALHOST/foo",
        "Foo/bar",
        "DOCKER.IO/busybox",
        "docker.io:443/busybox",
        "Index.Docker.io/shop/api",
        "index.docker.io:443/a",
        "a.b./c",
        "a.b.:5000/c",
        "xn--80ak6aa92e.com/a",
        "a.xn--p1ai/a",
        "a.b:0443/c",
        "127.1/a",
        "127.1:5000/a",
        "0x7f000001:5000/a",
        "2130706433:5000/a",
        "010.0.0.1/a",
        "1.2.3.4.5/a",
        "256.1.1.1/a",
        "[0:0:0:0:0:0:0:1]/a",
        "[2001:db8::0001]/a",
        "deadbeef",
        "cafe",
        "0",
        "123",
        "sha256:deadbeef",
        &id,
        &bare,
        &tagged,
    ] {
        assert!(matches!(read(text), Err(ReferenceError::Ambiguous { .. })), "{text:?} {:?}", read(text));
    }
}

#[test]
fn an_error_shows_little_and_nothing_a_terminal_obeys() {
    let text = format!("a\u{1b}[2J{}", "b".repeat(10_000));
    let message = read(&text).unwrap_err().to_string();
    assert!(message.is_ascii() && message.len() < 400 && !message.contains('\u{1b}'), "{message}");
}

fn selects(pattern: &str, image: &str) -> bool {
    pattern.parse::<ImagePattern>().unwrap().matches(&image.parse().unwrap())
}

#[test]
fn a_pattern_is_anchored_and_its_stars_stay_where_they_are() {
    for (pattern, image, expected) in [
        ("registry.example.com/shop/**", "registry.example.com/shop/api", true),
        ("registry.example.com/shop/**", "registry.example.com/shop/a/b:1", true),
        ("registry.example.com/shop/**", "registry.example.com/shop", false),
        ("registry.example.com/shop/**", "registry.example.com/shopping/api", false),
        ("registry.example.com/shop/**", "registry.example.com.evil.com/shop/api", false),
        ("registry.example.com/shop/**", "evil.com/registry.example.com/shop/api", false),
        ("registry.example.com/shop/**", "registry.example.com:5000/shop/api", false),
        ("registry.example.com/shop/**", "Registry.Example.com:443/shop/api", true),
        ("registry.example.com/shop/*", "registry.example.com/shop/api", true),
        ("registry.example.com/shop/*", "registry.example.com/shop/a/b", false),
        ("registry.example.com/shop/api", "registry.example.com/shop/api:1", true),
        ("registry.example.com/shop/api", "registry.example.com/shop/api-x", false),
        ("registry.example.com/shop/api-*", "registry.example.com/shop/api-x", true),
        ("registry.example.com/shop/*api*", "registry.example.com/shop/api", true),
        ("registry.example.com/**/api", "registry.example.com/api", true),
        ("registry.example.com/**/api", "registry.example.com/a/b/api", true),
        ("registry.example.com/**/api", "registry.example.com/a/api/b", false),
        ("registry.example.com/**/b/**", "registry.example.com/a/b/b/c", true),
        ("registry.example.com/**/b/**", "registry.example.com/a/b", false),
        ("*.example.com/**", "a.example.com/x", true),
        ("*.example.com/**", "a.b.example.com/x", false),
        ("*.example.com/**", "example.com/x", false),
        ("*.example.com/**", "aexample.com/x", false),
        ("*.example.com/**", "a.example.com:5000/x", false),
        ("*.example.com:5000/**", "a.example.com:5000/x", true),
        ("*.example.com/**", "a.example.com.evil.com/x", false),
        ("**", "busybox", true),
        ("**", "a.b:5000/c/d/e", true),
        ("busybox", "index.docker.io/library/busybox:1", true),
        ("busybox", "shop/busybox", false),
        ("docker.io/*", "busybox", true),
        ("docker.io/*", "shop/api", false),
        ("docker.io/**", "busybox", true),
        ("index.docker.io/**", "shop/api", true),
        ("shop/*", "docker.io/shop/api", true),
        ("shop/*", "shop.example.com/api", false),
        ("docker.io/**", "registry-1.docker.io/library/busybox", false),
        ("registry:443/**", "registry:443/shop", true),
        ("registry/**", "registry:443/shop", false),
        ("*.example.com:443/**", "a.example.com/x", true),
    ] {
        assert_eq!(selects(pattern, image), expected, "{pattern} {image}");
    }
}

#[test]
fn a_pattern_that_can_mean_two_things_is_refused() {
    for text in
        ["*", "*/shop/**", "**/shop", "registry.example.com", "localhost", "LOCALHOST/x", "DOCKER.IO/x", "xn--a.com/**"]
    {
        let read = text.parse::<ImagePattern>();
        assert!(matches!(read, Err(ReferenceError::Ambiguous { .. })), "{text} {read:?}");
    }
    let (fits, too_long) = ("z".repeat(237), "z".repeat(238));
    assert!(fits.parse::<ImagePattern>().is_ok(), "the name is measured as written out");
    for text in [
        &too_long,
        "",
        "a.b/c:1",
        "nginx:1",
        "nginx:*",
        "a.b/c@sha256:00",
        "a.b:*/c",
        "a*.b/c",
        "a.*.b/c",
        "**.b/c",
        "*.1.2.3.4/a",
        "a.b/c**",
        "a.b/***",
        "a.b/C*",
        "a.b/[a]",
        "a.b/?",
        "a.b//c",
        "a.b/",
        "https://a.b/**",
        "a.b/c d",
        "*.*.b/c",
    ] {
        let read = text.parse::<ImagePattern>();
        assert!(matches!(read, Err(ReferenceError::Invalid { .. })), "{text} {read:?}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec![
        "",
        "docker.io/",
        "index.docker.io/",
        "Docker.io/",
        "localhost/",
        "a.b:443/",
        "A.b:5000/",
        "foo:443/",
        "[::1]:1/",
        "foo/",
        "1.2.3.4/",
        "a.b./",
    ]);
    let path = "[a-f0-9]{1,3}([._-]{1,3}[a-z0-9]{1,3}){0,2}(/[a-z*]{1,3}){0,3}";
    let tag = prop::sample::select(vec!["", ":1", ":latest", ":-", ":V.1_", ":"]);
    let digest = prop::sample::select(vec![String::new(), format!("@sha256:{HEX}"), "@sha256:00".into()]);
    prop_oneof![
        4 => (host, path, tag, digest).prop_map(|(h, p, t, d)| format!("{h}{p}{t}{d}")),
        1 => "[a-zA-Z0-9._/:@*\\[\\]-]{0,20}",
    ]
}

#[test]
fn a_password_before_the_host_is_not_shown() {
    for (text, shown) in [
        ("robot:secret@r.example/shop/api:1", "...@r.example/shop/api:1"),
        ("https://robot:secret@r.example/shop/api", "...@r.example/shop/api"),
        ("robot:sec/ret@r.example/a@sha256:00", "...@r.example/a@sha256:00"),
        ("robot:secret@r.example:5000", "...@r.example:5000"),
    ] {
        let error = text.parse::<Reference>().unwrap_err().to_string();
        assert!(!error.contains("ret") && error.contains(shown), "{error}");
    }
    for text in ["a@sha256:00", "r.example/shop/api:1@sha256:00", "r.example/shop/api@md5:00", "a b"] {
        assert_eq!(without_user(text), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_canonical_form_reads_as_itself(text in texts()) {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference.clone()));
            let exactly: ImagePattern = reference.name().parse().unwrap();
            prop_assert!(exactly.matches(&reference) && "**".parse::<ImagePattern>().unwrap().matches(&reference));
            let longer = format!("{}x", reference.name()).parse::<ImagePattern>();
            prop_assert!(!longer.is_ok_and(|p| p.matches(&reference)));
        }
        if let Ok(pattern) = text.parse::<ImagePattern>() {
            prop_assert_eq!(pattern.as_str().parse::<ImagePattern>(), Ok(pattern.clone()));
        }
    }
}
