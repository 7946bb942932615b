//! Statements of any predicate about images and files (attestation framework, statement v1): what tools wrote, in the form others look for.

use super::{
    facts::Facts,
    notes::map_named,
    redact::{Findings, OnSecret, Redactor},
};
use crate::{
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    intoto::statement,
    json::{self, Limits, Value},
    key::SecretKey,
};
use anyhow::{Context as _, ensure};

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Sbom,
    Vulns,
    TestResult,
    Vex,
    Slsa,
    /// Of ours, which hold a tool's file as it is.
    Wrapped(&'static str),
    /// The URI of another predicate, which the file is.
    Other(String),
}

/// The short names.
pub const KINDS: [&str; 9] = ["sbom", "vulns", "test-result", "vex", "slsa", "junit", "sarif", "lint", "commit"];
const WRAPPED: [&str; 4] = ["junit", "sarif", "lint", "commit"];

impl std::str::FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        Ok(match text {
            "sbom" => Kind::Sbom,
            "vulns" => Kind::Vulns,
            "test-result" => Kind::TestResult,
            "vex" => Kind::Vex,
            "slsa" => Kind::Slsa,
            uri if uri.contains("://") => Kind::Other(uri.to_owned()),
            short => match WRAPPED.into_iter().find(|name| *name == short) {
                Some(name) => Kind::Wrapped(name),
                None => anyhow::bail!("expected one of {}, or the URI of a predicate", KINDS.join(", ")),
            },
        })
    }
}

impl Kind {
    /// A word for a file's name.
    pub fn word(&self) -> &str {
        match self {
            Kind::Sbom => "sbom",
            Kind::Vulns => "vulns",
            Kind::TestResult => "test-result",
            Kind::Vex => "vex",
            Kind::Slsa => "slsa",
            Kind::Wrapped(name) => name,
            Kind::Other(_) => "statement",
        }
    }

    /// The predicate that a tool's file makes: its type, and the predicate.
    ///
    /// # Errors
    /// The file is no such thing.
    pub fn predicate(&self, bytes: &[u8]) -> anyhow::Result<(String, Value)> {
        let predicate = match self {
            Kind::Wrapped(name) => Value::Object(vec![("content".to_owned(), wrapped(name, bytes)?)]),
            _ => document(bytes)?,
        };
        Ok((self.uri(&predicate)?, predicate))
    }

    fn uri(&self, document: &Value) -> anyhow::Result<String> {
        match self {
            Kind::Sbom => sbom(document).context("it is neither SPDX nor CycloneDX in JSON"),
            Kind::Vulns => {
                ensure!(
                    document.get("scanner").is_some(),
                    "it has no \"scanner\", so it is no in-toto vulns predicate; a scanner's SARIF is --type sarif"
                );
                Ok("https://in-toto.io/attestation/vulns/v0.2".to_owned())
            }
            Kind::TestResult => {
                ensure!(
                    document.get("result").is_some(),
                    "it has no \"result\", so it is no in-toto test-result predicate"
                );
                Ok("https://in-toto.io/attestation/test-result/v0.1".to_owned())
            }
            Kind::Vex => vex(document).context("it is neither OpenVEX nor CycloneDX"),
            Kind::Slsa => slsa(document).context("it is no SLSA provenance predicate (v1 or v0.2)"),
            Kind::Wrapped(name) => Ok(format!("https://tidewaiter.dev/attestation/{name}/v0.1")),
            Kind::Other(uri) => Ok(uri.clone()),
        }
    }
}

fn document(bytes: &[u8]) -> anyhow::Result<Value> {
    let value = json::parse(bytes, &Limits::METADATA)?;
    ensure!(value.as_object().is_some(), "it is no JSON object");
    Ok(value)
}

/// JSON as JSON, anything else (JUnit is XML, a linter's report often lines) as its text.
fn wrapped(name: &str, bytes: &[u8]) -> anyhow::Result<Value> {
    let starts = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let content = match starts {
        Some(b'{' | b'[') => json::parse(bytes, &Limits::METADATA)?,
        _ => {
            ensure!(bytes.len() <= Limits::METADATA.bytes_max, "it has more than {} bytes", Limits::METADATA.bytes_max);
            let text = std::str::from_utf8(bytes).context("it is neither JSON nor text")?;
            ensure!(!text.contains('\0'), "it is neither JSON nor text");
            Value::String(text.to_owned())
        }
    };
    match (name, &content) {
        ("sarif", log) => {
            ensure!(log.get("runs").and_then(Value::as_array).is_some(), "it has no \"runs\", so it is no SARIF")
        }
        ("junit", Value::String(text)) => {
            ensure!(text.contains("<testsuite"), "it has no test suite, so it is no JUnit XML")
        }
        _ => {}
    }
    Ok(content)
}

