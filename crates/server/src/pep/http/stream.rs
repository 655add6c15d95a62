//! Answers that cannot be withheld whole: long downloads, server-sent events.
//!
//! The `access` record of such an answer is durable before its first byte; an `access.end` with the same `request_id`
//! says how many bytes were handed out, their digest, and why it ended. A cut-off of the token ends the stream at once.
//! The end of its session, which an open stream does not keep alive, and new policies that deny what those allowed that
//! decided end it within [`LOOK_EVERY`]; what has no end of its own ends with its token, and the client comes again with
//! a new one.
//!
//! CRASH: a stream that was open has its `access` and no `access.end`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::ids::Subject;
use chartgate_access::pdp::decide::{Decision, Pdp, Question};
use chartgate_audit::journal::{AppendError, Journal};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::{Clock, Phi};
use http::Method;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::live::cut_offs::LiveCutOffs;
use crate::live::keys::KeyRing;
use crate::live::policies::LivePolicies;
use crate::live::sessions::LiveSessions;
use crate::live::trusted_issuers::LiveIssuers;
use crate::net::flow::{self, Feeder};
use crate::net::shares::{Share, Shares};
use crate::pep::authenticate::{Authenticated, NotAuthenticated};

/// Streams that may be open at the same time.
const PLACES: u32 = 4096;
/// And of one caller: whoever reads slowly leaves room for others.
const OF_A_CALLER: usize = 1024;
/// An upstream may be silent for so long.
const SILENCE: Duration = Duration::from_secs(300);
/// A client may take so long over one piece.
const CLIENT_TIME: Duration = Duration::from_secs(60);
/// How often it is looked whether the session goes on, the token's key is still good and the policies still allow it.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a download may go on when its token has expired.
const DOWNLOAD_TIME: Duration = Duration::from_secs(3600);
/// How long a download may go on when the gateway stops. Less than connections have to drain.
const GRACE: Duration = Duration::from_secs(15);
/// How long after a failure the end of a stream is recorded anew.
const RETRY: Duration = Duration::from_secs(1);

/// All open streams, and what ends them.
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    callers: Shares<Subject>,
    watched: Watched,
    journal: Journal,
    clock: Arc<dyn Clock>,
    /// Turns true when the gateway goes down.
    stopped: watch::Receiver<bool>,
}

/// What may end a stream while it is open.
pub(crate) struct Watched {
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) sessions: Arc<LiveSessions>,
    pub(crate) policies: Arc<LivePolicies>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) issuers: Arc<LiveIssuers>,
}

/// For whom a stream is open, and what they asked for.
pub(super) struct Reader {
    pub(super) token: Arc<Authenticated>,
    pub(super) route: String,
    pub(super) method: Method,
    /// As the route's rule writes it.
    pub(super) path: String,
    /// The policies that allowed it.
    pub(super) decided_by: Arc<Pdp>,
}

/// An answer that has begun to come.
pub(super) struct Begun {
    /// What came already.
    pub(super) pieces: Vec<Bytes>,
    pub(super) rest: Body,
    /// Its length, where the upstream announced one.
    pub(super) length: Option<u64>,
    /// The most that is let through.
    pub(super) limit: u64,
}

/// Leave to keep a stream open.
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _share: Share<Subject>,
}

/// How a stream ended.
enum Ended {
    Complete,
    /// The caller may not have the rest.
    Cut(&'static str),
    Broken(&'static str),
}

impl Streams {
    pub(crate) fn new(
        watched: Watched,
        journal: Journal,
        clock: Arc<dyn Clock>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(PLACES as usize));
        Self { places, callers: Shares::default(), watched, journal, clock, stopped }
    }

    /// A place for one more of this caller, if there is one, for them and at all.
    pub(super) fn place(&self, of: &Subject) -> Option<Place> {
        let share = self.callers.take(of.clone(), OF_A_CALLER)?;
        Some(Place { _place: Arc::clone(&self.places).try_acquire_owned().ok()?, _share: share })
    }

    /// Begins to hand out an answer whose `access` record is durable.
    pub(super) fn start(
        self: &Arc<Self>,
        begun: Begun,
        access: Record,
        reader: Reader,
        place: Place,
    ) -> Body {
        let (feeder, body) = flow::flow(begun.length);
        let streams = Arc::clone(self);
        tokio::spawn(async move {
            let ended = streams.pour(begun, &feeder, &reader).await;
            streams.record_end(access, ended, feeder).await;
            drop(place);
        });
        Body::new(body)
    }

    /// Waits until every stream has ended and has its record.
    pub(crate) async fn all_ended(&self) {
        let _ = self.places.acquire_many(PLACES).await;
    }

    async fn pour(&self, mut begun: Begun, feeder: &Feeder, reader: &Reader) -> Ended {
        let length = begun.length;
        let traits = reader.token.traits();
        tokio::select! {
            biased;
            revoked = self.watched.cut_offs.cut_of(traits) => Ended::Cut(NotAuthenticated::Revoked(revoked).reason()),
            reason = self.no_longer_allowed(reader) => Ended::Cut(reason),
            () = self.too_old(reader, length) => Ended::Cut("token-expired"),
            () = self.time_to_stop(length) => Ended::Broken("gateway-stopping"),
            ended = begun.pour(feeder) => ended,
        }
    }

    /// The session goes on, and new policies say what the old ones said (ATTACKS G16). The old ones are those that decided: others
    /// may have come into force while the upstream was waited for, and are asked before anything is handed out.
    async fn no_longer_allowed(&self, reader: &Reader) -> &'static str {
        let mut asked = Arc::clone(&reader.decided_by);
        loop {
            let current = self.watched.policies.current();
            if !Arc::ptr_eq(&asked, &current)
                && let Some(reason) = reader.denied_by(&current)
            {
                return reason;
            }
            asked = current;
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(session) = &reader.token.traits().session
                && self.watched.sessions.look(session).is_err()
            {
                return NotAuthenticated::SessionOver.reason();
            }
            if !reader.token.is_vouched_for(&self.watched.keys, &self.watched.issuers).await {
                return "key-withdrawn";
            }
        }
    }

