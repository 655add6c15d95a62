//! Asking for what comes page by page, which may be longer than what is held in memory.

use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::bundle::NextPage;
use chartgate_protocol::fhir::interaction::Interaction;
use http::StatusCode;

use super::{BODY_TIME, FhirUpstream};
use crate::pep::fhir::large::{self, Arrived};
use crate::pep::respond::UpstreamFault;

/// A page as it came.
pub(in crate::pep::fhir) struct Listed {
    pub(in crate::pep::fhir) status: StatusCode,
    pub(in crate::pep::fhir) body: Arrived,
}

impl FhirUpstream {
    /// Asks for the first page. What comes back is withheld until its record is durable.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(in crate::pep::fhir) async fn list(
        &self,
        allowed: &Allowed<Interaction>,
    ) -> Result<Withheld<Listed>, UpstreamFault> {
        let asked = allowed.action();
        let (path, form) = (asked.upstream_path_and_query(), asked.upstream_form());
        Ok(allowed.withhold(self.page(asked.upstream_method(), &path, form).await?))
    }

    /// The next page, by the upstream's own name for it.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(in crate::pep::fhir) async fn list_on(
        &self,
        allowed: &Allowed<NextPage>,
    ) -> Result<Withheld<Listed>, UpstreamFault> {
        Ok(allowed.withhold(self.page("GET", allowed.action().as_str(), None).await?))
    }

    async fn page(&self, method: &str, path: &str, form: Option<String>) -> Result<Listed, UpstreamFault> {
        let response = self.respond(self.question(method, path, form)?).await?;
        let status = response.status();
        let body = large::arrive(&self.spools, response.into_body(), self.max_answer, BODY_TIME).await?;
        Ok(Listed { status, body })
    }
}
