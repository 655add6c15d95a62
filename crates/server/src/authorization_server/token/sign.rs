//! Claims become tokens.

use chartgate_access::client::{Client, TokenStatus};
use chartgate_protocol::jose::claims::{AccessTokenClaims, IdTokenClaims};
use chartgate_protocol::jose::jwe::{self, Recipient};
use chartgate_protocol::jose::{SigningKey, jws};
use chartgate_protocol::oauth::error::ErrorCode;

use super::for_person::not_a_claim;
use super::{Denied, OAuthError};
use crate::authorization_server::AuthorizationServer;
use crate::authorization_server::for_client::{Wanted, jwt_for};
use crate::config::{Route, TokenForm};
use crate::entropy::SystemEntropy;
use crate::live::keys::OWN_CONTENT;
use crate::live::tokens::traits_of;

/// An access token with these claims: encrypted if it is for a route that wants that, and with a place in a status list if
/// its client asks for one.
pub(super) async fn access_token(
    server: &AuthorizationServer,
    client: &Client,
    mut claims: AccessTokenClaims,
) -> Result<String, Denied> {
    let ring = server.keys.current();
    let key = ring.for_client(client, None).ok_or_else(signing_failed)?;
    if client.options.token_status == TokenStatus::Listed {
        let traits = traits_of(&claims, key.kid().to_owned())
            .ok_or_else(|| not_a_claim("a claim has a foreign form"))?;
        let place = server.status_lists.give_place(traits, claims.exp.timestamp()).await;
        claims.status = Some(place.map_err(|error| {
            tracing::error!(%error, "a place in a status list");
            Denied::new("no-place-in-status-list", OAuthError::unavailable())
        })?);
    }
    let is_meant = |route: &&Route| claims.aud.contains(&route.audience);
    match server.routes.iter().find(is_meant).map(|route| route.tokens) {
        Some(TokenForm::Encrypted) => {
            let to = ring.own_encryption_key().ok_or_else(signing_failed)?;
            let to = Recipient { key: to, content: OWN_CONTENT };
            jwe::sign_and_encrypt(key, "at+jwt", &claims, to, &mut SystemEntropy).map_err(|error| {
                tracing::error!(%error, "encrypting");
                signing_failed()
            })
        }
        Some(TokenForm::Signed) | None => sign(key, "at+jwt", &claims),
    }
}

/// An ID token, as its client wants it.
pub(super) async fn id_token(
    server: &AuthorizationServer,
    client: &Client,
    claims: &IdTokenClaims,
) -> Result<String, Denied> {
    let options = &client.options;
    let wanted = Wanted {
        signed: options.id_token_signed_response_alg,
        encrypted: options.responses.id_token_encrypted_response,
    };
    jwt_for(server, client, "JWT", claims, wanted).await.map_err(|error| {
        tracing::error!(%error, "an ID token");
        signing_failed()
    })
}

fn sign(key: &SigningKey, typ: &str, claims: &impl serde::Serialize) -> Result<String, Denied> {
    jws::sign(key, typ, claims).map_err(|error| {
        tracing::error!(%error, "signing");
        signing_failed()
    })
}

fn signing_failed() -> Denied {
    Denied::new("signing-failed", OAuthError::new(ErrorCode::ServerError, "signing failed"))
}
