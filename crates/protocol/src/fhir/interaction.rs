//! What a request asks for, as a closed type. HL7 FHIR 4.0.1, http.html.
//!
//! The path is read as it came, undecoded: FHIR's own paths need no escapes, so that an escape can only serve to
//! make two readers see two things. What goes upstream is written anew from here.

use std::collections::BTreeSet;

mod place;

use place::{Place, not_offered};
use serde::{Deserialize, Serialize};

use super::content::{self, Wanted};
use super::everything::EverythingQuery;
use super::history::{HistoryOf, HistoryQuery};
use super::name::{ResourceId, ResourceType, VersionId};
use super::refusal::{Refusal, Unsupported};
use super::search::{Narrowed, SearchError, SearchQuery, ShownName};
use super::version::FhirVersion;
use crate::form::Form;
use crate::smart::scope::Permission;

/// A request as far as it matters here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Which FHIR is spoken.
    pub version: FhirVersion,
    /// The method.
    pub method: &'a str,
    /// What follows the base in the path, undecoded: empty, or beginning with a slash.
    pub path: &'a str,
    /// The query, undecoded, without its question mark.
    pub query: &'a str,
    /// The body of a posted search.
    pub form: Option<&'a Form>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `If-Match`.
    pub if_match: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// `If-None-Exist`.
    pub if_none_exist: Option<&'a str>,
}

/// All that can be asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Interaction {
    /// What the service can do.
    Capabilities,
    /// Several of the others in one body.
    Batch,
    /// One record as it is.
    Read {
        /// Its type.
        resource_type: ResourceType,
        /// Its id.
        id: ResourceId,
    },
    /// One record as it was.
    VRead {
        /// Its type.
        resource_type: ResourceType,
        /// Its id.
        id: ResourceId,
        /// Which version.
        version: VersionId,
    },
    /// Content, as it is or as it was.
    Binary {
        /// Its id.
        id: ResourceId,
        /// Which version, if not the present one.
        version: Option<VersionId>,
        /// As what.
        wanted: Wanted,
    },
    /// What became of one record, or of all of a type.
    History {
        /// Whose versions.
        of: HistoryOf,
        /// Which of them.
        query: HistoryQuery,
    },
    /// All that there is of a patient.
    Everything {
        /// Whose.
        patient: ResourceId,
        /// Which part of it.
        query: EverythingQuery,
    },
    /// The records of a type that meet criteria.
    Search {
        /// The criteria.
        query: SearchQuery,
        /// How they are sent.
        method: SearchMethod,
    },
    /// A new record.
    Create {
        /// Its type.
        resource_type: ResourceType,
    },
    /// A record replaced.
    Update {
        /// Its type.
        resource_type: ResourceType,
        /// Its id.
        id: ResourceId,
        /// The version that the client has seen, if it says so.
        if_match: Option<VersionId>,
    },
    /// A write of the record that a search finds.
    Conditional {
        /// The criteria.
        query: SearchQuery,
        /// What is to be done with it.
        write: ConditionalWrite,
    },
    /// A record changed in some places.
    Patch {
        /// Its type.
        resource_type: ResourceType,
        /// Its id.
        id: ResourceId,
        /// The version that the client has seen and that the patch is for.
        if_match: VersionId,
    },
    /// A record removed.
    Delete {
        /// Its type.
        resource_type: ResourceType,
        /// Its id.
        id: ResourceId,
        /// The version that the client has seen, if it says so.
        if_match: Option<VersionId>,
    },
}

/// What is to be done with the one record that a search finds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConditionalWrite {
    /// To create one if there is none. http.html#ccreate.
    Create,
    /// To replace it, if it is in this version where one is named, or create it. http.html#cond-update.
    Update(Option<VersionId>),
    /// To change it in some places. http.html#patch.
    Patch(VersionId),
    /// To remove it. http.html#3.1.0.7.1.
    Delete(Option<VersionId>),
}

/// How a search is sent: upstream as it came, so that a client that keeps its criteria out of URLs has them kept
/// out everywhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMethod {
    /// In the URL.
    Get,
    /// In the body, to `_search`.
    Post,
}

