//! Whether a client may ask for this, at the authorization endpoint or where it pushes. RFC 6749 section 4.1.1, RFC 8707,
//! RFC 9396 section 5, OpenID Connect Core sections 3.1.2.1 and 5.5, SMART App Launch 2.2.

use std::time::Duration;

use chartgate_access::client::{Client, GrantType};
use chartgate_access::emergency;
use chartgate_access::grant::authorization_code::{
    AskAgain, Pages, PendingAuthorization, RedirectReply, ReplyTo,
};
use chartgate_access::grant::launch::Launch;
use chartgate_access::ids::Subject;
use chartgate_access::login::steps;
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::oauth::authorization::{Again, AuthorizationRequest, Prompt};
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_values::Secret;

use crate::authorization_server::{AuthorizationServer, audience};
use crate::entropy::digest_of;
use crate::live::hints;
use crate::store::StoreError;

/// Whether this client may ask for this.
pub(in crate::authorization_server) async fn check(
    server: &AuthorizationServer,
    client: &Client,
    redirect_uri: &str,
    form: &Form,
    came: Came,
) -> Result<PendingAuthorization, (ErrorCode, String)> {
    let request = AuthorizationRequest::read(form).map_err(|e| (e.code(), e.to_string()))?;
    let refuse = |code, text: &str| Err((code, text.to_owned()));
    if !client.grant_types.contains(&GrantType::AuthorizationCode) {
        return refuse(ErrorCode::UnauthorizedClient, "the client may not use this grant");
    }
    let about = about(server, client, &request)?;
    let scope = steps::grantable_by_a_person(&client.grantable(&request.scope));
    let details = request.authorization_details;
    if scope.is_empty() && details.is_empty() {
        return refuse(ErrorCode::InvalidScope, "none of the scopes can be granted to this client");
    }
    let is_registered =
        |detail: &AuthorizationDetail| client.options.authorization_details_types.contains(&detail.kind());
    if !details.iter().all(is_registered) {
        let description = "the client is not registered for details of this type";
        return refuse(ErrorCode::InvalidAuthorizationDetails, description);
    }
    if let Some(access) = emergency::asked(&details) {
        // Whose record is needed in an emergency stands in no address of a browser.
        if came == Came::ThroughTheBrowser {
            return refuse(ErrorCode::InvalidRequest, "emergency access is asked for in a pushed request");
        }
        if details.len() > 1 || access.identifier.is_some() || request.launch.is_some() {
            let description = "emergency access is asked for alone, and gets its identifier here";
            return refuse(ErrorCode::InvalidAuthorizationDetails, description);
        }
        if request.purpose_of_use.is_some() {
            let description = "the purpose of emergency access follows from its reason";
            return refuse(ErrorCode::InvalidRequest, description);
        }
    }
    if request.purpose_of_use.is_some_and(PurposeOfUse::is_of_emergencies) {
        return refuse(ErrorCode::InvalidRequest, "that purpose_of_use comes with emergency access alone");
    }
    let audience = audience::resolve(server, client, request.resource.as_deref(), &scope)
        .map_err(|e| (ErrorCode::InvalidTarget, e.to_string()))?;
    // RFC 9396 section 2.2: details are of the one place that the tokens are for, which has to have records.
    let has_records = server.routes.iter().any(|route| route.is_fhir() && route.audience == audience);
    let elsewhere = |detail: &AuthorizationDetail| detail.locations().iter().any(|place| *place != audience);
    if !details.is_empty() && (!has_records || details.iter().any(elsewhere)) {
        let description = "the details are not of the resource that the request is for";
        return refuse(ErrorCode::InvalidAuthorizationDetails, description);
    }
    let now = server.clock.now();
    // What is demanded can be met or not (OpenID Connect Core section 5.5.1.1); what is wished for is met where it can be
    // (section 3.1.2.1, RFC 9470 section 4).
    let demanded = server.offered.asked_by(request.demands.acr_values.iter().map(String::as_str));
    if demanded.is_none() && !request.demands.acr_values.is_empty() {
        return refuse(ErrorCode::UnmetAuthenticationRequirements, "no sign-in has an acr that is demanded");
    }
    let wished = server.offered.asked_by(request.acr_values.iter().map(String::as_str));
    let asked = demanded.or(wished);
    let signed_in_since = match request.max_age {
        _ if request.prompt.asks(Again::Login) => Some(now),
        age => age.map(|age| now.minus(Duration::from_secs(u64::from(age)))),
    };
    // Last, so that a request which is refused does not use it up.
    let launch = match request.launch {
        None => None,
        Some(handle) => Some(take_launch(server, client, &handle).await?),
    };
    Ok(PendingAuthorization {
        client_id: client.client_id.clone(),
        reply_to: ReplyTo::Redirect(RedirectReply {
            redirect_uri: redirect_uri.to_owned(),
            state: form.get("state").map(str::to_owned),
            code_challenge: request.code_challenge,
            nonce: request.nonce,
            response_mode: request.response_mode,
            response_alg: client.options.id_token_signed_response_alg,
        }),
        scope,
        authorization_details: details,
        purpose_of_use: request.purpose_of_use,
        emergency: None,
        audience,
        dpop_jkt: request.dpop_jkt,
        signed_in_since,
        assurance: asked.map(|asked| asked.at_least).unwrap_or_default(),
        called: asked.map(|asked| asked.called),
        ask_again: if request.prompt.asks(Again::Consent) { AskAgain::Consent } else { AskAgain::No },
        pages: if request.prompt == Prompt::None { Pages::Forbidden } else { Pages::Allowed },
        login_hint: request.login_hint.or_else(|| about.as_ref().map(ToString::to_string)),
        ui_locales: request.ui_locales,
        about,
        claims: client.claims_within(request.claims),
        said: None,
        launch,
        created_at: now,
    })
}

