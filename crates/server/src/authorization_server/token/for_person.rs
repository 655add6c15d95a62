//! Issuing tokens for a person, whatever they came for: the gate, the one transaction, the record, the answer.

use std::time::Duration;

use chartgate_access::client::{Client, GrantType};
use chartgate_access::grant::refresh::{Bearer, Redemption, RefreshError, RefreshToken};
use chartgate_access::grant::{Grant, OFFLINE_ACCESS};
use chartgate_access::ids::{ClientId, GrantId};
use chartgate_access::issue::{IssueTo, MayIssue, MayNotIssue, may_issue};
use chartgate_access::login::assurance::Assurance;
use chartgate_access::principal::{User, UserState};
use chartgate_access::profile::Rotation;
use chartgate_access::token::access_token::Mint;
use chartgate_access::token::binding::Heir;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::jose::claims::Confirmation;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oauth::token::{TokenResponse, token_type};
use chartgate_values::{Phi, Timestamp};

use super::sign::{access_token, id_token};
use super::{
    Asking, Denied, Holder, Issued, OAuthError, Telling, describe_binding, describe_details, describe_grant,
    fresh_jti,
};
use crate::authorization_server::{AuthorizationServer, audience};
use crate::live::outbox::Change;
use crate::store::refresh_tokens::{RefreshKey, StoredRefreshToken, fresh_refresh_token};
use crate::store::{Sql, StoreError};

/// Whether tokens are the first of their grant, or follow a refresh token.
pub(super) enum First {
    /// The grant begins.
    Of,
    /// After this refresh token, for this scope.
    After { key: RefreshKey, scope: ScopeSet },
}

/// A grant for which tokens may be issued.
pub(super) struct Passed {
    /// When: what is issued is issued then.
    pub(super) now: Timestamp,
    pub(super) user: User,
    pub(super) gate: MayIssue,
    /// The longest life of an access token: none outlives its session.
    pub(super) ttl: Duration,
}

/// The one gate for whatever is issued for a person.
///
/// # Errors
/// Why nothing may be issued.
pub(super) async fn pass_gate(
    server: &AuthorizationServer,
    client: &Client,
    grant: &Grant,
    grant_type: GrantType,
) -> Result<Passed, Denied> {
    let now = server.cut_offs.wait_to_issue(&targets(client, grant)).await;
    // The client was found a while ago. What is issued from now on, a change of it from now on cuts.
    match server.documents.in_force(&client.client_id)? {
        Some(found) if *found == *client => {}
        Some(_) => return Err(Denied::new("client-changed", OAuthError::unavailable()).of(grant.clone())),
        None => return Err(gone().of(grant.clone())),
    }
    let Holder { user, session } = Holder::find(server, grant)?;
    let Some(user) = user else { return Err(refuse("user-unknown").of(grant.clone())) };
    // ATTACKS A05: who has to sign in more strongly by now does so, whatever was given before.
    if grant.strength() < server.second_factors.of(&user) {
        return Err(refuse("signed-in-too-weakly").of(grant.clone()));
    }
    // Whom a provider vouched for that is believed no more, nobody vouches for.
    let trusts = |issuer: &String| server.providers.iter().any(|one| one.issuer.as_str() == issuer);
    if grant.provider.as_ref().is_some_and(|issuer| !trusts(issuer)) {
        return Err(refuse("provider-removed").of(grant.clone()));
    }
    let to = match &grant.session {
        Some(_) => IssueTo::Person { user: &user, session: session.as_ref() },
        None => IssueTo::Absent { user: &user },
    };
    let gate = may_issue(to, client, grant_type, server.timeouts, now)
        .map_err(|cause| denied(cause).of(grant.clone()))?;
    let longest = match &grant.emergency {
        // To the second: it ends by itself, and nothing follows it.
        Some(emergency) => emergency.until.floor_to_second().since(now.floor_to_second()),
        None => server.tokens.access_token_ttl,
    };
    let ttl = session.map_or(longest, |session| longest.min(session.deadline(server.timeouts).since(now)));
    Ok(Passed { now, user, gate, ttl })
}

/// Passes the gate, writes what the store has to know and makes the answer.
///
/// What begins a grant is used up by now: a client that was told to try again would come with what was used before, and be taken
/// for a thief. It has to begin anew.
pub(super) async fn issue_for_person(
    asking: Asking<'_>,
    grant: Grant,
    grant_type: GrantType,
    first: First,
) -> Result<Issued, Denied> {
    let begins = matches!(first, First::Of);
    let issued = issue(asking, grant, grant_type, first).await;
    issued.map_err(|denied| match denied.error.code {
        ErrorCode::TemporarilyUnavailable if begins => Denied { error: over(), ..denied },
        _ => denied,
    })
}

