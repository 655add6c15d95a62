//! What a client's profile asks of it, in one table: registration and endpoints both ask here. SMART App Launch 2.2,
//! FAPI 2.0 Security Profile section 5.3, Model Context Protocol (Authorization); where they differ from one another, and
//! from what others write, is what profiles are for.

use std::time::Duration;

use chartgate_protocol::jose::Algorithm;
use chartgate_protocol::oauth::request_object::NotBefore;
use serde::{Deserialize, Serialize};

use crate::client::{AuthMethod, BoundTokens, Client, ClientKind, PushedRequests, SignedRequests};

/// By whose rules a client was written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// SMART App Launch 2.2.
    #[default]
    Smart,
    /// FAPI 2.0 Security Profile.
    Fapi2,
    /// Model Context Protocol.
    Mcp,
    /// OAuth 2.1 and OpenID Connect, with client assertions as libraries make them.
    Plain,
}

/// What a profile asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Whether authorization requests are pushed.
    pub pushed_requests: PushedRequests,
    /// Whether a request has to name where its tokens shall be good. RFC 8707.
    pub resource: ResourceNamed,
    /// Who may be a client.
    pub clients: Clients,
    /// Whether tokens are bound to something that the client proves.
    pub tokens: BoundTokens,
    /// What its assertions, proofs, request objects and ID tokens may be signed with.
    pub algorithms: &'static [Algorithm],
    /// Whom its assertions are for.
    pub assertion_audience: AssertionAudience,
    /// How far ahead their `exp` may lie.
    pub assertion_life: Duration,
    /// Whether its request objects have to say since when they are valid. FAPI 2.0 Message Signing section 5.3.1.
    pub request_object_not_before: NotBefore,
    /// By how much a client's clock may be ahead of ours. FAPI 2.0 section 5.3.2.1.
    pub skew: Duration,
    /// Whether questions to people elsewhere are signed. FAPI-CIBA section 5.2.2.
    pub backchannel_requests: SignedRequests,
    /// How often a request object that has a name of its own may come.
    pub request_objects: Objects,
    /// Whether a refresh gives a new refresh token.
    pub rotation: Rotation,
}

/// Whether a request has to name the resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResourceNamed {
    /// It may.
    Optional,
    /// One that does not is refused.
    Always,
}

/// Who may be a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Clients {
    /// Anybody.
    Any,
    /// Those who show by a key of their own who they are.
    WithKeys,
}

/// Whom client assertions are for: one string. CVE-2025-27370, CVE-2025-27371.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AssertionAudience {
    /// The issuer.
    Issuer,
    /// That, or the token endpoint, as SMART App Launch 2.2 has it.
    IssuerOrTokenEndpoint,
}

/// How often a request object that has a name of its own (`jti`) may come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Objects {
    /// As often as it is valid: browsers load pages again.
    WhileValid,
    /// Once: what is pushed comes from its client itself.
    Once,
}

/// Whether a refresh gives a new refresh token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rotation {
    /// It does. RFC 9700 section 4.14.2.
    Rotates,
    /// It does not: the token is bound to a client that proves who it is. FAPI 2.0 section 5.3.2.1.
    Keeps,
}

/// Why a client cannot have its profile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotInProfile {
    /// FAPI 2.0 section 5.3.2.1: confidential clients, by private_key_jwt or mutual TLS.
    #[error(
        "its clients show who they are by private_key_jwt, tls_client_auth or self_signed_tls_client_auth"
    )]
    Method,
    /// FAPI 2.0 section 5.3.2.2.
    #[error("its clients push their requests")]
    NotPushed,
    /// FAPI 2.0 section 5.3.2.1.
    #[error("its tokens are bound to a DPoP key or to a certificate")]
    NotBound,
    /// FAPI 2.0 section 5.4.1.
    #[error("its ID tokens are signed with PS256, ES256 or EdDSA")]
    IdTokenAlgorithm,
    /// The same.
    #[error("what else its clients have signed is signed with PS256, ES256 or EdDSA")]
    AnswerAlgorithm,
}