/// How a request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::authorization_server) enum Came {
    /// In an address, or by a form that a browser sent.
    ThroughTheBrowser,
    /// From its client itself. RFC 9126.
    Pushed,
}

/// Whom alone the answer may be about.
fn about(
    server: &AuthorizationServer,
    client: &Client,
    request: &AuthorizationRequest,
) -> Result<Option<Subject>, (ErrorCode, String)> {
    let own = ExpectedAudience::OneOf(vec![client.client_id.to_string()]);
    let read = |hint: &Secret<String>| {
        let claims = hints::read(&server.issuer, &server.keys, own, hint.expose(), server.clock.now());
        let invalid = || "id_token_hint is no ID token of this client".to_owned();
        claims.map(|claims| claims.sub.to_string()).ok_or_else(|| (ErrorCode::InvalidRequest, invalid()))
    };
    let hinted = request.id_token_hint.as_ref().map(read).transpose()?;
    let named = match (hinted, request.demands.subject.clone()) {
        (Some(hinted), Some(demanded)) if hinted != demanded => {
            return Err((ErrorCode::InvalidRequest, "id_token_hint and claims name two people".to_owned()));
        }
        (hinted, demanded) => hinted.or(demanded),
    };
    let nobody = || (ErrorCode::LoginRequired, "nobody of this name can sign in".to_owned());
    named.map(|name| name.parse().map_err(|_| nobody())).transpose()
}

/// Uses up the handle that an EHR gave the client.
async fn take_launch(
    server: &AuthorizationServer,
    client: &Client,
    handle: &str,
) -> Result<Launch, (ErrorCode, String)> {
    let (digest, app, now) = (digest_of(handle), client.client_id.clone(), server.clock.now());
    match server.store.write(move |sql| sql.take_launch(&digest, &app, now)).await {
        Ok(Some(launch)) => Ok(launch),
        Ok(None) => Err((ErrorCode::InvalidRequest, "the launch handle is not known".to_owned())),
        Err::<_, StoreError>(error) => {
            tracing::error!(%error, "launch");
            Err((ErrorCode::ServerError, "try again later".to_owned()))
        }
    }
}
