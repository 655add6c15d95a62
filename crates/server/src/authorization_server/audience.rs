//! Where a token is to be good. RFC 8707, SMART App Launch 2.2 (`aud`).

use chartgate_access::client::Client;
use chartgate_access::profile::ResourceNamed;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::smart::scope::SmartScope;

use super::AuthorizationServer;

/// There is no such resource. `invalid_target` on the wire; RFC 8707 section 2.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum NoResource {
    /// It is not one of ours.
    #[error("the resource is not one that this server issues tokens for")]
    Unknown,
    /// It is one of ours, but not the one that the grant is for.
    #[error(
        "what was granted is for another resource; a token for this one has to be asked for anew, not by this grant"
    )]
    Another,
    /// The client's profile wants it named.
    #[error("the request has to name its resource")]
    NotNamed,
}

/// Resolves the audience: what the request names, else the client's registered default, else the only FHIR route if a
/// FHIR scope was granted, else the issuer.
///
/// # Errors
/// [`NoResource`].
pub(super) fn resolve(
    server: &AuthorizationServer,
    client: &Client,
    requested: Option<&str>,
    scope: &ScopeSet,
) -> Result<String, NoResource> {
    if requested.is_none() && client.rules().resource == ResourceNamed::Always {
        return Err(NoResource::NotNamed);
    }
    if let Some(asked) = requested.or(client.audience.as_deref()) {
        return known(server, asked).ok_or(NoResource::Unknown);
    }
    let mut fhir = server.routes.iter().filter(|route| route.is_fhir());
    match (fhir.next(), fhir.next()) {
        (Some(only), None) if scope.iter().any(|token| token.parse::<SmartScope>().is_ok()) => {
            Ok(only.audience.clone())
        }
        _ => Ok(server.issuer.clone()),
    }
}

/// Whether a token request names the resource that its grant is for, if it names any. RFC 8707 section 2.2.
///
/// # Errors
/// [`NoResource`] if it names another, or none of ours.
pub(super) fn check(
    server: &AuthorizationServer,
    requested: Option<&str>,
    granted: &str,
) -> Result<(), NoResource> {
    let Some(asked) = requested else { return Ok(()) };
    match known(server, asked) {
        Some(named) if named == granted => Ok(()),
        Some(_) => Err(NoResource::Another),
        None => Err(NoResource::Unknown),
    }
}

/// The audience that a name of a resource stands for.
fn known(server: &AuthorizationServer, asked: &str) -> Option<String> {
    let issuer = &server.issuer;
    // A slash at the end of a base URL means the same place to every FHIR client.
    let asked = asked.strip_suffix('/').unwrap_or(asked);
    let route = server
        .routes
        .iter()
        .find(|route| route.audience == asked || format!("{issuer}{}", route.path) == asked)
        .map(|route| route.audience.clone());
    let elsewhere = || server.tokens.audiences.iter().find(|audience| *audience == asked).cloned();
    route.or_else(elsewhere).or_else(|| (asked == issuer).then(|| issuer.clone()))
}
