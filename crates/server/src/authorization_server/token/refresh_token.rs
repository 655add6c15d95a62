//! Redeeming a refresh token. RFC 6749 section 6.

use chartgate_access::client::{Client, GrantType};
use chartgate_access::grant::refresh::narrowed;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Secret;

use super::for_person::{First, invalid, issue_for_person};
use super::{Denied, Issued, OAuthError};
use crate::authorization_server::AuthorizationServer;
use crate::entropy::digest_of;
use crate::net::origin::Origin;

pub(super) async fn redeem(
    server: &AuthorizationServer,
    origin: &Origin,
    client: &Client,
    token: &Secret<String>,
    scope: Option<ScopeSet>,
) -> Result<Issued, Denied> {
    let digest = digest_of(token.expose());
    let found = server.store.read(|sql| sql.refresh_token(&digest))?;
    let Some(stored) = found else { return Err(invalid("unknown-refresh-token")) };
    let Some(grant) = server.store.read(|sql| sql.live_grant(&stored.grant))? else {
        return Err(invalid("grant-revoked"));
    };
    let scope = match narrowed(&grant.scope, scope) {
        Ok(scope) => scope,
        Err(error) => {
            let error = OAuthError::new(ErrorCode::InvalidScope, error.to_string());
            return Err(Denied::new("scope-widened", error).of(grant));
        }
    };
    issue_for_person(server, origin, client, grant, GrantType::RefreshToken, First::After { digest, scope })
        .await
}
