//! A client reads, changes and ends its own registration. RFC 7592.
//!
//! By its registration access token, which another takes the place of with each change. What a change takes away is gone
//! with its commit: access tokens are cut, and grants give what the client may have from then on.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use chartgate_access::client::{Client, Registrar};
use chartgate_access::ids::ClientId;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::oauth::client_metadata::UpdateRequest;
use chartgate_protocol::oauth::dpop::Credentials;
use chartgate_values::Secret;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::refusal::{Refusal, answer};
use super::{
    AuthorizationServer, Cause, Told, about, admit_anybody, check_is_json, check_length, check_offered,
    describe, note, stranger, turned_down,
};
use crate::authorization_server::client_request::admit_stranger;
use crate::authorization_server::error::OAuthError;
use crate::authorization_server::token::workload;
use crate::config::Dynamic;
use crate::entropy::{digest_of, opaque_secret};
use crate::net::access_token;
use crate::net::origin::Origin;
use crate::registration::changes::{self, Removed, RemovedBy, Secrecy};
use crate::registration::policy::Policy;
use crate::store::StoreError;
use crate::store::clients::Changed;
use crate::store::registrations::{About, Registration};

/// A client that showed that it may manage its registration.
struct Managed {
    client: Client,
    registration: Registration,
    token: Secret<String>,
}

pub(in super::super) async fn read(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(tell(&server, &origin, &headers, &id).await.map(Json))
}

async fn tell(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    id: &str,
) -> Result<Value, Refusal> {
    let Managed { client, registration, token } =
        Managed::shown(server, origin, headers, id, Event::ClientRead).await?;
    let record = record(server, origin, Event::ClientRead, &client);
    // The configuration may leave less of it than was registered.
    let in_force = server.documents.find(&client.client_id, origin).await.map_err(OAuthError::from)?;
    let told = Told {
        client: in_force.as_deref().unwrap_or(&client),
        about: &registration.about,
        since: registration.created_at,
        secret: None,
        token: token.expose(),
    };
    let withheld = Withheld::new(told.answer(server));
    let recorded = server.journal.append(&record, withheld).await.map_err(OAuthError::from)?;
    Ok(Withheld::release(recorded))
}

pub(in super::super) async fn change(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(replace(&server, &origin, &headers, &id, &body).await.map(Json))
}

async fn replace(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    id: &str,
    body: &[u8],
) -> Result<Value, Refusal> {
    let managed = Managed::shown(server, origin, headers, id, Event::ClientChanged).await?;
    if managed.client.options.registrar == Registrar::Anybody {
        admit_anybody(server, origin).await?;
    }
    let mut record = record(server, origin, Event::ClientChanged, &managed.client);
    let Some(policy) = policy(server, &managed)? else {
        record.outcome = Outcome::Deny;
        record.decision.reason = Some("registration-closed".to_owned());
        let _ = server.journal.append(&record, ()).await.map_err(OAuthError::from)?;
        return Err(Refusal::Forbidden);
    };
    let (client, about) = match check(server, &managed, &policy, headers, body)? {
        Ok(checked) => checked,
        Err(cause) => return Err(turned_down(server, record, cause).await),
    };
    describe(&mut record, &client);
    // It may grant something, so it is recorded before it is done.
    let recorded = server.journal.append(&record, Withheld::new(())).await.map_err(OAuthError::from)?;
    Withheld::release(recorded);
    let (secret, token) = (opaque_secret(), opaque_secret());
    let kept = keep(server, &managed, (&client, &about), &secret, &token).await.map_err(OAuthError::from)?;
    let secret = match kept {
        Some(Secrecy::Fresh) => Some(&secret),
        Some(Secrecy::Same) => None,
        // Somebody was there before with the same token.
        None => return Err(stranger(server, origin, Event::ClientChanged).await),
    };
    let since = managed.registration.created_at;
    Ok(Told { client: &client, about: &about, since, secret, token: token.expose() }.answer(server))
}

/// Describes the client anew and says what became of its secret; nothing where the token was used meanwhile.
async fn keep(
    server: &AuthorizationServer,
    managed: &Managed,
    (client, about): (&Client, &About),
    secret: &Secret<String>,
    token: &Secret<String>,
) -> Result<Option<Secrecy>, StoreError> {
    let (after, about) = (client.clone(), about.clone());
    let old = managed.registration.token_digest.clone();
    let (next, fresh) = (digest_of(token.expose()), digest_of(secret.expose()));
    server
        .cut_offs
        .cut(move |sql, now| {
            let Some(before) = sql.client(&after.client_id)? else { return Ok((None, Vec::new())) };
            if sql.change_registration(&after, &about, [&old, &next], now)? == Changed::No {
                return Ok((None, Vec::new()));
            }
            let cut = changes::cut_by(&before, &after, now);
            Ok((Some(changes::keep_secret(sql, &after, &fresh)?), cut))
        })
        .await
}

