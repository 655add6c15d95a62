//! Log records of OpenTelemetry, to a collector over HTTP. OTLP 1.x, JSON.

use chartgate_audit::outward::{Shown, Source, otlp};
use http::HeaderMap;

use super::Failure;
use super::http::HttpSender;
use crate::config::{self, HttpReceiver};

/// A collector.
pub(crate) struct OtlpSender {
    http: HttpSender,
    source: Source,
}

impl OtlpSender {
    pub(super) fn new(to: &HttpReceiver, export: &config::Export, source: Source) -> anyhow::Result<Self> {
        Ok(Self { http: HttpSender::new(to, export)?, source })
    }

    pub(super) async fn deliver(&mut self, entries: &[Shown]) -> Result<(), Failure> {
        let body = otlp::request(entries, &self.source).to_string().into_bytes();
        let answer = self.http.post("application/json", HeaderMap::new(), body).await?;
        answer.taken()?;
        otlp::all_taken(&answer.body?).map_err(|not_taken| match not_taken {
            otlp::NotTaken::Some => Failure::refused("partly-rejected"),
            otlp::NotTaken::NoAnswer => Failure::not_taken("no-answer-to-a-batch"),
        })
    }
}
