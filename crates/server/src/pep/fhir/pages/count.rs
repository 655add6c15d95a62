//! How many records a search finds: those that its caller may see. HL7 FHIR 4.0.1, search.html#summary.

use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::bundle::Wanted;
use chartgate_protocol::fhir::paging::{PAGES_AT_ONCE, Seen};

use super::Pages;
use super::leaving::{Leaving, Waiting};
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::fhir::upstream::Listed;

impl Pages<'_> {
    /// Looks at all pages, and tells how many records could be released. Whose they are stands in the record.
    pub(in crate::pep::fhir) async fn count(
        &self,
        exchange: &mut Exchange<'_>,
        first: Withheld<Listed>,
    ) -> Answered {
        let mut left = PAGES_AT_ONCE;
        let mut page = self.looked_at(exchange, first).await?;
        let mut leaving = Leaving::count();
        loop {
            let Seen { after, .. } = self.gather(exchange, &mut page, Wanted::ALL, &mut leaving).await?;
            leaving.put_aside(exchange, Waiting::OfManyPages)?;
            let Some(after) = after else { break };
            left = left.checked_sub(1).ok_or_else(|| self.exhausted())?;
            page = self.fetch(exchange, after).await?;
        }
        leaving.finish_count(exchange, &self.own, page.answer)
    }
}
