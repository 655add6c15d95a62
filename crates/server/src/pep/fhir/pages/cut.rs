//! The caller's pages, cut out of the upstream's: how the first of those is asked for again.

use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::bundle::NextPage;
use chartgate_protocol::fhir::interaction::{Interaction, SearchMethod};
use chartgate_protocol::fhir::paging::{Asked, LONG, Listing, Most, PAGE};
use chartgate_protocol::fhir::search::{SearchError, SearchQuery, ShownName};

use super::Pages;
use crate::entropy::digest_of;
use crate::pep::fhir::search;
use crate::pep::fhir::session::Exchange;
use crate::pep::fhir::upstream::Listed;
use crate::pep::respond::Refused;

/// A question that is longer than this stands in no link.
const LONGEST: usize = 4 << 10;

/// How the pages of a listing are cut.
pub(in crate::pep::fhir) struct Cut {
    /// How many records a page may have, until a link says how many it has.
    pub(super) count: Option<u16>,
    /// The question, to ask it again.
    pub(super) asked: Option<Asked>,
}

impl Cut {
    /// Pages as large as the upstream's first, which is never cut.
    pub(in crate::pep::fhir) const NONE: Self = Self { count: None, asked: None };

    /// How much a page may have.
    pub(super) fn most(&self) -> Most {
        // That which is not asked for again ends no page for its length: that would be within the upstream's first one.
        Most { records: self.count, bytes: if self.asked.is_some() { LONG } else { usize::MAX } }
    }

    /// Pages of a number of records, if one was asked for.
    ///
    /// # Errors
    /// [`Refused::Request`] for small pages by a question that is too long for a link: larger ones it can have.
    pub(in crate::pep::fhir) fn of(
        count: Option<u16>,
        asked: &Interaction,
        search: Option<(&SearchQuery, SearchMethod)>,
    ) -> Result<Self, Refused> {
        let asked = match search {
            Some((search, method)) => {
                Some(Asked::Search { search: search.asked().encode(), method, sent: sent(asked) })
            }
            None => asked.upstream_path_and_query().parse().ok().map(Asked::Url),
        };
        match asked.filter(|asked| length(asked) <= LONGEST) {
            Some(asked) => Ok(Self { count, asked: Some(asked) }),
            None if count.is_none_or(|count| count >= PAGE) => Ok(Self::NONE),
            None => Err(Refused::Request(SearchError::Value(ShownName::of("_count")).into())),
        }
    }
}

fn length(asked: &Asked) -> usize {
    match asked {
        Asked::Url(page) => page.as_str().len(),
        Asked::Search { search, .. } => search.len(),
    }
}

/// What stands for a question as it goes upstream.
fn sent(asked: &Interaction) -> String {
    let form = asked.upstream_form().unwrap_or_default();
    digest_of(format!("{} {form}", asked.upstream_path_and_query()))
}

impl Pages<'_> {
    /// Asks for the page to which a link leads: by its name, or the first one once more. A search is narrowed anew for each,
    /// so that where the upstream's pages end makes no difference.
    pub(super) async fn turned_to(
        &self,
        exchange: &mut Exchange<'_>,
        page: Option<&NextPage>,
    ) -> Result<Withheld<Listed>, Refused> {
        let first = match &self.cut.asked {
            Some(asked @ Asked::Search { .. }) => Some(self.asked_again(exchange, asked).await?),
            Some(Asked::Url(_)) | None => None,
        };
        let page = match (page, first, &self.cut.asked) {
            (Some(page), ..) | (None, None, Some(Asked::Url(page))) => page,
            (None, Some(first), _) => {
                let allowed = self.in_reach(first)?;
                exchange.record.decision.policies = allowed.policies().to_vec();
                return exchange.upstream.list(&allowed).await.map_err(Refused::Upstream);
            }
            (None, None, _) => return Err(Refused::PageLink),
        };
        let allowed = self.in_reach(page.clone())?;
        exchange.record.decision.policies = allowed.policies().to_vec();
        exchange.upstream.list_on(&allowed).await.map_err(Refused::Upstream)
    }

    /// A search as it goes upstream now.
    ///
    /// # Errors
    /// [`Refused::PageLink`] if it went otherwise when its pages were given.
    async fn asked_again(&self, exchange: &Exchange<'_>, asked: &Asked) -> Result<Interaction, Refused> {
        let (Asked::Search { search, method, sent: before }, Listing::Search(resource_type, ..)) =
            (asked, &self.listing)
        else {
            return Err(Refused::PageLink);
        };
        let again = search::again(exchange, self.enforcer, (*resource_type, *method), search).await?;
        // Whose records it finds has changed, and with that what its pages are.
        if again.finds != self.finds || sent(&again.asked) != *before {
            return Err(Refused::PageLink);
        }
        Ok(again.asked)
    }
}
