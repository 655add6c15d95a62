//! What asks all witnesses, round by round, and keeps what they cosigned.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::journal::Journal;
use chartgate_audit::reader::Reader;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_audit::storage::{Object, Objects};
use chartgate_audit::witness::COSIGNED;
use chartgate_values::{Clock, Phi};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ask::NotCosigned;
use super::{Standing, Witness, Witnesses};

/// How often it is looked whether there is a new checkpoint.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a round may take: a witness that is slower is asked again in a later one.
const ROUND: Duration = Duration::from_secs(10);
/// How long after a failure a witness is asked again; twice as long after each one more.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Asks all witnesses.
pub(crate) struct Runner {
    pub(crate) witnesses: Arc<Witnesses>,
    pub(crate) reader: Reader,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
}

/// When a witness is asked next, and how often it failed.
#[derive(Clone, Copy)]
struct Next {
    at: Instant,
    failures: u32,
}

impl Runner {
    /// Runs until the gateway goes down.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) {
        if self.witnesses.all.is_empty() {
            return;
        }
        let mut kept = self.read_kept().await;
        let mut next = vec![Next { at: Instant::now(), failures: 0 }; self.witnesses.all.len()];
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = self.round(&mut kept, &mut next) => {}
            }
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// What was kept before we began. What does not hold is no longer looked at, and soon replaced.
    async fn read_kept(&self) -> Option<SignedCheckpoint> {
        let (objects, key) = (Arc::clone(&self.objects), self.reader.key().clone());
        let read = tokio::task::spawn_blocking(move || objects.read(COSIGNED));
        let kept = SignedCheckpoint::open(&read.await.ok()?.ok()?, &key).ok()?;
        self.witnesses.sizes().1 = kept.size();
        for witness in &self.witnesses.all {
            if let Ok(at) = kept.cosigned_at(&witness.key) {
                let mut state = witness.state();
                (state.cosigned, state.at) = (kept.size(), at);
            }
        }
        Some(kept)
    }

    async fn round(&self, kept: &mut Option<SignedCheckpoint>, next: &mut [Next]) {
        let reader = self.reader.clone();
        let Ok(Ok(checkpoint)) = tokio::task::spawn_blocking(move || reader.checkpoint()).await else {
            return;
        };
        self.witnesses.sizes().0 = checkpoint.size();
        // Later lines stand beside those that are there already.
        let same = kept.as_ref().filter(|kept| kept.text() == checkpoint.text());
        let mut cosigned = same.unwrap_or(&checkpoint).clone();
        let mut asked = JoinSet::new();
        for (place, (witness, next)) in self.witnesses.all.iter().zip(next.iter()).enumerate() {
            if next.at <= Instant::now() && cosigned.cosigned_at(&witness.key).is_err() {
                let (witness, objects) = (Arc::clone(witness), Arc::clone(&self.objects));
                let checkpoint = checkpoint.clone();
                asked.spawn(async move {
                    let asking = tokio::time::timeout(ROUND, witness.ask(&objects, &checkpoint));
                    (place, asking.await.unwrap_or(Err(NotCosigned::away("too-slow"))))
                });
            }
        }
        let mut is_new = false;
        while let Some(answered) = asked.join_next().await {
            let Ok((place, answer)) = answered else { continue };
            let (Some(witness), Some(next)) = (self.witnesses.all.get(place), next.get_mut(place)) else {
                continue;
            };
            next.count(answer.is_ok());
            if let Ok(lines) = &answer
                && let Ok(more) = cosigned.cosigned(lines, &witness.key)
            {
                (cosigned, is_new) = (more, true);
            }
            self.tell(witness, answer, checkpoint.size()).await;
        }
        if is_new && self.is_better(&cosigned, kept.as_ref()) {
            self.keep(cosigned, kept).await;
        }
    }

    /// A newer checkpoint takes the place of an older one once the quorum has cosigned it, or as many as that one.
    fn is_better(&self, cosigned: &SignedCheckpoint, kept: Option<&SignedCheckpoint>) -> bool {
        let count = |checkpoint: &SignedCheckpoint| {
            self.witnesses.all.iter().filter(|witness| checkpoint.cosigned_at(&witness.key).is_ok()).count()
        };
        let lines = count(cosigned);
        lines >= self.witnesses.quorum || kept.is_none_or(|kept| lines >= count(kept))
    }

    async fn keep(&self, cosigned: SignedCheckpoint, kept: &mut Option<SignedCheckpoint>) {
        let objects = Arc::clone(&self.objects);
        let object = Object { path: COSIGNED.to_owned(), bytes: cosigned.note().as_bytes().to_vec() };
        let stored = tokio::task::spawn_blocking(move || objects.put(&[object])).await;
        match stored {
            Ok(Ok(())) => {
                self.witnesses.sizes().1 = cosigned.size();
                *kept = Some(cosigned);
            }
            Ok(Err(error)) => tracing::error!(%error, "cosignatures cannot be stored"),
            Err(error) => tracing::error!(%error, "cosignatures cannot be stored"),
        }
    }

    /// Says once how a witness stands, whenever that is another way than before.
    async fn tell(&self, witness: &Witness, answer: Result<Bytes, NotCosigned>, size: u64) {
        let name = &witness.name;
        let standing = match &answer {
            Ok(_) => Standing::Well,
            Err(NotCosigned::Away(code)) => Standing::Away(code.clone()),
            Err(NotCosigned::Contradicts(code, _)) => Standing::Contradicts(code),
        };
        let before = witness.state().standing.clone();
        if before == standing {
            return;
        }
        match answer {
            Ok(_) => tracing::info!(witness = name, "a witness cosigns again"),
            // That it is away for now does not take back what it said.
            Err(NotCosigned::Away(code)) if matches!(before, Standing::Contradicts(_)) => {
                tracing::warn!(witness = name, code, "a witness that contradicted does not answer");
                return;
            }
            Err(NotCosigned::Away(code)) => tracing::warn!(witness = name, code, "a witness does not cosign"),
            Err(NotCosigned::Contradicts(code, remembered)) => {
                let recorded = self.record(witness, code, remembered, size).await;
                tracing::error!(
                    witness = name,
                    code,
                    remembered,
                    size,
                    "a witness remembers another log than this: it was put back or forked"
                );
                if !recorded {
                    return;
                }
            }
        }
        witness.state().standing = standing;
    }

    async fn record(&self, witness: &Witness, code: &str, remembered: u64, size: u64) -> bool {
        let event = Event::WitnessContradicted;
        let mut record = Record::new(event, Outcome::Error, self.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(event.as_str().to_owned());
        record.resource = Some(Phi::new(witness.name.clone()));
        record.decision.reason = Some(code.to_owned());
        for (name, value) in [
            ("witness", witness.place.clone()),
            ("remembered", remembered.to_string()),
            ("size", size.to_string()),
        ] {
            record.detail.insert(name.to_owned(), Phi::new(value));
        }
        let recorded = self.journal.append(&record, ()).await;
        recorded.map(drop).inspect_err(|error| tracing::error!(%error, "audit")).is_ok()
    }
}

impl Next {
    fn count(&mut self, succeeded: bool) {
        if succeeded {
            *self = Self { at: Instant::now(), failures: 0 };
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        let at = Instant::now().checked_add(pause).unwrap_or(self.at);
        *self = Self { at, failures: self.failures.saturating_add(1) };
    }
}
