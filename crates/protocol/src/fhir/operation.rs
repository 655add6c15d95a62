//! Operations that a route lists: what is put into one, and what comes out. HL7 FHIR 4.0.1, operations.html.
//!
//! What an operation does is the server's to say. So what goes in is named by the route, parameter by parameter, and what
//! comes out leaves resource by resource, as each is decided on; nothing else of an answer does.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use super::base::BaseUrls;
use super::bundle;
use super::content::{self, UnsupportedMediaType};
use super::name::{ResourceId, ResourceType};
use super::reference::{Reference, Target};
use super::refusal::Refusal;
use super::resource::{BadAnswer, MAX_DEPTH, Resource};
use super::search::{SearchError, ShownName};
use super::version::FhirVersion;
use super::view::View;
use crate::form::Form;
use crate::json::{self, Node, Object};

/// A call of an operation, listed or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OperationCall {
    /// Its name, without `$`.
    pub name: String,
    /// On what.
    pub on: OperationOn,
}

/// What an operation is called on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OperationOn {
    /// The system.
    System,
    /// A type.
    Type(ResourceType),
    /// A record.
    Record(Reference),
}

impl OperationCall {
    /// A call, if the path is one of an operation: everything before its name is plain.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        let (last, before) = segments.split_last()?;
        let name = last.strip_prefix('$').filter(|name| is_name(name))?.to_owned();
        let on = match *before {
            [] => OperationOn::System,
            [resource_type] => OperationOn::Type(resource_type.parse().ok()?),
            [resource_type, id] => OperationOn::Record(Reference {
                resource_type: resource_type.parse().ok()?,
                id: id.parse().ok()?,
            }),
            _ => return None,
        };
        Some(Self { name, on })
    }
}

/// Whether a text can be the name of an operation. operationdefinition.html: `code`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

impl fmt::Display for OperationCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.on {
            OperationOn::System => write!(f, "${}", self.name),
            OperationOn::Type(resource_type) => write!(f, "{resource_type}/${}", self.name),
            OperationOn::Record(record) => write!(f, "{record}/${}", self.name),
        }
    }
}

/// What is put into an operation.
pub struct Input {
    /// The query, written anew.
    pub query: Form,
    /// The body, each name once.
    pub body: Option<String>,
    /// The records of this service that it names.
    pub names: BTreeSet<Reference>,
    /// The resources that it holds, each with its type.
    pub resources: Vec<(ResourceType, Node<'static>)>,
}

impl Input {
    /// Reads what is put into an operation that takes these parameters.
    ///
    /// # Errors
    /// [`Refusal`]: also for a parameter that is not listed, by its name.
    pub fn parse(
        query: &str,
        body: Option<(&[u8], Option<&str>)>,
        known: &[String],
        bases: &BaseUrls,
    ) -> Result<Self, Refusal> {
        let mut input =
            Self { query: Form::default(), body: None, names: BTreeSet::new(), resources: Vec::new() };
        let is_known = |name: &str| match known.iter().any(|one| one == name) {
            true => Ok(()),
            false => Err(Refusal::from(SearchError::Parameter(ShownName::of(name)))),
        };
        for (name, value) in Form::parse_repeating(query)?.iter().filter(|(name, _)| *name != "_format") {
            is_known(name)?;
            input.take(name, value, bases)?;
            input.query.push(name, value);
        }
        let Some((body, content_type)) = body else { return Ok(input) };
        content::is_fhir_json(content_type, bases.version)?;
        let malformed = || Refusal::from(UnsupportedMediaType);
        let text = json::check(body, MAX_DEPTH).map_err(|_| malformed())?;
        let value = json::parse(body, MAX_DEPTH).map_err(|_| malformed())?;
        let is_parameters = value.get("resourceType").and_then(Node::as_str) == Some("Parameters");
        let parameters = value.get("parameter").map_or(Some([].as_slice()), Node::as_array);
        let Some(parameters) = parameters.filter(|_| is_parameters) else { return Err(malformed()) };
        for parameter in parameters {
            let name = parameter.get("name").and_then(Node::as_str).ok_or_else(malformed)?;
            is_known(name)?;
            input.look(name, parameter, bases)?;
        }
        input.body = Some(text.to_owned());
        Ok(input)
    }

