//! The token endpoint. RFC 6749 section 3.2.
//!
//! Whatever the grant: the client proves who it is, and a key where its tokens are to be bound to one; the store consumes what can be used once, `may_issue` is asked, the
//! record becomes durable, and only then does the answer leave.

mod authorization_code;
mod client_credentials;
mod for_person;
mod jwt_bearer;
mod polled;
mod refresh_token;
mod sign;
mod token_exchange;

use axum::Json;
use axum::response::Response;
use chartgate_access::client::{Client, GrantType};
use chartgate_access::grant::Grant;
use chartgate_access::ids::{GrantId, Jti};
use chartgate_access::permit::Withheld;
use chartgate_access::principal::User;
use chartgate_access::session::Session;
use chartgate_access::token::binding::NotBound;
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::Rejection;
use chartgate_protocol::jose::claims::{Actor as TokenActor, Confirmation};
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::dpop::ProofError;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::token::{TokenRequest, TokenResponse};
use chartgate_values::{Phi, Timestamp};

use super::AuthorizationServer;
use super::client_request::{self, Posted, ProvenRequest};
use super::error::{OAuthError, answer};
use super::sender::{NextNonce, Sender};
use crate::in_place::in_place;
use crate::live::tokens::delegates;
use crate::net::origin::Origin;
use crate::store::StoreError;

/// A token request, as every grant sees it.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    server: &'a AuthorizationServer,
    origin: &'a Origin,
    client: &'a Client,
    sender: &'a Sender,
    /// The resource that it names, if any. RFC 8707 section 2.2.
    resource: Option<&'a str>,
}

/// A token request that is refused: why, for the record, and what the client gets.
pub(super) struct Denied {
    /// A stable code.
    reason: &'static str,
    event: Event,
    /// What is known of the grant that was tried.
    grant: Option<Box<Grant>>,
    telling: Telling,
    error: OAuthError,
}

/// Whether a refusal has to be put on record before it leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Telling {
    Due,
    /// What ended with it told of it.
    Done,
}

/// A token answer with the record that has to be durable before it leaves.
pub(super) struct Issued {
    answer: TokenResponse,
    record: Record,
    /// The grant that begins with it: what it came of is used up.
    begins: Option<GrantId>,
}

pub(super) async fn post(posted: Posted) -> Response {
    answer(in_place(|| redeem(&posted)).await.map(|(nonce, answer)| (nonce, Json(answer))))
}

async fn redeem(posted: &Posted) -> Result<(NextNonce, TokenResponse), OAuthError> {
    let ProvenRequest { client, form, sender } = ProvenRequest::read(posted, "/token").await?;
    let Posted { server, origin, .. } = posted;
    let (outcome, nonce) = match sender {
        Err(cause) => (Err(cause.into()), None),
        Ok(sender) => {
            let asking =
                Asking { server, origin, client: &client, sender: &sender, resource: form.get("resource") };
            (asking.redeem(&form).await, sender.next_nonce(server))
        }
    };
    match outcome {
        Ok(Issued { answer, record, begins }) => {
            match server.journal.append(&record, Withheld::new(answer)).await {
                Ok(recorded) => Ok((nonce, Withheld::release(recorded))),
                Err(error) => Err(not_begun(server, begins, error).await),
            }
        }
        // Whoever is told to ask again: nothing was decided, so there is nothing to record.
        Err(denied) if denied.is_to_be_asked_again() => Err(denied.error),
        Err(denied) => {
            client_request::admit_unproven(server, origin, &client)?;
            if denied.telling == Telling::Done {
                return Err(denied.error);
            }
            let record = denied.record(origin, &client, server.clock.now());
            let recorded = server.journal.append(&record, Withheld::new(denied.error)).await?;
            Err(Withheld::release(recorded))
        }
    }
}

