//! Bulk export: the kick-off, its job's status and the manifest. HL7 FHIR Bulk Data Access 2.0.0, export.html.
//!
//! What an upstream's manifest says is taken apart and written anew: its addresses stay here, and what cannot be decided on
//! record by record (what was deleted, the text of its errors, how many there are) does not leave.

use serde::{Deserialize, Serialize};

use super::base::BaseUrls;
use super::content::{self, UnsupportedMediaType};
use super::name::{ResourceId, ResourceType};
use super::refusal::{Refusal, Unsupported};
use super::resource::{BadAnswer, MAX_DEPTH};
use super::search::{SearchError, ShownName, read_date};
use super::version::FhirVersion;
use crate::form::Form;
use crate::json::Object;

mod lines;
mod place;

pub use lines::{LineTooLong, Lines, record_in};
pub use place::UpstreamPlace;

/// Of whom an export is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportOf {
    /// All that there is.
    System,
    /// All patients.
    Patients,
    /// The patients of a group.
    Group(ResourceId),
}

/// What is asked about exports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BulkRequest {
    /// To begin one.
    KickOff(ExportOf, ExportQuery),
    /// How far one is.
    Status(String),
    /// To give one up, and what came of it.
    Cancel(String),
    /// One of its files, by number.
    File(String, usize),
}

/// What of them is to be exported.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ExportQuery {
    /// Which types; where none is named, all that the caller may have.
    pub types: Vec<ResourceType>,
    /// Only what was changed since.
    pub since: Option<String>,
}

/// A request as far as it matters here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Which FHIR is spoken.
    pub version: FhirVersion,
    /// The method.
    pub method: &'a str,
    /// What follows the base in the path, undecoded.
    pub path: &'a str,
    /// The query, undecoded.
    pub query: &'a str,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Prefer`, all of them.
    pub prefer: &'a [&'a str],
    /// The body.
    pub body: &'a [u8],
}

impl BulkRequest {
    /// Whether a path is one of exports.
    #[must_use]
    pub fn is_at(path: &str) -> bool {
        Place::of(path).is_some()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`Refusal`], by the first cause.
    pub fn parse(request: &Request<'_>) -> Result<Self, Refusal> {
        let place = Place::of(request.path).ok_or(Unsupported::Operation)?;
        let nothing_asked = || match request.query {
            "" => Ok(()),
            query => {
                let form = Form::parse_repeating(query)?;
                let name = form.iter().next().map_or("", |(name, _)| name);
                Err(Refusal::from(SearchError::Parameter(ShownName::of(name))))
            }
        };
        match (request.method, place) {
            ("GET", Place::KickOff(of)) => {
                is_asynchronous(request)?;
                let query = ExportQuery::parse(request.version, &Form::parse_repeating(request.query)?)?;
                Ok(Self::KickOff(of?, query))
            }
            ("POST", Place::KickOff(of)) => {
                is_asynchronous(request)?;
                content::is_fhir_json(request.content_type, request.version)?;
                nothing_asked()?;
                let form = parameters(request.body).ok_or(UnsupportedMediaType)?;
                Ok(Self::KickOff(of?, ExportQuery::parse(request.version, &form)?))
            }
            (_, Place::KickOff(_)) => Err(Refusal::Method { allow: "GET, POST" }),
            ("GET", Place::Job(id)) => nothing_asked().map(|()| Self::Status(id)),
            ("DELETE", Place::Job(id)) => nothing_asked().map(|()| Self::Cancel(id)),
            (_, Place::Job(_)) => Err(Refusal::Method { allow: "GET, DELETE" }),
            ("GET", Place::File(id, number)) => nothing_asked().map(|()| Self::File(id, number)),
            (_, Place::File(..)) => Err(Refusal::Method { allow: "GET" }),
        }
    }
}

/// export.html#headers: an export is asynchronous, and the client has to say that it knows.
fn is_asynchronous(request: &Request<'_>) -> Result<(), Refusal> {
    content::acceptable(request.accept, None, request.version)?;
    let mut preferences = request.prefer.iter().flat_map(|header| header.split([',', ';']));
    match preferences.any(|one| one.trim().eq_ignore_ascii_case("respond-async")) {
        true => Ok(()),
        false => Err(Refusal::Synchronous),
    }
}

