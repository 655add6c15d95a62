//! What all bundles of an upstream have in common: taken apart, and put together anew. HL7 FHIR 4.0.1, bundle.html.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::base::BaseUrls;
use super::reference::Reference;
use super::resource::BadAnswer;
use crate::json::Object;

pub mod split;
pub(super) mod taking;
pub(super) mod undoable;

pub use taking::{Progress, Wanted};
use undoable::{Short, Undoable};

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
    /// The bundle as JSON; its end, where its beginning was taken away before.
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

/// What leaves of one page of an upstream's or of several, written entry by entry before the links are known.
pub struct Gathered<N> {
    text: Vec<u8>,
    /// Whether records are counted and not written.
    counts: bool,
    entries: usize,
    pages: usize,
    total: Option<u64>,
    /// What came along so far: it comes once.
    along: Undoable<Short>,
    /// How many bytes there are of the records that were asked for.
    asked_for: usize,
    /// How many records were asked for and are in it.
    pub released: usize,
    /// How many were withheld.
    pub withheld: usize,
    /// How many entries were none that had been asked for.
    pub dropped: usize,
    pub(super) notes: Vec<N>,
}

/// How far something is gathered.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    text: usize,
    entries: usize,
    pages: usize,
    total: Option<u64>,
    asked_for: usize,
    released: usize,
    withheld: usize,
    dropped: usize,
    notes: usize,
}

impl<N> Gathered<N> {
    /// Nothing yet of a bundle of a kind.
    pub(super) fn new(kind: &str) -> Self {
        Self {
            text: format!(r#"{{"resourceType":"Bundle","type":"{kind}""#).into_bytes(),
            counts: false,
            entries: 0,
            pages: 0,
            total: None,
            along: Undoable::default(),
            asked_for: 0,
            released: 0,
            withheld: 0,
            dropped: 0,
            notes: Vec::new(),
        }
    }

    /// Nothing yet of what a search found.
    #[must_use]
    pub fn searchset() -> Self {
        Self::new("searchset")
    }

    /// Nothing yet of how many a search found: none of them is written.
    #[must_use]
    pub fn count() -> Self {
        Self { counts: true, ..Self::new("searchset") }
    }

    /// Nothing yet of a history.
    #[must_use]
    pub fn history() -> Self {
        Self::new("history")
    }

    /// How many bytes there are so far of the records that were asked for.
    #[must_use]
    pub fn asked_for(&self) -> usize {
        self.asked_for
    }

    /// How much of it was not taken away yet, in bytes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.text.len()
    }

    /// Takes away what is written so far, and what was noted of it. Nobody comes back to a mark from before.
    pub fn take(&mut self) -> (Vec<u8>, Vec<N>) {
        (std::mem::take(&mut self.text), std::mem::take(&mut self.notes))
    }

    /// Where it is, to come back to.
    pub fn mark(&mut self) -> Mark {
        self.along.mark();
        let Self { entries, pages, total, asked_for, released, withheld, dropped, .. } = *self;
        let (text, notes) = (self.text.len(), self.notes.len());
        Mark { text, entries, pages, total, asked_for, released, withheld, dropped, notes }
    }

    /// Comes back to where it was marked last: nothing was written since.
    pub fn back_to(&mut self, mark: Mark) {
        let Mark { text, entries, pages, total, asked_for, released, withheld, dropped, notes } = mark;
        self.text.truncate(text);
        self.notes.truncate(notes);
        self.along.back();
        (self.entries, self.pages, self.total) = (entries, pages, total);
        (self.asked_for, self.released) = (asked_for, released);
        (self.withheld, self.dropped) = (withheld, dropped);
    }

    /// Begins with a further page. A total is of one page that is all there is.
    pub(super) fn begin_page(&mut self, total: Option<u64>) {
        self.pages = self.pages.saturating_add(1);
        self.total = total.filter(|_| self.pages == 1);
    }

    /// Whether this comes along for the first time.
    pub(super) fn comes_along(&mut self, record: &Reference) -> bool {
        self.along.insert(Short::of(record))
    }

    /// Writes one more entry, of a record that was asked for: how long it is.
    pub(super) fn push_asked_for(&mut self, entry: &impl Serialize) -> usize {
        let length = self.push(entry);
        self.released = self.released.saturating_add(1);
        self.asked_for = self.asked_for.saturating_add(length);
        length
    }

    /// Notes that one stays.
    pub(super) fn stays(&mut self, number: usize) {
        self.withheld = self.withheld.saturating_add(number);
    }

    /// Writes one more entry, unless they are counted: how long it is.
    pub(super) fn push(&mut self, entry: &impl Serialize) -> usize {
        if self.counts {
            return 0;
        }
        self.text.extend_from_slice(if self.entries == 0 { br#","entry":["# } else { b"," });
        let before = self.text.len();
        // INVARIANT: strings and text that was JSON before are always written, and memory takes them.
        let _ = serde_json::to_writer(&mut self.text, entry);
        self.entries = self.entries.saturating_add(1);
        self.text.len().saturating_sub(before)
    }

    /// The bundle, with its links.
    #[must_use]
    pub fn into_bundle(self, links: Links<'_>) -> Released<N> {
        let is_all = self.withheld == 0 && self.dropped == 0 && links.next.is_none();
        let counted = u64::try_from(self.released).ok();
        let total = self.total.filter(|total| is_all && Some(*total) == counted);
        self.ended(links, total)
    }

    /// The bundle that tells how many records there are.
    #[must_use]
    pub fn into_count(self, own: &str, total: u64) -> Released<N> {
        self.ended(Links { own, next: None }, Some(total))
    }

    fn ended(mut self, links: Links<'_>, total: Option<u64>) -> Released<N> {
        #[derive(Serialize)]
        struct Link<'a> {
            relation: &'static str,
            url: &'a str,
        }
        // FHIR has no empty lists: json.html#null.
        if self.entries > 0 {
            self.text.push(b']');
        }
        if let Some(total) = total {
            self.text.extend_from_slice(format!(r#","total":{total}"#).as_bytes());
        }
        let next = links.next.map(|url| Link { relation: "next", url });
        let links: Vec<_> = [Link { relation: "self", url: links.own }].into_iter().chain(next).collect();
        self.text.extend_from_slice(br#","link":"#);
        // INVARIANT: as above.
        let _ = serde_json::to_writer(&mut self.text, &links);
        self.text.push(b'}');
        Released {
            // INVARIANT: what was written is text.
            body: String::from_utf8(self.text).unwrap_or_default(),
            released: self.released,
            withheld: self.withheld,
            dropped: self.dropped,
            notes: self.notes,
        }
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