/// What a client is told whose tokens could not be put on record. With what begins a grant, and is used up by now, it would be
/// taken for a thief if it came again: it has to begin anew, and what nobody has the tokens of ends.
async fn not_begun(server: &AuthorizationServer, begins: Option<GrantId>, error: AppendError) -> OAuthError {
    let unavailable = OAuthError::from(error);
    let Some(grant) = begins else { return unavailable };
    let now = server.clock.now();
    if let Err::<(), StoreError>(error) = server.store.write(move |sql| sql.revoke_grant(&grant, now)).await {
        tracing::warn!(%error, "a grant that nobody has tokens of was not ended");
    }
    for_person::over()
}

impl Asking<'_> {
    async fn redeem(self, form: &Form) -> Result<Issued, Denied> {
        // RFC 9396 section 6: nothing that a person has not seen, and none that is passed over in silence.
        if form.get("authorization_details").is_some() {
            let description = "authorization_details are asked for at the authorization endpoint";
            let error = OAuthError::new(ErrorCode::InvalidAuthorizationDetails, description);
            return Err(Denied::new("details-at-token-endpoint", error));
        }
        let request = TokenRequest::read(form)
            .map_err(|error| Denied::new("bad-request", OAuthError::new(error.code(), error.to_string())))?;
        // What is larger than the last of them waits in a box of its own, so that this does not carry room for it.
        match request {
            TokenRequest::AuthorizationCode { code, redirect_uri, code_verifier } => {
                in_place(|| authorization_code::redeem(self, &code, &redirect_uri, &code_verifier)).await
            }
            TokenRequest::RefreshToken { refresh_token, scope } => {
                in_place(|| refresh_token::redeem(self, &refresh_token, scope)).await
            }
            TokenRequest::DeviceCode { device_code } => in_place(|| polled::device(self, &device_code)).await,
            TokenRequest::Ciba { auth_req_id } => in_place(|| polled::backchannel(self, auth_req_id)).await,
            TokenRequest::JwtBearer(request) => in_place(|| jwt_bearer::redeem(self, request)).await,
            TokenRequest::TokenExchange(request) => in_place(|| token_exchange::redeem(self, *request)).await,
            TokenRequest::ClientCredentials { scope, resource, purpose_of_use } => {
                client_credentials::redeem(self, scope, resource.as_deref(), purpose_of_use).await
            }
        }
    }

    /// Whether the client is registered for a grant, asked before anything of the grant is consumed.
    fn may_use(&self, grant_type: GrantType) -> Result<(), Denied> {
        if self.client.grant_types.contains(&grant_type) {
            return Ok(());
        }
        let error = OAuthError::new(ErrorCode::UnauthorizedClient, "the client may not use this grant");
        Err(Denied::new("grant-not-allowed", error))
    }

    /// What the client's tokens are bound to.
    fn bind(&self) -> Result<Option<Confirmation>, Denied> {
        self.client.bind(self.sender.possession()).map_err(|cause| match cause {
            NotBound::Key => ProofError::Missing.into(),
            NotBound::Algorithm => ProofError::Token(Rejection::AlgorithmNotAllowed).into(),
            NotBound::Certificate => {
                let error = OAuthError::new(ErrorCode::InvalidRequest, cause.to_string());
                Denied::new("no-client-certificate", error)
            }
        })
    }

    /// Uses the proof up, once what was granted to the client was shown.
    fn use_proof(&self) -> Result<(), Denied> {
        Ok(self.sender.use_up(self.server, self.client)?)
    }
}

impl Denied {
    fn new(reason: &'static str, error: OAuthError) -> Self {
        Self { reason, event: Event::TokenDenied, grant: None, telling: Telling::Due, error }
    }

    fn is_to_be_asked_again(&self) -> bool {
        matches!(self.error.code, ErrorCode::AuthorizationPending | ErrorCode::SlowDown)
            || self.reason == UNRECORDED
    }

    fn of(self, grant: Grant) -> Self {
        Self { grant: Some(Box::new(grant)), ..self }
    }

