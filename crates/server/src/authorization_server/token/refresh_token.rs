//! Redeeming a refresh token. RFC 6749 section 6.

use chartgate_access::client::GrantType;
use chartgate_access::grant::refresh::narrowed;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Secret;

use super::for_person::{First, invalid, issue_for_person};
use super::{Asking, Denied, Issued, OAuthError};
use crate::store::refresh_tokens::RefreshKey;

pub(super) async fn redeem(
    asking: Asking<'_>,
    token: &Secret<String>,
    scope: Option<ScopeSet>,
) -> Result<Issued, Denied> {
    let server = asking.server;
    let key = RefreshKey::of(token.expose());
    let grant = match server.store.read(|sql| sql.grant_of_refresh_token(&key))? {
        Some(Some(grant)) => grant,
        Some(None) => return Err(invalid("grant-revoked")),
        None => return Err(invalid("unknown-refresh-token")),
    };
    asking.may_use(GrantType::RefreshToken).map_err(|denied| denied.of(grant.clone()))?;
    // What it may not have is nothing to another's grant, which lasts.
    if grant.client_id != asking.client.client_id {
        return Err(invalid("refresh-token-of-another-client").of(grant));
    }
    let scope = match narrowed(&grant.scope, scope) {
        Ok(scope) => scope,
        Err(error) => {
            let error = OAuthError::new(ErrorCode::InvalidScope, error.to_string());
            return Err(Denied::new("scope-widened", error).of(grant));
        }
    };
    issue_for_person(asking, grant, GrantType::RefreshToken, First::After { key, scope }).await
}
