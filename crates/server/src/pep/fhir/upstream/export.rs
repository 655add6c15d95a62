//! Bulk exports at the upstream: begun, asked after, given up, and their files opened. HL7 FHIR Bulk Data Access 2.0.0.

use bytes::Bytes;
use chartgate_access::permit::{Allowed, Permit, Withheld};
use chartgate_protocol::fhir::bulk::UpstreamPlace;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::{BODY_TIME, FhirUpstream};
use crate::net::body;
use crate::net::client::Answering;
use crate::pep::respond::UpstreamFault;
use crate::spool::IN_MEMORY;

/// What the upstream tells of an export.
pub(in crate::pep::fhir) struct Told {
    pub(in crate::pep::fhir) status: StatusCode,
    pub(in crate::pep::fhir) headers: HeaderMap,
    pub(in crate::pep::fhir) body: Bytes,
}

impl FhirUpstream {
    /// Begins an export: its intent is durable. The action is what follows the base.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(in crate::pep::fhir) async fn begin_export(
        &self,
        permit: Permit<String>,
    ) -> Result<Withheld<Told>, UpstreamFault> {
        let told = self.tell(Method::GET, permit.action(), Some("respond-async")).await?;
        Ok(permit.withhold(told))
    }

    /// Asks how far an export is.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(in crate::pep::fhir) async fn export_status(
        &self,
        allowed: &Allowed<UpstreamPlace>,
    ) -> Result<Withheld<Told>, UpstreamFault> {
        Ok(allowed.withhold(self.tell(Method::GET, allowed.action().as_str(), None).await?))
    }

    /// Gives an export up: its intent is durable.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(in crate::pep::fhir) async fn cancel_export(
        &self,
        permit: Permit<UpstreamPlace>,
    ) -> Result<Withheld<StatusCode>, UpstreamFault> {
        let told = self.tell(Method::DELETE, permit.action().as_str(), None).await?;
        Ok(permit.withhold(told.status))
    }

    /// Opens a file of an export. It is read line by line, and none leaves before the record of all.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(in crate::pep::fhir) async fn open_export_file(
        &self,
        allowed: &Allowed<UpstreamPlace>,
    ) -> Result<Withheld<Response<Answering>>, UpstreamFault> {
        let ndjson = HeaderValue::from_static("application/fhir+ndjson");
        let request = self.asking(Method::GET, allowed.action().as_str(), ndjson)?;
        Ok(allowed.withhold(self.respond(request).await?))
    }

    async fn tell(
        &self,
        method: Method,
        path: &str,
        prefer: Option<&'static str>,
    ) -> Result<Told, UpstreamFault> {
        let json = HeaderValue::from_static("application/fhir+json, application/json;q=0.9");
        let mut request = self.asking(method, path, json)?;
        if let Some(prefer) = prefer {
            request.headers_mut().insert("prefer", HeaderValue::from_static(prefer));
        }
        let (head, content) = self.respond(request).await?.into_parts();
        let body = body::take(content, IN_MEMORY, BODY_TIME).await?;
        Ok(Told { status: head.status, headers: head.headers, body })
    }

    fn asking(
        &self,
        method: Method,
        path: &str,
        accept: HeaderValue,
    ) -> Result<Request<Full<Bytes>>, UpstreamFault> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(path)?;
        request.headers_mut().insert(header::ACCEPT, accept);
        Ok(request)
    }
}
