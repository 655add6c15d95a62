//! The next page of a search or a history, as it is kept in a sealed link. HL7 FHIR 4.0.1, http.html#paging.
//!
//! The upstream's own link would lead around the gateway, so the client gets this under seal instead. It is good for
//! whom it was given to, under what they were allowed then, and not for long; the page is decided on afresh.
//!
//! The upstream's pages have a size of our own ([`PAGE`]), and the caller's are cut out of them: a link tells how much of
//! one left already, and how the first one can be asked for again, for which the upstream has no name.

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::bundle::NextPage;
use super::history::HistoryOf;
use super::interaction::SearchMethod;
use super::name::{ResourceId, ResourceType};
use super::searchset::Companions;
use super::shape::Shape;
use crate::json;

mod filling;

pub use filling::{Filling, LONG, Most, Next, PAGE, PAGES_AT_ONCE, Place, Seen, Stuck, Turn, at_least};

/// What is sealed into a link.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageLink {
    /// Whom it is good for.
    pub holder: Holder,
    /// What is gone through page by page.
    pub listing: Listing,
    /// How the first of the upstream's pages is asked for, if it can be asked for again.
    pub asked: Option<Asked>,
    /// What the upstream calls the page; none is the first.
    pub page: Option<NextPage>,
    /// How many of its records left before, of those that may leave. How many stay does not count, for it may change.
    pub past: usize,
    /// How many records a page has: as many as were asked for, or as the upstream's first one had.
    pub size: usize,
    /// Whether the search finds only what its holder may see.
    pub finds: Finds,
    /// The first moment at which it is no longer good.
    pub expires_at: Timestamp,
}

/// A question whose answer comes page by page.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// What follows the upstream's base in its URL.
    Url(NextPage),
    /// A search.
    Search {
        /// As the caller asked it: it is narrowed anew, whichever of its pages is asked for.
        search: String,
        /// How it was asked.
        method: SearchMethod,
        /// A digest of it as it went upstream: narrowed to others, it would have other pages.
        sent: String,
    },
}

/// What is gone through page by page.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// What a search of a type found, what comes along with that, and which elements of what was found are wanted.
    Search(ResourceType, Companions, Shape),
    /// Versions.
    History(HistoryOf),
    /// All that there is of a patient.
    Everything(ResourceId),
}

/// What the pages of a search can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finds {
    /// Only records of the patients that it was narrowed to, or the holder sees every patient.
    WithinReach,
    /// Others' records too, which are withheld: that there is a next page must not tell of them.
    OthersToo,
}

/// For whom and under what a page was given.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The route, by name.
    pub route: String,
    /// The subject of the token.
    pub subject: String,
    /// The client of the token.
    pub client_id: String,
    /// A digest over all else that the token says of what its holder may, and over where the route leads.
    pub authority_digest: String,
    /// The revision of the policies.
    pub policy_revision: String,
}

/// Why a link is refused; the search can be asked anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PageLinkError {
    /// It is no link of ours, or one of another version.
    #[error("the link to the next page is malformed")]
    Malformed,
    /// It was given to somebody else, or under other scopes or policies.
    #[error("the link to the next page was not given under this authorization")]
    OtherHolder,
    /// It is too old.
    #[error("the link to the next page has expired")]
    Expired,
}

/// The text's length is a multiple of this,
const STEP: usize = 256;
/// and so is the length of what tells where in the upstream's pages it leads, whether it has a name there or not.
const PLACE_STEP: usize = 1024;

impl PageLink {
    /// The text that is sealed, of a length that says nothing of how far the upstream was gone through: nor whether its
    /// first page was left behind, or is all that there is.
    #[must_use]
    pub fn to_json(&self) -> String {
        // INVARIANT: strings alone are always written.
        let written = |link: &Self| serde_json::to_string(link).unwrap_or_default();
        let mut text = written(self);
        let elsewhere = written(&Self { page: None, past: 0, ..self.clone() }).len();
        let place = text.len().saturating_sub(elsewhere);
        let length = above(elsewhere, STEP).saturating_add(above(place, PLACE_STEP));
        text.extend(std::iter::repeat_n(' ', length.saturating_sub(text.len())));
        text
    }

