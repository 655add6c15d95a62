//! The answer to a search: taken apart, each record decided on, put together anew. HL7 FHIR 4.0.1, bundle.html and
//! search.html#return.
//!
//! Nothing of the upstream's bundle leaves but the text of the records that are released: its links would lead
//! around the gateway, its total would count what is withheld.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::base::BaseUrls;
use super::name::{ResourceId, ResourceType};
use super::resource::{BadAnswer, MAX_DEPTH, Resource};
use super::view::View;
use crate::json::Object;

/// One page of an upstream's answer, not decided on yet.
pub struct Searchset<'a> {
    asked: ResourceType,
    id: Option<ResourceId>,
    total: Option<u64>,
    matches: Vec<&'a RawValue>,
    dropped: usize,
    next: Option<NextPage>,
}

/// What the upstream calls its next page: what follows its base in the URL.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NextPage(String);

/// The text is no plain path with a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a path without escapes and dot segments, and a query")]
pub struct MalformedPage;

/// What becomes of a record.
#[must_use = "a disposition is carried out"]
pub enum Disposition<'a> {
    /// It may leave, as this view of it.
    Release(View<'a>),
    /// It stays, and nothing says that it was there.
    Withhold,
}

/// Where the page that leaves is, and the one after it.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// The search as the client asked it.
    pub own: &'a str,
    /// The next page, sealed.
    pub next: Option<&'a str>,
}

/// What leaves, and how much of it stayed.
pub struct Released {
    /// The bundle as JSON.
    pub body: String,
    /// How many records are in it.
    pub released: usize,
    /// How many were withheld.
    pub withheld: usize,
    /// How many entries were no records that the search asked for.
    pub dropped: usize,
}

impl Released {
    /// The answer to a search that can find nothing.
    #[must_use]
    pub fn nothing(own: &str) -> Self {
        let link = vec![Link { relation: "self", url: own }];
        let bundle = Bundle {
            resource_type: "Bundle",
            id: None,
            kind: "searchset",
            total: Some(0),
            link,
            entry: Vec::new(),
        };
        let body = serde_json::to_string(&bundle).unwrap_or_default();
        Self { body, released: 0, withheld: 0, dropped: 0 }
    }
}

impl<'a> Searchset<'a> {
    /// Takes an answer apart. Entries that are no matches are dropped: nobody asked for them.
    ///
    /// # Errors
    /// [`BadAnswer`] if it is no searchset, or if its next page lies elsewhere.
    pub fn parse(body: &'a [u8], asked: ResourceType, bases: &BaseUrls) -> Result<Self, BadAnswer> {
        let bundle = Object::parse(body, MAX_DEPTH)?;
        let says = |name, what| matches!(bundle.string(name), Ok(Some(text)) if text == what);
        if !says("resourceType", "Bundle") || !says("type", "searchset") {
            return Err(BadAnswer::NotASearchset);
        }
        let entries = list(&bundle, "entry")?;
        let matches: Vec<_> = entries.iter().filter_map(matching).collect();
        Ok(Self {
            asked,
            id: bundle.string("id").ok().flatten().and_then(|id| id.parse().ok()),
            total: bundle.read("total").ok().flatten(),
            dropped: entries.len().saturating_sub(matches.len()),
            matches,
            next: next_page(&list(&bundle, "link")?, bases)?,
        })
    }

    /// The page after this one.
    #[must_use]
    pub fn next(&self) -> Option<&NextPage> {
        self.next.as_ref()
    }

    /// The same without its count, where that there is none would tell that records are withheld.
    #[must_use]
    pub fn without_total(self) -> Self {
        Self { total: None, ..self }
    }