pub(in super::super) async fn remove(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(end(&server, &origin, &headers, &id).await.map(|()| StatusCode::NO_CONTENT))
}

async fn end(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    id: &str,
) -> Result<(), Refusal> {
    let Managed { client, registration, .. } =
        Managed::shown(server, origin, headers, id, Event::ClientRemoved).await?;
    // A client that is gone cannot come again, to have it recorded: it is recorded before it is done.
    let record = record(server, origin, Event::ClientRemoved, &client);
    let recorded = server.journal.append(&record, Withheld::new(())).await.map_err(OAuthError::from)?;
    Withheld::release(recorded);
    let by = RemovedBy::Itself { token_digest: registration.token_digest };
    match changes::remove::<OAuthError>(&server.outbox, client.client_id, by).await? {
        Removed::Yes => Ok(()),
        // Somebody was there before with the same token.
        Removed::No => Err(stranger(server, origin, Event::ClientRemoved).await),
    }
}

impl Managed {
    /// The client of this address, shown by its registration access token. Whoever shows another learns not even whether
    /// there is such a client.
    async fn shown(
        server: &AuthorizationServer,
        origin: &Origin,
        headers: &HeaderMap,
        id: &str,
        tried: Event,
    ) -> Result<Self, Refusal> {
        let (Ok(Credentials::Bearer { token }), Ok(id)) =
            (access_token::read(headers), id.parse::<ClientId>())
        else {
            return Err(stranger(server, origin, tried).await);
        };
        let found = server.store.read(|sql| Ok::<_, StoreError>((sql.registration(&id)?, sql.client(&id)?)));
        let digest = digest_of(token);
        match found.map_err(OAuthError::from)? {
            (Some(registration), Some(client))
                if bool::from(registration.token_digest.as_bytes().ct_eq(digest.as_bytes())) =>
            {
                // Nobody vouches for it: what it makes us record shall be little.
                admit_stranger(server, origin).map_err(OAuthError::from)?;
                Ok(Self { client, registration, token: Secret::new(token.to_owned()) })
            }
            (Some(_) | None, _) => Err(stranger(server, origin, tried).await),
        }
    }
}

/// The policy for changes of a registration, as long as such registrations may be made: the configuration's of today, or
/// what the invitation says.
fn policy(server: &AuthorizationServer, managed: &Managed) -> Result<Option<Policy>, OAuthError> {
    match (managed.client.options.registrar, server.registration.dynamic) {
        (Registrar::Anybody, Dynamic::Open) => Ok(Some(server.registration.of_anybody())),
        (Registrar::Invited, Dynamic::Open | Dynamic::Invited) => {
            let Some(id) = &managed.registration.invitation else { return Ok(None) };
            Ok(server.store.read(|sql| sql.invitation(id))?.map(|invitation| invitation.policy))
        }
        (Registrar::Anybody, Dynamic::Off | Dynamic::Invited)
        | (Registrar::Invited, Dynamic::Off)
        | (Registrar::Operator, _) => Ok(None),
    }
}

fn check(
    server: &AuthorizationServer,
    managed: &Managed,
    policy: &Policy,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Result<(Client, About), Cause>, OAuthError> {
    let id = &managed.client.client_id;
    let stored = server.store.registered(id)?.and_then(|found| found.secret_digest.clone());
    Ok((|| {
        check_is_json(headers)?;
        check_length(managed.client.options.registrar, body)?;
        let UpdateRequest { client_id, client_secret, metadata } = UpdateRequest::parse(body)?;
        if client_id != id.as_str() {
            return Err(Cause::metadata("`client_id` is another's"));
        }
        if let Some(said) = client_secret {
            let digest = digest_of(said.expose());
            let is_its_own =
                stored.is_some_and(|stored| bool::from(stored.as_bytes().ct_eq(digest.as_bytes())));
            if !is_its_own {
                return Err(Cause::metadata("`client_secret` is not the one that the client has"));
            }
        }
        let about = about(&metadata.particulars);
        let client = policy.judge(id.clone(), managed.client.options.registrar, metadata)?;
        check_offered(server, &client)?;
        Ok((client, about))
    })())
}

fn record(server: &AuthorizationServer, origin: &Origin, event: Event, client: &Client) -> Record {
    let mut record = origin.record(event, Outcome::Allow, server.clock.now());
    record.action = Some(event.as_str().to_owned());
    record.actor = workload(client);
    record.resource = Some(chartgate_values::Phi::new(client.client_id.to_string()));
    note(&mut record, "registered_by", "itself");
    record
}
