//! Clients register themselves. RFC 7591, RFC 7592; ATTACKS O25.
//!
//! Who has an invitation (an initial access token, `chartgate client invite`) registers within what it says; where the
//! configuration lets anybody register, it is so seldom from one address, within a stricter policy, and what nobody ever
//! uses is removed. What a request asks for is judged by its outcome, the first time and each time after.

mod manage;
mod refusal;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::Response;
use chartgate_access::client::{Client, Registrar};
use chartgate_access::ids::{ClientId, IdError};
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_protocol::oauth::client_metadata::{ClientMetadata, ClientMetadataError, Particulars};
use chartgate_protocol::oauth::dpop::{Credentials, CredentialsError};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_values::{Entropy, Phi, Secret, Timestamp};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::AuthorizationServer;
use super::client_request::{admit_stranger, turn_down};
use super::discovery::auth_methods;
use super::error::OAuthError;
use super::token::workload;
use crate::config::Dynamic;
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::net::access_token;
use crate::net::origin::Origin;
use crate::net::throttle::Admission;
use crate::registration::policy::Policy;
use crate::registration::{Unregistrable, shown};
use crate::store::StoreError;
use crate::store::registrations::{About, Registration};
use crate::store::users::Added;
pub(super) use manage::{change, read, remove};
use refusal::{Refusal, answer};

/// By what a client registers.
enum By {
    Anybody,
    Invitation { id: String, digest: String, policy: Box<Policy> },
}

/// Why nothing was registered once all was well with what was asked.
enum NotKept {
    /// Somebody else used the invitation in the meantime.
    InvitationUsed,
    /// There are too many that nobody uses.
    Full,
    Store(StoreError),
}

impl From<StoreError> for NotKept {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let registered = register(&server, &origin, &headers, &body).await;
    answer(registered.map(|answer| (StatusCode::CREATED, Json(answer))))
}