async fn issue(
    asking: Asking<'_>,
    grant: Grant,
    grant_type: GrantType,
    first: First,
) -> Result<Issued, Denied> {
    let Asking { server, origin, client, .. } = asking;
    if let Err(cause) = audience::check(server, asking.resource, &grant.audience) {
        let error = OAuthError::new(ErrorCode::InvalidTarget, cause.to_string());
        return Err(Denied::new("another-resource", error).of(grant));
    }
    let Passed { now, user, gate, ttl } = pass_gate(server, client, &grant, grant_type).await?;
    if ttl.is_zero() {
        return Err(refuse("grant-over").of(grant));
    }
    let scope = still_granted(asking, &grant, &first).await?;
    let grant = with_purpose(server, grant, &user, &first)?;
    let after = match first {
        First::Of => None,
        First::After { key, .. } => Some(key),
    };
    let cnf = asking.bind().map_err(|denied| denied.of(grant.clone()))?;
    asking.use_proof().map_err(|denied| denied.of(grant.clone()))?;
    let mint = Mint { issuer: &server.issuer, ttl, jti: fresh_jti(), cnf, now };
    let claims = mint.for_person(&gate, &grant, &user, &scope).map_err(not_a_claim)?;
    let access_token = access_token(server, client, claims).await?;
    let id_token = if scope.contains("openid") {
        let claims = client.claims_within(grant.claims.clone());
        let told = Grant { scope: scope.clone(), claims, ..grant.clone() };
        let claims = mint.id_token(&gate, &told, &user).map_err(not_a_claim)?;
        Some(id_token(server, client, &claims).await?)
    } else {
        None
    };
    // FAPI 2.0 section 5.3.2.1: who proves who it is, and a key, keeps what it has.
    let keeps = after.is_some() && client.rules().rotation == Rotation::Keeps;
    let refresh_token = (!keeps && wants_refresh_token(client, &grant)).then(|| fresh_refresh_token(now));
    let next = refresh_token.as_ref().map(|secret| {
        let token = RefreshToken {
            client_id: client.client_id.clone(),
            expires_at: refresh_deadline(server, &grant, now),
            consumed_at: None,
            revoked_at: None,
            access_token: mint.jti.clone(),
            access_expires_at: mint.expires_at(),
            cnf: mint.cnf.clone(),
        };
        (RefreshKey::of(secret.expose()), token)
    });
    let event = match &after {
        None => Event::TokenIssued,
        Some(_) => Event::TokenRefreshed,
    };
    let kept_until = keeps.then(|| refresh_deadline(server, &grant, now));
    let mut record = origin.record(event, Outcome::Allow, now);
    describe_grant(&mut record, &grant);
    record.actor.roles = user.roles.iter().map(ToString::to_string).collect();
    record.actor.fhir_user = user.fhir_user.as_ref().map(|f| Phi::new(f.to_string()));
    let (client_id, cnf) = (client.client_id.clone(), mint.cnf.clone());
    let by = By { client_id, user, heir: client.heir(), cnf, kept_until };
    let reused = Denied { event: Event::TokenReuse, ..invalid("refresh-token-reused").of(grant.clone()) };
    let told = reused.record(origin, client, now);
    let begins = after.is_none().then(|| grant.id.clone());
    match write(server, by, &grant, (after, next), told).await? {
        Redemption::Rotate | Redemption::Replace => {}
        // It ended what was told of.
        Redemption::Reuse => return Err(Denied { telling: Telling::Done, ..reused }),
        Redemption::Refuse(cause) => return Err(not_redeemed(cause).of(grant)),
    }

    record.jti = Some(mint.jti.to_string());
    describe_binding(&mut record, mint.cnf.as_ref());
    record.detail.insert("grant_type".to_owned(), Phi::new(grant_type.to_string()));
    record.detail.insert("scope".to_owned(), Phi::new(scope.to_string()));
    describe_details(&mut record, &grant.authorization_details);
    let context = grant.context();
    let answer = TokenResponse {
        authorization_details: grant.authorization_details,
        access_token,
        issued_token_type: None,
        token_type: token_type(mint.cnf.as_ref()),
        expires_in: ttl.as_secs(),
        encounter: grant.launch.as_ref().and_then(|launch| launch.encounter.clone()).map(Into::into),
        context,
        patient: grant.patient.map(Into::into),
        scope,
        refresh_token: refresh_token.map(|secret| secret.expose().clone()),
        id_token,
    };
    Ok(Issued { answer, record, begins })
}

