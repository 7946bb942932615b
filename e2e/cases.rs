//! The images of the world, what is wrong with each, and what its user reads: on a laptop and in the cluster the same.

/// Where an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// docker-registry, open.
    Distribution,
    /// With the referrers API, open.
    Referrers,
    /// docker-registry, behind a login.
    DistributionLogin,
    /// With the referrers API, behind a login.
    ReferrersLogin,
    /// The way to `Distribution` on which tidewaiter waits longer for an answer than it does.
    Slow,
    /// The same; each answer comes in time, and all of them together do not.
    Late,
    /// The same, without a delay and without the truth.
    Lying,
    /// Nobody listens.
    Down,
}

/// Who signed the image, and how.
pub enum Signed {
    /// cosign 2: the signature's own tag.
    Legacy(&'static str),
    /// cosign 3: a Sigstore bundle among the referrers.
    Bundle(&'static str),
    No,
}

/// What happened to the sources between test and build.
#[derive(Clone, Copy, PartialEq)]
pub enum Tampered {
    No,
    /// A file more.
    Added,
    /// A file changed.
    Changed,
}

/// The form of a chain, where it is not the usual one.
#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    Plain,
    /// The builder answers its step with a layout: somebody else packs and releases, and where `packed` is false, no link says who packed.
    Sublayout {
        packed: bool,
    },
    /// GnuPG signs for those who fetch and test, and for the second owner.
    OpenPgp,
    /// Which service it is the layout leaves to the policy.
    Parameters,
    /// The build is reported by a provenance that cosign attests.
    Provenance,
}

/// How the evidence of an image comes about: fetch by in-toto-run, test and build by `tidewaiter run`, a layout by two owners, published
/// beside the image, and a signature.
pub struct Recipe {
    pub shape: Shape,
    pub host: Host,
    /// The first part of the repository's path: which policy it falls under.
    pub line: &'static str,
    pub signed: Signed,
    /// False: nothing but the image.
    pub chain: bool,
    /// The image is tied to the build by its blobs, as any recorder writes them, and not by its name and digest.
    pub blobs: bool,
    /// In-toto's older container, and its second owner by Python's `in-toto-sign`.
    pub metablock: bool,
    /// Who did the test, if anybody.
    pub tested_by: Option<&'static str>,
    /// How many functionaries the layout wants of the test.
    pub testers: u32,
    pub tampered: Tampered,
    /// Instead of the build's link: one that its builder signed and that is no JSON.
    pub broken_link: bool,
    /// The image that is pushed is another one than was built.
    pub swapped: bool,
    pub owners: &'static [&'static str],
    pub expires: &'static str,
    /// The evidence goes to the metadata store instead.
    pub stored: bool,
}

/// Everything in order.
pub const GOOD: Recipe = Recipe {
    shape: Shape::Plain,
    host: Host::Distribution,
    line: "shop",
    signed: Signed::Legacy("release"),
    chain: true,
    blobs: false,
    metablock: false,
    tested_by: Some("tester"),
    testers: 1,
    tampered: Tampered::No,
    broken_link: false,
    swapped: false,
    owners: &["alice", "bob"],
    expires: "30d",
    stored: false,
};

/// Everything in order under GnuPG.
const PGP: Recipe = Recipe { shape: Shape::OpenPgp, line: "pgp", metablock: true, owners: &["alice", "carol"], ..GOOD };

/// What comes of it.
pub struct Verdict {
    /// `tidewaiter verify`'s exit code; 0 is allowed.
    pub code: i32,
    /// The requirement that is not met, and the stable word for why; none where all is well.
    pub because: Option<(&'static str, &'static str)>,
    /// What the message says besides.
    pub words: &'static [&'static str],
}

/// One image and its verdict.
pub struct Case {
    pub name: &'static str,
    /// Its image; or that of another case, looked for at another host.
    pub image: Image,
    pub verdict: Verdict,
}

pub enum Image {
    Made(Recipe),
    Elsewhere(Host, &'static str),
}

impl Case {
    pub fn allowed(&self) -> bool {
        self.verdict.code == 0
    }