fn sbom(document: &Value) -> Option<String> {
    if let Some(version) = document.get("spdxVersion").and_then(Value::as_str) {
        return Some(format!("https://spdx.dev/Document/v{}", version.strip_prefix("SPDX-")?));
    }
    is_cyclonedx(document).then(|| "https://cyclonedx.org/bom".to_owned())
}

fn is_cyclonedx(document: &Value) -> bool {
    document.get("bomFormat").and_then(Value::as_str) == Some("CycloneDX")
}

fn vex(document: &Value) -> Option<String> {
    let context =
        document.get("@context").and_then(Value::as_str).filter(|text| text.starts_with("https://openvex.dev/ns"));
    context.map(str::to_owned).or_else(|| is_cyclonedx(document).then(|| "https://cyclonedx.org/bom".to_owned()))
}

fn slsa(document: &Value) -> Option<String> {
    let has = |name| document.get(name).is_some();
    let version = match (has("buildDefinition"), has("builder") && has("buildType")) {
        (true, _) => "v1",
        (_, true) => "v0.2",
        _ => return None,
    };
    Some(format!("https://slsa.dev/provenance/{version}"))
}

/// A statement to be signed.
pub struct Attestation<'a> {
    pub kind: &'a Kind,
    /// The tool's file.
    pub file: &'a [u8],
    /// What it is about, by name.
    pub subjects: &'a [(String, Digest)],
    /// Beside a file that is wrapped.
    pub facts: Option<&'a Facts>,
}

impl Attestation<'_> {
    /// Signs it; remarks for a person come with it. Secrets are replaced in texts; what looks random only is left, for such documents
    /// are full of hashes.
    ///
    /// # Errors
    /// The file is not of the kind, there is no subject, a secret is there and is to fail, the key cannot sign.
    pub fn seal(&self, redactor: &Redactor, key: &SecretKey) -> anyhow::Result<(Envelope, Vec<String>)> {
        ensure!(
            !self.subjects.is_empty(),
            "it is about nothing; say what with --subject, --image-from-file or --subject-file"
        );
        let (uri, mut predicate) = self.kind.predicate(self.file)?;
        let mut found = Findings::default();
        predicate = map_named(&predicate, "", &mut |name, text| {
            redactor.member(name, text, &mut found).unwrap_or_else(|| redactor.document(text, &mut found))
        });
        if let (Kind::Wrapped(_), Some(facts), Value::Object(members)) = (self.kind, self.facts, &mut predicate)
            && let Value::Object(mut inner) = facts.redacted(redactor, &mut found).to_value()
        {
            members.append(&mut inner);
        }
        let named = self.subjects.iter().filter_map(|(name, _)| redactor.in_name(name)).count() as u64;
        let count = found.count() + named;
        ensure!(
            redactor.on_secret() != OnSecret::Fail || count == 0,
            "it would hold {count} secrets ({})",
            found.rules()
        );
        let mut warnings = Vec::new();
        if count > 0 {
            warnings.push(format!("{count} secrets were found in it ({})", found.rules()));
        }
        let text = json::to_text(&statement(&uri, self.subjects, predicate));
        let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, text.into_bytes(), &[key]).context("sign")?;
        Envelope::parse(&envelope.to_bytes()).context("what would be signed could not be read again")?;
        Ok((envelope, warnings))
    }
}