    /// Reads what was sealed, for the one who presents it.
    ///
    /// # Errors
    /// [`PageLinkError`], by the first cause.
    pub fn open(unsealed: &[u8], presented_by: &Holder, now: Timestamp) -> Result<Self, PageLinkError> {
        let text = json::check(unsealed, 5).map_err(|_| PageLinkError::Malformed)?;
        let link: Self = serde_json::from_str(text).map_err(|_| PageLinkError::Malformed)?;
        if link.holder != *presented_by {
            return Err(PageLinkError::OtherHolder);
        }
        if now >= link.expires_at {
            return Err(PageLinkError::Expired);
        }
        Ok(link)
    }
}

/// The next multiple of a step.
fn above(length: usize, step: usize) -> usize {
    let over = length.checked_rem(step).unwrap_or_default();
    length.saturating_add(step.saturating_sub(over))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> PageLink {
        let text = |text: &str| text.to_owned();
        PageLink {
            holder: Holder {
                route: text("ehr"),
                subject: text("dana"),
                client_id: text("demo-web"),
                authority_digest: text("digest"),
                policy_revision: text("7"),
            },
            listing: Listing::Search("Observation".parse().unwrap(), Companions::None, Shape::Whole),
            asked: Some(Asked::Search {
                search: text("code=x&_count=3"),
                method: SearchMethod::Post,
                sent: text("digest"),
            }),
            page: Some("?_getpages=x&_getpagesoffset=20".parse().unwrap()),
            past: 3,
            size: 20,
            finds: Finds::WithinReach,
            expires_at: Timestamp::from_unix(1_000),
        }
    }

    #[test]
    fn a_link_opens_for_its_holder_until_its_deadline_not_at_it() {
        let open =
            |now| PageLink::open(link().to_json().as_bytes(), &link().holder, Timestamp::from_unix(now));
        assert_eq!(open(999), Ok(link()));
        assert_eq!(open(1_000), Err(PageLinkError::Expired));
    }

    #[test]
    fn how_long_a_link_is_tells_nothing_of_where_it_leads() {
        let length = link().to_json().len();
        for page in [None, Some("?a"), Some("?_getpages=0b0ab1b8-9e3c-4d7a-8f0e-3f8c7f1f2a11&_offset=12000")]
        {
            for past in [0, 9, 49, 999] {
                let other = PageLink { page: page.map(|page| page.parse().unwrap()), past, ..link() };
                assert_eq!(other.to_json().len(), length, "{page:?} {past}");
            }
        }
    }

    #[test]
    fn a_next_page_is_not_for_another_client_subject_scope_policy_or_route() {
        let changes: [fn(&mut Holder); 5] = [
            |holder| holder.route.push('x'),
            |holder| holder.subject.push('x'),
            |holder| holder.client_id.push('x'),
            |holder| holder.authority_digest.push('x'),
            |holder| holder.policy_revision.push('x'),
        ];
        for change in changes {
            let mut other = link().holder;
            change(&mut other);
            let opened = PageLink::open(link().to_json().as_bytes(), &other, Timestamp::EPOCH);
            assert_eq!(opened, Err(PageLinkError::OtherHolder));
        }
    }

    #[test]
    fn anything_else_than_a_link_of_ours_is_malformed() {
        let json = link().to_json();
        for text in [
            "",
            "{}",
            &json.replace("Observation", "Foo"),
            &json.replace("?_getpages", "/../admin?_getpages"),
            &json.replace("\"page\"", "\"more\":1,\"page\""),
            &json.replace("\"page\"", "\"page\":\"?a\",\"page\""),
        ] {
            let opened = PageLink::open(text.as_bytes(), &link().holder, Timestamp::EPOCH);
            assert_eq!(opened, Err(PageLinkError::Malformed), "{text}");
        }
    }
}
