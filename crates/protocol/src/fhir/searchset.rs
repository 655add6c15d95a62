//! The answer to a search: taken apart, each record decided on, put together anew. HL7 FHIR 4.0.1, bundle.html and
//! search.html#return.
//!
//! Nothing of the upstream's bundle leaves but the text of the records that are released: its links would lead
//! around the gateway, its total would count what is withheld, and its id may be anything. A record that comes along
//! with those that were found leaves only where one that leaves refers to it, or it refers to one: else it would tell of
//! what was withheld. What leaves may be gathered from several pages, so that how full a page is tells nothing either.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::base::BaseUrls;
use super::bundle::taking::{Taking, Turn};
use super::bundle::{self, Gathered, Links, NextPage, Progress, Released, Wanted};
use super::membership::{Ownership, ownership};
use super::name::ResourceType;
use super::outcome::OperationOutcome;
use super::reference::{Reference, references_in};
use super::resource::{BadAnswer, MAX_DEPTH, Resource};
use super::version::FhirVersion;
use super::view::View;
use crate::json::{self, Object};

mod walk;

pub use walk::{Step, Walk};

/// One page of an upstream's answer, not decided on yet.
pub struct Searchset<'a> {
    sought: Sought,
    total: Option<u64>,
    matches: Vec<&'a RawValue>,
    companions: Vec<&'a RawValue>,
    dropped: usize,
    next: Option<NextPage>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sought {
    /// Records of a type, and whether others may come along.
    Type(ResourceType, Companions),
    /// All that there is of a patient: what is some patient's, and what belongs to nobody where that refers to it.
    Everything,
}

/// Whether records were asked for that come along with those that are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Companions {
    /// None: one that comes is dropped.
    None,
    /// By `_include` or `_revinclude`.
    Asked,
}

/// How a record got into an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// The search itself found it.
    BySearch,
    /// It comes along with one that was found.
    Alongside,
}

/// What becomes of a record.
#[must_use = "a disposition is carried out"]
pub enum Disposition<'a, N> {
    /// It may leave, as this view of it; and what is noted of that.
    Release(View<'a>, N),
    /// It stays, and nothing says that it was there.
    Withhold,
}

impl<N> Disposition<'_, N> {
    /// The same if what is noted of it is as it should be; else the record stays.
    pub fn filter(self, keep: impl FnOnce(&N) -> bool) -> Self {
        match self {
            Self::Release(_, ref note) if !keep(note) => Self::Withhold,
            other => other,
        }
    }
}

impl<N> Released<N> {
    /// The answer to a search that can find nothing, with an outcome for whoever asked.
    #[must_use]
    pub fn nothing(own: &str, outcome: Option<&OperationOutcome>) -> Self {
        let outcome = outcome.and_then(|outcome| serde_json::value::to_raw_value(outcome).ok());
        let entry = outcome.map(|outcome| Entry {
            full_url: None,
            resource: Cow::Owned(outcome),
            search: Search { mode: "outcome" },
        });
        let mut gathered = Gathered::searchset();
        if let Some(entry) = entry {
            gathered.push(&entry);
        }
        gathered.into_count(own, 0)
    }
}

