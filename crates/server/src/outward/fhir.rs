//! AuditEvents to a FHIR server, in batches.

use std::sync::Arc;

use chartgate_audit::outward::audit_event::{self, Batch, NotTaken, Place};
use chartgate_audit::outward::{Shown, Source};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Failure;
use super::http::HttpSender;
use super::portion::Portion;
use crate::config::{self, HttpReceiver};

/// A FHIR server.
pub(crate) struct FhirSender {
    http: HttpSender,
    source: Source,
    progress: Progress,
}

/// How far the server is within the entries that it was given last. Nobody else knows: after a restart it gets them from the first
/// AuditEvent of a record on.
#[derive(Default)]
struct Progress {
    /// The first AuditEvent that it has not taken.
    next: Place,
}

impl Progress {
    /// What its answer to a batch says.
    fn answered(
        &mut self,
        batch: &Batch,
        answer: Result<(), NotTaken>,
        portion: &mut Portion,
    ) -> Result<(), Failure> {
        let behind = |place: Option<&Place>| place.map(|(index, number)| (*index, number.saturating_add(1)));
        match answer {
            Ok(()) => {
                self.next = behind(batch.places.last()).unwrap_or(self.next);
                portion.taken();
                Ok(())
            }
            Err(NotTaken::NoAnswer) => Err(Failure::refused("no-answer-to-a-batch")),
            Err(NotTaken::Some { status, leading, taken }) => {
                let code = format!("entry-status-{status}");
                if taken == 0 {
                    return Err(Failure::of_status(status, code));
                }
                // What it took is not sent again as far as we can help it: what it did not take goes alone from now on.
                self.next = batch.places.get(leading).copied().unwrap_or(self.next);
                portion.give(self.next.0, 1);
                Err(Failure::refused(code))
            }
        }
    }
}

impl FhirSender {
    pub(super) fn new(to: &HttpReceiver, export: &config::Export, source: Source) -> anyhow::Result<Self> {
        Ok(Self { http: HttpSender::new(to, export)?, source, progress: Progress::default() })
    }

    /// It has had all AuditEvents of the records before this one.
    pub(super) const fn has_before(&self) -> u64 {
        self.progress.next.0
    }

    pub(super) async fn deliver(
        &mut self,
        entries: &Arc<[Shown]>,
        portion: &mut Portion,
    ) -> Result<(), Failure> {
        loop {
            let (entries, source) = (Arc::clone(entries), self.source.clone());
            let next = self.progress.next;
            let most = usize::try_from(portion.now()).unwrap_or(usize::MAX);
            let batch =
                tokio::task::spawn_blocking(move || audit_event::batch(&entries, &source, next, most));
            let batch = batch.await.map_err(|_| Failure::not_taken("not-built"))?;
            let Some(mut batch) = batch else { return Ok(()) };
            let first = batch.places.first().map(|(index, _)| *index).unwrap_or_default();
            portion.give(first, u64::try_from(batch.places.len()).unwrap_or(u64::MAX));
            let body = std::mem::take(&mut batch.body);
            let answer = self.post(body, batch.places.len()).await?;
            self.progress.answered(&batch, answer, portion)?;
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
    use super::super::destination::FailureKind;
    use super::*;

    fn batch(places: &[Place]) -> Batch {
        Batch { body: Vec::new(), places: places.to_vec() }
    }

    /// What comes of a batch, and what is given at the most behind it, as the runner has it.
    fn answered(
        progress: &mut Progress,
        portion: &mut Portion,
        places: &[Place],
        answer: Result<(), NotTaken>,
    ) -> Result<(), Failure> {
        portion.give(places[0].0, u64::try_from(places.len()).unwrap());
        let answered = progress.answered(&batch(places), answer, portion);
        if answered.as_ref().is_err_and(|failure| failure.kind != FailureKind::Away) {
            portion.not_taken();
        }
        answered
    }

    #[test]
    fn what_a_server_took_is_not_sent_again_and_what_it_did_not_goes_alone() {
        let (mut progress, mut portion) = (Progress::default(), Portion::new(200));
        // Whatever it says of the one that it did not take: a 503 beside a 201 is no server that is away.
        for status in [422, 409, 503] {
            (progress, portion) = (Progress::default(), Portion::new(200));
            let answer = Err(NotTaken::Some { status, leading: 2, taken: 3 });
            let sent = [(7, 0), (7, 1), (8, 0), (9, 0)];
            let failure = answered(&mut progress, &mut portion, &sent, answer).unwrap_err();
            assert_eq!(failure, Failure::refused(format!("entry-status-{status}")));
            assert_eq!((progress.next, portion.now(), portion.single()), ((8, 0), 1, Some(8)));
        }
        // It is still not taken: what is before it is not sent again.
        let alone = [(8, 0)];
        let answer = Err(NotTaken::Some { status: 409, leading: 0, taken: 0 });
        let failure = answered(&mut progress, &mut portion, &alone, answer).unwrap_err();
        assert_eq!(failure, Failure::not_taken("entry-status-409"));
        assert_eq!((progress.next, portion.now(), portion.single()), ((8, 0), 1, Some(8)));
        assert_eq!(answered(&mut progress, &mut portion, &alone, Ok(())), Ok(()));
        assert_eq!((progress.next, portion.now()), ((8, 1), 26));
        // No answer to a batch: it gets fewer and fewer.
        let two = [(9, 0), (9, 1)];
        let failure = answered(&mut progress, &mut portion, &two, Err(NotTaken::NoAnswer)).unwrap_err();
        assert_eq!(failure, Failure::refused("no-answer-to-a-batch"));
        assert_eq!((progress.next, portion.now()), ((8, 1), 1));
        // None at all, and not for what they are: it is away, and gets as many as before.
        (progress, portion) = (Progress::default(), Portion::new(200));
        let answer = Err(NotTaken::Some { status: 503, leading: 0, taken: 0 });
        let failure = answered(&mut progress, &mut portion, &two, answer).unwrap_err();
        assert_eq!(failure, Failure::away("entry-status-503"));
        assert_eq!((progress.next, portion.is_full()), ((0, 0), true));
        // A server that breaks at what it is given, not at one of them: it gets fewer.
        let answer = Err(NotTaken::Some { status: 500, leading: 0, taken: 0 });
        let failure = answered(&mut progress, &mut portion, &two, answer).unwrap_err();
        assert_eq!((failure, portion.now()), (Failure::not_taken("entry-status-500"), 1));
    }
}