/// Where a path of exports leads.
enum Place {
    KickOff(Result<ExportOf, Refusal>),
    Job(String),
    File(String, usize),
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        let id = |text: &str| {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            (plain && (1..=64).contains(&text.len())).then(|| text.to_owned())
        };
        Some(match *segments.as_slice() {
            ["$export"] => Self::KickOff(Ok(ExportOf::System)),
            ["Patient", "$export"] => Self::KickOff(Ok(ExportOf::Patients)),
            ["Group", group, "$export"] => {
                Self::KickOff(group.parse().map(ExportOf::Group).map_err(Refusal::from))
            }
            ["$export", job] => Self::Job(id(job)?),
            ["$export", job, number] if number.len() < 6 && number.bytes().all(|b| b.is_ascii_digit()) => {
                Self::File(id(job)?, number.parse().ok()?)
            }
            _ => return None,
        })
    }
}

/// The parameters of a kick-off that is posted. export.html#query-parameters.
fn parameters(body: &[u8]) -> Option<Form> {
    let object = Object::parse(body, MAX_DEPTH).ok()?;
    if object.string("resourceType").ok()?.as_deref() != Some("Parameters") {
        return None;
    }
    let mut form = Form::default();
    for parameter in object.read::<Vec<Object<'_>>>("parameter").ok()?.unwrap_or_default() {
        let name = parameter.string("name").ok()??;
        let mut values = ["valueString", "valueInstant", "valueCode", "valueUri"]
            .iter()
            .filter_map(|kind| parameter.string(kind).ok().flatten());
        // One that is of another kind is none of those that are known, and is refused by its name.
        form.push(&name, &values.next().unwrap_or_default());
    }
    Some(form)
}

impl ExportQuery {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`SearchError`], by the first parameter that is refused.
    pub fn parse(version: FhirVersion, query: &Form) -> Result<Self, SearchError> {
        let mut asked = Self::default();
        let mut format = None;
        for (name, value) in query.iter() {
            let shown = || ShownName::of(name);
            match name {
                "_outputFormat" if format.is_none() => {
                    let name = value.split(';').next().unwrap_or_default().trim_end().replace(' ', "+");
                    match name.as_str() {
                        "application/fhir+ndjson" | "application/ndjson" | "ndjson" => format = Some(()),
                        _ => return Err(SearchError::Value(shown())),
                    }
                }
                "_since" => {
                    // It is an instant, with a time and a zone.
                    let since = read_date(asked.since.as_ref(), name, value)?;
                    match since.contains('T') {
                        true => asked.since = Some(since),
                        false => return Err(SearchError::Value(shown())),
                    }
                }
                "_type" => {
                    for text in value.split(',') {
                        let one = ResourceType::of(version, text).map_err(|_| SearchError::Value(shown()))?;
                        if !asked.types.contains(&one) {
                            asked.types.push(one);
                        }
                    }
                }
                "_outputFormat" => return Err(SearchError::Repeated(shown())),
                _ => return Err(SearchError::Parameter(shown())),
            }
        }
        Ok(asked)
    }

    /// The kick-off as it goes upstream, or as the manifest names it. Every type is named, so that no other comes.
    #[must_use]
    pub fn behind(&self, of: &ExportOf) -> String {
        let mut form = Form::default();
        form.push("_outputFormat", "application/fhir+ndjson");
        if let Some(since) = &self.since {
            form.push("_since", since);
        }
        if !self.types.is_empty() {
            let types: Vec<_> = self.types.iter().map(|one| one.as_str()).collect();
            form.push("_type", &types.join(","));
        }
        form.behind(&of.path())
    }
}

impl ExportOf {
    /// Where it is begun.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::System => "/$export".to_owned(),
            Self::Patients => "/Patient/$export".to_owned(),
            Self::Group(id) => format!("/Group/{id}/$export"),
        }
    }
}

