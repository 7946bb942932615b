//! Layouts: specification 4.3. What they may say, and what we refuse to overlook; `verify` judges by them.
use super::{
    Parameters, Profile, Rule,
    parameters::{Place as Where, named},
    rule::RuleError,
};
use crate::{
    json::Value,
    key::{KeyError, PublicKey, x509::CertificateError},
    pattern::Pattern,
    reason::Reason,
};
use certificates::{Authorities, Constraint};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub mod certificates;
mod read;
#[cfg(test)]
mod tests;

/// A supply chain as its owners want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The layout holds before this time.
    pub expires: jiff::Timestamp,
    pub readme: String,
    /// Key id as written → the key; also the OpenPGP subkeys that a step authorises without their masters. One we cannot use is kept as
    /// the reason why: it blocks only a step that needs it.
    pub keys: BTreeMap<String, Result<PublicKey, KeyError>>,
    /// Whose certificates functionaries may sign by, where a step has constraints (ITE-7).
    pub authorities: Authorities,
    /// At least one (R36), in the order of the layout.
    pub steps: Vec<Step>,
    pub inspections: Vec<Inspection>,
}

/// One step and who may do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    /// How many distinct functionaries must report the step: 1 or more.
    pub threshold: u32,
    /// Ids of `Layout::keys`.
    pub pubkeys: Vec<String>,
    /// Beside them, whoever signs by a certificate that meets one of these (ITE-7).
    pub cert_constraints: Vec<Constraint>,
    /// Compared with a link's command for a warning, never executed.
    pub expected_command: Vec<String>,
    pub expected_materials: Vec<Rule>,
    pub expected_products: Vec<Rule>,
}

/// What is looked at in the end. `run` names a built-in; nothing is executed (design §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    pub name: String,
    pub run: Vec<String>,
    pub expected_materials: Vec<Rule>,
    pub expected_products: Vec<Rule>,
}

/// A place in a layout, as a message names it: `step "build"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Layout,
    Key(String),
    Authority(String),
    Step(String),
    Inspection(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Layout => f.write_str("layout"),
            Place::Key(id) => write!(f, "key {id:?}"),
            Place::Authority(id) => write!(f, "authority {id:?}"),
            Place::Step(name) => write!(f, "step {name:?}"),
            Place::Inspection(name) => write!(f, "inspection {name:?}"),
        }
    }
}

