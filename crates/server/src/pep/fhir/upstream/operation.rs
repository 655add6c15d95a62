//! Operations at the upstream.

use bytes::Bytes;
use chartgate_access::permit::{Allowed, Permit, Withheld};
use chartgate_protocol::fhir::reference::Reference;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;

use super::{Answer, FhirUpstream};
use crate::pep::respond::UpstreamFault;

/// A call that was decided on.
pub(in crate::pep::fhir) struct Call {
    pub(in crate::pep::fhir) method: Method,
    /// What follows the base.
    pub(in crate::pep::fhir) path: String,
    pub(in crate::pep::fhir) body: Option<String>,
}

impl Call {
    /// A read of a record, for the decision whether it may be named.
    pub(in crate::pep::fhir) fn read(record: &Reference) -> Self {
        Self { method: Method::GET, path: format!("/{record}"), body: None }
    }
}

impl FhirUpstream {
    /// Carries out what changes nothing.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(in crate::pep::fhir) async fn operate(
        &self,
        allowed: &Allowed<Call>,
    ) -> Result<Withheld<Answer>, UpstreamFault> {
        Ok(allowed.withhold(self.operated(allowed.action()).await?))
    }

    /// Carries out what may change something: its intent is durable.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(in crate::pep::fhir) async fn operate_changing(
        &self,
        permit: Permit<Call>,
    ) -> Result<Withheld<Answer>, UpstreamFault> {
        // What an operation writes, it alone knows.
        let _written =
            (self.care.writing_anything(), self.consents.writing_anything(), self.births.writing_anything());
        let answer = self.operated(permit.action()).await?;
        Ok(permit.withhold(answer))
    }

    async fn operated(&self, call: &Call) -> Result<Answer, UpstreamFault> {
        let body = call.body.clone().map(Bytes::from).unwrap_or_default();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = self.uri(&call.path)?;
        let json = HeaderValue::from_static("application/fhir+json");
        request.headers_mut().insert(header::ACCEPT, json.clone());
        request.headers_mut().insert("prefer", HeaderValue::from_static("handling=strict"));
        if call.body.is_some() {
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        self.send(request).await
    }
}