impl Profile {
    /// The table.
    #[must_use]
    pub const fn rules(self) -> Rules {
        match self {
            Self::Smart => LENIENT,
            Self::Plain => Rules { assertion_life: Duration::from_secs(3600), ..LENIENT },
            Self::Mcp => Rules { resource: ResourceNamed::Always, ..LENIENT },
            Self::Fapi2 => Rules {
                pushed_requests: PushedRequests::Required,
                resource: ResourceNamed::Optional,
                clients: Clients::WithKeys,
                tokens: BoundTokens::Required,
                algorithms: &[Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA],
                assertion_audience: AssertionAudience::Issuer,
                assertion_life: FIVE_MINUTES,
                request_object_not_before: NotBefore::Required,
                skew: Duration::from_secs(10),
                backchannel_requests: SignedRequests::Required,
                request_objects: Objects::Once,
                rotation: Rotation::Keeps,
            },
        }
    }
}

/// What SMART App Launch 2.2 asks, and everybody may.
const LENIENT: Rules = Rules {
    pushed_requests: PushedRequests::Optional,
    resource: ResourceNamed::Optional,
    clients: Clients::Any,
    tokens: BoundTokens::Optional,
    algorithms: &Algorithm::ALL,
    assertion_audience: AssertionAudience::IssuerOrTokenEndpoint,
    assertion_life: FIVE_MINUTES,
    request_object_not_before: NotBefore::Optional,
    skew: Duration::ZERO,
    backchannel_requests: SignedRequests::Optional,
    request_objects: Objects::WhileValid,
    rotation: Rotation::Rotates,
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

impl Client {
    /// What its profile asks.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.options.profile.rules()
    }

    /// Whether its authorization requests have to be pushed.
    #[must_use]
    pub fn pushed_requests(&self) -> PushedRequests {
        match (self.rules().pushed_requests, self.options.pushed_requests) {
            (PushedRequests::Optional, PushedRequests::Optional) => PushedRequests::Optional,
            (PushedRequests::Required, _) | (_, PushedRequests::Required) => PushedRequests::Required,
        }
    }

    /// Whether its questions to people elsewhere have to be signed. CIBA Core section 4.
    #[must_use]
    pub fn backchannel_requests(&self) -> SignedRequests {
        match self.options.backchannel_authentication_request_signing_alg {
            Some(_) => SignedRequests::Required,
            None => self.rules().backchannel_requests,
        }
    }

    /// Whether this registration is one that its profile allows.
    ///
    /// # Errors
    /// [`NotInProfile`], by the first cause.
    pub fn check_profile(&self) -> Result<(), NotInProfile> {
        let (rules, options) = (self.rules(), &self.options);
        let by_key = match self.token_endpoint_auth_method {
            AuthMethod::PrivateKeyJwt | AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth => {
                self.kind != ClientKind::Public
            }
            AuthMethod::None | AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => false,
        };
        if rules.clients == Clients::WithKeys && !by_key {
            return Err(NotInProfile::Method);
        }
        if rules.pushed_requests == PushedRequests::Required
            && options.pushed_requests == PushedRequests::Optional
        {
            return Err(NotInProfile::NotPushed);
        }
        let bound = [options.dpop_bound_access_tokens, options.tls_client_certificate_bound_access_tokens];
        if rules.tokens == BoundTokens::Required && !bound.contains(&BoundTokens::Required) {
            return Err(NotInProfile::NotBound);
        }
        let named = options.id_token_signed_response_alg;
        let is_allowed =
            named.map_or(rules.algorithms.contains(&Algorithm::RS256), |a| rules.algorithms.contains(&a));
        if !is_allowed {
            return Err(NotInProfile::IdTokenAlgorithm);
        }
        let mut others = options.responses.signing_algorithms();
        if others.all(|algorithm| rules.algorithms.contains(&algorithm)) {
            Ok(())
        } else {
            Err(NotInProfile::AnswerAlgorithm)
        }
    }
}

#[cfg(test)]
mod tests;
