//! AuditEvents to a FHIR server, in batches.

use chartgate_audit::outward::audit_event::{self, NotTaken};
use chartgate_audit::outward::{Shown, Source};
use http::HeaderMap;

use super::Failure;
use super::http::{HttpSender, may_be_less};
use crate::config::{self, HttpReceiver};

/// A FHIR server.
pub(crate) struct FhirSender {
    http: HttpSender,
    source: Source,
}

impl FhirSender {
    pub(super) fn new(to: &HttpReceiver, export: &config::Export, source: Source) -> anyhow::Result<Self> {
        Ok(Self { http: HttpSender::new(to, export)?, source })
    }

    pub(super) async fn deliver(&mut self, entries: &[Shown]) -> Result<(), Failure> {
        let (batch, count) = audit_event::batch(entries, &self.source);
        let body = batch.to_string().into_bytes();
        let answer = self.http.post("application/fhir+json", HeaderMap::new(), body).await?;
        answer.taken()?;
        match audit_event::all_taken(&answer.body, count) {
            Ok(()) => Ok(()),
            Err(NotTaken::NoAnswer) => Err(Failure::away("no-answer-to-a-batch")),
            Err(NotTaken::Status(status)) => {
                let code = format!("entry-status-{status}");
                Err(if may_be_less(status) { Failure::refused(code) } else { Failure::away(code) })
            }
        }
    }
}