    pub fn recipe(&self) -> Option<&Recipe> {
        match &self.image {
            Image::Made(recipe) => Some(recipe),
            Image::Elsewhere(..) => None,
        }
    }

    /// The product line: a policy is called like it.
    pub fn line(&self) -> &'static str {
        self.recipe().map_or("shop", |it| it.line)
    }

    /// A store is asked for its evidence.
    pub fn stored(&self) -> bool {
        self.recipe().is_some_and(|it| it.stored)
    }
}

const fn good(name: &'static str, recipe: Recipe) -> Case {
    Case { name, image: Image::Made(recipe), verdict: Verdict { code: 0, because: None, words: &[] } }
}

/// Exit codes: 1 the evidence says no, 3 there is none, 4 we could not look.
const fn bad(
    name: &'static str,
    recipe: Recipe,
    code: i32,
    requirement: &'static str,
    reason: &'static str,
    words: &'static [&'static str],
) -> Case {
    Case { name, image: Image::Made(recipe), verdict: Verdict { code, because: Some((requirement, reason)), words } }
}

const fn away(name: &'static str, host: Host, reason: &'static str, words: &'static [&'static str]) -> Case {
    let verdict = Verdict { code: 4, because: Some(("released", reason)), words };
    Case { name, image: Image::Elsewhere(host, "good"), verdict }
}

