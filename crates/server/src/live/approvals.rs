//! Questions to people that wait for an answer, and telling whoever asked once there is one. CIBA Core sections 7 and 10.
//!
//! A client asks by CIBA; whoever signs in asks the person whom they say they are; who needs another's yes asks those who may say
//! it. All come to the same phones.

pub(crate) mod deeds;
pub(crate) mod lapsing;
pub(crate) mod questions;

use std::sync::Arc;

use bytes::Bytes;
use chartgate_access::grant::backchannel::{BackchannelRequest, NotToBeAnswered};
use chartgate_access::grant::polling::Answer;
use chartgate_access::ids::GrantId;
use chartgate_access::principal::{User, UserState};
use chartgate_audit::journal::Journal;
use chartgate_protocol::oidc::ciba::Ping;
use chartgate_values::seal::SealingKey;
use chartgate_values::{Clock, Secret};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::emergency::Emergencies;
use super::phones::Phones;
use crate::entropy::SystemEntropy;
use crate::net::client::egress::Egress;
use crate::net::credential::sensitive;
use crate::store::pending::Took;
use crate::store::{Sql, Store, StoreError};

/// What a sealed notification token is sealed for.
pub(crate) const PURPOSE: &str = "notification tokens";

/// Questions that wait.
pub(crate) struct Approvals(Parts);

/// What a person says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    Approve,
    Deny,
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAnswered {
    /// There is none such.
    #[error("no such request")]
    Unknown,
    /// It cannot be answered any more.
    #[error(transparent)]
    TooLate(#[from] NotToBeAnswered),
    /// Its person may not sign in, and so may not approve.
    #[error("its person is disabled")]
    UserDisabled,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What approvals work with.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) phones: Arc<Phones>,
    pub(crate) emergencies: Arc<Emergencies>,
    pub(crate) seal: SealingKey,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Approvals {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// Seals a client's notification token for its request.
    pub(crate) fn seal(&self, auth_req_id: &str, token: &Secret<String>) -> Option<Vec<u8>> {
        self.0.seal.seal(&mut SystemEntropy, auth_req_id.as_bytes(), token.expose().as_bytes()).ok()
    }

    /// The questions that wait now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn waiting(&self) -> Result<Vec<(String, BackchannelRequest)>, StoreError> {
        let now = self.0.clock.now();
        self.0.store.read(|sql| sql.backchannel_requests(now))
    }

    /// The question of this name, if it waits for an answer, and its person as they are now.
    ///
    /// # Errors
    /// [`NotAnswered`].
    pub(crate) fn find(&self, auth_req_id: &str) -> Result<(BackchannelRequest, User), NotAnswered> {
        let request = self.0.store.read(|sql| sql.backchannel_request(auth_req_id))?;
        let request = request.ok_or(NotAnswered::Unknown)?;
        request.check_waiting(self.0.clock.now())?;
        let user = self.0.store.read(|sql| sql.user(&request.subject))?.ok_or(NotAnswered::Unknown)?;
        match user.state {
            UserState::Enabled => Ok((request, user)),
            UserState::Disabled => Err(NotAnswered::UserDisabled),
        }
    }

    /// Answers a question that was found with what was decided, and tells its client, if it wants to be told.
    ///
    /// # Errors
    /// [`NotAnswered`] if somebody answered meanwhile.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        auth_req_id: String,
        (request, user): (BackchannelRequest, User),
        decision: Decision,
    ) -> Result<(), NotAnswered> {
        let now = self.0.clock.now();
        let answer = match decision {
            Decision::Approve => {
                Answer::Approved(Box::new(request.grant(GrantId::random(&mut SystemEntropy), &user, now)))
            }
            Decision::Deny => Answer::Denied,
        };
        let id = auth_req_id.clone();
        let (subject, client) = (request.subject.clone(), request.client_id.clone());
        let answered = move |sql: &Sql<'_>| {
            let took = sql.answer_backchannel(&id, answer, now)?;
            if took == Took::It && decision == Decision::Approve {
                sql.use_client(&subject, &client, now)?;
            }
            Ok::<_, StoreError>(took)
        };
        match self.0.store.write(answered).await? {
            Took::Nothing => Err(NotToBeAnswered::Answered.into()),
            Took::It => {
                let told = Arc::clone(self);
                tokio::spawn(async move { told.ping(&auth_req_id, &request).await });
                Ok(())
            }
        }
    }

    /// Tells a client, once: whoever does not hear it polls (ATTACKS O21).
    async fn ping(&self, auth_req_id: &str, request: &BackchannelRequest) {
        let Some(ping) = self.prepare_ping(auth_req_id, request) else { return };
        match self.0.egress.send(ping).await {
            Ok(answer) if answer.status.is_success() => {}
            Ok(answer) => {
                tracing::warn!(client = %request.client_id, status = %answer.status, "a ping was not taken");
            }
            Err(error) => tracing::warn!(client = %request.client_id, %error, "a ping did not arrive"),
        }
    }

    fn prepare_ping(&self, auth_req_id: &str, request: &BackchannelRequest) -> Option<Request<Full<Bytes>>> {
        let sealed = request.notification_token.as_ref()?;
        let client = self.0.store.read(|sql| sql.client(&request.client_id)).ok()??;
        let uri: Uri = client.options.backchannel_client_notification_endpoint?.as_str().parse().ok()?;
        let token = self.0.seal.open(auth_req_id.as_bytes(), sealed).ok()?;
        let token = std::str::from_utf8(token.expose()).ok()?;
        let mut ping = Request::new(Full::from(serde_json::to_vec(&Ping { auth_req_id }).ok()?));
        *ping.method_mut() = Method::POST;
        *ping.uri_mut() = uri;
        let headers = ping.headers_mut();
        headers.insert(header::AUTHORIZATION, sensitive(&Zeroizing::new(format!("Bearer {token}")))?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(ping)
    }
}
