//! Telling clients that a session ended. OpenID Connect Back-Channel Logout 1.0; ATTACKS O21, O33.
//!
//! Whom to tell is written with the session's end, so that nobody is forgotten. The first attempt is recorded before it is
//! made, and so is giving up. What may get better is tried again, ever less often; what a client refuses is not.
//!
//! CRASH: a client that was told and is still noted is told again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartgate_access::client::Client;
use chartgate_access::ids::Jti;
use chartgate_audit::journal::{AppendError, Journal};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::jws;
use chartgate_protocol::oidc::back_channel_logout::{LOGOUT_TYPE, LogoutTokenClaims};
use chartgate_values::{Clock, Phi};
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::entropy::SystemEntropy;
use crate::live::keys::KeyRing;
use crate::net::client::egress::{Egress, EgressError};
use crate::store::logout_notices::LogoutNotice;
use crate::store::{Store, StoreError};

/// How often it is looked who is to be told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many are told at the same time.
const AT_ONCE: i64 = 16;
/// How long after the first failure it is tried again; twice as long after each one more.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(1800);
/// How often it is tried: for some four hours in all.
const ATTEMPTS: u32 = 16;
/// How long a logout token is good. Section 2.4 recommends two minutes at the most.
const LIFE: Duration = Duration::from_secs(120);

/// Tells clients.
pub(crate) struct BackChannelLogout {
    pub(crate) issuer: String,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) egress: Arc<Egress>,
}

/// Why a client was not told.
enum NotTold {
    /// It was not tried: something of ours is not in order.
    Not(&'static str),
    /// It may be some other time.
    Yet(String),
    /// It will not be.
    Ever(String),
}

impl BackChannelLogout {
    /// Tells whoever is to be told, until the gateway goes down.
    pub(crate) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = self.clock.now();
            let due = self.store.read(|sql| sql.due_logout_notices(now, AT_ONCE));
            let due = due.unwrap_or_else(|error: StoreError| {
                tracing::warn!(%error, "who is to be told of ended sessions cannot be read");
                Vec::new()
            });
            let mut telling = JoinSet::new();
            for notice in due {
                let own = Arc::clone(&self);
                telling.spawn(async move { own.settle(notice).await });
            }
            while telling.join_next().await.is_some() {}
        }
    }

    async fn settle(&self, notice: LogoutNotice) {
        let outcome = self.tell(&notice).await;
        let attempts = notice.attempts.saturating_add(1);
        let given_up = match outcome {
            Ok(()) => None,
            // No attempt, so none is counted: the first that is made is recorded before it is made. It is due as it was.
            Err(NotTold::Not(reason)) => {
                tracing::warn!(client = %notice.client_id, reason, "a client cannot be told of a logout");
                return;
            }
            Err(NotTold::Yet(reason)) if attempts < ATTEMPTS => {
                tracing::info!(client = %notice.client_id, reason, attempts, "a client was not told of a logout yet");
                let pause = FIRST_PAUSE.saturating_mul(1 << notice.attempts.min(16)).min(LONGEST_PAUSE);
                let due_at = self.clock.now().plus(pause);
                let put_off = self.store.write(move |sql| sql.put_off_logout_notice(&notice, due_at));
                if let Err::<_, StoreError>(error) = put_off.await {
                    tracing::warn!(%error, "an attempt to tell a client of a logout was not noted");
                }
                return;
            }
            Err(NotTold::Yet(reason) | NotTold::Ever(reason)) => Some(reason),
        };
        if let Some(reason) = given_up {
            let mut record = self.record(&notice, Outcome::Error);
            record.decision.reason = Some(reason);
            if let Err(error) = self.journal.append(&record, ()).await {
                tracing::error!(%error, "audit");
                return;
            }
        }
        let removed = self.store.write(move |sql| sql.remove_logout_notice(&notice));
        if let Err::<_, StoreError>(error) = removed.await {
            tracing::warn!(%error, "that a client was told of a logout was not noted");
        }
    }

    async fn tell(&self, notice: &LogoutNotice) -> Result<(), NotTold> {
        let client = self.store.read(|sql| sql.client(&notice.client_id));
        let client = client.map_err(|_: StoreError| NotTold::Not("store-unavailable"))?;
        let Some(client) = client else { return Err(NotTold::Ever("client-removed".to_owned())) };
        let Some(uri) = &client.options.backchannel_logout_uri else { return Ok(()) };
        let token = self.token(&client, notice).ok_or(NotTold::Not("signing-failed"))?;
        let mut form = Form::default();
        form.push("logout_token", &token);
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form.encode())))
            .map_err(|_| NotTold::Ever("bad-address".to_owned()))?;
        if notice.attempts == 0 {
            let recorded = self.journal.append(&self.record(notice, Outcome::Allow), ()).await;
            let _ = recorded.map_err(|_: AppendError| NotTold::Not("audit-unwritable"))?;
        }
        match self.egress.send(request).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(refused(answer.status)),
            Err(EgressError::Address) => Err(NotTold::Ever("bad-address".to_owned())),
            Err(EgressError::NotPublic) => Err(NotTold::Ever("address-not-public".to_owned())),
            Err(EgressError::Call(_) | EgressError::Body(_)) => Err(NotTold::Yet("unreachable".to_owned())),
            Err(EgressError::TooSlow) => Err(NotTold::Yet("too-slow".to_owned())),
        }
    }

    /// Section 2.4; signed as the client's ID tokens are (section 2.6).
    fn token(&self, client: &Client, notice: &LogoutNotice) -> Option<String> {
        let now = self.clock.now();
        let claims = LogoutTokenClaims::new(
            self.issuer.clone(),
            notice.client_id.to_string(),
            notice.subject.to_string(),
            notice.session.to_string(),
            Jti::random(&mut SystemEntropy).to_string(),
            (now, LIFE),
        );
        let ring = self.keys.current();
        let key = ring.for_client(client, client.options.id_token_signed_response_alg)?;
        jws::sign(key, LOGOUT_TYPE, &claims).ok()
    }

    fn record(&self, notice: &LogoutNotice, outcome: Outcome) -> Record {
        let mut record = Record::new(Event::LogoutTold, outcome, self.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(Event::LogoutTold.as_str().to_owned());
        record.resource = Some(Phi::new(notice.client_id.to_string()));
        record.session = Some(notice.session.to_string());
        record.detail.insert("user".to_owned(), Phi::new(notice.subject.to_string()));
        record
    }
}

/// What a refusal means: some pass, others do not (ATTACKS O21). A redirect leads nowhere.
fn refused(status: StatusCode) -> NotTold {
    let reason = format!("status-{}", status.as_u16());
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => NotTold::Yet(reason),
        status if status.is_server_error() => NotTold::Yet(reason),
        _ => NotTold::Ever(reason),
    }
}
