//! What became of a record, or of all of a type, version by version. HL7 FHIR 4.0.1, http.html#history and
//! bundle.html#history.
//!
//! Each version is decided on by what stood in it. A deletion has nothing in it: it leaves only with the version that
//! was deleted.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::base::BaseUrls;
use super::bundle::{self, Gathered, Links, NextPage, Progress, Released, Wanted};
use super::name::{ResourceType, VersionId};
use super::paging::at_least;
use super::reference::{NotLocal, Reference, Target};
use super::resource::{BadAnswer, MAX_DEPTH, Resource};
use super::search::{SearchError, ShownName, is_date, read_count, read_date};
use super::searchset::Disposition;
use crate::form::Form;
use crate::json::Object;

mod going;
mod walk;

use going::Going;
pub use walk::Walk;

/// Which versions are asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HistoryQuery {
    count: Option<u16>,
    since: Option<String>,
    at: Option<String>,
}

impl HistoryQuery {
    /// Reads the query. `_format` is somebody else's.
    ///
    /// # Errors
    /// [`SearchError`], by the first parameter that is refused.
    pub fn parse(query: &Form) -> Result<Self, SearchError> {
        let mut asked = Self::default();
        for (name, value) in query.iter() {
            match name {
                "_format" => {}
                "_count" => asked.count = Some(read_count(asked.count, value)?),
                "_since" => asked.since = Some(read_date(asked.since.as_ref(), name, value)?),
                "_at" => asked.at = Some(read_date(asked.at.as_ref(), name, value)?),
                _ => return Err(SearchError::Parameter(ShownName::of(name))),
            }
        }
        Ok(asked)
    }

    /// So many of the newest.
    #[must_use]
    pub fn newest(count: u16) -> Self {
        Self { count: Some(count), ..Self::default() }
    }

    /// How many records a page may have, if that is asked for.
    #[must_use]
    pub fn count(&self) -> Option<u16> {
        self.count
    }

    /// The same by pages of our own size, of which those that were asked for are cut.
    #[must_use]
    pub fn by_whole_pages(self) -> Self {
        Self { count: Some(at_least(self.count)), ..self }
    }

    /// The parameter by which it asks when something was done, if it does.
    #[must_use]
    pub fn asks_when(&self) -> Option<ShownName> {
        let named = [("_since", &self.since), ("_at", &self.at)];
        named.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| ShownName::of(name))
    }

    /// The query written anew.
    #[must_use]
    pub fn to_form(&self) -> Form {
        let mut form = Form::default();
        let count = self.count.map(|count| count.to_string());
        for (name, value) in [("_count", &count), ("_since", &self.since), ("_at", &self.at)] {
            if let Some(value) = value {
                form.push(name, value);
            }
        }
        form
    }
}

/// Whose versions are asked for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HistoryOf {
    /// One record's.
    Record(Reference),
    /// Those of all records of a type.
    Type(ResourceType),
}

impl HistoryOf {
    /// The type.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        match self {
            Self::Record(record) => record.resource_type,
            Self::Type(resource_type) => *resource_type,
        }
    }

    /// Whether these are versions of this record.
    fn covers(&self, record: &Reference) -> bool {
        match self {
            Self::Record(own) => own == record,
            Self::Type(resource_type) => *resource_type == record.resource_type,
        }
    }
}

/// `Patient/a` or `Patient`.
impl fmt::Display for HistoryOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(record) => record.fmt(f),
            Self::Type(resource_type) => resource_type.fmt(f),
        }
    }
}

impl FromStr for HistoryOf {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        match text.contains('/') {
            true => text.parse().map(Self::Record),
            false => text.parse().map(Self::Type).map_err(|_| NotLocal),
        }
    }
}

impl TryFrom<String> for HistoryOf {
    type Error = NotLocal;

    fn try_from(text: String) -> Result<Self, NotLocal> {
        text.parse()
    }
}

impl From<HistoryOf> for String {
    fn from(of: HistoryOf) -> Self {
        of.to_string()
    }
}

/// One page of an upstream's answer, the newest version first, not decided on yet.
pub struct History<'a> {
    versions: Vec<Version<'a>>,
    dropped: usize,
    next: Option<NextPage>,
}

/// One version.
enum Version<'a> {
    /// What was stored, and by what.
    Stored(Box<Resource<'a>>, Method, &'a RawValue),
    /// That it was deleted.
    Deleted(Reference, Option<String>),
}

/// http.html#history: what made a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

impl<'a> History<'a> {
    /// Takes an answer apart. Entries that tell of other records than those asked for are dropped.
    ///
    /// # Errors
    /// [`BadAnswer`] if it is no history, or if its next page lies elsewhere.
    pub fn parse(body: &'a [u8], asked: &HistoryOf, bases: &BaseUrls) -> Result<Self, BadAnswer> {
        let bundle = Object::parse(body, MAX_DEPTH)?;
        bundle::is_of_kind(&bundle, "history")?;
        let entries = bundle::list(&bundle, "entry")?;
        let all = entries.len();
        let versions: Vec<_> = entries
            .iter()
            .filter_map(|entry| Version::read(entry, bases))
            .filter(|v| asked.covers(v.record()))
            .collect();
        let next = bundle::next_page(&bundle, bases)?;
        Ok(Self { dropped: all.saturating_sub(versions.len()), versions, next })
    }