    /// Looks for records that are named, and for resources, wherever they stand.
    fn look(&mut self, name: &str, value: &Node<'_>, bases: &BaseUrls) -> Result<(), Refusal> {
        match value {
            Node::Object(members) => {
                let own = members.get("name").and_then(Node::as_str);
                let name = own.unwrap_or(name);
                members.iter().try_for_each(|(member, value)| match value {
                    // What a part is called is no value, and says what its values are.
                    Node::Text(_) if member == "name" => Ok(()),
                    Node::Object(_) if member == "resource" => {
                        let of = || value.get("resourceType")?.as_str()?.parse().ok();
                        let resource_type = of().ok_or_else(|| Refusal::from(UnsupportedMediaType))?;
                        self.resources.push((resource_type, value.clone().into_owned()));
                        Ok(())
                    }
                    // Whom an identifier names cannot be told.
                    Node::Object(_) if matches!(member, "identifier" | "valueIdentifier") => {
                        Err(Refusal::Unproven)
                    }
                    Node::Text(text) if member == "reference" => match Target::of(text.trim(), bases) {
                        Target::Record(record) => {
                            self.names.insert(record);
                            Ok(())
                        }
                        Target::Contained(_) | Target::Unproven => Err(Refusal::Unproven),
                    },
                    // Beside a reference it is for people to read.
                    Node::Text(_) if member == "display" && members.get("reference").is_some() => Ok(()),
                    // The value of a parameter or part itself.
                    Node::Text(text) if own.is_some() && member.starts_with("value") => {
                        self.take(name, text, bases)
                    }
                    // It may be taken for an id, and which one it would be is not kept.
                    Node::Number if own.is_some() && called_after(bases.version, name).is_some() => {
                        Err(Refusal::Unproven)
                    }
                    _ => self.look(name, value, bases),
                })
            }
            Node::Array(items) => items.iter().try_for_each(|item| self.look(name, item, bases)),
            Node::Text(text) => text.split(',').try_for_each(|one| {
                self.names.extend(named(name, one, bases)?);
                Ok(())
            }),
            Node::Null | Node::Bool(_) | Node::Number => Ok(()),
        }
    }