/// What the client may still have of what was granted, or of what it asks for of that. It may have less by now than when the
/// grant was made, if its registration was changed or it registered itself; a grant that rests on what the client may not have any
/// more ends.
async fn still_granted(asking: Asking<'_>, grant: &Grant, first: &First) -> Result<ScopeSet, Denied> {
    let Asking { server, origin, client, .. } = asking;
    if let Err(cause) = grant.rests_on(client) {
        let denied = refuse(cause.reason()).of(grant.clone());
        let (id, record) = (grant.id.clone(), denied.record(origin, client, server.clock.now()));
        let ended = server.outbox.commit(move |sql, now| {
            sql.revoke_grant(&id, now)?;
            let cut = CutOff::UpTo { target: Target::Grant(id), not_before: now };
            Ok::<_, Denied>(Change::told_by((), [record]).cutting([cut]))
        });
        ended.await?;
        return Err(Denied { telling: Telling::Done, ..denied });
    }
    let scope = client.grantable(match first {
        First::Of => &grant.scope,
        First::After { scope, .. } => scope,
    });
    if scope.is_empty() && grant.authorization_details.is_empty() {
        let error =
            OAuthError::new(ErrorCode::InvalidScope, "the client may have none of the scopes any more");
        return Err(Denied::new("no-grantable-scope", error).of(grant.clone()));
    }
    Ok(scope)
}

/// The grant with the purpose that its tokens name: what was asked for, or is presumed of the person as they are now, and
/// then stays. Who may not have it any more gets no further token; where none could be presumed, none is later.
fn with_purpose(
    server: &AuthorizationServer,
    grant: Grant,
    user: &User,
    first: &First,
) -> Result<Grant, Denied> {
    if grant.emergency.is_some() {
        return Ok(grant);
    }
    match (first, grant.purpose_of_use) {
        (First::After { .. }, None) => return Ok(grant),
        (First::After { .. }, Some(_)) | (First::Of, _) => {}
    }
    match server.purposes.choose(&user.roles, grant.purpose_of_use) {
        Ok(purpose_of_use) => Ok(Grant { purpose_of_use, ..grant }),
        Err(cause) => {
            let error = OAuthError::new(ErrorCode::InvalidGrant, cause.to_string());
            Err(Denied::new("purpose-not-allowed", error).of(grant))
        }
    }
}

/// Who asks, as the transaction sees it.
struct By {
    client_id: ClientId,
    /// For whom, as the gate saw them.
    user: User,
    heir: Heir,
    cnf: Option<Confirmation>,
    /// Where its refresh token is not replaced: when it ends now.
    kept_until: Option<Timestamp>,
}

/// Consumes what is consumed and keeps what is new, in one transaction. For a reused token the family ends instead, whether
/// the log can be written or not; `reused` tells of that.
async fn write(
    server: &AuthorizationServer,
    by: By,
    grant: &Grant,
    (after, next): (Option<RefreshKey>, Option<(RefreshKey, RefreshToken)>),
    reused: Record,
) -> Result<Redemption, Denied> {
    let (grant, may_give) = (grant.clone(), server.outbox.may_give());
    let redemption = server.outbox.commit(move |sql, now| {
        if are_shut_out(sql, &by.user, &by.client_id)? {
            return Ok::<_, Denied>(Change::none(Redemption::Refuse(RefreshError::Revoked)));
        }
        let Some(used) = after else {
            // The code may have been replayed while its first use was on its way here (ATTACKS O05), or its person
            // shut out and let in again, which an offline grant has no session to tell of (O15).
            if sql.is_cut_off_before_it_began(&grant)? {
                return Err(refuse("grant-cut-off").of(grant));
            }
            // Nor does a session that is over get a client of which nobody would tell that it is.
            if let Some(session) = &grant.session
                && sql.has_ended(session)?
            {
                return Err(refuse("session-over").of(grant));
            }
            may_give?;
            sql.add_grant(&grant, now)?;
            keep(sql, &grant.id, next.as_ref())?;
            return Ok(Change::none(Redemption::Rotate));
        };
        // Read again inside the transaction: of parallel uses, each sees what the one before it did.
        let token = sql.refresh_token(&used)?.filter(|token| token.grant == grant.id);
        let (Some(token), true) = (token, sql.is_live(&grant.id)?) else {
            return Ok(Change::none(Redemption::Refuse(RefreshError::Revoked)));
        };
        let successor = token.successor.as_ref().map(|s| sql.refresh_token(s)).transpose()?.flatten();
        let bearer = Bearer { client_id: &by.client_id, heir: by.heir, cnf: by.cnf.as_ref() };
        let redemption = token.token.redeem(successor.as_ref().map(|s| &s.token), bearer, now);
        match redemption {
            Redemption::Reuse => {
                sql.revoke_grant(&grant.id, now)?;
                let cut = CutOff::UpTo { target: Target::Grant(grant.id), not_before: now };
                return Ok(Change::told_by(redemption, [reused]).cutting([cut]));
            }
            Redemption::Refuse(_) => return Ok(Change::none(redemption)),
            Redemption::Rotate | Redemption::Replace => may_give?,
        }
        let mut cut = None;
        if let (Redemption::Replace, Some(key), Some(successor)) = (&redemption, &token.successor, successor)
        {
            sql.revoke_refresh_token(key, now)?;
            let StoredRefreshToken { token, .. } = successor;
            cut = Some(CutOff::Token { jti: token.access_token, expires_at: token.access_expires_at });
        }
        if let Some((key, _)) = &next {
            keep(sql, &grant.id, next.as_ref())?;
            sql.consume_refresh_token(&used, key, now)?;
        }
        if let (Redemption::Rotate, Some(until)) = (&redemption, by.kept_until) {
            sql.extend_refresh_token(&used, until)?;
        }
        Ok(Change::none(redemption).cutting(cut))
    });
    redemption.await
}