async fn register(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, Refusal> {
    let now = server.clock.now();
    let by = admit(server, origin, headers, now).await?;
    let mut record = origin.record(Event::ClientAdded, Outcome::Allow, now);
    record.action = Some(Event::ClientAdded.as_str().to_owned());
    record.actor = Actor { kind: ActorKind::Workload, ..Actor::default() };
    note(&mut record, "registered_by", by.name());
    if let By::Invitation { id, .. } = &by {
        note(&mut record, "invitation", id);
    }
    let (client, about) = match check(server, &by, headers, body) {
        Ok(checked) => checked,
        Err(cause) => return Err(turned_down(server, record, cause).await),
    };
    let secret = client.token_endpoint_auth_method.uses_secret().then(opaque_secret);
    let token = opaque_secret();
    let registration = Registration {
        token_digest: digest_of(token.expose()),
        invitation: by.invitation(),
        about: about.clone(),
        created_at: now,
    };
    match keep(server, &by, &client, secret.as_ref(), registration).await {
        Ok(()) => {}
        Err(NotKept::InvitationUsed) => return Err(stranger(server, origin, Event::ClientAdded).await),
        Err(NotKept::Full) => return Err(turned_down(server, record, Cause::full()).await),
        Err(NotKept::Store(error)) => return Err(OAuthError::from(error).into()),
    }
    record.actor = workload(&client);
    describe(&mut record, &client);
    let told =
        Told { client: &client, about: &about, since: now, secret: secret.as_ref(), token: token.expose() };
    let withheld = Withheld::new(told.answer(server));
    let recorded = server.journal.append(&record, withheld).await.map_err(OAuthError::from)?;
    Ok(Withheld::release(recorded))
}

/// Whether somebody may register at all, and by what.
async fn admit(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<By, Refusal> {
    let token = match access_token::read(headers) {
        Ok(Credentials::Bearer { token }) => Some(token),
        Err(CredentialsError::Missing) => None,
        Ok(Credentials::Dpop { .. }) | Err(CredentialsError::Malformed | CredentialsError::Proof(_)) => {
            return Err(stranger(server, origin, Event::ClientAdded).await);
        }
    };
    match (token, server.registration.dynamic) {
        (Some(token), Dynamic::Invited | Dynamic::Open) => {
            let digest = digest_of(token);
            let found = server.store.read(|sql| sql.invitation_of(&digest, now)).map_err(OAuthError::from)?;
            match found {
                Some(found) => {
                    admit_stranger(server, origin).map_err(OAuthError::from)?;
                    Ok(By::Invitation { id: found.id, digest, policy: Box::new(found.policy) })
                }
                None => Err(stranger(server, origin, Event::ClientAdded).await),
            }
        }
        (None, Dynamic::Open) => {
            admit_anybody(server, origin).await?;
            Ok(By::Anybody)
        }
        (None, Dynamic::Invited | Dynamic::Off) | (Some(_), Dynamic::Off) => {
            Err(stranger(server, origin, Event::ClientAdded).await)
        }
    }
}

/// Whoever needs no invitation is counted: what they make us keep and record shall be little.
async fn admit_anybody(server: &AuthorizationServer, origin: &Origin) -> Result<(), Refusal> {
    admit_stranger(server, origin).map_err(OAuthError::from)?;
    match server.registrations.take(origin.ip) {
        Admission::Yes => return Ok(()),
        Admission::No => {}
        Admission::NoAndRecord(count) => {
            let mut record = origin.record(Event::AccessThrottled, Outcome::Deny, server.clock.now());
            record.action = Some(Event::ClientAdded.as_str().to_owned());
            record.response.count = Some(count);
            let _ = server.journal.append(&record, ()).await.map_err(OAuthError::from)?;
        }
    }
    Err(Refusal::TooMany { retry_after: 3600_u32.div_ceil(server.registration.per_hour.max(1)) })
}

/// Somebody whose token opens nothing here: recorded, and counted against their address.
async fn stranger(server: &AuthorizationServer, origin: &Origin, tried: Event) -> Refusal {
    if let Err(kept) = admit_stranger(server, origin) {
        return OAuthError::from(kept).into();
    }
    let mut record = origin.record(tried, Outcome::Deny, server.clock.now());
    record.action = Some(tried.as_str().to_owned());
    record.decision.reason = Some("bad-registration-token".to_owned());
    match server.journal.append(&record, Withheld::new(Refusal::Token)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => OAuthError::from(error).into(),
    }
}

/// Why a client cannot be what it asks to be.
struct Cause {
    code: ErrorCode,
    why: String,
}

impl Cause {
    fn metadata(why: impl Into<String>) -> Self {
        Self { code: ErrorCode::InvalidClientMetadata, why: why.into() }
    }

    fn full() -> Self {
        let why = "too many clients have registered that nobody uses";
        Self { code: ErrorCode::TemporarilyUnavailable, why: why.to_owned() }
    }
}

impl From<ClientMetadataError> for Cause {
    fn from(error: ClientMetadataError) -> Self {
        Self { code: error.code(), why: error.to_string() }
    }
}

impl From<Unregistrable> for Cause {
    fn from(error: Unregistrable) -> Self {
        Self { code: error.code(), why: error.to_string() }
    }
}

impl From<IdError> for Cause {
    fn from(error: IdError) -> Self {
        Self { code: ErrorCode::ServerError, why: error.to_string() }
    }
}

async fn turned_down(server: &AuthorizationServer, mut record: Record, cause: Cause) -> Refusal {
    note(&mut record, "why", &cause.why);
    turn_down(server, record, OAuthError::new(cause.code, cause.why)).await.into()
}

fn check(
    server: &AuthorizationServer,
    by: &By,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Client, About), Cause> {
    check_is_json(headers)?;
    check_length(by.registrar(), body)?;
    let said = ClientMetadata::registration(body)?;
    let about = about(&said.particulars);
    let policy = match by {
        By::Anybody => &server.registration.of_anybody(),
        By::Invitation { policy, .. } => &**policy,
    };
    let client = policy.judge(fresh_id()?, by.registrar(), said)?;
    check_offered(server, &client)?;
    Ok((client, about))
}

fn check_is_json(headers: &HeaderMap) -> Result<(), Cause> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = named.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Cause::metadata("the body has to be application/json"))
}

/// As much as anybody may have us keep.
const LONGEST_OF_ANYBODY: usize = 16 << 10;

fn check_length(registrar: Registrar, body: &[u8]) -> Result<(), Cause> {
    if registrar == Registrar::Anybody && body.len() > LONGEST_OF_ANYBODY {
        return Err(Cause::metadata(format!("more than {LONGEST_OF_ANYBODY} bytes")));
    }
    Ok(())
}

