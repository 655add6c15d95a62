//! The sample FHIR server's search: the common parameters, by the elements that hold them. HL7 FHIR 4.0.1, search.html.

use std::cmp::Ordering;

use serde_json::Value;

use super::include::Includes;
use super::stored::{Records, Version};

/// A search that was understood.
pub(super) struct Search {
    filters: Vec<(&'static Parameter, Vec<String>)>,
    sort: Vec<(&'static Parameter, Direction)>,
    chains: Vec<Chain>,
    pub(super) includes: Includes,
    pub(super) count: usize,
    pub(super) offset: usize,
}

/// How many dots and colons a chain has at most: each step is a level of the stack.
const LONGEST: usize = 16;

/// Criteria on the records that one refers to, or that refer to it.
enum Chain {
    Forward { parameter: String, target: String, inner: Search },
    Reverse { source: String, parameter: String, inner: Search },
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

struct Parameter {
    name: &'static str,
    kind: Kind,
    elements: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Kind {
    Token,
    Text,
    Date,
    Reference,
}

static PARAMETERS: [Parameter; 40] = [
    parameter("_id", Kind::Token, &["id"]),
    parameter("_lastUpdated", Kind::Date, &["meta.lastUpdated"]),
    parameter("patient", Kind::Reference, &["patient", "subject", "beneficiary", "participant.actor"]),
    parameter("subject", Kind::Reference, &["subject", "patient"]),
    parameter("beneficiary", Kind::Reference, &["beneficiary"]),
    parameter("encounter", Kind::Reference, &["encounter", "context"]),
    parameter("practitioner", Kind::Reference, &["practitioner"]),
    parameter("organization", Kind::Reference, &["organization", "managingOrganization"]),
    parameter("performer", Kind::Reference, &["performer", "performer.actor"]),
    parameter("requester", Kind::Reference, &["requester"]),
    parameter("recorder", Kind::Reference, &["recorder"]),
    parameter("author", Kind::Reference, &["author"]),
    parameter("general-practitioner", Kind::Reference, &["generalPractitioner"]),
    parameter(
        "participant",
        Kind::Reference,
        &["participant.individual", "participant.member", "participant.actor"],
    ),
    parameter("service-provider", Kind::Reference, &["serviceProvider"]),
    parameter("location", Kind::Reference, &["location.location", "location", "content.attachment.url"]),
    parameter("has-member", Kind::Reference, &["hasMember"]),
    parameter("result", Kind::Reference, &["result"]),
    parameter("target", Kind::Reference, &["target"]),
    parameter("member", Kind::Reference, &["member.entity"]),
    parameter("actor", Kind::Reference, &["participant.actor", "actor"]),
    parameter("code", Kind::Token, &["code", "medicationCodeableConcept", "vaccineCode"]),
    parameter("vaccine-code", Kind::Token, &["vaccineCode"]),
    parameter("category", Kind::Token, &["category"]),
    parameter("status", Kind::Token, &["status"]),
    parameter("clinical-status", Kind::Token, &["clinicalStatus"]),
    parameter("verification-status", Kind::Token, &["verificationStatus"]),
    parameter("intent", Kind::Token, &["intent"]),
    parameter("class", Kind::Token, &["class"]),
    parameter("type", Kind::Token, &["type"]),
    parameter("identifier", Kind::Token, &["identifier"]),
    parameter("gender", Kind::Token, &["gender"]),
    parameter("birthdate", Kind::Date, &["birthDate"]),
    parameter(
        "date",
        Kind::Date,
        &[
            "effectiveDateTime",
            "effectivePeriod.start",
            "period.start",
            "period.end",
            "actualPeriod.start",
            "actualPeriod.end",
            "start",
            "occurrenceDateTime",
            "performedDateTime",
            "performedPeriod.start",
            "date",
            "recordedDate",
            "onsetDateTime",
        ],
    ),
    parameter("authoredon", Kind::Date, &["authoredOn"]),
    parameter("recorded-date", Kind::Date, &["recordedDate"]),
    parameter("onset-date", Kind::Date, &["onsetDateTime"]),
    parameter("name", Kind::Text, &["name", "name.family", "name.given", "name.text"]),
    parameter("family", Kind::Text, &["name.family"]),
    parameter("given", Kind::Text, &["name.given"]),
];

const fn parameter(name: &'static str, kind: Kind, elements: &'static [&'static str]) -> Parameter {
    Parameter { name, kind, elements }
}

/// Where the references of a record lead that a parameter finds it by.
pub(super) fn references(record: &Value, name: &str) -> Vec<String> {
    let Some(parameter) = find(name).filter(|parameter| matches!(parameter.kind, Kind::Reference)) else {
        return Vec::new();
    };
    let mut values = Vec::new();
    parameter.elements.iter().for_each(|element| collect(record, element, &mut values));
    let reference = |value: &Value| value.get("reference").and_then(Value::as_str).map(str::to_owned);
    values.into_iter().filter_map(reference).collect()
}

/// What every type can be searched by, with the kinds as FHIR calls them.
pub(super) fn parameters() -> impl Iterator<Item = (&'static str, &'static str)> {
    PARAMETERS.iter().map(|parameter| {
        let kind = match parameter.kind {
            Kind::Token => "token",
            Kind::Text => "string",
            Kind::Date => "date",
            Kind::Reference => "reference",
        };
        (parameter.name, kind)
    })
}

impl Search {
    /// Reads the parameters; one that is not known is an error, never ignored.
    ///
    /// # Errors
    /// The name of the parameter.
    pub(super) fn read<'f>(form: impl Iterator<Item = (&'f str, &'f str)>) -> Result<Self, String> {
        let mut search = Self {
            filters: Vec::new(),
            sort: Vec::new(),
            chains: Vec::new(),
            includes: Includes::default(),
            count: 20,
            offset: 0,
        };
        for (name, value) in form {
            let number = || value.parse().map_err(|_| name.to_owned());
            match name {
                "_count" => search.count = number()?,
                "_offset" => search.offset = number()?,
                "_format" => {}
                "_sort" => {
                    for key in value.split(',') {
                        let (direction, key) =
                            key.strip_prefix('-').map_or((Direction::Up, key), |key| (Direction::Down, key));
                        search.sort.push((find(key).ok_or_else(|| name.to_owned())?, direction));
                    }
                }
                _ if search.includes.read(name, value) => {}
                _ if name.starts_with("_has:") || name.contains('.') => {
                    search.chains.push(Chain::read(name, value).ok_or_else(|| name.to_owned())?);
                }
                _ => {
                    let parameter = find(name).ok_or_else(|| name.to_owned())?;
                    search.filters.push((parameter, value.split(',').map(str::to_owned).collect()));
                }
            }
        }
        Ok(search)
    }

    /// The records that fit, sorted, all pages.
    pub(super) fn run(&self, records: &Records, kind: &str) -> Vec<Version> {
        let all = records.all(kind).into_iter();
        let mut found: Vec<Version> = all
            .filter(|version| version.resource.as_ref().is_some_and(|resource| self.fits(records, resource)))
            .collect();
        found.sort_by(|a, b| {
            for (parameter, direction) in &self.sort {
                let order = parameter.key(a).cmp(&parameter.key(b));
                let order = match direction {
                    Direction::Up => order,
                    Direction::Down => order.reverse(),
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
            Ordering::Equal
        });
        found
    }
}

impl Search {
    fn fits(&self, records: &Records, resource: &Value) -> bool {
        self.filters.iter().all(|(parameter, wanted)| parameter.fits(resource, wanted))
            && self.chains.iter().all(|chain| chain.fits(records, resource))
    }
}

impl Chain {
    fn read(name: &str, value: &str) -> Option<Self> {
        if name.matches(['.', ':']).count() > LONGEST {
            return None;
        }
        if let Some(rest) = name.strip_prefix("_has:") {
            let (source, rest) = rest.split_once(':')?;
            let (parameter, rest) = rest.split_once(':')?;
            let inner = Search::read([(rest, value)].into_iter()).ok()?;
            return Some(Self::Reverse { source: source.to_owned(), parameter: parameter.to_owned(), inner });
        }
        let (step, rest) = name.split_once('.')?;
        let (parameter, target) = step.split_once(':')?;
        let inner = Search::read([(rest, value)].into_iter()).ok()?;
        Some(Self::Forward { parameter: parameter.to_owned(), target: target.to_owned(), inner })
    }

    fn fits(&self, records: &Records, resource: &Value) -> bool {
        match self {
            Self::Forward { parameter, target, inner } => {
                references(resource, parameter).iter().any(|reference| match reference.split_once('/') {
                    Some((kind, id)) if kind == target => {
                        let current = records.versions(kind, id).pop().and_then(|version| version.resource);
                        current.is_some_and(|current| inner.fits(records, &current))
                    }
                    _ => false,
                })
            }
            Self::Reverse { source, parameter, inner } => {
                let own = super::include::name(resource);
                records.all(source).into_iter().filter_map(|version| version.resource).any(|referring| {
                    references(&referring, parameter).iter().any(|reference| Some(reference) == own.as_ref())
                        && inner.fits(records, &referring)
                })
            }
        }
    }
}

fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name)
}

impl Parameter {
    fn fits(&self, resource: &Value, wanted: &[String]) -> bool {
        let mut values = Vec::new();
        for element in self.elements {
            collect(resource, element, &mut values);
        }
        wanted.iter().any(|wanted| values.iter().any(|value| self.kind.fits(value, wanted)))
    }

    fn key(&self, version: &Version) -> String {
        let mut values = Vec::new();
        if let Some(resource) = &version.resource {
            for element in self.elements {
                collect(resource, element, &mut values);
            }
        }
        let texts = values.iter().filter_map(|value| match value {
            Value::String(text) => Some(text.clone()),
            other => other.get("reference").and_then(Value::as_str).map(str::to_owned),
        });
        texts.min().unwrap_or_default()
    }
}

/// Everything at a dotted path, through lists.
fn collect<'v>(value: &'v Value, path: &str, out: &mut Vec<&'v Value>) {
    if let Value::Array(items) = value {
        items.iter().for_each(|item| collect(item, path, out));
        return;
    }
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (value.get(first), rest) {
        (Some(inner), Some(rest)) => collect(inner, rest, out),
        (Some(Value::Array(items)), None) => out.extend(items),
        (Some(inner), None) => out.push(inner),
        (None, _) => {}
    }
}

impl Kind {
    fn fits(self, value: &Value, wanted: &str) -> bool {
        match self {
            Self::Token => token(value, wanted),
            Self::Text => {
                value.as_str().is_some_and(|text| text.to_lowercase().starts_with(&wanted.to_lowercase()))
            }
            Self::Date => value.as_str().is_some_and(|date| fits_date(date, wanted)),
            // Of documents `location` is a uri.
            Self::Reference => {
                value.get("reference").unwrap_or(value).as_str().is_some_and(|reference| {
                    reference == wanted || reference.rsplit('/').next() == Some(wanted)
                })
            }
        }
    }
}

/// `code`, `system|code`, `|code` or `system|`.
fn token(value: &Value, wanted: &str) -> bool {
    if let Some(codings) = value.get("coding").and_then(Value::as_array) {
        return codings.iter().any(|coding| token(coding, wanted));
    }
    let (system, code) = match value {
        Value::String(code) => (None, Some(code.as_str())),
        other => (
            other.get("system").and_then(Value::as_str),
            other.get("code").or_else(|| other.get("value")).and_then(Value::as_str),
        ),
    };
    match wanted.split_once('|') {
        None => code == Some(wanted),
        Some(("", wanted)) => system.is_none() && code == Some(wanted),
        Some((wanted, "")) => system == Some(wanted),
        Some((wanted_system, wanted)) => system == Some(wanted_system) && code == Some(wanted),
    }
}

/// Compares as far as the shorter of the two goes.
fn fits_date(date: &str, wanted: &str) -> bool {
    let (prefix, wanted) = match wanted.split_at_checked(2) {
        Some((prefix @ ("eq" | "ne" | "lt" | "le" | "gt" | "ge"), rest)) => (prefix, rest),
        Some(_) | None => ("eq", wanted),
    };
    let date = date.get(..wanted.len()).unwrap_or(date);
    let order = date.cmp(wanted);
    match prefix {
        "ne" => order != Ordering::Equal,
        "lt" => order == Ordering::Less,
        "le" => order != Ordering::Greater,
        "gt" => order == Ordering::Greater,
        "ge" => order != Ordering::Less,
        _ => order == Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_has_an_end() {
        let read = |name: &str| Search::read([(name, "x")].into_iter()).is_ok();
        assert!(read("subject:Patient.general-practitioner:Practitioner._id"));
        assert!(!read(&format!("{}_id", "subject:Patient.".repeat(100_000))));
    }
}