fn not_redeemed(cause: RefreshError) -> Denied {
    invalid(match cause {
        RefreshError::WrongClient => "refresh-token-of-another-client",
        RefreshError::NotBound => "refresh-token-key-not-proved",
        RefreshError::Expired => "refresh-token-expired",
        RefreshError::Revoked => "refresh-token-revoked",
    })
}

/// Whether a person or client was shut out since the gate was passed, asked in the transaction that keeps what was issued.
///
/// # Errors
/// [`Denied`] if the person became another: what was signed says what they were, so that the client has to ask again.
pub(super) fn are_shut_out(sql: &Sql<'_>, judged: &User, client: &ClientId) -> Result<bool, Denied> {
    let user = sql.user(&judged.name)?.filter(|user| user.state == UserState::Enabled);
    let Some(user) = user else { return Ok(true) };
    if user != *judged {
        return Err(Denied::new("person-changed", OAuthError::unavailable()));
    }
    Ok(!sql.has_client(client)?)
}

fn keep(sql: &Sql<'_>, grant: &GrantId, next: Option<&(RefreshKey, RefreshToken)>) -> Result<(), StoreError> {
    next.map_or(Ok(()), |(key, token)| sql.add_refresh_token(key, grant, token))
}

/// Everything whose cut-off would void the new token.
fn targets(client: &Client, grant: &Grant) -> Vec<Target> {
    let mut targets = vec![
        Target::Subject(grant.subject.clone()),
        Target::Client(client.client_id.clone()),
        Target::Grant(grant.id.clone()),
    ];
    targets.extend(grant.session.clone().map(Target::Session));
    targets
}

fn wants_refresh_token(client: &Client, grant: &Grant) -> bool {
    client.grant_types.contains(&GrantType::RefreshToken)
        && grant.emergency.is_none()
        && (grant.session.is_some() || grant.scope.contains(OFFLINE_ACCESS))
}

/// Without `offline_access` a refresh token ends with its session; with it, it slides.
fn refresh_deadline(server: &AuthorizationServer, grant: &Grant, now: Timestamp) -> Timestamp {
    match grant.session {
        None => now.plus(server.tokens.offline_token_ttl),
        Some(_) => {
            let limits = server.timeouts.of(Assurance::of(&grant.amr));
            let session = grant.stands_since().plus(limits.absolute);
            now.plus(server.tokens.refresh_token_ttl).min(session)
        }
    }
}

fn gone() -> Denied {
    Denied::new("client-removed", OAuthError::new(ErrorCode::InvalidClient, "the client was removed"))
}

fn denied(cause: MayNotIssue) -> Denied {
    match cause {
        MayNotIssue::UserDisabled => refuse("user-disabled"),
        MayNotIssue::SessionOver(_) => refuse("session-over"),
        MayNotIssue::SessionOfAnother => refuse("session-of-another"),
        MayNotIssue::GrantNotAllowed => {
            let error = OAuthError::new(ErrorCode::UnauthorizedClient, cause.to_string());
            Denied::new("grant-not-allowed", error)
        }
    }
}

pub(super) fn refuse(reason: &'static str) -> Denied {
    Denied::new(reason, over())
}

pub(super) fn over() -> OAuthError {
    OAuthError::new(ErrorCode::InvalidGrant, "the grant is not valid any more")
}

pub(super) fn invalid(reason: &'static str) -> Denied {
    Denied::new(reason, OAuthError::new(ErrorCode::InvalidGrant, "the refresh token is not valid"))
}

pub(super) fn not_a_claim(error: impl std::fmt::Display) -> Denied {
    tracing::error!(%error, "minting");
    Denied::new("minting-failed", OAuthError::new(ErrorCode::ServerError, "the token cannot be made"))
}
