//! A client for itself. RFC 6749 section 4.4, SMART App Launch 2.2 Backend Services.

use chartgate_access::client::GrantType;
use chartgate_access::ids::Subject;
use chartgate_access::issue::{IssueTo, may_issue};
use chartgate_access::token::access_token::Mint;
use chartgate_access::token::revocation::Target;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oauth::token::{TokenResponse, token_type};
use chartgate_protocol::smart::launch::LaunchContext;
use chartgate_protocol::smart::scope::{Level, SmartScope};
use chartgate_values::Phi;

use super::sign::access_token;
use super::{Asking, Denied, Issued, OAuthError, describe_binding, fresh_jti, workload};
use crate::authorization_server::audience;

pub(super) async fn redeem(
    asking: Asking<'_>,
    scope: Option<ScopeSet>,
    resource: Option<&str>,
    purpose: Option<PurposeOfUse>,
) -> Result<Issued, Denied> {
    let Asking { server, origin, client, .. } = asking;
    let scope = for_itself(&client.grantable(scope.as_ref().unwrap_or(&client.scope)));
    if scope.is_empty() {
        let error =
            OAuthError::new(ErrorCode::InvalidScope, "none of the scopes can be granted to this client");
        return Err(Denied::new("no-grantable-scope", error));
    }
    let audience = audience::resolve(server, client, resource, &scope).map_err(|e| {
        Denied::new("unknown-resource", OAuthError::new(ErrorCode::InvalidTarget, e.to_string()))
    })?;
    let purpose = server.purposes.choose(&client.roles, purpose).map_err(|cause| {
        Denied::new("purpose-not-allowed", OAuthError::new(ErrorCode::InvalidRequest, cause.to_string()))
    })?;
    let targets =
        [Target::Subject(Subject::from(&client.client_id)), Target::Client(client.client_id.clone())];
    let now = server.cut_offs.wait_to_issue(&targets).await;
    // The client proved itself a while ago: who was removed since then is refused here (ATTACKS O16).
    if server.store.registered(&client.client_id)?.is_none_or(|found| *found.client != *client) {
        let error = OAuthError::new(ErrorCode::InvalidClient, "the client was removed or changed");
        return Err(Denied::new("client-changed", error));
    }
    let gate = may_issue(IssueTo::Client, client, GrantType::ClientCredentials, server.timeouts, now)
        .map_err(|e| {
            Denied::new("grant-not-allowed", OAuthError::new(ErrorCode::UnauthorizedClient, e.to_string()))
        })?;
    let cnf = asking.bind()?;
    asking.use_proof()?;
    let ttl = server.tokens.access_token_ttl;
    let mint = Mint { issuer: &server.issuer, ttl, jti: fresh_jti(), cnf, now };
    let claims = mint.for_client(&gate, client, &audience, &scope, purpose).map_err(|error| {
        tracing::error!(%error, "minting");
        Denied::new("minting-failed", OAuthError::new(ErrorCode::ServerError, "the token cannot be made"))
    })?;
    let access_token = access_token(server, client, claims).await?;

    let mut record = origin.record(Event::TokenIssued, Outcome::Allow, now);
    record.actor = workload(client);
    record.actor.roles = client.roles.iter().map(ToString::to_string).collect();
    record.jti = Some(mint.jti.to_string());
    record.purpose_of_use = purpose.map(|purpose| purpose.to_string());
    describe_binding(&mut record, mint.cnf.as_ref());
    for (name, value) in [
        ("grant_type", GrantType::ClientCredentials.to_string()),
        ("scope", scope.to_string()),
        ("audience", audience),
    ] {
        record.detail.insert(name.to_owned(), Phi::new(value));
    }
    let answer = TokenResponse {
        authorization_details: Vec::new(),
        access_token,
        issued_token_type: None,
        token_type: token_type(mint.cnf.as_ref()),
        expires_in: ttl.as_secs(),
        scope,
        refresh_token: None,
        id_token: None,
        patient: None,
        encounter: None,
        context: LaunchContext::default(),
    };
    Ok(Issued { answer, record, begins: None })
}

/// What only a person can give falls away: `patient/` and `user/` scopes, identity, launch context, refresh.
fn for_itself(scope: &ScopeSet) -> ScopeSet {
    const OF_PEOPLE: [&str; 8] = [
        "openid",
        "profile",
        "fhirUser",
        "offline_access",
        "online_access",
        "launch",
        "launch/patient",
        "launch/encounter",
    ];
    let of_people = |token: &str| match token.parse::<SmartScope>() {
        Ok(smart) => smart.level != Level::System,
        Err(_) => OF_PEOPLE.contains(&token),
    };
    scope.iter().filter(|token| !of_people(token)).collect()
}
