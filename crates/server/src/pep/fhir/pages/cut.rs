//! The caller's pages, cut out of the upstream's: how the first of those is asked for again.

use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::bundle::NextPage;
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::paging::{Asked, Listing, PAGE};
use chartgate_protocol::fhir::search::{SearchError, SearchQuery, ShownName};

use super::Pages;
use crate::entropy::digest_of;
use crate::pep::fhir::search;
use crate::pep::fhir::session::Exchange;
use crate::pep::fhir::upstream::Listed;
use crate::pep::respond::Refused;

/// A question that is longer than this stands in no link.
const LONGEST: usize = 16 << 10;

/// How the pages of a listing are cut.
pub(in crate::pep::fhir) struct Cut {
    /// How many records a page may have, until a link says how many it has.
    pub(super) most: Option<u16>,
    /// The question, to ask it again.
    pub(super) asked: Option<Asked>,
}

impl Cut {
    /// Pages as the upstream's are.
    pub(in crate::pep::fhir) const NONE: Self = Self { most: None, asked: None };

    /// Pages of a number of records, if one was asked for.
    ///
    /// # Errors
    /// [`Refused::Request`] for small pages by a question that is too long for a link: larger ones it can have.
    pub(in crate::pep::fhir) fn of(
        count: Option<u16>,
        asked: &Interaction,
        search: Option<&SearchQuery>,
    ) -> Result<Self, Refused> {
        // Without a number a page is as the upstream's first is, which is never cut.
        let Some(count) = count else { return Ok(Self::NONE) };
        let asked = match (asked.upstream_form(), search) {
            (Some(form), Some(search)) => {
                Some(Asked::Posted { search: search.asked().encode(), sent: digest_of(form) })
            }
            (Some(_), None) => None,
            (None, _) => asked.upstream_path_and_query().parse().ok().map(Asked::Url),
        };
        match asked.filter(|asked| length(asked) <= LONGEST) {
            Some(asked) => Ok(Self { most: Some(count), asked: Some(asked) }),
            None if count >= PAGE => Ok(Self::NONE),
            None => Err(Refused::Request(SearchError::Value(ShownName::of("_count")).into())),
        }
    }
}

fn length(asked: &Asked) -> usize {
    match asked {
        Asked::Url(page) => page.as_str().len(),
        Asked::Posted { search, .. } => search.len(),
    }
}

impl Pages<'_> {
    /// Asks for the page to which a link leads: by its name, or the first one once more.
    pub(super) async fn turned_to(
        &self,
        exchange: &mut Exchange<'_>,
        page: Option<&NextPage>,
    ) -> Result<Withheld<Listed>, Refused> {
        let page = match (page, &self.cut.asked) {
            (Some(page), _) | (None, Some(Asked::Url(page))) => page,
            (None, Some(Asked::Posted { search, sent })) => {
                let Listing::Search(resource_type, ..) = &self.listing else { return Err(Refused::PageLink) };
                let again = search::again(exchange, self.enforcer, *resource_type, search).await?;
                // Whose records it finds has changed, and with that what its pages are.
                if again.finds != self.finds
                    || again.asked.upstream_form().map(digest_of).as_ref() != Some(sent)
                {
                    return Err(Refused::PageLink);
                }
                let allowed = self.in_reach(again.asked)?;
                exchange.record.decision.policies = allowed.policies().to_vec();
                return exchange.upstream.list(&allowed).await.map_err(Refused::Upstream);
            }
            (None, None) => return Err(Refused::PageLink),
        };
        let allowed = self.in_reach(page.clone())?;
        exchange.record.decision.policies = allowed.policies().to_vec();
        exchange.upstream.list_on(&allowed).await.map_err(Refused::Upstream)
    }
}
