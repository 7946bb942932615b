//! Functionaries by certificate (ITE-7), in both spellings: `rootcas`, `intermediatecas` and `roots` of in-toto-golang, `trustBundles`
//! and `trustBundleIds` of the ITE's text.
use super::{LayoutError, Place, object, read::Fields, text, texts};
use crate::{
    intoto::Profile,
    json::Value,
    key::x509::{Certificate, Names},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Certificates of authorities in one layout. Ours: a root and its intermediates for each of several organisations.
const AUTHORITIES_MAX: usize = 32;
/// Constraints of one step. Ours.
const CONSTRAINTS_MAX: usize = 64;

/// The authorities of a layout, as it spells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// in-toto-golang's: every root by its id, and intermediates that serve them all.
    Listed { roots: BTreeMap<String, Certificate>, intermediates: BTreeMap<String, Certificate> },
    /// ITE-7's: by their ids, bundles of roots with their intermediates.
    Bundled(BTreeMap<String, Bundle>),
}

/// Authorities that a constraint names together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    pub roots: Vec<Certificate>,
    pub intermediates: Vec<Certificate>,
}

/// What a certificate must be like for its owner to be a functionary of the step: all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    pub common_name: Allowed,
    pub dns_names: Allowed,
    pub emails: Allowed,
    pub organizations: Allowed,
    pub uris: Allowed,
    /// Ids of the layout's roots or bundles: the path ends in one of these. A path has one root, so that, other than with names, having
    /// one of several is enough. (in-toto-golang asks for all roots of the layout at once and looks at no path.)
    pub authorities: Allowed,
}

/// The values an attribute of a certificate may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// `["*"]`.
    Any,
    /// These and no others, each once. Without any: the certificate has none (`[]`, `[""]`, null, and, as in in-toto-golang, a field that
    /// is not there: never "any", see GHSA-mpvw-hw8p-7x27).
    Exactly(BTreeSet<String>),
}

impl Default for Authorities {
    fn default() -> Self {
        Authorities::Listed { roots: BTreeMap::new(), intermediates: BTreeMap::new() }
    }
}

impl Authorities {
    /// Every root under the id by which constraints name it, with the intermediates that may stand before it.
    pub fn roots(&self) -> Vec<(&str, &Certificate, Vec<&Certificate>)> {
        match self {
            Authorities::Listed { roots, intermediates } => {
                roots.iter().map(|(id, root)| (id.as_str(), root, intermediates.values().collect())).collect()
            }
            Authorities::Bundled(bundles) => bundles
                .iter()
                .flat_map(|(id, bundle)| bundle.roots.iter().map(move |root| (id, root, &bundle.intermediates)))
                .map(|(id, root, intermediates)| (id.as_str(), root, intermediates.iter().collect()))
                .collect(),
        }
    }

    fn knows(&self, id: &str) -> bool {
        match self {
            Authorities::Listed { roots, .. } => roots.contains_key(id),
            Authorities::Bundled(bundles) => bundles.contains_key(id),
        }
    }

    /// What a constraint calls them.
    fn field(&self) -> &'static str {
        match self {
            Authorities::Listed { .. } => "roots",
            Authorities::Bundled(_) => "trustBundleIds",
        }
    }

    fn count(&self) -> usize {
        match self {
            Authorities::Listed { roots, intermediates } => roots.len() + intermediates.len(),
            Authorities::Bundled(bundles) => bundles.values().map(|b| b.roots.len() + b.intermediates.len()).sum(),
        }
    }

    /// From the fields of a layout. Both spellings in one layout would make two ids of one name possible.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, LayoutError> {
        let listed = fields.get("rootcas").or_else(|| fields.get("intermediatecas"));
        let authorities = match (listed, fields.get("trustBundles")) {
            (None, None) => return Ok(Authorities::default()),
            (Some(_), Some(_)) => {
                return Err(fields.wrong("trustBundles", "in a layout without rootcas and intermediatecas"));
            }
            (Some(_), None) => Authorities::Listed {
                roots: listed_authorities(fields, "rootcas")?,
                intermediates: listed_authorities(fields, "intermediatecas")?,
            },
            (None, Some(bundles)) => {
                let members = bundles.by_name().ok_or_else(|| fields.wrong("trustBundles", "an object of bundles"))?;
                let bundle = |(id, value): (&String, &Value)| Ok((id.clone(), Bundle::read(id, value)?));
                Authorities::Bundled(members.into_iter().map(bundle).collect::<Result<_, LayoutError>>()?)
            }
        };
        match authorities.count() {
            found if found > AUTHORITIES_MAX => {
                Err(LayoutError::TooMany { at: Place::Layout, what: "authorities", found, max: AUTHORITIES_MAX })
            }
            _ => Ok(authorities),
        }
    }

    pub(super) fn to_members(&self) -> Vec<(&'static str, Value)> {
        let listed = |list: &BTreeMap<String, Certificate>| {
            let one = |(id, certificate): (&String, &Certificate)| {
                let pem = object(vec![("certificate", text(&certificate.to_pem())), ("public", text(""))]);
                (id.clone(), object(vec![("keyid", text(id)), ("keyval", pem)]))
            };
            Value::Object(list.iter().map(one).collect())
        };
        let pems = |list: &[Certificate]| texts(&list.iter().map(Certificate::to_pem).collect::<Vec<_>>());
        let bundle = |(id, bundle): (&String, &Bundle)| {
            let members = vec![
                ("bundleid", text(id)),
                ("roots", pems(&bundle.roots)),
                ("intermediates", pems(&bundle.intermediates)),
            ];
            (id.clone(), object(members))
        };
        match self {
            Authorities::Listed { roots, intermediates } if roots.is_empty() && intermediates.is_empty() => Vec::new(),
            Authorities::Listed { roots, intermediates } => {
                vec![("rootcas", listed(roots)), ("intermediatecas", listed(intermediates))]
            }
            Authorities::Bundled(bundles) => {
                vec![("trustBundles", Value::Object(bundles.iter().map(bundle).collect()))]
            }
        }
    }
}