impl Interaction {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Refusal`], by the first cause.
    pub fn parse(request: &Request<'_>) -> Result<Self, Refusal> {
        let place = Place::read(request.path, request.version)?;
        // Of a read it asks for less, and the whole is given; of a write it asks for what is not offered.
        if request.method != "GET" && request.if_none_match.is_some() {
            return Err(Refusal::IfNoneMatch);
        }
        let interaction = match (request.method, place) {
            ("GET", Place::Metadata) => Self::Capabilities,
            ("POST", Place::Root) => {
                content::is_fhir_json(request.content_type, request.version)?;
                Self::Batch
            }
            ("GET", Place::Instance(ResourceType::BINARY, id)) => return Self::binary(request, id, None),
            ("GET", Place::Version(ResourceType::BINARY, id, version)) => {
                return Self::binary(request, id, Some(version));
            }
            ("GET", Place::Instance(resource_type, id)) => Self::Read { resource_type, id },
            ("GET", Place::Version(resource_type, id, version)) => Self::VRead { resource_type, id, version },
            ("GET", Place::History(of)) => {
                let query = Form::parse_repeating(request.query)?;
                negotiate(request, &[&query])?;
                return Ok(Self::History { of, query: HistoryQuery::parse(&query)? });
            }
            ("GET", Place::Everything(patient)) => {
                let query = Form::parse_repeating(request.query)?;
                negotiate(request, &[&query])?;
                return Ok(Self::Everything {
                    patient,
                    query: EverythingQuery::parse(request.version, &query)?,
                });
            }
            ("GET", Place::Type(resource_type)) => {
                return Self::search(resource_type, None, request, SearchMethod::Get);
            }
            ("POST", Place::Search(resource_type)) => {
                content::is_form(request.content_type, request.version)?;
                return Self::search(resource_type, None, request, SearchMethod::Post);
            }
            ("GET", Place::Compartment(patient, resource_type)) => {
                return Self::search(resource_type, Some(patient), request, SearchMethod::Get);
            }
            ("POST", Place::CompartmentSearch(patient, resource_type)) => {
                content::is_form(request.content_type, request.version)?;
                return Self::search(resource_type, Some(patient), request, SearchMethod::Post);
            }
            ("POST", Place::Type(resource_type)) => {
                content::is_fhir_json(request.content_type, request.version)?;
                match request.if_none_exist {
                    None => Self::Create { resource_type },
                    Some(criteria) => {
                        let query = condition(request.version, resource_type, criteria)?;
                        Self::Conditional { query, write: ConditionalWrite::Create }
                    }
                }
            }
            ("PUT", Place::Instance(resource_type, id)) => {
                content::is_fhir_json(request.content_type, request.version)?;
                Self::Update { resource_type, id, if_match: seen_version(request)? }
            }
            ("PATCH", Place::Instance(resource_type, id)) => {
                Self::Patch { resource_type, id, if_match: patched_version(request)? }
            }
            ("PUT" | "PATCH" | "DELETE", Place::Type(resource_type)) => {
                return Self::conditional(resource_type, request);
            }
            ("DELETE", Place::Instance(resource_type, id)) => {
                Self::Delete { resource_type, id, if_match: seen_version(request)? }
            }
            (method, place) => return Err(not_offered(method, &place)),
        };
        let query = Form::parse_repeating(request.query)?;
        negotiate(request, &[&query])?;
        nothing_but_format(&query)?;
        Ok(interaction)
    }

    /// A read of content, which alone is negotiated otherwise. binary.html#rest.
    fn binary(request: &Request<'_>, id: ResourceId, version: Option<VersionId>) -> Result<Self, Refusal> {
        let query = Form::parse_repeating(request.query)?;
        let wanted = content::wanted_of_binary(request.accept, format(&[&query])?, request.version)?;
        nothing_but_format(&query)?;
        Ok(Self::Binary { id, version, wanted })
    }

    /// The type of what it writes, if it is a write.
    #[must_use]
    pub fn written_type(&self) -> Option<ResourceType> {
        match self {
            Self::Create { resource_type }
            | Self::Update { resource_type, .. }
            | Self::Patch { resource_type, .. }
            | Self::Delete { resource_type, .. } => Some(*resource_type),
            Self::Conditional { query, .. } => Some(query.resource_type()),
            Self::Capabilities
            | Self::Batch
            | Self::Read { .. }
            | Self::VRead { .. }
            | Self::History { .. }
            | Self::Everything { .. }
            | Self::Search { .. }
            | Self::Binary { .. } => None,
        }
    }

    /// A write by criteria, which stand in the URL.
    fn conditional(resource_type: ResourceType, request: &Request<'_>) -> Result<Self, Refusal> {
        let write = match request.method {
            "PUT" => {
                content::is_fhir_json(request.content_type, request.version)?;
                ConditionalWrite::Update(seen_version(request)?)
            }
            "PATCH" => ConditionalWrite::Patch(patched_version(request)?),
            _ => ConditionalWrite::Delete(seen_version(request)?),
        };
        negotiate(request, &[&Form::parse_repeating(request.query)?])?;
        Ok(Self::Conditional { query: condition(request.version, resource_type, request.query)?, write })
    }

    /// A search; one within a patient's compartment is a search for what is that patient's.
    fn search(
        resource_type: ResourceType,
        compartment: Option<ResourceId>,
        request: &Request<'_>,
        method: SearchMethod,
    ) -> Result<Self, Refusal> {
        let url = Form::parse_repeating(request.query)?;
        let nothing = Form::default();
        let body = match method {
            SearchMethod::Get => &nothing,
            SearchMethod::Post => request.form.unwrap_or(&nothing),
        };
        negotiate(request, &[&url, body])?;
        let query = SearchQuery::parse(request.version, resource_type, &url, body)?;
        let query = match compartment {
            None => query,
            Some(patient) => match query.narrowed_to_patients(&BTreeSet::from([patient])) {
                Narrowed::Within(query) => query,
                Narrowed::Open(_) => return Err(Unsupported::Compartment.into()),
            },
        };
        Ok(Self::Search { query, method })
    }

    /// The permission that a scope has to give; none is needed to ask what the service can do.
    #[must_use]
    pub fn permission(&self) -> Option<Permission> {
        match self {
            Self::Capabilities | Self::Batch => None,
            Self::Read { .. } | Self::VRead { .. } | Self::Binary { .. } => Some(Permission::Read),
            Self::Everything { .. } | Self::History { of: HistoryOf::Record(_), .. } => {
                Some(Permission::Read)
            }
            Self::Search { .. } | Self::History { of: HistoryOf::Type(_), .. } => Some(Permission::Search),
            Self::Create { .. } | Self::Conditional { write: ConditionalWrite::Create, .. } => {
                Some(Permission::Create)
            }
            Self::Conditional { write: ConditionalWrite::Delete(_), .. } => Some(Permission::Delete),
            Self::Conditional { .. } => Some(Permission::Update),
            Self::Update { .. } | Self::Patch { .. } => Some(Permission::Update),
            Self::Delete { .. } => Some(Permission::Delete),
        }
    }

    /// Whether it changes a record.
    #[must_use]
    pub fn writes(&self) -> bool {
        match self {
            Self::Capabilities
            | Self::Batch
            | Self::Read { .. }
            | Self::VRead { .. }
            | Self::Binary { .. }
            | Self::History { .. }
            | Self::Everything { .. }
            | Self::Search { .. } => false,
            Self::Create { .. }
            | Self::Update { .. }
            | Self::Conditional { .. }
            | Self::Patch { .. }
            | Self::Delete { .. } => true,
        }
    }

    /// The type that is asked for.
    #[must_use]
    pub fn resource_type(&self) -> Option<ResourceType> {
        match self {
            Self::Capabilities | Self::Batch => None,
            Self::Read { resource_type, .. }
            | Self::VRead { resource_type, .. }
            | Self::Create { resource_type }
            | Self::Update { resource_type, .. }
            | Self::Patch { resource_type, .. }
            | Self::Delete { resource_type, .. } => Some(*resource_type),
            Self::Search { query, .. } | Self::Conditional { query, .. } => Some(query.resource_type()),
            Self::History { of, .. } => Some(of.resource_type()),
            Self::Binary { .. } => Some(ResourceType::BINARY),
            Self::Everything { .. } => Some(ResourceType::PATIENT),
        }
    }

    /// The method of the request that goes upstream.
    #[must_use]
    pub fn upstream_method(&self) -> &'static str {
        match self {
            Self::Capabilities
            | Self::Read { .. }
            | Self::VRead { .. }
            | Self::Binary { .. }
            | Self::History { .. }
            | Self::Everything { .. } => "GET",
            Self::Search { method: SearchMethod::Get, .. } => "GET",
            Self::Search { method: SearchMethod::Post, .. } | Self::Create { .. } | Self::Batch => "POST",
            // It is a search before it is a write.
            Self::Conditional { .. } => "GET",
            // A patch is applied here.
            Self::Update { .. } | Self::Patch { .. } => "PUT",
            Self::Delete { .. } => "DELETE",
        }
    }

    /// What follows the upstream's base in the URL of the request.
    #[must_use]
    pub fn upstream_path_and_query(&self) -> String {
        match self {
            Self::Capabilities => "/metadata".to_owned(),
            Self::Batch => "/".to_owned(),
            Self::Read { resource_type, id }
            | Self::Update { resource_type, id, .. }
            | Self::Patch { resource_type, id, .. }
            | Self::Delete { resource_type, id, .. } => format!("/{resource_type}/{id}"),
            Self::VRead { resource_type, id, version } => format!("/{resource_type}/{id}/_history/{version}"),
            Self::Binary { id, version: None, .. } => format!("/Binary/{id}"),
            Self::Binary { id, version: Some(version), .. } => format!("/Binary/{id}/_history/{version}"),
            Self::Create { resource_type } => format!("/{resource_type}"),
            Self::Search { query, method: SearchMethod::Post } => {
                format!("/{}/_search", query.resource_type())
            }
            Self::Search { query, method: SearchMethod::Get } | Self::Conditional { query, .. } => {
                query.path_and_query()
            }
            Self::History { of, query } => query.to_form().behind(&format!("/{of}/_history")),
            Self::Everything { patient, query } => {
                query.to_form().behind(&format!("/Patient/{patient}/$everything"))
            }
        }
    }

    /// The body of a search that is posted upstream.
    #[must_use]
    pub fn upstream_form(&self) -> Option<String> {
        match self {
            Self::Search { query, method: SearchMethod::Post } => Some(query.to_form().encode()),
            _ => None,
        }
    }
}

fn negotiate(request: &Request<'_>, forms: &[&Form]) -> Result<(), Refusal> {
    content::acceptable(request.accept, format(forms)?, request.version)?;
    Ok(())
}

fn format<'f>(forms: &[&'f Form]) -> Result<Option<&'f str>, Refusal> {
    let mut formats = forms.iter().flat_map(|form| form.iter()).filter(|(name, _)| *name == "_format");
    let format = formats.next().map(|(_, value)| value);
    match formats.next() {
        Some(_) => Err(SearchError::Repeated(ShownName::of("_format")).into()),
        None => Ok(format),
    }
}

fn nothing_but_format(query: &Form) -> Result<(), Refusal> {
    match query.iter().find(|(name, _)| *name != "_format") {
        Some((name, _)) => Err(SearchError::Parameter(ShownName::of(name)).into()),
        None => Ok(()),
    }
}

/// The criteria of a conditional write.
fn condition(
    version: FhirVersion,
    resource_type: ResourceType,
    criteria: &str,
) -> Result<SearchQuery, Refusal> {
    let criteria = Form::parse_repeating(criteria)?;
    let query = SearchQuery::parse(version, resource_type, &criteria, &Form::default())?;
    if query.is_condition() { Ok(query) } else { Err(Refusal::Condition) }
}

/// The version that a patch is for.
fn patched_version(request: &Request<'_>) -> Result<VersionId, Refusal> {
    if content::may_be_parameters(request.content_type, request.version) {
        return Err(Unsupported::FhirPathPatch.into());
    }
    content::is_json_patch(request.content_type, request.version)?;
    seen_version(request)?.ok_or(Refusal::IfMatchMissing)
}

fn seen_version(request: &Request<'_>) -> Result<Option<VersionId>, Refusal> {
    request.if_match.map(VersionId::from_entity_tag).transpose().map_err(|_| Refusal::IfMatch)
}

#[cfg(test)]
mod tests;