    /// What has no end ends with its token; a download that was begun under it has some time more.
    async fn too_old(&self, reader: &Reader, length: Option<u64>) {
        let more = if length.is_some() { DOWNLOAD_TIME } else { Duration::ZERO };
        tokio::time::sleep(reader.token.expires().plus(more).since(self.clock.now())).await;
    }

    /// A download may come to its end when the gateway stops; what has no end does not hold it up.
    async fn time_to_stop(&self, length: Option<u64>) {
        if self.stopped.clone().wait_for(|stopped| *stopped).await.is_err() {
            return std::future::pending().await;
        }
        if length.is_some() {
            tokio::time::sleep(GRACE).await;
        }
    }

    async fn record_end(&self, access: Record, ended: Ended, feeder: Feeder) {
        let taken = feeder.close();
        let mut record = Record { event: Event::AccessEnd, time: self.clock.now(), ..access };
        record.response.bytes = Some(taken.bytes);
        record.response.digests = vec![Phi::new(taken.digest)];
        let (outcome, reason) = match ended {
            Ended::Complete => (Outcome::Allow, None),
            Ended::Cut(reason) => (Outcome::Deny, Some(reason)),
            Ended::Broken(reason) => (Outcome::Error, Some(reason)),
        };
        record.outcome = outcome;
        record.decision.reason = reason.map(str::to_owned);
        record.response.truncated = reason.map(str::to_owned);
        loop {
            match self.journal.append(&record, ()).await {
                Ok(_) => return,
                Err(error @ (AppendError::Closed | AppendError::Encode(_))) => {
                    tracing::error!(%error, "audit: a stream's end is not recorded");
                    return;
                }
                Err(AppendError::Unwritable | AppendError::Key(_)) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

impl Reader {
    /// Why these policies deny what was asked for, if they do.
    fn denied_by(&self, pdp: &Pdp) -> Option<&'static str> {
        let Self { token, route, method, path, .. } = self;
        match pdp.decide(&token.caller.facts, &Question::Endpoint { route, method: method.as_str(), path }) {
            Decision::Allow(_) => None,
            Decision::Deny(denial) => Some(denial.reason.as_str()),
        }
    }
}

impl Begun {
    /// Hands on what comes, as fast as it is taken.
    async fn pour(&mut self, feeder: &Feeder) -> Ended {
        let mut left = self.limit;
        for piece in std::mem::take(&mut self.pieces) {
            if let Err(ended) = hand_on(piece, feeder, &mut left).await {
                return ended;
            }
        }
        loop {
            let frame = tokio::select! {
                () = feeder.reader_is_gone() => return ended_by_reader(feeder).await,
                frame = tokio::time::timeout(SILENCE, self.rest.frame()) => frame,
            };
            let content = match frame {
                Err(_) => return Ended::Broken("upstream-too-slow"),
                Ok(None) => return ended_by_reader(feeder).await,
                Ok(Some(Err(_))) => return Ended::Broken("upstream-unreachable"),
                Ok(Some(Ok(frame))) => frame.into_data(),
            };
            // Trailers say nothing that a caller gets.
            let Ok(content) = content else { continue };
            if let Err(ended) = hand_on(content, feeder, &mut left).await {
                return ended;
            }
        }
    }
}

async fn hand_on(content: Bytes, feeder: &Feeder, left: &mut u64) -> Result<(), Ended> {
    *left = left.checked_sub(content.len() as u64).ok_or(Ended::Broken("upstream-too-long"))?;
    match tokio::time::timeout(CLIENT_TIME, feeder.feed(content)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(ended_by_reader(feeder).await),
        Err(_) => Err(Ended::Broken("client-too-slow")),
    }
}

/// Nothing follows, or nobody takes it: whether the reader has everything.
async fn ended_by_reader(feeder: &Feeder) -> Ended {
    match tokio::time::timeout(CLIENT_TIME, feeder.end()).await {
        Ok(Ok(())) => Ended::Complete,
        Ok(Err(_)) => Ended::Broken("client-gone"),
        Err(_) => Ended::Broken("client-too-slow"),
    }
}
