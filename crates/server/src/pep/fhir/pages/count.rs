//! How many records a search finds: those that its caller may see. HL7 FHIR 4.0.1, search.html#summary.

use std::collections::BTreeSet;

use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::bundle::{Gathered, Wanted};
use chartgate_values::Phi;

use super::{PAGES_AT_ONCE, Pages, Seen, finish};
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::fhir::upstream::Answer;

impl Pages<'_> {
    /// Looks at all pages, and tells how many records could be released. Whose they are stands in the record.
    pub(in crate::pep::fhir) async fn count(
        &self,
        exchange: &mut Exchange<'_>,
        first: Withheld<Answer>,
    ) -> Answered {
        let (mut total, mut withheld) = (0_usize, 0_usize);
        let (mut patients, mut policies) = (BTreeSet::new(), BTreeSet::new());
        let mut left = PAGES_AT_ONCE;
        let mut page = self.looked_at(exchange, first).await?;
        loop {
            let mut gathered = Gathered::searchset();
            let Seen { after, .. } = self.gather(exchange, &page, Wanted::ALL, &mut gathered).await?;
            let counted = gathered.into_count(&self.own, 0);
            total = total.saturating_add(counted.released);
            withheld = withheld.saturating_add(counted.withheld);
            for note in counted.notes {
                patients.extend(note.patients);
                policies.extend(note.policies);
            }
            let Some(after) = after else { break };
            page = self.fetch(exchange, after, &mut left).await?;
        }
        let counted = Gathered::searchset().into_count(&self.own, u64::try_from(total).unwrap_or(u64::MAX));
        let answer = finish(exchange, counted, page.answer.map(|page| page.body));
        let record = &mut exchange.record;
        record.response.count = u64::try_from(total).ok();
        record.response.withheld = u64::try_from(withheld).ok();
        patients.extend(std::mem::take(&mut record.patients).into_iter().map(Phi::into_exposed));
        record.patients = patients.into_iter().map(Phi::new).collect();
        if !policies.is_empty() {
            record.decision.policies = policies.into_iter().collect();
        }
        Ok(answer)
    }
}
