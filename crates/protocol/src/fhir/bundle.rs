//! What all bundles of an upstream have in common: taken apart here, put together anew elsewhere. HL7 FHIR 4.0.1,
//! bundle.html.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::base::BaseUrls;
use super::resource::BadAnswer;
use crate::json::Object;

/// What the upstream calls its next page: what follows its base in the URL.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NextPage(String);

/// The text is no plain path with a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a path without escapes and dot segments, and a query")]
pub struct MalformedPage;

/// Where the page that leaves is, and the one after it.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// The page as the client asked for it.
    pub own: &'a str,
    /// The next page, sealed.
    pub next: Option<&'a str>,
}

/// What leaves, and how much of it stayed.
pub struct Released<N> {
    /// The bundle as JSON.
    pub body: String,
    /// How many records were asked for and are in it.
    pub released: usize,
    /// How many were withheld.
    pub withheld: usize,
    /// How many entries were none that had been asked for.
    pub dropped: usize,
    /// What was noted of each record that is in it.
    pub notes: Vec<N>,
}

/// One link of a bundle.
#[derive(Serialize)]
pub(super) struct Link<'a> {
    relation: &'static str,
    url: &'a str,
}

impl<'a> Links<'a> {
    /// As they stand in the bundle.
    pub(super) fn written(self) -> Vec<Link<'a>> {
        let next = self.next.map(|url| Link { relation: "next", url });
        [Link { relation: "self", url: self.own }].into_iter().chain(next).collect()
    }
}

/// Finds that an answer is a bundle of a kind.
///
/// # Errors
/// [`BadAnswer::OtherBundle`].
pub(super) fn is_of_kind(bundle: &Object<'_>, kind: &str) -> Result<(), BadAnswer> {
    let says = |name, what| matches!(bundle.string(name), Ok(Some(text)) if text == what);
    if says("resourceType", "Bundle") && says("type", kind) { Ok(()) } else { Err(BadAnswer::OtherBundle) }
}

/// A list of objects, which may be absent.
pub(super) fn list<'a>(bundle: &Object<'a>, name: &str) -> Result<Vec<Object<'a>>, BadAnswer> {
    Ok(bundle.read(name).map_err(|_| BadAnswer::OtherBundle)?.unwrap_or_default())
}

/// The page after this one, by the upstream's own name for it.
pub(super) fn next_page(bundle: &Object<'_>, bases: &BaseUrls) -> Result<Option<NextPage>, BadAnswer> {
    let is_next =
        |link: &&Object<'_>| matches!(link.string("relation"), Ok(Some(relation)) if relation == "next");
    let links = list(bundle, "link")?;
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
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._$".contains(&b);
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