/// An export that was begun, as it is kept.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportJob {
    /// Of whom.
    pub of: ExportOf,
    /// What of them; every type is named.
    pub query: ExportQuery,
    /// The URL that the client asked, written anew.
    pub request: String,
    /// Where the upstream tells of it, once it was begun there.
    pub upstream: Option<UpstreamPlace>,
    /// What came of it, once that is known.
    pub manifest: Option<Manifest>,
}

/// What came of an export, by the upstream's word.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// As of when.
    pub transaction_time: String,
    /// The files.
    pub files: Vec<ExportFile>,
    /// How many files of errors there are.
    pub failures: usize,
}

/// A file of records of one type.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportFile {
    /// Their type.
    pub resource_type: ResourceType,
    /// Where it is.
    pub place: UpstreamPlace,
}

/// The most files of one export.
const MOST_FILES: usize = 10_000;

impl Manifest {
    /// Reads what an upstream says when an export is complete.
    ///
    /// # Errors
    /// [`BadAnswer`]: also where a file lies outside of the upstream's base, is of a type that was not asked for, or where
    /// there are more manifests, for to leave one out would lose records without a word.
    pub fn parse(body: &[u8], asked: &[ResourceType], bases: &BaseUrls) -> Result<Self, BadAnswer> {
        let object = Object::parse(body, MAX_DEPTH)?;
        let list = |name| {
            let list: Option<Vec<Object<'_>>> = object.read(name).map_err(|_| BadAnswer::OtherBundle)?;
            Ok::<_, BadAnswer>(list.unwrap_or_default())
        };
        let time = object.string("transactionTime").ok().flatten().ok_or(BadAnswer::OtherBundle)?;
        let transaction_time =
            read_date(None, "transactionTime", &time).map_err(|_| BadAnswer::OtherBundle)?;
        if !list("link")?.is_empty() {
            return Err(BadAnswer::NextPage);
        }
        let output = list("output")?;
        if output.len() > MOST_FILES {
            return Err(BadAnswer::OtherBundle);
        }
        let file = |one: &Object<'_>| {
            let text = |name| one.string(name).ok().flatten();
            let resource_type: ResourceType =
                text("type").and_then(|name| name.parse().ok()).ok_or(BadAnswer::OtherResource)?;
            let place = text("url").and_then(|url| UpstreamPlace::of(&url, bases));
            match asked.contains(&resource_type) {
                true => Ok(ExportFile { resource_type, place: place.ok_or(BadAnswer::NextPage)? }),
                false => Err(BadAnswer::OtherResource),
            }
        };
        let files = output.iter().map(file).collect::<Result<_, _>>()?;
        Ok(Self { transaction_time, files, failures: list("error")?.len() })
    }
}

impl ExportJob {
    /// The manifest as its client gets it: `files` are the numbers of those that it may have, below `address`.
    #[must_use]
    pub fn manifest_for(&self, manifest: &Manifest, address: &str, files: &[usize]) -> String {
        let output = files.iter().filter_map(|number| {
            let file = manifest.files.get(*number)?;
            Some(Output { kind: file.resource_type.as_str(), url: format!("{address}/{number}") })
        });
        // What went wrong is said in our words, in a file that comes behind the others.
        let error = (manifest.failures > 0)
            .then(|| Output { kind: "OperationOutcome", url: format!("{address}/{}", manifest.files.len()) });
        let told = Told {
            transaction_time: &manifest.transaction_time,
            request: &self.request,
            requires_access_token: true,
            output: output.collect(),
            error: error.into_iter().collect(),
        };
        // INVARIANT: strings are always written.
        serde_json::to_string(&told).unwrap_or_default()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    transaction_time: &'a str,
    request: &'a str,
    requires_access_token: bool,
    output: Vec<Output>,
    error: Vec<Output>,
}

#[derive(Serialize)]
struct Output {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

/// How far an export is, where the upstream says it in hundredths. The rest of what it says is its own.
#[must_use]
pub fn percentage(progress: &str) -> Option<u8> {
    let before = progress.split_once('%')?.0.trim_end();
    let digits = before.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let whole: u8 = digits.split('.').next()?.parse().ok()?;
    (whole <= 100).then_some(whole)
}

#[cfg(test)]
mod tests;
