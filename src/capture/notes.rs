//! What a link says beside its artifacts, and the last look at it before it is signed (store §5.3).

use super::{
    facts::{Fact, Facts},
    redact::{Findings, OnSecret, Redactor},
};
use crate::{intoto::Link, json::Value};

/// Names that are shown of those that hold a secret.
const NAMES_SHOWN_MAX: usize = 3;

/// What to write beside the artifacts. The default writes nothing and looks for nothing.
#[derive(Clone, Copy, Default)]
pub struct Notes<'a> {
    /// What was known before the step; `None` writes none, not even how the step went.
    pub facts: Option<&'a Facts>,
    /// Finds what must not be signed.
    pub redactor: Option<&'a Redactor>,
    /// Exit codes beside 0 that are no failure.
    pub ok_codes: &'a [u8],
}

impl Notes<'_> {
    /// Whether a command may be signed at all, asked before it runs.
    ///
    /// # Errors
    /// It holds a secret, and secrets are to fail.
    pub fn check_command(&self, argv: &[String]) -> anyhow::Result<()> {
        let Some(redactor) = self.redactor else { return Ok(()) };
        let mut found = Findings::default();
        redactor.command(argv, &mut found);
        refuse(redactor, &found, &[])
    }

    /// The link with its facts and without its secrets. Everything in it that is text is looked at: of the command, the facts and the
    /// output a secret is replaced; a name that holds one is said, since a link that names its artifacts otherwise would be false.
    ///
    /// # Errors
    /// There is a secret, and secrets are to fail.
    pub fn write(&self, link: Link, facts: Option<Facts>, warnings: &mut Vec<String>) -> anyhow::Result<Link> {
        let Some(redactor) = self.redactor else {
            let environment = facts.map_or(link.environment, |facts| facts.to_value());
            return Ok(Link { environment, ..link });
        };
        let mut found = Findings::default();
        let command = redactor.command(&link.command, &mut found);
        let byproducts = map_texts(&link.byproducts, &mut |text| redactor.text(text, &mut found));
        let facts = facts.map(|facts| facts.redacted(redactor, &mut found));
        let names = link.materials.keys().chain(link.products.keys()).chain([link.name.as_str()]);
        let mut named: Vec<(&str, &str)> = names.filter_map(|name| Some((name, redactor.in_name(name)?))).collect();
        named.sort_unstable();
        named.dedup();
        refuse(redactor, &found, &named)?;
        for (name, rule) in named.iter().take(NAMES_SHOWN_MAX) {
            let shown = redactor.text(name, &mut Findings::default());
            warnings
                .push(format!("the name \"{}\" holds a secret ({rule}), and is signed as it is", shown.escape_debug()));
        }
        if redactor.on_secret() == OnSecret::Warn && found.count() > 0 {
            warnings.push(format!(
                "{} secrets were found ({}); those known by their looks are signed as they are",
                found.count(),
                found.rules()
            ));
        }
        let environment = match facts {
            None => link.environment.clone(),
            Some(mut facts) => {
                facts.set("tidewaiter.redactions", Fact::Number(i64::try_from(found.count()).unwrap_or(i64::MAX)));
                // A variable's name can be the secret of another.
                if found.count() > 0 && !redactor.holds_known(&found.rules()) {
                    facts.set("tidewaiter.redactions.rules", found.rules());
                }
                facts.to_value()
            }
        };
        Ok(Link { command, byproducts, environment, ..link })
    }
}

fn refuse(redactor: &Redactor, found: &Findings, named: &[(&str, &str)]) -> anyhow::Result<()> {
    let count = found.count() + named.len() as u64;
    let rules: Vec<&str> = named.iter().map(|(_, rule)| *rule).collect();
    anyhow::ensure!(
        redactor.on_secret() != OnSecret::Fail || count == 0,
        "it would hold {count} secrets ({})",
        [found.rules(), rules.join(",")].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(",")
    );
    Ok(())
}

/// The value with each of its strings made another; names of members stay.
pub fn map_texts(value: &Value, change: &mut impl FnMut(&str) -> String) -> Value {
    map_named(value, "", &mut |_, text| change(text))
}

