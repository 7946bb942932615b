//! Reading a layout from JSON: every field by name, none overlooked.
use super::{
    Inspection, Layout, LayoutError, Place, Step,
    certificates::{Authorities, Constraint},
};
use crate::{
    intoto::{
        Profile, Rule,
        link::{is_hex, words},
        parameters::is_open,
    },
    json::Value,
    key::{KeyError, PublicKey, unite},
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn layout(value: &Value, profile: Profile) -> Result<Layout, LayoutError> {
    let known =
        ["_type", "expires", "readme", "keys", "steps", "inspect", "rootcas", "intermediatecas", "trustBundles"];
    let fields = Fields::open(value, Place::Layout, "layout", &known, profile)?;
    let mut keys = keys(&fields)?;
    let steps = fields.items("steps")?;
    add_subkeys(&mut keys, steps)?;
    unite(keys.values_mut().filter_map(|key| key.as_mut().ok()));
    let authorities = match profile {
        Profile::Strict => Authorities::read(&fields)?,
        // The reference drops what it does not know (in-toto §1.3).
        Profile::Compat => Authorities::default(),
    };
    let steps = steps.iter().map(|item| step(item, &keys, &authorities, profile)).collect::<Result<Vec<_>, _>>()?;
    let inspections =
        fields.items("inspect")?.iter().map(|item| inspection(item, profile)).collect::<Result<Vec<_>, _>>()?;
    if steps.is_empty() && profile == Profile::Strict {
        return Err(LayoutError::NoSteps);
    }
    let layout = Layout {
        expires: expires(fields.text("expires")?)?,
        readme: fields.optional_text("readme")?.to_owned(),
        keys,
        authorities,
        steps,
        inspections,
    };
    check_names(&layout)?;
    if profile == Profile::Strict {
        check_references(&layout)?;
    }
    Ok(layout)
}

fn step(
    value: &Value,
    keys: &BTreeMap<String, Result<PublicKey, KeyError>>,
    authorities: &Authorities,
    profile: Profile,
) -> Result<Step, LayoutError> {
    let known = [
        "_type",
        "name",
        "threshold",
        "pubkeys",
        "cert_constraints",
        "expected_command",
        "expected_materials",
        "expected_products",
    ];
    let fields = Fields::open(value, place(value, Place::Step), "step", &known, profile)?;
    let name = name(&fields)?;
    let cert_constraints = match profile {
        Profile::Strict => Constraint::read_all(&fields, authorities)?,
        Profile::Compat => Vec::new(),
    };
    let pubkeys = match fields.get("pubkeys") {
        None if !cert_constraints.is_empty() => Vec::new(),
        _ => fields.texts("pubkeys")?,
    };
    let threshold = match profile {
        Profile::Strict => {
            threshold(&name, fields.required("threshold")?, &pubkeys, keys, cert_constraints.is_empty())?
        }
        Profile::Compat => reference_threshold(&fields)?,
    };
    if profile == Profile::Compat && !pubkeys.iter().all(|id| is_hex(id)) {
        return Err(fields.wrong("pubkeys", "a list of key ids in hexadecimal"));
    }
    Ok(Step {
        threshold,
        expected_command: fields.command()?,
        expected_materials: fields.rules("expected_materials")?,
        expected_products: fields.rules("expected_products")?,
        name,
        pubkeys,
        cert_constraints,
    })
}

fn inspection(value: &Value, profile: Profile) -> Result<Inspection, LayoutError> {
    let known = ["_type", "name", "run", "expected_materials", "expected_products"];
    let fields = Fields::open(value, place(value, Place::Inspection), "inspection", &known, profile)?;
    Ok(Inspection {
        name: name(&fields)?,
        run: fields.texts("run")?,
        expected_materials: fields.rules("expected_materials")?,
        expected_products: fields.rules("expected_products")?,
    })
}

/// How a message names the item, before its name was checked.
fn place(value: &Value, kind: fn(String) -> Place) -> Place {
    kind(value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// R20. What lies behind the last instant we can count to (end of 9999) means "never": it is that last instant.
pub(super) fn expires(text: &str) -> Result<Timestamp, LayoutError> {
    let error = || LayoutError::Expires(text.to_owned());
    let local = text.strip_suffix('Z').filter(|_| text.len() == 20).ok_or_else(error)?;
    let time: DateTime = local.parse().map_err(|_| error())?;
    // The exact shape, and neither a leap second nor anything else the parser would smooth over.
    if time.to_string() != local {
        return Err(error());
    }
    match time.to_zoned(TimeZone::UTC) {
        Ok(zoned) => Ok(zoned.timestamp()),
        Err(_) if time.year() == 9999 => Ok(Timestamp::MAX),
        Err(_) => Err(error()),
    }
}

fn keys(fields: &Fields<'_>) -> Result<BTreeMap<String, Result<PublicKey, KeyError>>, LayoutError> {
    let members = fields.required("keys")?.by_name().ok_or(LayoutError::Type {
        at: Place::Layout,
        field: "keys",
        expected: "an object of keys",
    })?;
    members
        .into_iter()
        .map(|(id, value)| {
            let at = || Place::Key(id.clone());
            if value.as_object().is_none() {
                return Err(LayoutError::Type { at: Place::Layout, field: "keys", expected: "an object of keys" });
            }
            // Those of OpenPGP, too.
            let subkeys = value.get("subkeys").and_then(Value::by_name).unwrap_or_default();
            if let Some((id, _)) = [(id, value)].into_iter().chain(subkeys).find(is_private) {
                return Err(LayoutError::PrivateKey(id.clone()));
            }
            match value.get("keyid") {
                None => {}
                Some(Value::String(inner)) if inner == id => {}
                // The reference finds the key by the one and its signatures by the other (in-toto §2.2, case 51).
                Some(Value::String(inner)) if fields.profile == Profile::Compat => {
                    return Ok((
                        id.clone(),
                        PublicKey::from_layout_leniently(value).map(|key| key.also_known_as(inner)),
                    ));
                }
                Some(Value::String(inner)) => {
                    return Err(LayoutError::KeyId { key: id.clone(), inner: inner.clone() });
                }
                Some(_) => return Err(LayoutError::Type { at: at(), field: "keyid", expected: "a string" }),
            }
            let key = match fields.profile {
                Profile::Strict => PublicKey::from_layout(value),
                Profile::Compat => PublicKey::from_layout_leniently(value),
            };
            Ok((id.clone(), key))
        })
        .collect()
}

fn is_private((_, value): &(&String, &Value)) -> bool {
    match value.get("keyval").and_then(|keyval| keyval.get("private")) {
        None | Some(Value::Null) => false,
        Some(private) => private.as_str() != Some(""),
    }
}

/// R24: a step may authorise a subkey of OpenPGP without its master. It then stands among the keys, of the same functionary.
fn add_subkeys(keys: &mut BTreeMap<String, Result<PublicKey, KeyError>>, steps: &[Value]) -> Result<(), LayoutError> {
    let ids = steps.iter().filter_map(|step| step.get("pubkeys")?.as_array()).flatten().filter_map(Value::as_str);
    for id in ids.collect::<BTreeSet<_>>() {
        if keys.contains_key(id) {
            continue;
        }
        let found: Vec<_> = keys.values().filter_map(|key| key.as_ref().ok()?.subkey(id)).take(2).collect();
        match <[_; 1]>::try_from(found) {
            Ok([subkey]) => drop(keys.insert(id.to_owned(), subkey)),
            Err(found) if found.is_empty() => {}
            Err(_) => return Err(LayoutError::SubkeyOfTwo(id.to_owned())),
        }
    }
    Ok(())
}

/// R25: at least 1, and at most the distinct public keys of the step. Keys that cannot be used count as long as they are not needed.
/// Who else will come with a certificate is not known here: then there is no upper bound.
fn threshold(
    step: &str,
    value: &Value,
    pubkeys: &[String],
    keys: &BTreeMap<String, Result<PublicKey, KeyError>>,
    keys_alone: bool,
) -> Result<u32, LayoutError> {
    let mut usable = BTreeSet::new();
    let mut unusable = BTreeMap::new();
    for id in pubkeys {
        match keys.get(id) {
            None => return Err(LayoutError::UnknownPubkey { step: step.to_owned(), key: id.clone() }),
            Some(Ok(key)) => {
                usable.insert(key.functionary());
            }
            Some(Err(cause)) => {
                unusable.insert(id, cause);
            }
        }
    }
    let Value::Number(found) = value else {
        return Err(LayoutError::Type { at: Place::Step(step.to_owned()), field: "threshold", expected: "an integer" });
    };
    let distinct = usable.len() + unusable.len();
    let threshold = value
        .as_u64()
        .and_then(|threshold| u32::try_from(threshold).ok())
        .filter(|threshold| *threshold >= 1)
        .filter(|threshold| !keys_alone || usize::try_from(*threshold).is_ok_and(|threshold| threshold <= distinct))
        .ok_or_else(|| LayoutError::Threshold { step: step.to_owned(), found: found.clone(), keys: distinct })?;
    match unusable.into_iter().next() {
        Some((key, cause))
            if keys_alone && usize::try_from(threshold).is_ok_and(|threshold| threshold > usable.len()) =>
        {
            Err(LayoutError::KeyNeeded { step: step.to_owned(), key: key.clone(), cause: cause.clone() })
        }
        _ => Ok(threshold),
    }
}

/// The reference counts what there is, and takes the first link: one is the least. In its language a truth value is a number.
fn reference_threshold(fields: &Fields<'_>) -> Result<u32, LayoutError> {
    match fields.value.get("threshold") {
        None | Some(Value::Bool(_)) => Ok(1),
        Some(Value::Number(found)) if found.starts_with('-') => Ok(1),
        Some(value) => value
            .as_u64()
            .map(|found| u32::try_from(found.max(1)).unwrap_or(u32::MAX))
            .ok_or_else(|| fields.wrong("threshold", "an integer")),
    }
}

/// R23: a name may become part of a file name elsewhere, and stands in messages.
fn name(fields: &Fields<'_>) -> Result<String, LayoutError> {
    let name = fields.text("name")?;
    let why = if name.is_empty() {
        "is empty"
    } else if name.starts_with('.') {
        "starts with a dot"
    } else if name.contains(['/', '\\']) {
        "contains a slash or backslash"
    } else if name.chars().any(char::is_control) {
        "contains a control character"
    } else {
        return Ok(name.to_owned());
    };
    Err(LayoutError::Name { name: name.to_owned(), why })
}

fn check_names(layout: &Layout) -> Result<(), LayoutError> {
    let mut seen = BTreeSet::new();
    let steps = layout.steps.iter().map(|step| &step.name);
    for name in steps.chain(layout.inspections.iter().map(|inspection| &inspection.name)) {
        if !seen.insert(name) {
            return Err(LayoutError::DuplicateName(name.clone()));
        }
    }
    Ok(())
}

/// R31: MATCH names a step; an inspection's rules may name inspections too, which have been made by then. What a parameter will name is
/// seen when it is put in.
pub(super) fn check_references(layout: &Layout) -> Result<(), LayoutError> {
    let steps: BTreeSet<&str> = layout.steps.iter().map(|step| step.name.as_str()).collect();
    let inspections: BTreeSet<&str> = layout.inspections.iter().map(|inspection| inspection.name.as_str()).collect();
    for step in &layout.steps {
        for rule in step.expected_materials.iter().chain(&step.expected_products) {
            match rule {
                Rule::Match { from, .. } if !steps.contains(from.as_str()) && !is_open(from) => {
                    return Err(LayoutError::MatchFrom { at: Place::Step(step.name.clone()), from: from.clone() });
                }
                _ => {}
            }
        }
    }
    for inspection in &layout.inspections {
        for rule in inspection.expected_materials.iter().chain(&inspection.expected_products) {
            match rule {
                Rule::Match { from, .. }
                    if !steps.contains(from.as_str()) && !inspections.contains(from.as_str()) && !is_open(from) =>
                {
                    let at = Place::Inspection(inspection.name.clone());
                    return Err(LayoutError::MatchFrom { at, from: from.clone() });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The members of one object of a layout, with the place for messages.
pub(super) struct Fields<'v> {
    value: &'v Value,
    pub(super) at: Place,
    profile: Profile,
}

impl<'v> Fields<'v> {
    fn open(
        value: &'v Value,
        at: Place,
        kind: &'static str,
        known: &[&str],
        profile: Profile,
    ) -> Result<Self, LayoutError> {
        // What is no object is none of either; the reference takes what stands among the steps for a step.
        let said = value.get("_type").and_then(Value::as_str) == Some(kind);
        let taken = profile == Profile::Compat && value.as_object().is_some();
        if !said && !taken {
            return Err(LayoutError::WrongType { at, expected: kind });
        }
        Fields::of(value, at, known, profile)
    }

    /// Of an object without a `_type`.
    pub(super) fn of(value: &'v Value, at: Place, known: &[&str], profile: Profile) -> Result<Self, LayoutError> {
        match value.unknown_member(known) {
            Some(field) if profile == Profile::Strict => Err(LayoutError::UnknownField { at, field: field.clone() }),
            _ => Ok(Fields { value, at, profile }),
        }
    }

    /// A field that may be left out, or be null as in-toto-golang writes what is empty.
    pub(super) fn get(&self, field: &str) -> Option<&'v Value> {
        self.value.get(field).filter(|value| **value != Value::Null)
    }

    fn required(&self, field: &'static str) -> Result<&'v Value, LayoutError> {
        self.value.get(field).ok_or_else(|| LayoutError::Missing { at: self.at.clone(), field })
    }

    pub(super) fn wrong(&self, field: &'static str, expected: &'static str) -> LayoutError {
        LayoutError::Type { at: self.at.clone(), field, expected }
    }

    pub(super) fn text(&self, field: &'static str) -> Result<&'v str, LayoutError> {
        self.required(field)?.as_str().ok_or_else(|| self.wrong(field, "a string"))
    }

    fn optional_text(&self, field: &'static str) -> Result<&'v str, LayoutError> {
        match self.value.get(field) {
            None => Ok(""),
            Some(value) => value.as_str().ok_or_else(|| self.wrong(field, "a string")),
        }
    }

    fn items(&self, field: &'static str) -> Result<&'v [Value], LayoutError> {
        self.required(field)?.as_array().ok_or_else(|| self.wrong(field, "a list"))
    }

    fn list(&self, field: &'static str) -> Result<&'v [Value], LayoutError> {
        // The reference has a default for each list of a step or inspection.
        if self.profile == Profile::Compat && self.value.get(field).is_none() {
            return Ok(&[]);
        }
        self.items(field)
    }

    pub(super) fn texts(&self, field: &'static str) -> Result<Vec<String>, LayoutError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.list(field)?.iter().map(text).collect::<Option<_>>().ok_or_else(|| self.wrong(field, "a list of strings"))
    }

    /// The reference compares it and looks no closer.
    fn command(&self) -> Result<Vec<String>, LayoutError> {
        match (self.profile, self.value.get("expected_command").and_then(words)) {
            (Profile::Compat, Some(words)) => Ok(words),
            _ => self.texts("expected_command"),
        }
    }

    fn rules(&self, field: &'static str) -> Result<Vec<Rule>, LayoutError> {
        let rule = |value: &Value| {
            let elements = value.as_array().ok_or_else(|| self.wrong(field, "a list of lists of strings"))?;
            Rule::read(elements, self.profile).map_err(|cause| LayoutError::Rule { at: self.at.clone(), cause })
        };
        self.list(field)?.iter().map(rule).collect()
    }
}
