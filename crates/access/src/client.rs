//! OAuth clients. RFC 6749 section 2, RFC 7591 section 2 for the names of the members.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chartgate_protocol::jose::Algorithm;
use chartgate_protocol::oauth::authorization_details::DetailType;
use chartgate_protocol::oauth::https_uri::HttpsUri;
use chartgate_protocol::oauth::mtls::RegisteredSubject;
use chartgate_protocol::oauth::redirect::RedirectUri;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oidc::claims_request::{AskedClaim, ClaimsRequest};
use chartgate_protocol::smart::scope::{SmartScope, SmartScopeError};
use serde::{Deserialize, Serialize};

pub use chartgate_protocol::oauth::client_metadata::{AuthMethod, GrantType};

use responses::{Encryption, ResponseOptions};

use crate::ids::{ClientId, Role};
use crate::profile::Profile;

pub mod responses;

/// What kind of program a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// Keeps no secret: a browser or mobile app.
    Public,
    /// Keeps a secret, acts for people.
    Confidential,
    /// Acts for itself alone.
    Backend,
}

/// Whether a person is asked before the client gets a code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consent {
    /// The client is the organisation's own.
    Never,
    /// The person decides, each time that more is asked for than they approved before.
    Ask,
}

/// Something that no client may do unless its registration says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub enum Permission {
    /// Ask about any client's tokens (RFC 7662), as resource servers do.
    #[serde(rename = "introspect:any")]
    IntrospectAny,
    /// Begin launches of applications, as EHRs do. SMART App Launch 2.2.
    #[serde(rename = "launch:create")]
    LaunchCreate,
}

/// Whether a client has to push its authorization requests. RFC 9126 section 6.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushedRequests {
    /// It may.
    #[default]
    Optional,
    /// A request that comes by a browser alone is refused.
    Required,
}

/// Whether a client has to sign its authorization requests. RFC 9101 section 10.5.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedRequests {
    /// It may.
    #[default]
    Optional,
    /// A request without an object is refused.
    Required,
}

/// Whether tokens are bound to a key of the client. RFC 9449 section 5.2, RFC 8705 section 3.4.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundTokens {
    /// Where a request proves one by DPoP. A certificate on the connection says nothing by itself.
    #[default]
    Optional,
    /// Always: a request that proves none is refused.
    Required,
}

/// Who registered a client; one that is called by its address did it by a document there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registrar {
    /// Somebody who may.
    #[default]
    Operator,
    /// Itself, with an invitation of somebody who may. RFC 7591, "protected" registration.
    Invited,
    /// Itself, as anybody could. RFC 7591, "open" registration.
    Anybody,
}

/// Whether access tokens have a place in a status list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenStatus {
    /// They have none.
    #[default]
    Unlisted,
    /// They have one, and say so.
    Listed,
}