fn statement(uri: &str, subjects: &[(String, Digest)], predicate: Value) -> Value {
    let object = |members: Vec<(&str, Value)>| {
        Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let text = |text: &str| Value::String(text.to_owned());
    let subject = |(name, digest): &(String, Digest)| {
        let digest = object(vec![(digest.algorithm().name(), text(digest.hex()))]);
        object(vec![("name", text(name)), ("digest", digest)])
    };
    object(vec![
        ("_type", text(statement::TYPES[1])),
        ("subject", Value::Array(subjects.iter().map(subject).collect())),
        ("predicateType", text(uri)),
        ("predicate", predicate),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{intoto::statement::Statement, key::Scheme};

    fn predicate(kind: &str, file: &str) -> anyhow::Result<String> {
        Ok(kind.parse::<Kind>()?.predicate(file.as_bytes())?.0)
    }

    #[test]
    fn a_file_tells_its_predicate_type() {
        for (kind, file, expected) in [
            ("sbom", r#"{"spdxVersion":"SPDX-2.3"}"#, "https://spdx.dev/Document/v2.3"),
            ("sbom", r#"{"bomFormat":"CycloneDX"}"#, "https://cyclonedx.org/bom"),
            ("vulns", r#"{"scanner":{}}"#, "https://in-toto.io/attestation/vulns/v0.2"),
            ("test-result", r#"{"result":"PASSED"}"#, "https://in-toto.io/attestation/test-result/v0.1"),
            ("vex", r#"{"@context":"https://openvex.dev/ns/v0.2.0"}"#, "https://openvex.dev/ns/v0.2.0"),
            ("slsa", r#"{"buildDefinition":{}}"#, "https://slsa.dev/provenance/v1"),
            ("slsa", r#"{"builder":{},"buildType":"x"}"#, "https://slsa.dev/provenance/v0.2"),
            ("junit", "<?xml?><testsuites><testsuite/></testsuites>", "https://tidewaiter.dev/attestation/junit/v0.1"),
            ("sarif", r#"{"runs":[]}"#, "https://tidewaiter.dev/attestation/sarif/v0.1"),
            ("lint", "src/a.c:1: warning\n", "https://tidewaiter.dev/attestation/lint/v0.1"),
            ("https://example.com/mine/v1", "{}", "https://example.com/mine/v1"),
        ] {
            assert_eq!(predicate(kind, file).unwrap(), expected, "{kind}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for (kind, file, why) in [
            ("sbom", "{}", "neither SPDX nor CycloneDX"),
            ("vulns", "{}", "no \"scanner\""),
            ("test-result", "{}", "no \"result\""),
            ("vex", "{}", "neither OpenVEX"),
            ("slsa", "{}", "no SLSA provenance"),
            ("junit", "<html/>", "no test suite"),
            ("sarif", "{}", "no \"runs\""),
            ("lint", "a\0b", "neither JSON nor text"),
            ("https://example.com/x", "[]", "no JSON object"),
            ("sbom", "{\"a\":1,\"a\":2}", "stands twice"),
            ("nothing", "{}", "expected one of sbom"),
        ] {
            let error = format!("{:#}", predicate(kind, file).unwrap_err());
            assert!(error.contains(why), "{kind}: {error}");
        }
    }

    #[test]
    fn it_is_a_statement_about_its_subjects_without_secrets() {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        let redactor =
            |on_secret| Redactor::new([("MY_TOKEN".to_owned(), "hunter2hunter2".to_owned())], on_secret).unwrap();
        let subjects = [("registry.example.com/shop/api".to_owned(), Digest::sha256(b"image"))];
        let mut facts = Facts::default();
        facts.set("vcs.dirty", false);
        let file = br#"{"runs":[{"note":"with hunter2hunter2","hash":"sha512-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN5pQ8sT1vW4yZ7=="}]}"#;
        let attestation =
            Attestation { kind: &"sarif".parse().unwrap(), file, subjects: &subjects, facts: Some(&facts) };
        let (envelope, warnings) = attestation.seal(&redactor(OnSecret::Redact), &key).unwrap();
        let value = envelope.value().unwrap();
        let statement = Statement::from_value(&value).unwrap();
        assert_eq!(statement.predicate_type, "https://tidewaiter.dev/attestation/sarif/v0.1");
        let value = serde_json::Value::from(&value);
        assert_eq!(value["subject"][0]["digest"]["sha256"], subjects[0].1.hex());
        assert_eq!(value["predicate"]["content"]["runs"][0]["note"], "with [redacted:MY_TOKEN]");
        assert_eq!(
            value["predicate"]["content"]["runs"][0]["hash"],
            "sha512-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN5pQ8sT1vW4yZ7=="
        );
        assert_eq!(value["predicate"]["facts"]["vcs.dirty"], false);
        assert_eq!(warnings, ["1 secrets were found in it (env:MY_TOKEN)"]);
        assert!(attestation.seal(&redactor(OnSecret::Fail), &key).is_err());
        let about_nothing = Attestation { subjects: &[], ..attestation };
        assert!(
            about_nothing.seal(&redactor(OnSecret::Redact), &key).err().unwrap().to_string().contains("about nothing")
        );
    }
}
