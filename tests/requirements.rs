//! What is asked of a verifier of in-toto, R1 to R42, and what went wrong in others, by the ids of their advisories: each has a test that
//! fails where we break it, and `docs/requirements.md` names it. A test cites a number or an id in its comment, a vector or an attack in
//! its `source`.
//!
//! `TIDEWAITER_REQUIREMENTS_WRITE=1` writes the last column of the page's tables.

#[path = "requirements/citations.rs"]
mod citations;
#[path = "requirements/page.rs"]
mod page;

use citations::Citations;
use page::{Page, Row};
use std::path::Path;

/// The last of the numbers.
const REQUIREMENTS: usize = 42;

/// Every advisory about in-toto or a verifier of it that is known to us, by the first of its ids.
const ADVISORIES: [&str; 21] = [
    "CVE-2021-41087",
    "CVE-2023-32076",
    "CVE-2025-62375",
    "GHSA-2v4r-xhmm-ghv8",
    "GHSA-3vpg-3m94-v3qr",
    "GHSA-567m-4668-m656",
    "GHSA-5qp5-ph6r-qj9f",
    "GHSA-6q78-j78h-pqm2",
    "GHSA-73jv-h86v-c2vh",
    "GHSA-c346-qp3r-53vf",
    "GHSA-g9jx-rqhm-mj7g",
    "GHSA-jjgp-whrp-gq8m",
    "GHSA-mpvw-hw8p-7x27",
    "GHSA-p86f-xmg6-9q4x",
    "GHSA-pgpm-j729-qcvh",
    "GHSA-pmwq-pjrm-6p5r",
    "GHSA-r4fv-8r9j-vgcg",
    "GHSA-rgp5-33mp-jhfm",
    "GHSA-v6px-jqx8-8xwj",
    "GHSA-vmvj-p3hw-39q3",
    "GHSA-wqrg-wjp9-wqfq",
];

/// Those that are about what we do not have: the page says why, and no test can.
const NOT_APPLICABLE: [&str; 2] = ["CVE-2025-62375", "GHSA-5qp5-ph6r-qj9f"];

#[test]
fn every_requirement_and_advisory_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let citations = Citations::of(root);
    let page = Page::read(root);
    if std::env::var_os("TIDEWAITER_REQUIREMENTS_WRITE").is_some() {
        page.write(root, &citations);
        return;
    }
    let numbers: Vec<String> = (1..=REQUIREMENTS).map(|number| format!("R{number}")).collect();
    let ids: Vec<&str> = page.rows.iter().map(Row::id).collect();
    let wanted: Vec<&str> = numbers.iter().map(String::as_str).chain(ADVISORIES).collect();
    assert_eq!(ids, wanted, "the rows of the page");
    let mut wrong = Vec::new();
    for row in &page.rows {
        assert!(row.what.contains(' '), "{} is said to be {:?}", row.id(), row.what);
        let named = row.tests();
        let is_told = row.held_by.starts_with("not applicable: ");
        match NOT_APPLICABLE.contains(&row.id()) {
            true if is_told && named.is_empty() && citations.of_any(&row.ids).is_empty() => {}
            false if !named.is_empty() => {}
            _ => wrong.push(format!("{}: {:?}", row.id(), row.held_by)),
        }
        let citing = citations.of_any(&row.ids);
        let gone = named.into_iter().filter(|test| !citing.contains(*test));
        wrong.extend(gone.map(|test| format!("{}: {test} does not cite it", row.id())));
    }
    assert!(wrong.is_empty(), "TIDEWAITER_REQUIREMENTS_WRITE=1 names those that do\n{}", wrong.join("\n"));
}

/// What counts as a citation, and what only looks like one.
#[test]
fn a_test_cites_by_its_comments_alone() {
    let text = "//! R1 of all.\n/// R2.\n#[test]\nfn one() {\n    // R3, R40–R41\n    assert!(x, \"R4\"); // and R5\n}\n\
        /// R6.\nfn helper() {\n    // R7\n}\n    /// CVE-2021-41087, GHSA-aaaa-bbbb-cccc; AR8 R9x R99\n    #[tokio::test(flavor = \"x\")]\n    async fn two() {}\n";
    let mut citations = Citations::default();
    citations.rust("tests/x.rs", text);
    let found: Vec<(&str, Vec<&str>)> =
        citations.0.iter().map(|(id, tests)| (id.as_str(), tests.iter().map(String::as_str).collect())).collect();
    let one = || vec!["tests/x.rs::one"];
    let two = || vec!["tests/x.rs::two"];
    let expected = [
        ("CVE-2021-41087", two()),
        ("GHSA-aaaa-bbbb-cccc", two()),
        ("R1", vec!["tests/x.rs"]),
        ("R2", one()),
        ("R3", one()),
        ("R40", one()),
        ("R41", one()),
        ("R5", one()),
    ];
    assert_eq!(found, expected);
}