/// What few registrations say; by default nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientOptions {
    /// By whose rules it was written.
    pub profile: Profile,
    /// Who registered it.
    pub registrar: Registrar,
    /// What it may do beyond its own tokens.
    pub permissions: BTreeSet<Permission>,
    /// Where a browser may go once its person is signed out. OpenID Connect RP-Initiated Logout section 3.1.
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// Clients that may exchange its tokens for others, in which they act for its people. RFC 8693 section 4.4.
    pub may_act: BTreeSet<ClientId>,
    /// Whether its authorization requests are pushed.
    pub pushed_requests: PushedRequests,
    /// Where it is told that a person has answered, if it wants to be: CIBA Core section 4, mode `ping`.
    pub backchannel_client_notification_endpoint: Option<HttpsUri>,
    /// Where its public keys are, if it did not register the keys themselves.
    pub jwks_uri: Option<HttpsUri>,
    /// Where it is told that a session ended. OpenID Connect Back-Channel Logout section 2.2; it always learns which.
    pub backchannel_logout_uri: Option<HttpsUri>,
    /// What a browser shows in a frame once its session ended. OpenID Connect Front-Channel Logout section 2; it always learns
    /// which.
    pub frontchannel_logout_uri: Option<HttpsUri>,
    /// Whether its access tokens say where their status is. draft-ietf-oauth-status-list section 6.
    pub token_status: TokenStatus,
    /// What its ID tokens are signed with, if not with our own choice. OpenID Connect Registration section 2.
    pub id_token_signed_response_alg: Option<Algorithm>,
    /// What types of authorization details it may ask for. RFC 9396 section 10.
    pub authorization_details_types: BTreeSet<DetailType>,
    /// Whether its authorization requests are signed.
    pub require_signed_request_object: SignedRequests,
    /// How it encrypts them, if it does: then none is taken that is not.
    pub request_object_encryption: Option<Encryption>,
    /// What its questions to people elsewhere are signed with: then none is taken that is not. CIBA Core section 4.
    pub backchannel_authentication_request_signing_alg: Option<Algorithm>,
    /// How its other answers are signed, and which are encrypted.
    #[serde(flatten)]
    pub responses: ResponseOptions,
    /// Whether its tokens are bound to a DPoP key.
    pub dpop_bound_access_tokens: BoundTokens,
    /// Whether its tokens are bound to its certificate.
    pub tls_client_certificate_bound_access_tokens: BoundTokens,
    /// The name that its certificate has to have, where it shows who it is by `tls_client_auth`.
    pub tls_client_auth: Option<RegisteredSubject>,
}

impl ClientOptions {
    /// Algorithms that somebody has to sign with for this client.
    pub fn signing_algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.id_token_signed_response_alg.into_iter().chain(self.responses.signing_algorithms())
    }
}

/// A registered client.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Its name.
    pub client_id: ClientId,
    /// What kind of program it is.
    pub kind: ClientKind,
    /// How it shows who it is.
    pub token_endpoint_auth_method: AuthMethod,
    /// Where codes may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// Which grants it may redeem.
    pub grant_types: BTreeSet<GrantType>,
    /// The most that it may ask for. A SMART scope here covers every narrower one.
    pub scope: ScopeSet,
    /// Where its tokens are good if a request does not say.
    pub audience: Option<String>,
    /// Roles that it has when it acts for itself.
    pub roles: BTreeSet<Role>,
    /// Its public keys, as it registered them.
    pub jwks: Option<serde_json::Value>,
    /// Whether people are asked.
    pub consent: Consent,
    /// What few registrations say.
    #[serde(flatten)]
    pub options: ClientOptions,
}

impl Client {
    /// Whether it says itself what it is, and nobody here has looked at it.
    #[must_use]
    pub fn is_self_registered(&self) -> bool {
        self.client_id.is_document() || self.options.registrar != Registrar::Operator
    }

    /// Whether codes may be sent there.
    #[must_use]
    pub fn redirects_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|registered| registered.matches(uri))
    }

    /// Whether a browser may go there after signing out: the same text, with no exception.
    #[must_use]
    pub fn may_be_left_for(&self, uri: &str) -> bool {
        self.options.post_logout_redirect_uris.iter().any(|registered| registered.as_str() == uri)
    }

    /// The part of `requested` that this client may have: what it is registered for. Unknown scopes fall away, as
    /// RFC 6749 section 3.3 allows; a wildcard that is wider than the registration is narrowed to it.
    #[must_use]
    pub fn grantable(&self, requested: &ScopeSet) -> ScopeSet {
        covered(&self.scope, requested)
    }

    /// The part of the claims that are asked for by name which this client may have at all: those that a scope would give it.
    #[must_use]
    pub fn claims_within(&self, mut asked: ClaimsRequest) -> ClaimsRequest {
        let may_have = |claim: &AskedClaim| {
            let scopes: &[&str] = match claim {
                AskedClaim::Email => &["email"],
                AskedClaim::FhirUser => &["fhirUser", "profile"],
            };
            scopes.iter().any(|scope| self.scope.contains(scope))
        };
        asked.id_token.retain(may_have);
        asked.userinfo.retain(may_have);
        asked
    }
}

