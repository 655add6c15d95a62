//! How many records a search finds: those that its caller may see. HL7 FHIR 4.0.1, search.html#summary.

use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::bundle::{Gathered, Wanted};

use super::leaving::{Leaving, Told, finish};
use super::{PAGES_AT_ONCE, Pages, Seen};
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::fhir::upstream::Listed;

impl Pages<'_> {
    /// Looks at all pages, and tells how many records could be released. Whose they are stands in the record.
    pub(in crate::pep::fhir) async fn count(
        &self,
        exchange: &mut Exchange<'_>,
        first: Withheld<Listed>,
    ) -> Answered {
        let (mut total, mut withheld) = (0_usize, 0_usize);
        let mut left = PAGES_AT_ONCE;
        let mut page = self.looked_at(exchange, first).await?;
        let mut all = Told::default();
        loop {
            let mut leaving = Leaving::new(Gathered::searchset());
            let Seen { after, .. } = self.gather(exchange, &page, Wanted::ALL, &mut leaving).await?;
            let (released, stayed, told) = leaving.into_told();
            total = total.saturating_add(released);
            withheld = withheld.saturating_add(stayed);
            all.and(told);
            let Some(after) = after else { break };
            page = self.fetch(exchange, after, &mut left).await?;
        }
        let counted = Gathered::searchset().into_count(&self.own, u64::try_from(total).unwrap_or(u64::MAX));
        // None of them leaves, so none has a digest.
        drop(all.whose(exchange));
        let answer = finish(exchange, counted, (Told::default(), None), page.answer)?;
        let response = &mut exchange.record.response;
        response.count = u64::try_from(total).ok();
        response.withheld = u64::try_from(withheld).ok();
        Ok(answer)
    }
}
