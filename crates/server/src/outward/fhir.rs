//! AuditEvents to a FHIR server, in batches.

use std::sync::Arc;

use chartgate_audit::outward::audit_event::{self, Batch, MOST, NotTaken, Place};
use chartgate_audit::outward::{Shown, Source};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Failure;
use super::destination::FailureKind;
use super::http::{HttpSender, may_be_less};
use crate::config::{self, HttpReceiver};

/// A FHIR server.
pub(crate) struct FhirSender {
    http: HttpSender,
    source: Source,
    progress: Progress,
}

/// How far the server is within the entries that it was given last. Nobody else knows: after a restart it gets them from the first
/// AuditEvent of a record on.
struct Progress {
    /// The first AuditEvent that it has not taken.
    next: Place,
    /// How many it gets at once.
    most: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self { next: (0, 0), most: MOST }
    }
}

impl Progress {
    /// What its answer to a batch says.
    fn answered(&mut self, batch: &Batch, answer: Result<(), NotTaken>) -> Result<(), Failure> {
        let behind = |place: Option<&Place>| place.map(|(index, number)| (*index, number.saturating_add(1)));
        let sent = batch.places.len();
        match answer {
            Ok(()) => {
                self.next = behind(batch.places.last()).unwrap_or(self.next);
                self.most = self.most.saturating_mul(2).min(MOST);
                Ok(())
            }
            Err(NotTaken::NoAnswer) => {
                self.most = sent.div_ceil(2);
                Err(Failure::refused("no-answer-to-a-batch"))
            }
            Err(NotTaken::Some { status, leading, taken }) => {
                let code = format!("entry-status-{status}");
                if taken == 0 && !may_be_less(status) {
                    return Err(Failure::away(code));
                }
                // What it took is not sent again as far as we can help it: what it did not take goes alone from now on.
                self.next = batch.places.get(leading).copied().unwrap_or(self.next);
                self.most = 1;
                Err(Failure::refused(code))
            }
        }
    }
}

impl FhirSender {
    pub(super) fn new(to: &HttpReceiver, export: &config::Export, source: Source) -> anyhow::Result<Self> {
        Ok(Self { http: HttpSender::new(to, export)?, source, progress: Progress::default() })
    }

    pub(super) async fn deliver(&mut self, entries: &Arc<[Shown]>) -> Result<(), Failure> {
        loop {
            let (entries, source) = (Arc::clone(entries), self.source.clone());
            let (next, most) = (self.progress.next, self.progress.most);
            let batch =
                tokio::task::spawn_blocking(move || audit_event::batch(&entries, &source, next, most));
            let Some(mut batch) = batch.await.map_err(|_| Failure::away("not-built"))? else { return Ok(()) };
            let body = std::mem::take(&mut batch.body);
            let answer = self.post(body, batch.places.len()).await;
            if answer.as_ref().is_err_and(|failure| failure.kind == FailureKind::Refused) {
                self.progress.most = batch.places.len().div_ceil(2);
            }
            self.progress.answered(&batch, answer?)?;
        }
    }

    async fn post(&self, body: Vec<u8>, count: usize) -> Result<Result<(), NotTaken>, Failure> {
        let mut headers = HeaderMap::new();
        // RFC 7240 section 4.2: we read nothing but what became of each.
        headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static("return=minimal"));
        let answer = self.http.post("application/fhir+json", headers, body).await?;
        answer.taken()?;
        Ok(audit_event::all_taken(&answer.body?, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(places: &[Place]) -> Batch {
        Batch { body: Vec::new(), places: places.to_vec() }
    }

    #[test]
    fn what_a_server_took_is_not_sent_again_and_what_it_did_not_goes_alone() {
        let mut progress = Progress::default();
        let sent = batch(&[(7, 0), (7, 1), (8, 0), (9, 0)]);
        // Whatever it says of the one that it did not take: a 503 beside a 201 is no server that is away.
        for status in [422, 409, 503] {
            progress = Progress::default();
            let answer = Err(NotTaken::Some { status, leading: 2, taken: 3 });
            let failure = progress.answered(&sent, answer).unwrap_err();
            assert_eq!(failure, Failure::refused(format!("entry-status-{status}")));
            assert_eq!((progress.next, progress.most), ((8, 0), 1));
        }
        // It is still not taken: what is before it is not sent again.
        let alone = batch(&[(8, 0)]);
        let answer = Err(NotTaken::Some { status: 503, leading: 0, taken: 0 });
        assert_eq!(progress.answered(&alone, answer).unwrap_err(), Failure::away("entry-status-503"));
        assert_eq!((progress.next, progress.most), ((8, 0), 1));
        assert_eq!(progress.answered(&alone, Ok(())), Ok(()));
        assert_eq!((progress.next, progress.most), ((8, 1), 2));
        // No answer to a batch: it gets fewer and fewer.
        let two = batch(&[(9, 0), (9, 1)]);
        let failure = progress.answered(&two, Err(NotTaken::NoAnswer)).unwrap_err();
        assert_eq!(failure, Failure::refused("no-answer-to-a-batch"));
        assert_eq!((progress.next, progress.most), ((8, 1), 1));
        // None at all, and not for what they are: it is away, and gets as many as before.
        progress = Progress::default();
        let answer = Err(NotTaken::Some { status: 503, leading: 0, taken: 0 });
        assert_eq!(progress.answered(&two, answer).unwrap_err(), Failure::away("entry-status-503"));
        assert_eq!((progress.next, progress.most), ((0, 0), MOST));
    }
}
