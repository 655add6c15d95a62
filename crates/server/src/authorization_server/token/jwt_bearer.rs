//! A trusted issuer speaks for a person. RFC 7523 section 2.1.
//!
//! The person is one of ours: the assertion names them, and the gate asks about them as for every other grant. Nothing
//! that outlives the assertion's word comes of it: no refresh token (RFC 7521 section 4.1), no ID token.

use std::time::Duration;

use chartgate_access::client::GrantType;
use chartgate_access::grant::backchannel::grantable_without_pages;
use chartgate_access::grant::{Grant, OFFLINE_ACCESS};
use chartgate_access::ids::{ClientId, GrantId, IdError, Jti, Subject};
use chartgate_access::login::assurance::Assurance;
use chartgate_access::principal::User;
use chartgate_access::token::revocation::Traits;
use chartgate_protocol::jose::Claimed;
use chartgate_protocol::jose::bearer_assertion::{BearerAssertion, BearerAssertionVerifier};
use chartgate_protocol::jose::claims::NumericDate;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oauth::token::JwtBearerRequest;
use chartgate_values::{Phi, Timestamp};

use super::for_person::{First, issue_for_person};
use super::{Asking, Denied, Issued, OAuthError};
use crate::authorization_server::{AuthorizationServer, audience};
use crate::entropy::SystemEntropy;
use crate::live::trusted_issuers::{SKEW, TrustedIssuer};
use crate::store::StoreError;
use crate::store::used_assertions::FirstUse;

/// How far ahead the end of an assertion may lie.
const ASSERTION_LIFE: Duration = Duration::from_mins(5);

pub(super) async fn redeem(asking: Asking<'_>, request: JwtBearerRequest) -> Result<Issued, Denied> {
    let Asking { server, client, .. } = asking;
    asking.may_use(GrantType::JwtBearer)?;
    server.outbox.may_give()?;
    let now = server.clock.now();
    let (issuer, assertion) = check(server, request.assertion.expose(), now).await?;
    let name: Subject = assertion.user.as_str().parse().map_err(|_| invalid("user-unknown"))?;
    let found = server.store.read(|sql| Ok::<_, StoreError>((sql.user(&name)?, sql.shut_out_at(&name)?)))?;
    let (Some(user), shut_out_at) = found else { return Err(invalid("user-unknown")) };
    let signed_in_at = assertion.auth_time.unwrap_or(assertion.issued_at).timestamp();
    // Who was shut out and let in again has to sign in again there too.
    if shut_out_at.is_some_and(|at| signed_in_at <= at) {
        return Err(invalid("signed-in-before-shut-out"));
    }
    let wanted = client.grantable(request.scope.as_ref().unwrap_or(&client.scope));
    let scope = without_what_outlives(&wanted, &user);
    if scope.is_empty() {
        let error = OAuthError::new(ErrorCode::InvalidScope, "none of the scopes can be granted this way");
        return Err(Denied::new("no-grantable-scope", error));
    }
    let asked = request.resource.as_deref();
    let audience = audience::resolve(server, client, asked, &scope).map_err(|e| {
        Denied::new("unknown-resource", OAuthError::new(ErrorCode::InvalidTarget, e.to_string()))
    })?;
    let grant = Grant {
        id: GrantId::random(&mut SystemEntropy),
        client_id: client.client_id.clone(),
        subject: user.name,
        session: None,
        scope,
        authorization_details: Vec::new(),
        purpose_of_use: request.purpose_of_use,
        emergency: None,
        claims: chartgate_protocol::oidc::claims_request::ClaimsRequest::default(),
        audience,
        patient: user.fhir_user.and_then(|own| own.patient()),
        launch: None,
        nonce: None,
        auth_time: assertion.auth_time.map(NumericDate::timestamp),
        provider: None,
        began_at: Some(signed_in_at),
        approved_at: Some(assertion.issued_at.timestamp()),
        amr: issuer.methods(&assertion.amr),
        assurance: Assurance::OneFactor,
    };
    let mut issued = issue_for_person(asking, grant, GrantType::JwtBearer, First::Of).await?;
    issued.record.detail.insert("asserted_by".to_owned(), Phi::new(issuer.name().to_owned()));
    Ok(issued)
}

/// Verifies the assertion and uses it up.
async fn check(
    server: &AuthorizationServer,
    text: &str,
    now: Timestamp,
) -> Result<(std::sync::Arc<TrustedIssuer>, BearerAssertion), Denied> {
    let said = Claimed::read(text).map_err(|_| invalid("bad-assertion"))?;
    let issuers = server.issuers.current();
    let issuer = issuers.of(&said).ok_or_else(|| invalid("assertion-of-a-stranger"))?;
    let user = issuer.names_people_by().ok_or_else(|| invalid("assertion-of-a-stranger"))?;
    let kid = said.kid.as_deref().unwrap_or_default();
    let keys = issuer.keys.for_kid(kid).await;
    let verifier = BearerAssertionVerifier {
        issuer: issuer.name(),
        audiences: &[server.issuer.clone(), format!("{}/token", server.issuer)],
        user,
        max_lifetime: ASSERTION_LIFE,
        skew: SKEW,
    };
    let assertion = verifier.verify(text, &keys, now).map_err(|_| invalid("bad-assertion"))?;
    // Whom the issuer may speak of no more, by what it calls them, it speaks for no more either.
    let traits = traits_of(issuer, &assertion, kid).map_err(|_| invalid("bad-assertion"))?;
    server.cut_offs.check(&traits).map_err(|revoked| invalid(revoked.reason()))?;
    let by = traits.client_id;
    let (jti, until) = (assertion.jti.as_str().to_owned(), assertion.exp.timestamp());
    let used = server.store.write(move |sql| sql.use_assertion(&by, &jti, until)).await;
    match used.map_err(|e: StoreError| Denied::from(e))? {
        FirstUse::Yes => Ok((std::sync::Arc::clone(issuer), assertion)),
        FirstUse::No => Err(invalid("assertion-replayed")),
    }
}

/// What of an assertion bears on cut-offs: what its issuer's own tokens for that person would be cut off by.
fn traits_of(issuer: &TrustedIssuer, assertion: &BearerAssertion, kid: &str) -> Result<Traits, IdError> {
    let name = issuer.name();
    Ok(Traits {
        subject: Subject::foreign(name, assertion.sub.as_str())?,
        session: None,
        client_id: ClientId::foreign(name, "jwt-bearer")?,
        grant: None,
        key: format!("{name}#{kid}"),
        jti: Jti::foreign(name, assertion.jti.as_str())?,
        issued_at: assertion.issued_at.timestamp(),
    })
}

/// What a person gives without our pages, less what needs their own sign-in here: identity, and access that is renewed.
fn without_what_outlives(scope: &ScopeSet, user: &User) -> ScopeSet {
    const OF_SIGN_IN: [&str; 5] = ["openid", "profile", "fhirUser", OFFLINE_ACCESS, "online_access"];
    grantable_without_pages(scope, user).iter().filter(|token| !OF_SIGN_IN.contains(token)).collect()
}

fn invalid(reason: &'static str) -> Denied {
    Denied::new(reason, OAuthError::new(ErrorCode::InvalidGrant, "the assertion is not valid"))
}