/// All of them.
pub const CASES: &[Case] = &[
    good("good", Recipe { metablock: true, ..GOOD }),
    good("good-bundle", Recipe { host: Host::Referrers, signed: Signed::Bundle("release"), ..GOOD }),
    good("good-login", Recipe { host: Host::DistributionLogin, ..GOOD }),
    good("good-login-bundle", Recipe { host: Host::ReferrersLogin, signed: Signed::Bundle("release"), ..GOOD }),
    good("good-blobs", Recipe { blobs: true, ..GOOD }),
    good("good-late", Recipe { host: Host::Late, ..GOOD }),
    good("tag-lied-about", Recipe { host: Host::Lying, ..GOOD }),
    bad(
        "digest-lied-about",
        Recipe { host: Host::Lying, blobs: true, ..GOOD },
        1,
        "built-by-us",
        "digest_mismatch",
        &["registry ", "other bytes"],
    ),
    good("good-stored", Recipe { line: "stored", stored: true, ..GOOD }),
    bad("unsigned", Recipe { signed: Signed::No, ..GOOD }, 3, "released", "no_signature", &["release-keys"]),
    bad(
        "wrong-key",
        Recipe { signed: Signed::Legacy("stranger"), ..GOOD },
        1,
        "released",
        "signature_untrusted",
        &["release-keys"],
    ),
    bad(
        "wrong-key-bundle",
        Recipe { host: Host::Referrers, signed: Signed::Bundle("stranger"), ..GOOD },
        1,
        "released",
        "signature_untrusted",
        &["release-keys"],
    ),
    bad("no-chain", Recipe { chain: false, ..GOOD }, 3, "built-by-us", "no_layout", &[]),
    bad(
        "step-missing",
        Recipe { tested_by: None, ..GOOD },
        3,
        "built-by-us",
        "threshold_not_met",
        &["step \"test\" has 0 of the 1"],
    ),
    bad(
        "not-authorised",
        Recipe { tested_by: Some("builder"), ..GOOD },
        3,
        "built-by-us",
        "threshold_not_met",
        &["step \"test\" has 0 of the 1", "which is not a key of this step"],
    ),
    bad(
        "too-few-testers",
        Recipe { testers: 2, ..GOOD },
        3,
        "built-by-us",
        "threshold_not_met",
        &["step \"test\" has 1 of the 2"],
    ),
    bad(
        "file-added",
        Recipe { tampered: Tampered::Added, ..GOOD },
        1,
        "built-by-us",
        "rule_violation",
        &["step \"build\"", "DISALLOW *", "src/evil.sh"],
    ),
    bad(
        "file-changed",
        Recipe { tampered: Tampered::Changed, ..GOOD },
        1,
        "built-by-us",
        "rule_violation",
        &["step \"build\"", "src/app.sh is not what \"fetch\" has under that name"],
    ),
    bad(
        "layout-expired",
        Recipe { expires: "1s", ..GOOD },
        1,
        "built-by-us",
        "layout_expired",
        &["the layout expired at"],
    ),
    bad(
        "layout-by-a-stranger",
        Recipe { owners: &["stranger"], ..GOOD },
        1,
        "built-by-us",
        "layout_untrusted",
        &["signed by 0 of the 2 owners"],
    ),
    bad(
        "layout-by-one-owner",
        Recipe { owners: &["alice"], ..GOOD },
        1,
        "built-by-us",
        "layout_untrusted",
        &["signed by 1 of the 2 owners", "alice"],
    ),
    bad(
        "not-the-product",
        Recipe { swapped: true, ..GOOD },
        1,
        "built-by-us",
        "rule_violation",
        &["inspection \"image\""],
    ),
    bad(
        "broken-link",
        Recipe { broken_link: true, ..GOOD },
        3,
        "built-by-us",
        "threshold_not_met",
        &["step \"build\" has 0 of the 1", "payload cannot be read"],
    ),
    bad(
        "warned",
        Recipe { line: "warned", signed: Signed::No, chain: false, ..GOOD },
        0,
        "released",
        "no_signature",
        &["release-keys"],
    ),
    bad(
        "audited",
        Recipe { line: "audited", signed: Signed::No, chain: false, ..GOOD },
        0,
        "released",
        "no_signature",
        &["release-keys"],
    ),
    good("good-sublayout", Recipe { shape: Shape::Sublayout { packed: true }, ..GOOD }),
    bad(
        "sublayout-file-added",
        Recipe { shape: Shape::Sublayout { packed: true }, tampered: Tampered::Added, ..GOOD },
        1,
        "built-by-us",
        "rule_violation",
        &["step \"build\"", "DISALLOW *", "src/evil.sh"],
    ),
    bad(
        "sublayout-link-missing",
        Recipe { shape: Shape::Sublayout { packed: false }, ..GOOD },
        3,
        "built-by-us",
        "threshold_not_met",
        &["step \"build\": the sublayout by ", "step \"pack\" has 0 of the 1"],
    ),
    good("good-pgp", PGP),
    bad(
        "pgp-by-a-stranger",
        Recipe { tested_by: Some("stranger"), ..PGP },
        3,
        "built-by-us",
        "threshold_not_met",
        &["step \"test\" has 0 of the 1"],
    ),
    good("good-parameters", Recipe { shape: Shape::Parameters, line: "app", ..GOOD }),
    bad(
        "parameter-of-another",
        Recipe { shape: Shape::Parameters, line: "web", ..GOOD },
        1,
        "built-by-us",
        "rule_violation",
        &["step \"fetch\"", "DISALLOW * left src/app.sh in the products"],
    ),
    bad(
        "parameter-missing",
        Recipe { shape: Shape::Parameters, ..GOOD },
        1,
        "built-by-us",
        "layout_unsupported",
        &["the parameter {SERVICE} has no value"],
    ),
    good(
        "good-provenance",
        Recipe { shape: Shape::Provenance, host: Host::Referrers, signed: Signed::Bundle("release"), ..GOOD },
    ),
    bad(
        "provenance-of-another-file",
        Recipe { shape: Shape::Provenance, tampered: Tampered::Changed, ..GOOD },
        1,
        "built-by-us",
        "rule_violation",
        &["step \"build\"", "src/app.sh is not what \"fetch\" has under that name"],
    ),
    away("registry-down", Host::Down, "registry_unreachable", &["could not be connected to"]),
    away("registry-slow", Host::Slow, "registry_timeout", &["did not answer within"]),
];

/// The case of that name.
pub fn case(name: &str) -> &'static Case {
    CASES.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no case is called {name}"))
}