/// What depends on how this gateway is set up: ways to show a certificate, and keys to sign with. An operator may have more
/// keys made for a client; whoever comes from outside may not.
fn check_offered(server: &AuthorizationServer, client: &Client) -> Result<(), Cause> {
    let method = client.token_endpoint_auth_method;
    if !auth_methods(server).contains(&method.name()) {
        return Err(Cause::metadata(format!("{method} is not offered here")));
    }
    let keys = server.keys.current();
    if let Some(other) =
        client.options.signing_algorithms().find(|one| !keys.algorithms().any(|own| own == *one))
    {
        return Err(Cause::metadata(format!("nothing is signed with {other} here")));
    }
    let own = &server.tokens.signing.encryption;
    match client.options.request_object_encryption {
        Some(wanted) if !own.contains(&wanted.management) => {
            Err(Cause::metadata(format!("there is no key of ours for {}", wanted.management.name())))
        }
        Some(_) | None => Ok(()),
    }
}

/// A name that was never given: 128 random bits.
fn fresh_id() -> Result<ClientId, IdError> {
    let entropy: &mut dyn Entropy = &mut SystemEntropy;
    let random = entropy.bytes::<16>();
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("dyn-{digits}").parse()
}

fn about(said: &Particulars) -> About {
    About {
        client_name: said.client_name.clone(),
        software_id: said.software_id.clone(),
        software_version: said.software_version.clone(),
    }
}

/// Uses the invitation up and keeps the client, in one transaction.
async fn keep(
    server: &AuthorizationServer,
    by: &By,
    client: &Client,
    secret: Option<&Secret<String>>,
    registration: Registration,
) -> Result<(), NotKept> {
    let digest = match by {
        By::Anybody => None,
        By::Invitation { digest, .. } => Some(digest.clone()),
    };
    let (client, secret) = (client.clone(), secret.map(|secret| digest_of(secret.expose())));
    let most = server.registration.max_unused;
    server
        .store
        .write(move |sql| {
            match digest {
                Some(digest) => {
                    let used = sql.use_invitation(&digest, registration.created_at)?;
                    used.ok_or(NotKept::InvitationUsed)?;
                }
                None if sql.unused_registrations()? >= most => return Err(NotKept::Full),
                None => {}
            }
            match sql.add_registration(&client, secret.as_deref(), &registration)? {
                Added::Yes => Ok(()),
                // 128 bits do not repeat.
                Added::NameTaken => Err(NotKept::Full),
            }
        })
        .await
}

/// What a client is told of its registration. RFC 7591 section 3.2.1, RFC 7592 section 3.
struct Told<'a> {
    client: &'a Client,
    about: &'a About,
    since: Timestamp,
    /// Shown when it is made, and never again.
    secret: Option<&'a Secret<String>>,
    /// What its registration is managed with.
    token: &'a str,
}

impl Told<'_> {
    fn answer(&self, server: &AuthorizationServer) -> Value {
        let mut members: Map<String, Value> = shown::metadata(self.client);
        if let Ok(Value::Object(about)) = serde_json::to_value(self.about) {
            members.extend(about);
        }
        if let Some(secret) = self.secret {
            members.insert("client_secret".to_owned(), secret.expose().clone().into());
            members.insert("client_secret_expires_at".to_owned(), json!(0));
        }
        let address = format!("{}/register/{}", server.issuer, self.client.client_id);
        members.insert("client_id_issued_at".to_owned(), json!(self.since.as_unix()));
        members.insert("registration_access_token".to_owned(), self.token.into());
        members.insert("registration_client_uri".to_owned(), address.into());
        Value::Object(members)
    }
}

impl By {
    fn name(&self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::Invitation { .. } => "invitation",
        }
    }

    fn registrar(&self) -> Registrar {
        match self {
            Self::Anybody => Registrar::Anybody,
            Self::Invitation { .. } => Registrar::Invited,
        }
    }

    fn invitation(&self) -> Option<String> {
        match self {
            Self::Anybody => None,
            Self::Invitation { id, .. } => Some(id.clone()),
        }
    }
}

/// What a record says of a registration.
fn describe(record: &mut Record, client: &Client) {
    record.resource = Some(Phi::new(client.client_id.to_string()));
    for (name, value) in shown::recorded(client) {
        note(record, name, &value);
    }
}

fn note(record: &mut Record, name: &str, value: &str) {
    record.detail.insert(name.to_owned(), Phi::new(value.to_owned()));
}