/// The part of `requested` that stands in `widest`, or is a SMART scope that one there includes. A SMART scope with a
/// constraint that nothing enforces is none of it: a grant says what it opens.
#[must_use]
pub fn covered(widest: &ScopeSet, requested: &ScopeSet) -> ScopeSet {
    let smart: Vec<SmartScope> = widest.iter().filter_map(|token| token.parse().ok()).collect();
    requested
        .iter()
        .filter(|token| match token.parse::<SmartScope>() {
            Ok(asked) => smart.iter().any(|scope| scope.includes(&asked)),
            Err(SmartScopeError::Constraint) => false,
            Err(SmartScopeError::NotSmart | SmartScopeError::Type | SmartScopeError::Permissions) => {
                widest.contains(token)
            }
        })
        .collect()
}

/// The name is none of a closed list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{name}` is not one of {known}")]
pub struct UnknownName {
    name: String,
    known: &'static str,
}

macro_rules! names {
    ($type:ident, $known:literal, $($variant:ident = $name:literal),+ $(,)?) => {
        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownName { name: text.to_owned(), known: $known }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }
    };
}

names!(
    ClientKind,
    "public, confidential, backend",
    Public = "public",
    Confidential = "confidential",
    Backend = "backend"
);
names!(Profile, "smart, fapi2, mcp, plain", Smart = "smart", Fapi2 = "fapi2", Mcp = "mcp", Plain = "plain");
names!(
    Permission,
    "introspect:any, launch:create",
    IntrospectAny = "introspect:any",
    LaunchCreate = "launch:create",
);
#[cfg(test)]
mod tests {
    use super::*;

    fn client(scope: &str) -> Client {
        Client {
            client_id: "app".parse().unwrap(),
            kind: ClientKind::Public,
            token_endpoint_auth_method: AuthMethod::None,
            redirect_uris: vec!["http://127.0.0.1/callback".parse().unwrap()],
            grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
            scope: scope.parse().unwrap(),
            audience: None,
            roles: BTreeSet::new(),
            jwks: None,
            consent: Consent::Ask,
            options: ClientOptions::default(),
        }
    }

    #[test]
    fn a_registered_wildcard_covers_what_is_narrower_and_nothing_wider() {
        let app = client("openid patient/*.rs");
        let asked =
            "openid profile patient/Observation.rs patient/*.cruds user/Observation.rs".parse().unwrap();
        assert_eq!(app.grantable(&asked).to_string(), "openid patient/Observation.rs");
    }

    #[test]
    fn smart_370_a_scope_with_a_constraint_that_nothing_enforces_is_not_granted() {
        let odd = "patient/Observation.rs?value-string=x";
        let asked = format!("{odd} patient/*.rs?category=x patient/Condition.rs").parse().unwrap();
        for registered in ["patient/*.rs", &format!("patient/*.rs {odd}")] {
            assert_eq!(client(registered).grantable(&asked).to_string(), "patient/Condition.rs");
        }
    }

    #[test]
    fn smart_370_a_constraint_narrows_a_registration_and_never_widens_one() {
        let asked =
            "patient/Observation.rs patient/Observation.rs?category=a patient/Observation.rs?category=a,b";
        let grantable = |registered| client(registered).grantable(&asked.parse().unwrap()).to_string();
        assert_eq!(grantable("patient/*.rs"), asked);
        assert_eq!(grantable("patient/Observation.rs?category=a"), "patient/Observation.rs?category=a");
        assert_eq!(grantable("patient/Observation.rs?status=final"), "");
    }

    #[test]
    fn a_registration_from_before_an_option_was_known_reads_as_without_it() {
        let app = client("openid");
        let mut stored = serde_json::to_value(&app).unwrap();
        assert!(stored.as_object_mut().unwrap().remove("permissions").is_some());
        assert_eq!(serde_json::from_value::<Client>(stored).unwrap(), app);
    }

    #[test]
    fn version_1_scopes_are_covered_by_version_2_registrations() {
        let asked = "patient/Observation.read".parse().unwrap();
        assert_eq!(client("patient/*.cruds").grantable(&asked), asked);
    }
}
