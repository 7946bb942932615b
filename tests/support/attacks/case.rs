//! What a `case.yaml` may hold. Strict: a misspelt field would be an attack that is not made.

use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};
use tidewaiter::reason::Reason;

/// One folder of the corpus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// The row of security §2 first, then advisories.
    pub source: String,
    /// One sentence: what the trick is.
    pub why: String,
    /// A [`Given`].
    pub given: Value,
    pub expect: Expect,
    pub twin: Twin,
}

/// The same input with one thing set right.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Twin {
    /// A merge patch (RFC 7386) of `given`.
    pub set: Option<Value>,
    /// Absent: allowed.
    pub expect: Option<Expect>,
    /// Why there is no twin.
    pub none: Option<String>,
}

/// What the answer must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// Absent where no review answers.
    pub allowed: Option<bool>,
    /// `status.reason`.
    pub reason: Option<String>,
    /// Each stands in the message or in a warning.
    #[serde(default)]
    pub says: Vec<String>,
    /// None stands anywhere in the answer.
    #[serde(default)]
    pub never: Vec<String>,
    /// The HTTP status; absent: 200.
    pub status: Option<u16>,
    /// Requests that may leave for registries, at most.
    pub requests: Option<u64>,
}

/// The world as the trick finds it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Given {
    /// A Pod of one container.
    pub image: Option<String>,
    /// A Pod of one container for each.
    pub images: Option<Vec<String>>,
    /// A Pod of this many containers; `{n}` is a number in 64 digits.
    pub many: Option<Many>,
    /// The spec of a Pod.
    pub pod: Option<Value>,
    /// The object whole, with apiVersion and kind.
    pub object: Option<Value>,
    /// A merge patch of the request.
    pub request: Option<Value>,
    /// What happens to the bytes of the review: a name in `bodies`.
    pub body: Option<String>,
    /// The request's namespace; absent: `shop`.
    pub namespace: Option<String>,
    /// A merge patch of the Namespace object; absent: none is known.
    pub namespace_object: Option<Value>,
    pub exception: Option<Exception>,
    /// A merge patch of the spec of `ClusterImagePolicy/shop`, which demands a release signature and a chain by both owners.
    pub policy: Option<Value>,
    /// Further documents.
    #[serde(default)]
    pub documents: Vec<Value>,
    /// TrustRoot → keys of the world, instead of its usual ones.
    #[serde(default)]
    pub trust: BTreeMap<String, Vec<String>>,
    /// Absent: `Warn`.
    pub unmatched: Option<String>,
    /// The time of the decision; absent: now.
    pub at: Option<String>,
    /// A world with the image `crafted` alone and this evidence: a name in `evidence`.
    pub evidence: Option<String>,
    /// A registry over the network: a name in `registry`.
    pub registry: Option<Registry>,
    /// Reviews asked before, each a merge patch of this one; verdicts are kept in between.
    #[serde(default)]
    pub before: Vec<Value>,
    /// Through the webhook's routes instead.
    pub http: Option<Http>,
    /// What this was read from.
    #[serde(skip)]
    pub value: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Many {
    pub count: usize,
    pub image: String,
}

/// The annotation of the namespace, and its seal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exception {
    /// One or a list; written as JSON.
    pub ask: Value,
    /// Keys of the world; none: unsealed.
    #[serde(default)]
    pub sealed_by: Vec<String>,
    /// Name and UID that the seal is for; absent: the namespace's own.
    pub sealed_for: Option<[String; 2]>,
    pub sealed_at: String,
    /// After sealing, this text is replaced by that in the annotation.
    pub edited: Option<[String; 2]>,
    /// The seal's bytes are signed under this payload type instead.
    pub payload_type: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registry {
    pub does: String,
    /// `allowPrivate` of its RegistryConfig; absent: yes.
    pub private: Option<bool>,
    /// Its name leads here; absent: to where it is.
    pub resolves: Option<String>,
    /// Plain http.
    #[serde(default)]
    pub insecure: bool,
    /// We have a password for it.
    #[serde(default)]
    pub password: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    pub method: Option<String>,
    /// With its query; absent: `/validate`.
    pub path: Option<String>,
    /// The text of the policy file instead of the documents.
    pub policies: Option<String>,
    /// Reviews at once.
    pub reviews_max: Option<usize>,
    /// The body never ends.
    #[serde(default)]
    pub endless: bool,
}

impl Case {
    /// Reads and holds a case against what every case must be.
    pub fn read(id: &str, text: &str) -> Result<Case, String> {
        let case: Case = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let row = id.split('-').next().unwrap_or_default();
        if !case.source.split([';', ',', ' ']).any(|word| word == row) {
            return Err(format!("the source does not name the row {row}"));
        }
        if case.why.trim().is_empty() {
            return Err("why is empty".into());
        }
        case.expect.check()?;
        match (&case.twin.set, &case.twin.none) {
            (Some(_), None) => case.twin.expect.as_ref().map_or(Ok(()), Expect::check)?,
            (None, Some(why)) if !why.is_empty() && case.twin.expect.is_none() => {}
            _ => return Err("the twin has either a set, or a reason why there is none".into()),
        }
        Ok(case)
    }
}

impl Given {
    pub fn read(value: &Value) -> Result<Given, String> {
        let given: Given = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        Ok(Given { value: value.clone(), ..given })
    }
}

impl Expect {
    pub fn allowed() -> Self {
        Expect { allowed: Some(true), ..Expect::default() }
    }

    fn check(&self) -> Result<(), String> {
        if (self.allowed == Some(false)) != self.reason.is_some() {
            return Err("a reason is given where it is not allowed, and only there".into());
        }
        if self.allowed.is_none() && self.status.is_none_or(|status| status == 200) {
            return Err("neither allowed nor another status is given".into());
        }
        match &self.reason {
            Some(reason) if !Reason::ALL.iter().any(|known| known.as_str() == reason) => {
                Err(format!("{reason} is no reason"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.allowed, &self.reason) {
            (Some(true), _) => write!(f, "allowed")?,
            (_, Some(reason)) => write!(f, "{reason}")?,
            _ => write!(f, "HTTP {}", self.status.unwrap_or(200))?,
        }
        if self.says.is_empty() { Ok(()) } else { write!(f, " {:?}", self.says) }
    }
}

/// RFC 7386.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let object = target.as_object_mut().expect("an object");
    for (key, value) in members {
        match value {
            Value::Null => drop(object.remove(key)),
            value => merge(object.entry(key.clone()).or_insert(Value::Null), value),
        }
    }
}