/// Why a signed value is no layout that we can judge by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// `_type` is not exactly what its place asks for.
    #[error("{at}: _type is not \"{expected}\"")]
    WrongType { at: Place, expected: &'static str },
    /// A NUL in any text. Only what commands print has one, and of that there is none in a layout: a name, a pattern or an id with a NUL
    /// would be for some readers what stands before it.
    #[error("the layout has a NUL in a text")]
    Nul,
    /// A field of the specification is not there.
    #[error("{at}: the field {field} is missing")]
    Missing { at: Place, field: &'static str },
    /// A field has another JSON type.
    #[error("{at}: the field {field} is not {expected}")]
    Type { at: Place, field: &'static str, expected: &'static str },
    /// R41: a field that we do not implement; overlooking it could mean passing what its author forbids.
    #[error("{at}: the field {field:?} is not supported")]
    UnknownField { at: Place, field: String },
    /// R20: not exactly `YYYY-MM-DDTHH:MM:SSZ`, or no such day.
    #[error("the layout's expires is {0:?}, not a time such as 2030-01-31T12:00:00Z")]
    Expires(String),
    /// R23.
    #[error("the name {name:?} of a step or inspection {why}")]
    Name { name: String, why: &'static str },
    /// Names are how links and rules refer to steps and inspections: each stands for one.
    #[error("two steps or inspections are named {0:?}")]
    DuplicateName(String),
    /// R36: such a layout asks for nothing.
    #[error("the layout has no steps")]
    NoSteps,
    /// Not a rule of specification 4.3.3.
    #[error("{at}: {cause}")]
    Rule { at: Place, cause: RuleError },
    /// R31: the rule would silently match nothing.
    #[error("{at}: MATCH FROM {from:?}, which is no {}", destinations(.at))]
    MatchFrom { at: Place, from: String },
    /// A functionary whose key the layout does not carry.
    #[error("step {step:?}: the key {key:?} of its pubkeys is not among the layout's keys")]
    UnknownPubkey { step: String, key: String },
    /// R25: under 1, or more than the step has distinct public keys.
    #[error("step {step:?}: the threshold is {found}, and it has {keys} distinct keys")]
    Threshold { step: String, found: String, keys: usize },
    /// ITE-7: the certificate of an authority cannot be read, or is not one's.
    #[error("{at}: {cause}")]
    Authority { at: Place, cause: CertificateError },
    /// ITE-7: a constraint that no certificate can meet.
    #[error("{at}: cert_constraints name the authority {id:?}, which the layout does not carry")]
    NoSuchAuthority { at: Place, id: String },
    /// More than a layout has use for.
    #[error("{at}: {found} {what}, more than {max}")]
    TooMany { at: Place, what: &'static str, found: usize, max: usize },
    /// R13.
    #[error("the key {key:?} says that its id is {inner:?}")]
    KeyId { key: String, inner: String },
    /// R24: whose subkey it is must be clear.
    #[error("the key {0:?} is a subkey of two keys of the layout")]
    SubkeyOfTwo(String),
    /// A private key in a public document.
    #[error("the key {0:?} carries its private part")]
    PrivateKey(String),
    /// `{name}`, and whoever verifies gave no such parameter (R21).
    #[error("{at}: the parameter {{{name}}} has no value")]
    Parameter { at: Place, name: String },
    /// Without this key the step cannot reach its threshold.
    #[error("step {step:?} needs the key {key:?}, which cannot be used: {cause}")]
    KeyNeeded { step: String, key: String, cause: KeyError },
}

/// What the MATCH rules of an item may name.
fn destinations(at: &Place) -> &'static str {
    match at {
        Place::Inspection(_) => "step or inspection",
        _ => "step",
    }
}

impl LayoutError {
    /// `layout_unsupported` for what another verifier might understand, `layout_too_complex` for a pattern of too many wildcards, else
    /// `layout_malformed`.
    pub fn reason(&self) -> Reason {
        match self {
            LayoutError::Rule { cause: RuleError::Pattern(_), .. } | LayoutError::TooMany { .. } => {
                Reason::LayoutTooComplex
            }
            LayoutError::KeyNeeded { cause: KeyError::Malformed { .. } | KeyError::SchemeMismatch { .. }, .. } => {
                Reason::LayoutMalformed
            }
            LayoutError::UnknownField { .. } | LayoutError::Parameter { .. } | LayoutError::KeyNeeded { .. } => {
                Reason::LayoutUnsupported
            }
            _ => Reason::LayoutMalformed,
        }
    }
}

impl Layout {
    /// Reads a layout from signed JSON, strictly: what it says and we do not know is an error. Its parameters stay open.
    pub fn from_value(value: &Value) -> Result<Self, LayoutError> {
        Self::read(value, Profile::Strict)
    }

    /// The same, as the profile has it.
    pub fn read(value: &Value, profile: Profile) -> Result<Self, LayoutError> {
        if profile == Profile::Strict && value.has_nul() {
            return Err(LayoutError::Nul);
        }
        read::layout(value, profile)
    }

    /// The parameters that its rules and commands leave open.
    pub fn parameters(&self) -> BTreeSet<String> {
        let of_steps = self.steps.iter().map(|s| (&s.expected_command, &s.expected_materials, &s.expected_products));
        let of_inspections = self.inspections.iter().map(|i| (&i.run, &i.expected_materials, &i.expected_products));
        let mut names = BTreeSet::new();
        for (command, materials, products) in of_steps.chain(of_inspections) {
            let words = materials.iter().chain(products).flat_map(Rule::words).chain(command.iter().cloned());
            names.extend(words.flat_map(|word| named(&word).map(str::to_owned).collect::<Vec<_>>()));
        }
        names
    }

    /// The layout with its parameters put in (in-toto 5.2, R21): what can be judged by.
    pub fn with_parameters(mut self, parameters: &Parameters, profile: Profile) -> Result<Self, LayoutError> {
        for step in &mut self.steps {
            let at = Place::Step(step.name.clone());
            let open = Open { at: &at, parameters, profile };
            open.texts(&mut step.expected_command)?;
            open.rules(&mut step.expected_materials)?;
            open.rules(&mut step.expected_products)?;
        }
        for inspection in &mut self.inspections {
            let at = Place::Inspection(inspection.name.clone());
            let open = Open { at: &at, parameters, profile };
            open.texts(&mut inspection.run)?;
            open.rules(&mut inspection.expected_materials)?;
            open.rules(&mut inspection.expected_products)?;
        }
        match profile {
            Profile::Strict => read::check_references(&self).map(|()| self),
            Profile::Compat => Ok(self),
        }
    }

    /// For writing one: the JSON value that `from_value` reads back. Keys that cannot be used are left out, and subkeys stand in their
    /// masters.
    pub fn to_value(&self) -> Value {
        let usable = self.keys.iter().filter_map(|(id, key)| Some((id, key.as_ref().ok()?)));
        let keys =
            usable.filter(|(_, key)| !key.is_subkey()).map(|(id, key)| (id.clone(), Value::from(&key.to_layout())));
        let mut members = vec![
            ("_type", text("layout")),
            ("expires", text(&self.expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())),
            ("inspect", Value::Array(self.inspections.iter().map(Inspection::to_value).collect())),
            ("keys", Value::Object(keys.collect())),
            ("readme", text(&self.readme)),
            ("steps", Value::Array(self.steps.iter().map(|step| step.to_value(&self.authorities)).collect())),
        ];
        members.extend(self.authorities.to_members());
        object(members)
    }
}

impl Step {
    fn to_value(&self, authorities: &Authorities) -> Value {
        let mut members = vec![
            ("_type", text("step")),
            ("expected_command", texts(&self.expected_command)),
            ("expected_materials", rules(&self.expected_materials)),
            ("expected_products", rules(&self.expected_products)),
            ("name", text(&self.name)),
            ("pubkeys", texts(&self.pubkeys)),
            ("threshold", Value::Number(self.threshold.to_string())),
        ];
        if !self.cert_constraints.is_empty() {
            let constraints = self.cert_constraints.iter().map(|constraint| constraint.to_value(authorities));
            members.push(("cert_constraints", Value::Array(constraints.collect())));
        }
        object(members)
    }
}

impl Inspection {
    fn to_value(&self) -> Value {
        object(vec![
            ("_type", text("inspection")),
            ("expected_materials", rules(&self.expected_materials)),
            ("expected_products", rules(&self.expected_products)),
            ("name", text(&self.name)),
            ("run", texts(&self.run)),
        ])
    }
}

/// An item whose parameters are being put in.
struct Open<'a> {
    at: &'a Place,
    parameters: &'a Parameters,
    profile: Profile,
}

impl Open<'_> {
    fn put_in(&self, text: &str, place: Where) -> Result<String, LayoutError> {
        let unknown = |name| LayoutError::Parameter { at: self.at.clone(), name };
        self.parameters.put_in(text, place, self.profile).map_err(unknown)
    }

    fn texts(&self, texts: &mut [String]) -> Result<(), LayoutError> {
        texts.iter_mut().try_for_each(|text| {
            *text = self.put_in(text, Where::Text)?;
            Ok(())
        })
    }

    fn rules(&self, rules: &mut [Rule]) -> Result<(), LayoutError> {
        for rule in rules.iter_mut().filter(|rule| rule.is_open()) {
            let text = |text: &str| self.put_in(text, Where::Text);
            let pattern = |pattern: &Pattern| {
                let text = self.put_in(pattern.as_str(), Where::Pattern)?;
                Pattern::new(&text).map_err(|cause| LayoutError::Rule { at: self.at.clone(), cause: cause.into() })
            };
            *rule = rule.map(text, pattern)?;
        }
        Ok(())
    }
}

fn object(members: Vec<(&str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(texts: &[String]) -> Value {
    Value::Array(texts.iter().cloned().map(Value::String).collect())
}

fn rules(rules: &[Rule]) -> Value {
    Value::Array(rules.iter().map(Rule::to_value).collect())
}
