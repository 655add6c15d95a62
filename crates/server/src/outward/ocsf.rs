//! Events of OCSF, posted in batches and signed, if the receiver shares a secret with us.

use std::sync::Arc;

use chartgate_audit::outward::{Shown, Source, ocsf};
use chartgate_protocol::webhook::WebhookKey;
use chartgate_values::Clock;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::Failure;
use super::http::HttpSender;
use crate::config::{self, Batches, OcsfReceiver};

/// A receiver of OCSF events.
pub(crate) struct OcsfSender {
    http: HttpSender,
    key: Option<WebhookKey>,
    batches: Batches,
    source: Source,
    clock: Arc<dyn Clock>,
}

impl OcsfSender {
    pub(super) fn new(
        to: &OcsfReceiver,
        export: &config::Export,
        source: Source,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let key = to.signing_secret.as_ref().map(WebhookKey::parse).transpose()?;
        Ok(Self { http: HttpSender::new(&to.http, export)?, key, batches: to.batches, source, clock })
    }

    pub(super) async fn deliver(&mut self, entries: &[Shown]) -> Result<(), Failure> {
        let events: Vec<Value> = entries.iter().map(|entry| ocsf::event(entry, &self.source)).collect();
        let (content_type, body) = match self.batches {
            Batches::Array => ("application/json", Value::Array(events).to_string()),
            Batches::Lines => {
                let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
                ("application/x-ndjson", lines)
            }
        };
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            let index = |entry: Option<&Shown>| entry.map(|entry| entry.entry().index).unwrap_or_default();
            // The same for what is sent again.
            let id = format!("{}/{}-{}", self.source.origin, index(entries.first()), index(entries.last()));
            let now = self.clock.now();
            let signature = key.sign(&id, now, body.as_bytes());
            for (name, value) in [
                ("webhook-id", id),
                ("webhook-timestamp", now.as_unix().to_string()),
                ("webhook-signature", signature),
            ] {
                let value = HeaderValue::try_from(value).map_err(|_| Failure::away("bad-header"))?;
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        self.http.post(content_type, headers, body.into_bytes()).await?.taken()
    }
}