    /// Notes the records that the value of a parameter names, one by itself or several between commas. Of a parameter that is
    /// called after a type each has to be one: an identifier, or whatever else a server finds a record by, proves nothing.
    fn take(&mut self, name: &str, value: &str, bases: &BaseUrls) -> Result<(), Refusal> {
        for one in value.split(',') {
            match named(name, one, bases)? {
                Some(record) => {
                    self.names.insert(record);
                }
                None if called_after(bases.version, name).is_some() => return Err(Refusal::Unproven),
                None => {}
            }
        }
        Ok(())
    }
}

/// The record that a text names, if it does: by reference, or by id alone where the parameter is called after a type
/// (`patient`, `patientId`, `encounter`), as `subject` is after Patient.
///
/// # Errors
/// [`Refusal::Unproven`] if it names one in a way that proves nothing.
fn named(name: &str, value: &str, bases: &BaseUrls) -> Result<Option<Reference>, Refusal> {
    let value = value.trim();
    if let Target::Record(record) = Target::of(value, bases) {
        return Ok(Some(record));
    }
    if value.split(['/', '?', '#', '|']).any(|step| step.parse::<ResourceType>().is_ok()) {
        return Err(Refusal::Unproven);
    }
    let by_id = called_after(bases.version, name).zip(value.parse::<ResourceId>().ok());
    Ok(by_id.map(|(resource_type, id)| Reference { resource_type, id }))
}

/// The type that a parameter is called after.
fn called_after(version: FhirVersion, name: &str) -> Option<ResourceType> {
    let bare = name.strip_suffix("Id").or_else(|| name.strip_suffix("_id")).unwrap_or(name);
    if bare == "subject" {
        return Some(ResourceType::PATIENT);
    }
    ResourceType::all(version).find(|own| own.as_str().eq_ignore_ascii_case(bare))
}

/// What leaves of an operation's answer.
pub struct Output {
    /// The body, if anything leaves.
    pub body: Option<String>,
    /// How many resources were withheld.
    pub withheld: usize,
}

/// Takes the answer of an operation apart and writes what leaves: of a resource itself, of a searchset each entry, of
/// `Parameters` each resource under the name of its part. An `OperationOutcome` is the server's own words, and stays.
///
/// # Errors
/// [`BadAnswer`]: also for a bundle that is no searchset, or is not all there is.
pub fn release<'a>(
    body: &'a [u8],
    own: &str,
    bases: &BaseUrls,
    mut decide: impl FnMut(&Resource<'a>) -> Option<View<'a>>,
) -> Result<Output, BadAnswer> {
    if body.trim_ascii().is_empty() {
        return Ok(Output { body: None, withheld: 0 });
    }
    let object = Object::parse(body, MAX_DEPTH)?;
    let kind = object.string("resourceType").ok().flatten().ok_or(BadAnswer::NotAResource)?;
    let mut withheld = 0_usize;
    let mut one = |raw: &'a RawValue| -> Option<Cow<'a, RawValue>> {
        let view = Resource::read(raw).and_then(|resource| {
            let name = resource.reference().clone();
            decide(&resource).map(|view| (view, name))
        });
        if view.is_none() {
            withheld = withheld.saturating_add(1);
        }
        view.map(|(view, _)| view.into_raw(raw))
    };
    let body = match &*kind {
        "OperationOutcome" => None,
        "Parameters" => {
            let parts = bundle::list(&object, "parameter")?;
            let parameter = parts.iter().filter_map(|part| Part::of(part, &mut one)).collect();
            write(&Parameters { resource_type: "Parameters", parameter })
        }
        "Bundle" => {
            bundle::is_of_kind(&object, "searchset")?;
            if bundle::next_page(&object, bases)?.is_some() {
                return Err(BadAnswer::NextPage);
            }
            let entries = bundle::list(&object, "entry")?;
            let resources =
                entries.iter().filter_map(|entry| entry.read::<&RawValue>("resource").ok().flatten());
            let entry = resources.filter_map(|raw| Some(Entry { resource: one(raw)? })).collect();
            let link = [Link { relation: "self", url: own }];
            write(&Bundle { resource_type: "Bundle", kind: "searchset", link, entry })
        }
        _ => {
            let text = std::str::from_utf8(body).map_err(|_| BadAnswer::NotAResource)?.trim();
            let raw: &RawValue = serde_json::from_str(text).map_err(|_| BadAnswer::NotAResource)?;
            one(raw).map(|view| view.get().to_owned())
        }
    };
    Ok(Output { body, withheld })
}

// INVARIANT: strings and text that was JSON before are always written.
fn write(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}

#[derive(Serialize)]
struct Parameters<'a> {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameter: Vec<Part<'a>>,
}

#[derive(Serialize)]
struct Part<'a> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    part: Vec<Part<'a>>,
}

impl<'a> Part<'a> {
    /// A part of which something leaves. Its name is one of the operation's definition, and no more than a name.
    fn of(
        part: &Object<'a>,
        one: &mut impl FnMut(&'a RawValue) -> Option<Cow<'a, RawValue>>,
    ) -> Option<Self> {
        let name = part.string("name").ok()??;
        let plain =
            name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let resource = part.read::<&RawValue>("resource").ok().flatten().and_then(&mut *one);
        let parts = bundle::list(part, "part").ok()?;
        let part: Vec<_> = parts.iter().filter_map(|part| Self::of(part, &mut *one)).collect();
        let leaves = plain && (resource.is_some() || !part.is_empty());
        leaves.then(|| Self { name: name.into_owned(), resource, part })
    }
}

#[derive(Serialize)]
struct Bundle<'a> {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    link: [Link<'a>; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entry: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Link<'a> {
    relation: &'static str,
    url: &'a str,
}

#[derive(Serialize)]
struct Entry<'a> {
    resource: Cow<'a, RawValue>,
}

#[cfg(test)]
mod tests;