/// The same where the name counts that a string has: its member's, and what `name` says beside a `value`, as in many a list of settings.
pub fn map_named(value: &Value, name: &str, change: &mut impl FnMut(&str, &str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(name, text)),
        Value::Array(values) => Value::Array(values.iter().map(|value| map_named(value, name, change)).collect()),
        Value::Object(members) => {
            let said = value.get("name").and_then(Value::as_str).unwrap_or("value");
            let named = |member: &'_ str| if member == "value" { said.to_owned() } else { member.to_owned() };
            let map = |(name, value): &(String, Value)| (name.clone(), map_named(value, &named(name), change));
            Value::Object(members.iter().map(map).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        capture::seal::{Container, seal},
        digest::DigestSet,
        intoto::Artifacts,
        key::{Scheme, SecretKey},
    };
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    const SECRET: &str = "hunter2hunter2";

    fn link(command: &[&str], material: &str, output: &str) -> Link {
        let hash: DigestSet = [("sha256".to_owned(), "ab".repeat(32))].into_iter().collect();
        Link {
            name: "build".into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            materials: [(material.to_owned(), hash)].into_iter().collect(),
            products: Artifacts::new(),
            byproducts: Value::Object(vec![("stdout".into(), Value::String(output.into()))]),
            environment: Value::Object(Vec::new()),
        }
    }
    fn redactor(on_secret: OnSecret) -> Redactor {
        Redactor::new([("MY_TOKEN".to_owned(), SECRET.to_owned())], on_secret).unwrap()
    }
    fn write(link: Link, facts: Option<Facts>, on_secret: OnSecret) -> anyhow::Result<(Link, Vec<String>)> {
        let (redactor, mut warnings) = (redactor(on_secret), Vec::new());
        let notes = Notes { redactor: Some(&redactor), ..Notes::default() };
        Ok((notes.write(link, facts, &mut warnings)?, warnings))
    }

    #[test]
    fn a_link_without_secrets_is_what_it_was() {
        let clean = link(&["make", "all"], "src/a.c", "done");
        let (written, warnings) = write(clean.clone(), None, OnSecret::Redact).unwrap();
        assert_eq!((written, warnings), (clean, Vec::new()));
    }

    #[test]
    fn secrets_leave_command_output_and_facts_and_are_counted() {
        let mut facts = Facts::default();
        facts.set("a", SECRET);
        let (written, _) =
            write(link(&["deploy", SECRET], "a", &format!("says {SECRET}")), Some(facts), OnSecret::Redact).unwrap();
        let text = crate::json::to_text(&written.to_value());
        assert!(!text.contains(SECRET), "{text}");
        let environment = serde_json::Value::from(&written.environment);
        assert_eq!(environment["facts"]["tidewaiter.redactions"], 3);
        assert_eq!(environment["facts"]["tidewaiter.redactions.rules"], "env:MY_TOKEN");
    }

    #[test]
    fn a_name_is_said_and_never_changed() {
        let name = format!("src/{SECRET}.txt");
        let (written, warnings) = write(link(&["make"], &name, ""), None, OnSecret::Redact).unwrap();
        assert!(written.materials.get(&name).is_some());
        assert_eq!(
            warnings,
            ["the name \"src/[redacted:MY_TOKEN].txt\" holds a secret (MY_TOKEN), and is signed as it is"]
        );
    }

    #[test]
    fn what_is_to_fail_fails() {
        for bad in [
            link(&["deploy", SECRET], "a", ""),
            link(&["make"], SECRET, ""),
            link(&["make"], "a", "AKIAIOSFODNN7EXAMPLE"),
        ] {
            let error = write(bad, None, OnSecret::Fail).unwrap_err().to_string();
            assert!(error.starts_with("it would hold 1 secrets (") && !error.contains(SECRET), "{error}");
        }
        assert!(write(link(&["make"], "a", ""), None, OnSecret::Fail).is_ok());
        let failing = redactor(OnSecret::Fail);
        let notes = Notes { redactor: Some(&failing), ..Notes::default() };
        assert!(notes.check_command(&["x".into(), "--password".into(), "y".into()]).is_err());
        assert!(notes.check_command(&["x".into()]).is_ok());
    }

    #[test]
    fn a_warning_leaves_what_is_known_by_its_looks() {
        let (written, warnings) =
            write(link(&["x", "AKIAIOSFODNN7EXAMPLE"], "a", SECRET), None, OnSecret::Warn).unwrap();
        assert_eq!(written.command, ["x", "AKIAIOSFODNN7EXAMPLE"]);
        assert!(!crate::json::to_text(&written.byproducts).contains(SECRET));
        assert!(warnings[0].contains("2 secrets were found (aws-access-key,env:MY_TOKEN)"), "{warnings:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// In whichever container, what is signed holds no encoding of a secret of the environment.
        #[test]
        fn no_secret_of_the_environment_is_signed(secret in "[ -~]{6,40}", before in "[ -~]{0,5}", kind in 0..5_usize) {
            let secret = secret.trim();
            // What every link says cannot be told from it.
            prop_assume!(secret.len() >= 6);
            let raw = format!("{before}{secret}");
            let form = match kind {
                0 | 1 => raw,
                2 => STANDARD.encode(raw),
                3 => secret.bytes().map(|byte| format!("%{byte:02X}")).collect(),
                _ => serde_json::Value::from(raw).to_string(),
            };
            let mut facts = Facts::default();
            facts.set("fact", form.as_str());
            let redactor = Redactor::new([("DEPLOY_KEY".to_owned(), secret.to_owned())], OnSecret::Redact).unwrap();
            let notes = Notes { redactor: Some(&redactor), ..Notes::default() };
            let written = notes.write(link(&["deploy", &form], "src/a.c", &form), Some(facts), &mut Vec::new()).unwrap();
            let key = SecretKey::generate(Scheme::Ed25519).unwrap();
            for container in [Container::Dsse, Container::Metablock] {
                let signed = seal(&written, container, &key).unwrap();
                // Every text there is; names of members and hashes are ours.
                map_texts(&signed.value().unwrap(), &mut |text| {
                    let hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                    assert!(hash || ["deploy", "build", "link"].contains(&text) || !redactor.holds_known(text), "{text:?} holds {secret:?}");
                    String::new()
                });
            }
        }
    }
}