    fn record(&self, origin: &Origin, client: &Client, now: Timestamp) -> Record {
        let mut record = origin.record(self.event, Outcome::Deny, now);
        record.decision.reason = Some(self.reason.to_owned());
        match &self.grant {
            Some(grant) => {
                describe_grant(&mut record, grant);
                record.actor.client_id = Some(client.client_id.to_string());
            }
            None => record.actor = workload(client),
        }
        record
    }
}

impl From<ProofError> for Denied {
    fn from(error: ProofError) -> Self {
        Self::new(error.reason(), error.into())
    }
}

/// Why nothing is issued while the log cannot be written. What could be used for it once is still good.
const UNRECORDED: &str = "unrecorded";

impl From<AppendError> for Denied {
    fn from(error: AppendError) -> Self {
        Self::new(UNRECORDED, error.into())
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::new("store-unavailable", error.into())
    }
}

/// What a record says of a grant.
pub(super) fn describe_grant(record: &mut Record, grant: &Grant) {
    record.actor = Actor {
        sub: Some(grant.subject.to_string()),
        client_id: Some(grant.client_id.to_string()),
        kind: ActorKind::Human,
        ..Actor::default()
    };
    record.session = grant.session.as_ref().map(ToString::to_string);
    record.grant = Some(grant.id.to_string());
    record.patients = grant.patient.iter().map(|patient| Phi::new(patient.to_string())).collect();
    record.acr = grant.assurance.acr().map(str::to_owned);
    record.amr = grant.amr.clone();
    record.auth_time = grant.auth_time;
    record.purpose_of_use = grant.purpose_of_use.map(|purpose| purpose.to_string());
    if let Some(emergency) = &grant.emergency {
        record.detail.insert("emergency".to_owned(), Phi::new(emergency.id.to_string()));
    }
    record.detail.insert("audience".to_owned(), Phi::new(grant.audience.clone()));
    if !grant.claims.is_empty() {
        let text = serde_json::to_string(&grant.claims).unwrap_or_default();
        record.detail.insert("claims".to_owned(), Phi::new(text));
    }
    if let Some(encounter) = grant.launch.as_ref().and_then(|launch| launch.encounter.as_ref()) {
        record.detail.insert("encounter".to_owned(), Phi::new(encounter.to_string()));
    }
}

/// What a record says of what was granted in detail.
pub(super) fn describe_details(record: &mut Record, details: &[AuthorizationDetail]) {
    if !details.is_empty() {
        let text = serde_json::to_string(details).unwrap_or_default();
        record.detail.insert("authorization_details".to_owned(), Phi::new(text));
    }
}

/// What a record says of the key that a token is bound to.
fn describe_binding(record: &mut Record, cnf: Option<&Confirmation>) {
    let Some(cnf) = cnf else { return };
    for (name, thumbprint) in [("jkt", &cnf.jkt), ("x5t#S256", &cnf.x5t_s256)] {
        record.detail.extend(thumbprint.clone().map(|text| (name.to_owned(), Phi::new(text))));
    }
}

/// What a record says of a token that others act by.
fn describe_chain(record: &mut Record, act: Option<&TokenActor>) {
    record.on_behalf_of = delegates(act);
    if act.is_some() {
        record.actor.kind = ActorKind::Agent;
    }
}

/// What a record says of a client that acts for itself.
pub(super) fn workload(client: &Client) -> Actor {
    Actor {
        sub: Some(client.client_id.to_string()),
        client_id: Some(client.client_id.to_string()),
        kind: ActorKind::Workload,
        ..Actor::default()
    }
}

/// The person and session of a grant as they are now.
struct Holder {
    user: Option<User>,
    session: Option<Session>,
}

impl Holder {
    fn find(server: &AuthorizationServer, grant: &Grant) -> Result<Self, StoreError> {
        server.store.read(|sql| {
            let user = sql.user(&grant.subject)?;
            let session = grant.session.as_ref().map(|id| sql.session(id)).transpose()?.flatten();
            Ok(Self { user, session })
        })
    }
}

fn fresh_jti() -> Jti {
    Jti::random(&mut crate::entropy::SystemEntropy)
}