impl<'a> Searchset<'a> {
    /// Takes an answer apart. Entries that nobody asked for are dropped.
    ///
    /// # Errors
    /// [`BadAnswer`] if it is no searchset, or if its next page lies elsewhere.
    pub fn parse(body: &'a [u8], sought: Sought, bases: &BaseUrls) -> Result<Self, BadAnswer> {
        let bundle = Object::parse(body, MAX_DEPTH)?;
        bundle::is_of_kind(&bundle, "searchset")?;
        let entries = bundle::list(&bundle, "entry")?;
        let of = |mode| entries.iter().filter_map(move |entry| resource_of(entry, mode));
        let found = of("match");
        let along = of("include");
        let (matches, companions): (Vec<_>, Vec<_>) = match sought {
            Sought::Type(_, Companions::None) => (found.collect(), Vec::new()),
            Sought::Type(_, Companions::Asked) => (found.collect(), along.collect()),
            Sought::Everything => {
                let either = |entry| resource_of(entry, "match").or_else(|| resource_of(entry, "include"));
                entries.iter().filter_map(either).partition(|raw| !is_nobodys(raw))
            }
        };
        Ok(Self {
            sought,
            total: bundle.read("total").ok().flatten(),
            dropped: entries.len().saturating_sub(matches.len()).saturating_sub(companions.len()),
            matches,
            companions,
            next: bundle::next_page(&bundle, bases)?,
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

    /// How many were found.
    #[must_use]
    pub fn found(&self) -> usize {
        self.matches.len()
    }

    /// Looks at each record that was found: none leaves.
    pub fn each(&self, mut look: impl FnMut(&Resource<'a>)) {
        let found = self.matches.iter().filter_map(|raw| Resource::read(raw));
        found.filter(|resource| self.sought.is(resource)).for_each(|resource| look(&resource));
    }

    /// Decides on each record and writes the bundle that leaves.
    pub fn release<N>(
        self,
        links: Links<'_>,
        bases: &BaseUrls,
        decide: impl FnMut(&Resource<'a>, Found) -> Disposition<'a, N>,
    ) -> Released<N> {
        let mut gathered = Gathered::searchset();
        let _ = self.gather(&mut gathered, Wanted::ALL, bases, decide);
        gathered.into_bundle(links)
    }

    /// Decides on each record that is wanted and writes what leaves.
    pub fn gather<N>(
        self,
        gathered: &mut Gathered<N>,
        wanted: Wanted,
        bases: &BaseUrls,
        mut decide: impl FnMut(&Resource<'a>, Found) -> Disposition<'a, N>,
    ) -> Progress {
        gathered.begin_page(self.total.filter(|_| self.next.is_none()));
        gathered.dropped = gathered.dropped.saturating_add(self.dropped);
        let mut company = Company::new(&self.companions, bases);
        let mut taking = Taking::begin(wanted);
        for raw in self.matches {
            let Some(resource) = Resource::read(raw).filter(|resource| self.sought.is(resource)) else {
                gathered.dropped = gathered.dropped.saturating_add(1);
                continue;
            };
            let Disposition::Release(view, note) = decide(&resource, Found::BySearch) else {
                gathered.stays(taking.stays());
                continue;
            };
            match taking.one() {
                Turn::Past => {}
                Turn::NoRoom => break,
                Turn::Leaves => {
                    company.tie_to(&resource, &view, bases);
                    taking.wrote(push(gathered, raw, &resource, (view, note), Found::BySearch, bases));
                }
            }
        }
        while let Some((tie, at, raw, resource)) = company.next() {
            match decide(&resource, Found::Alongside) {
                // By what it refers to would be told what is kept of it. Another that leaves may name it yet.
                Disposition::Release(view, _) if tie == Tie::Own && view.is_masked() => {
                    drop(view);
                    company.stays(at, raw, resource);
                }
                Disposition::Withhold => gathered.stays(1),
                Disposition::Release(view, note) => {
                    company.tie_to(&resource, &view, bases);
                    if gathered.comes_along(resource.reference()) {
                        push(gathered, raw, &resource, (view, note), Found::Alongside, bases);
                    }
                }
            }
        }
        gathered.stays(taking.ahead());
        // What came along with records of another page that is cut out of this one is no business of this page's.
        if taking.is_whole() {
            gathered.stays(company.left());
        }
        taking.progress()
    }
}

impl Sought {
    fn is(self, resource: &Resource<'_>) -> bool {
        match self {
            Self::Type(asked, _) => resource.reference().resource_type == asked,
            Self::Everything => true,
        }
    }
}

/// Whether a resource is of a type that is nobody's: the same ones in every version.
fn is_nobodys(raw: &RawValue) -> bool {
    // Its text was checked with the bundle's.
    let resource_type = json::read::<Object<'_>>(raw.get())
        .ok()
        .and_then(|resource| resource.string("resourceType").ok()??.parse().ok());
    resource_type.is_some_and(|resource_type| ownership(FhirVersion::R4, resource_type) == Ownership::Nobodys)
}

/// The resource of an entry that is there for this reason; what says nothing was found.
fn resource_of<'a>(entry: &Object<'a>, mode: &str) -> Option<&'a RawValue> {
    let search = entry.read::<Object<'a>>("search").ok()?;
    let said = match &search {
        Some(search) => search.string("mode").ok()?,
        None => None,
    };
    let raw = entry.read("resource").ok().flatten()?;
    let is = match said.as_deref() {
        Some(said) => said,
        None if is_outcome(raw) => "outcome",
        None => "match",
    };
    (is == mode).then_some(raw)
}

/// Whether it is the upstream's own words, which no search finds.
fn is_outcome(raw: &RawValue) -> bool {
    let resource = json::read::<Object<'_>>(raw.get()).ok();
    resource.is_some_and(
        |resource| matches!(resource.string("resourceType"), Ok(Some(of)) if of == "OperationOutcome"),
    )
}

/// Writes an entry: how long it is.
fn push<'a, N>(
    gathered: &mut Gathered<N>,
    raw: &'a RawValue,
    resource: &Resource<'a>,
    (view, note): (View<'a>, N),
    found: Found,
    bases: &BaseUrls,
) -> usize {
    let mode = match found {
        Found::BySearch => "match",
        Found::Alongside => "include",
    };
    let entry = Entry {
        full_url: Some(format!("{}/{}", bases.public, view.renamed().unwrap_or(resource.reference()))),
        resource: view.into_raw(raw),
        search: Search { mode },
    };
    gathered.notes.push(note);
    match found {
        Found::BySearch => gathered.push_asked_for(&entry),
        Found::Alongside => gathered.push(&entry),
    }
}

/// Whose reference ties a record to one that leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tie {
    /// Its own.
    Own,
    /// That of the one that leaves.
    Others,
}

/// Records that may come along: each is looked at once, when one that leaves ties it to what was found.
struct Company<'a> {
    companions: Vec<Option<(&'a RawValue, Resource<'a>)>>,
    by_name: HashMap<Reference, Vec<usize>>,
    by_reference: HashMap<Reference, Vec<usize>>,
    tied: VecDeque<(Tie, usize)>,
    unreadable: usize,
}

impl<'a> Company<'a> {
    fn new(all: &[&'a RawValue], bases: &BaseUrls) -> Self {
        let readable = all.iter().filter_map(|raw| Some((*raw, Resource::read(raw)?)));
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        let mut by_reference: HashMap<_, Vec<_>> = HashMap::new();
        let mut companions = Vec::new();
        for (at, (raw, resource)) in readable.enumerate() {
            by_name.entry(resource.reference().clone()).or_default().push(at);
            for reference in references_in(resource.value(), bases) {
                by_reference.entry(reference).or_default().push(at);
            }
            companions.push(Some((raw, resource)));
        }
        let unreadable = all.len().saturating_sub(companions.len());
        Self { companions, by_name, by_reference, tied: VecDeque::new(), unreadable }
    }

    /// One leaves. What stands in the text that leaves ties others to it, and nothing else.
    fn tie_to(&mut self, resource: &Resource<'_>, view: &View<'_>, bases: &BaseUrls) {
        if self.companions.is_empty() {
            return;
        }
        let seen = seen_in(resource, view, bases);
        let named = seen.iter().filter_map(|reference| self.by_name.remove(reference)).flatten();
        self.tied.extend(named.map(|at| (Tie::Others, at)));
        let referring = self.by_reference.remove(resource.reference()).into_iter().flatten();
        self.tied.extend(referring.map(|at| (Tie::Own, at)));
    }

    fn next(&mut self) -> Option<(Tie, usize, &'a RawValue, Resource<'a>)> {
        loop {
            let (tie, at) = self.tied.pop_front()?;
            if let Some((raw, resource)) = self.companions.get_mut(at).and_then(Option::take) {
                return Some((tie, at, raw, resource));
            }
        }
    }

    /// One stays as long as nothing else ties it.
    fn stays(&mut self, at: usize, raw: &'a RawValue, resource: Resource<'a>) {
        if let Some(own) = self.companions.get_mut(at) {
            *own = Some((raw, resource));
        }
    }

    /// How many were tied to none.
    fn left(&self) -> usize {
        self.companions.iter().flatten().count().saturating_add(self.unreadable)
    }
}

/// What the text that leaves of a record refers to.
fn seen_in(resource: &Resource<'_>, view: &View<'_>, bases: &BaseUrls) -> BTreeSet<Reference> {
    match view.is_masked() {
        false => references_in(resource.value(), bases),
        true => json::parse(view.text().as_bytes(), MAX_DEPTH)
            .map(|masked| references_in(&masked, bases))
            .unwrap_or_default(),
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "fullUrl", skip_serializing_if = "Option::is_none")]
    full_url: Option<String>,
    resource: Cow<'a, RawValue>,
    search: Search,
}

#[derive(Serialize)]
struct Search {
    mode: &'static str,
}

#[cfg(test)]
mod tests;