/// Key objects, of which `keyval.certificate` alone counts.
fn listed_authorities(fields: &Fields<'_>, field: &'static str) -> Result<BTreeMap<String, Certificate>, LayoutError> {
    let Some(value) = fields.get(field) else { return Ok(BTreeMap::new()) };
    let members = value.by_name().ok_or_else(|| fields.wrong(field, "an object of keys"))?;
    let one = |(id, value): (&String, &Value)| {
        let at = || Place::Authority(id.clone());
        match value.get("keyid") {
            None => {}
            Some(Value::String(inner)) if inner == id => {}
            Some(Value::String(inner)) => return Err(LayoutError::KeyId { key: id.clone(), inner: inner.clone() }),
            Some(_) => return Err(LayoutError::Type { at: at(), field: "keyid", expected: "a string" }),
        }
        let pem = value.get("keyval").and_then(|keyval| keyval.get("certificate")).and_then(Value::as_str);
        let pem = pem.ok_or_else(|| LayoutError::Missing { at: at(), field: "keyval.certificate" })?;
        Ok((id.clone(), authority(id, pem)?))
    };
    members.into_iter().map(one).collect()
}

fn authority(id: &str, pem: &str) -> Result<Certificate, LayoutError> {
    let read = Certificate::from_pem(pem).and_then(|certificate| certificate.check_authority().map(|()| certificate));
    read.map_err(|cause| LayoutError::Authority { at: Place::Authority(id.to_owned()), cause })
}

impl Bundle {
    fn read(id: &str, value: &Value) -> Result<Self, LayoutError> {
        let at = Place::Authority(id.to_owned());
        let fields = Fields::of(value, at, &["bundleid", "roots", "intermediates"], Profile::Strict)?;
        match fields.get("bundleid").map(Value::as_str) {
            None => {}
            Some(Some(inner)) if inner == id => {}
            Some(inner) => {
                return Err(LayoutError::KeyId { key: id.to_owned(), inner: inner.unwrap_or_default().to_owned() });
            }
        }
        let read = |pems: Vec<String>| pems.iter().map(|pem| authority(id, pem)).collect::<Result<Vec<_>, _>>();
        let intermediates = match fields.get("intermediates") {
            None => Vec::new(),
            Some(_) => fields.texts("intermediates")?,
        };
        Ok(Bundle { roots: read(fields.texts("roots")?)?, intermediates: read(intermediates)? })
    }
}