    /// The page after this one.
    #[must_use]
    pub fn next(&self) -> Option<&NextPage> {
        self.next.as_ref()
    }

    /// The newest version in which something was stored.
    #[must_use]
    pub fn newest(&self) -> Option<&Resource<'a>> {
        self.versions.iter().find_map(|version| match version {
            Version::Stored(resource, ..) => Some(&**resource),
            Version::Deleted(..) => None,
        })
    }

    /// The same of its newest versions alone, so many.
    #[must_use]
    pub fn first(mut self, most: usize) -> Self {
        self.versions.truncate(most);
        self
    }

    /// The records of which it tells.
    #[must_use]
    pub fn records(&self) -> BTreeSet<Reference> {
        self.versions.iter().map(|version| version.record().clone()).collect()
    }

    /// How many versions there are.
    #[must_use]
    pub fn found(&self) -> usize {
        self.versions.len()
    }

    /// Decides on each version and writes the bundle that leaves. There is no total: it would count what is withheld.
    pub fn release<N>(
        self,
        links: Links<'_>,
        bases: &BaseUrls,
        decide: impl FnMut(&Resource<'a>) -> Disposition<'a, N>,
    ) -> Released<N> {
        let mut gathered = Gathered::history();
        let _ = self.gather(&mut gathered, Wanted::ALL, bases, decide);
        gathered.into_bundle(links)
    }

    /// Decides on each version and writes those that leave and are wanted.
    pub fn gather<N>(
        self,
        gathered: &mut Gathered<N>,
        wanted: Wanted,
        bases: &BaseUrls,
        mut decide: impl FnMut(&Resource<'a>) -> Disposition<'a, N>,
    ) -> Progress {
        gathered.begin_page(None);
        gathered.dropped = gathered.dropped.saturating_add(self.dropped);
        let mut going = Going::begin(wanted);
        for version in self.versions {
            if going.is_over() {
                break;
            }
            going.version(&version, gathered, bases, &mut decide);
        }
        going.end(gathered);
        going.progress()
    }
}

impl<'a> Version<'a> {
    fn read(entry: &Object<'a>, bases: &BaseUrls) -> Option<Self> {
        let request: Object<'a> = entry.read("request").ok()??;
        let method = Method::read(&request.string("method").ok()??)?;
        match (method, entry.read::<&'a RawValue>("resource").ok()?) {
            (Method::Delete, None) => {
                let record = deleted(entry, &request, bases)?;
                let response: Option<Object<'a>> = entry.read("response").ok()?;
                let when = response.and_then(|response| response.string("lastModified").ok()?);
                Some(Self::Deleted(record, when.filter(|when| is_date(when)).map(String::from)))
            }
            // What was deleted last is none of this entry's business.
            (Method::Delete, Some(_)) | (_, None) => None,
            (method, Some(raw)) => Some(Self::Stored(Box::new(Resource::read(raw)?), method, raw)),
        }
    }

    fn record(&self) -> &Reference {
        match self {
            Self::Stored(resource, ..) => resource.reference(),
            Self::Deleted(record, _) => record,
        }
    }

    /// The entry that leaves, all of it written anew but the text of the record.
    fn entry<'v>(&'v self, resource: Option<Cow<'a, RawValue>>, bases: &BaseUrls) -> Entry<'v>
    where
        'a: 'v,
    {
        let record = self.record();
        let (method, version, when) = match self {
            Self::Stored(resource, method, _) => (*method, resource.version(), None),
            Self::Deleted(_, when) => (Method::Delete, None, when.as_deref()),
        };
        let url = match method {
            Method::Post => record.resource_type.to_string(),
            Method::Put | Method::Patch | Method::Delete => record.to_string(),
        };
        let etag = version.as_ref().map(VersionId::entity_tag);
        let response = Response { status: method.status(), etag, last_modified: when };
        Entry {
            full_url: format!("{}/{record}", bases.public),
            resource,
            request: Request { method, url },
            response,
        }
    }
}

/// Which record a deletion ended. Servers say it as they please: by a relative address or a whole one, some with the version
/// that the deletion is, or by a condition, and then in `fullUrl` alone.
fn deleted(entry: &Object<'_>, request: &Object<'_>, bases: &BaseUrls) -> Option<Reference> {
    let record = |text: Option<Cow<'_, str>>| match Target::of(&text?, bases) {
        Target::Record(record) => Some(record),
        Target::Contained(_) | Target::Unproven => None,
    };
    record(request.string("url").ok()?).or_else(|| record(entry.string("fullUrl").ok()?))
}

impl Method {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => return None,
        })
    }

    fn status(self) -> &'static str {
        match self {
            Self::Post => "201",
            Self::Put | Self::Patch => "200",
            Self::Delete => "204",
        }
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "fullUrl")]
    full_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Cow<'a, RawValue>>,
    request: Request,
    response: Response<'a>,
}

#[derive(Serialize)]
struct Request {
    method: Method,
    url: String,
}

#[derive(Serialize)]
struct Response<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(rename = "lastModified", skip_serializing_if = "Option::is_none")]
    last_modified: Option<&'a str>,
}

#[cfg(test)]
mod tests;