    /// Decides on each record and writes the bundle that leaves.
    pub fn release(
        self,
        links: Links<'_>,
        bases: &BaseUrls,
        mut decide: impl FnMut(&Resource<'a>) -> Disposition<'a>,
    ) -> Released {
        let mut entry = Vec::new();
        let (mut withheld, mut dropped) = (0_usize, self.dropped);
        for text in self.matches {
            match Resource::read(text).filter(|resource| resource.reference().resource_type == self.asked) {
                None => dropped = dropped.saturating_add(1),
                Some(resource) => match decide(&resource) {
                    Disposition::Withhold => withheld = withheld.saturating_add(1),
                    Disposition::Release(view) => entry.push(Entry {
                        full_url: format!("{}/{}", bases.public, resource.reference()),
                        resource: view.into_raw(text),
                        search: Search { mode: "match" },
                    }),
                },
            }
        }
        let released = entry.len();
        // The total counts the matches on all pages, so it can be told only where this page is all there is.
        let is_all = withheld == 0 && dropped == 0 && self.next.is_none() && links.next.is_none();
        let total = self.total.filter(|total| is_all && usize::try_from(*total) == Ok(released));
        let mut link = vec![Link { relation: "self", url: links.own }];
        link.extend(links.next.map(|url| Link { relation: "next", url }));
        let bundle = Bundle { resource_type: "Bundle", id: self.id, kind: "searchset", total, link, entry };
        // INVARIANT: strings, numbers and text that was JSON before are always written.
        let body = serde_json::to_string(&bundle).unwrap_or_default();
        Released { body, released, withheld, dropped }
    }
}

/// A list of objects, which may be absent.
fn list<'a>(bundle: &Object<'a>, name: &str) -> Result<Vec<Object<'a>>, BadAnswer> {
    Ok(bundle.read(name).map_err(|_| BadAnswer::NotASearchset)?.unwrap_or_default())
}

/// The resource of an entry that the search itself found.
fn matching<'a>(entry: &Object<'a>) -> Option<&'a RawValue> {
    if let Some(search) = entry.read::<Object<'a>>("search").ok()?
        && search.string("mode").ok()?.is_some_and(|mode| mode != "match")
    {
        return None;
    }
    entry.read("resource").ok().flatten()
}

fn next_page(links: &[Object<'_>], bases: &BaseUrls) -> Result<Option<NextPage>, BadAnswer> {
    let is_next =
        |link: &&Object<'_>| matches!(link.string("relation"), Ok(Some(relation)) if relation == "next");
    let Some(link) = links.iter().find(is_next) else { return Ok(None) };
    let url = link.string("url").ok().flatten().ok_or(BadAnswer::NextPage)?;
    let page = bases.upstream.strip(&url).and_then(|rest| rest.parse().ok());
    page.map(Some).ok_or(BadAnswer::NextPage)
}

impl NextPage {
    /// What follows the upstream's base in the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NextPage {
    type Err = MalformedPage;

    fn from_str(text: &str) -> Result<Self, MalformedPage> {
        let (path, query) = text.split_once('?').ok_or(MalformedPage)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let is_step = |segment: &str| matches!(segment, "" | "." | "..") || !segment.bytes().all(plain);
        let path_is_plain = match path.strip_prefix('/') {
            Some(below) => !below.split('/').any(is_step),
            None => path.is_empty(),
        };
        if !path_is_plain || query.is_empty() || !query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(MalformedPage);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for NextPage {
    type Error = MalformedPage;

    fn try_from(text: String) -> Result<Self, MalformedPage> {
        text.parse()
    }
}

impl From<NextPage> for String {
    fn from(page: NextPage) -> Self {
        page.0
    }
}

impl fmt::Display for NextPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Serialize)]
struct Bundle<'a> {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<ResourceId>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    link: Vec<Link<'a>>,
    /// FHIR has no empty lists: json.html#null.
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
    #[serde(rename = "fullUrl")]
    full_url: String,
    resource: Cow<'a, RawValue>,
    search: Search,
}

#[derive(Serialize)]
struct Search {
    mode: &'static str,
}

#[cfg(test)]
mod tests;