impl Constraint {
    /// From `cert_constraints` of a step.
    pub(super) fn read_all(fields: &Fields<'_>, authorities: &Authorities) -> Result<Vec<Self>, LayoutError> {
        let Some(value) = fields.get("cert_constraints") else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| fields.wrong("cert_constraints", "a list of constraints"))?;
        if list.len() > CONSTRAINTS_MAX {
            let at = fields.at.clone();
            return Err(LayoutError::TooMany { at, what: "cert_constraints", found: list.len(), max: CONSTRAINTS_MAX });
        }
        list.iter().map(|value| Constraint::read(value, &fields.at, authorities)).collect()
    }

    fn read(value: &Value, at: &Place, authorities: &Authorities) -> Result<Self, LayoutError> {
        let known = ["common_name", "dns_names", "emails", "organizations", authorities.field(), "uris"];
        let fields = Fields::of(value, at.clone(), &known, Profile::Strict)?;
        let name = match fields.get("common_name") {
            None => Vec::new(),
            Some(_) => vec![fields.text("common_name")?.to_owned()],
        };
        let list = |field| match fields.get(field) {
            None => Ok(Allowed::Exactly(BTreeSet::new())),
            Some(_) => Allowed::read(fields.texts(field)?, &fields, field),
        };
        let constraint = Constraint {
            common_name: Allowed::read(name, &fields, "common_name")?,
            dns_names: list("dns_names")?,
            emails: list("emails")?,
            organizations: list("organizations")?,
            uris: list("uris")?,
            authorities: list(authorities.field())?,
        };
        // A step that nobody can do is a mistake, and better told of when the layout is read.
        match &constraint.authorities {
            Allowed::Any if authorities.roots().is_empty() => {
                Err(LayoutError::NoSuchAuthority { at: fields.at, id: "*".to_owned() })
            }
            Allowed::Any => Ok(constraint),
            Allowed::Exactly(ids) if ids.is_empty() => {
                Err(LayoutError::Missing { at: fields.at, field: authorities.field() })
            }
            Allowed::Exactly(ids) => match ids.iter().find(|id| !authorities.knows(id)) {
                Some(id) => Err(LayoutError::NoSuchAuthority { at: fields.at, id: id.clone() }),
                None => Ok(constraint),
            },
        }
    }

    pub(super) fn to_value(&self, authorities: &Authorities) -> Value {
        let list = |allowed: &Allowed| texts(&allowed.to_texts());
        let common_name = self.common_name.to_texts().into_iter().next().unwrap_or_default();
        object(vec![
            ("common_name", text(&common_name)),
            ("dns_names", list(&self.dns_names)),
            ("emails", list(&self.emails)),
            ("organizations", list(&self.organizations)),
            (authorities.field(), list(&self.authorities)),
            ("uris", list(&self.uris)),
        ])
    }

    /// The attribute in which the names are not what the constraint asks for: what it is called, the constraint's and the certificate's
    /// values. `None`: they are.
    pub fn mismatch<'a>(&'a self, names: &'a Names) -> Option<(&'static str, &'a Allowed, &'a [String])> {
        let attributes: [(&'static str, &Allowed, &[String]); 5] = [
            ("common_name", &self.common_name, &names.common_names),
            ("dns_names", &self.dns_names, &names.dns_names),
            ("emails", &self.emails, &names.emails),
            ("organizations", &self.organizations, &names.organizations),
            ("uris", &self.uris, &names.uris),
        ];
        attributes.into_iter().find(|(_, allowed, found)| !allowed.allows(found))
    }
}

/// As a person reads it: `a certificate under "corp" with common_name any, uris "spiffe://example.com/build"`. What it must not have is not
/// said.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = [
            ("common_name", &self.common_name),
            ("dns_names", &self.dns_names),
            ("emails", &self.emails),
            ("organizations", &self.organizations),
            ("uris", &self.uris),
        ];
        write!(f, "a certificate under {}", self.authorities)?;
        let stated = attributes.into_iter().filter(|(_, allowed)| **allowed != Allowed::Exactly(BTreeSet::new()));
        for (at, (attribute, allowed)) in stated.enumerate() {
            write!(f, "{} {attribute} {allowed}", if at == 0 { " with" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Any => f.write_str("any"),
            Allowed::Exactly(values) => {
                let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
                f.write_str(&quoted.join(" and "))
            }
        }
    }
}

impl Allowed {
    /// `"*"` and `""` are words and not values, where they stand alone; among others nobody knows which is meant.
    fn read(values: Vec<String>, fields: &Fields<'_>, field: &'static str) -> Result<Self, LayoutError> {
        match values.as_slice() {
            [one] if one == "*" => Ok(Allowed::Any),
            [one] if one.is_empty() => Ok(Allowed::Exactly(BTreeSet::new())),
            several if several.iter().any(|value| value.is_empty() || value == "*") => {
                Err(fields.wrong(field, "a list in which \"*\" or \"\" stands alone"))
            }
            _ => Ok(Allowed::Exactly(values.into_iter().collect())),
        }
    }

    fn to_texts(&self) -> Vec<String> {
        match self {
            Allowed::Any => vec!["*".to_owned()],
            Allowed::Exactly(values) => values.iter().cloned().collect(),
        }
    }

    /// Equal, as sets; a value that a certificate has twice is equal to nothing.
    pub fn allows(&self, found: &[String]) -> bool {
        match self {
            Allowed::Any => true,
            Allowed::Exactly(values) => values.len() == found.len() && values.iter().all(|value| found.contains(value)),
        }
    }
}

#[cfg(test)]
mod tests;
