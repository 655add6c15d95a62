//! What the server says of itself. RFC 8414, OpenID Connect Discovery 1.0, RFC 9449 section 5.1, RFC 9728.

use serde::Serialize;

/// One document serves both well-known paths.
#[derive(Serialize)]
pub struct ServerMetadata {
    /// The issuer, byte for byte as in every token.
    pub issuer: String,
    /// Where people are sent.
    pub authorization_endpoint: String,
    /// Where grants are redeemed.
    pub token_endpoint: String,
    /// Where the public keys are.
    pub jwks_uri: String,
    /// OpenID Connect Core section 5.3.
    pub userinfo_endpoint: String,
    /// RFC 7009.
    pub revocation_endpoint: String,
    /// Our own: where cut-offs are followed.
    pub revocations_endpoint: String,
    /// Every scope that can be granted to somebody.
    pub scopes_supported: Vec<String>,
    /// `code`.
    pub response_types_supported: &'static [&'static str],
    /// With form_post, and each of them signed.
    pub response_modes_supported: &'static [&'static str],
    /// Registered grant names.
    pub grant_types_supported: &'static [&'static str],
    /// Ways of client authentication at the token endpoint.
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    /// Algorithms for client assertions.
    pub token_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    /// Ways of client authentication at the revocation endpoint.
    pub revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    /// Algorithms for client assertions there.
    pub revocation_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    /// RFC 9126 section 5.
    pub pushed_authorization_request_endpoint: String,
    /// RFC 9126 section 5: of every client.
    pub require_pushed_authorization_requests: bool,
    /// RFC 8705 section 3.3.
    pub tls_client_certificate_bound_access_tokens: bool,
    /// RFC 8705 section 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls_endpoint_aliases: Option<EndpointAliases>,
    /// RFC 9449 section 5.1.
    pub dpop_signing_alg_values_supported: &'static [&'static str],
    /// RFC 8628 section 4.
    pub device_authorization_endpoint: String,
    /// CIBA Core section 4.
    pub backchannel_authentication_endpoint: String,
    /// CIBA Core section 4.
    pub backchannel_token_delivery_modes_supported: &'static [&'static str],
    /// CIBA Core section 4.
    pub backchannel_user_code_parameter_supported: bool,
    /// CIBA Core section 4.
    pub backchannel_authentication_request_signing_alg_values_supported: &'static [&'static str],
    /// OpenID Connect RP-Initiated Logout section 2.1.
    pub end_session_endpoint: String,
    /// OpenID Connect Back-Channel Logout section 2.1.
    pub backchannel_logout_supported: bool,
    /// OpenID Connect Back-Channel Logout section 2.1: logout tokens name the session.
    pub backchannel_logout_session_supported: bool,
    /// OpenID Connect Front-Channel Logout section 3.
    pub frontchannel_logout_supported: bool,
    /// OpenID Connect Front-Channel Logout section 3: what is shown names issuer and session.
    pub frontchannel_logout_session_supported: bool,
    /// RFC 7662.
    pub introspection_endpoint: String,
    /// Ways of client authentication there: nobody asks unnamed.
    pub introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    /// Algorithms for client assertions there.
    pub introspection_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    /// `S256`.
    pub code_challenge_methods_supported: &'static [&'static str],
    /// `public`: everybody sees the same `sub`.
    pub subject_types_supported: &'static [&'static str],
    /// What ID tokens are signed with.
    pub id_token_signing_alg_values_supported: Vec<&'static str>,
    /// What answers of userinfo are signed with, for clients that want them as JWTs.
    pub userinfo_signing_alg_values_supported: Vec<&'static str>,
    /// What answers of introspection are signed with, for clients that want them as JWTs: RFC 9701 section 7.
    pub introspection_signing_alg_values_supported: Vec<&'static str>,
    /// How ID tokens are encrypted to a client's key.
    pub id_token_encryption_alg_values_supported: Vec<&'static str>,
    /// With what.
    pub id_token_encryption_enc_values_supported: Vec<&'static str>,
    /// How answers of userinfo are.
    pub userinfo_encryption_alg_values_supported: Vec<&'static str>,
    /// With what.
    pub userinfo_encryption_enc_values_supported: Vec<&'static str>,
    /// How answers of introspection are.
    pub introspection_encryption_alg_values_supported: Vec<&'static str>,
    /// With what.
    pub introspection_encryption_enc_values_supported: Vec<&'static str>,
    /// How request objects may be encrypted to our key: RFC 9101 section 10.5.
    pub request_object_encryption_alg_values_supported: Vec<&'static str>,
    /// With what.
    pub request_object_encryption_enc_values_supported: Vec<&'static str>,
    /// Values of `acr` that ID tokens may have.
    pub acr_values_supported: &'static [&'static str],
    /// Claims that ID tokens and userinfo may have.
    pub claims_supported: &'static [&'static str],
    /// OpenID Connect Core section 5.5.
    pub claims_parameter_supported: bool,
    /// OpenID Connect Discovery section 3.
    pub ui_locales_supported: &'static [&'static str],
    /// RFC 9207.
    pub authorization_response_iss_parameter_supported: bool,
    /// RFC 9396 section 10.
    pub authorization_details_types_supported: &'static [&'static str],
    /// Our own: what `purpose_of_use` may say, for some role.
    pub purpose_of_use_values_supported: Vec<&'static str>,
    /// JARM section 4.
    pub authorization_signing_alg_values_supported: Vec<&'static str>,
    /// OpenID Connect Core section 6.1, RFC 9101.
    pub request_parameter_supported: bool,
    /// What request objects may be signed with.
    pub request_object_signing_alg_values_supported: &'static [&'static str],
    /// RFC 9101 section 10.5: of every client.
    pub require_signed_request_object: bool,
    /// OpenID Connect Core section 6.2.
    pub request_uri_parameter_supported: bool,
    /// draft-ietf-oauth-client-id-metadata-document section 5: `true`, or nothing is said.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub client_id_metadata_document_supported: bool,
    /// RFC 7591 section 3, where somebody may register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// RFC 9728 section 4: the resource servers behind this gateway.
    pub protected_resources: Vec<String>,
}

/// Where clients call that show a certificate.
#[derive(Serialize)]
pub struct EndpointAliases {
    /// For `token_endpoint`.
    pub token_endpoint: String,
    /// For `userinfo_endpoint`.
    pub userinfo_endpoint: String,
    /// For `revocation_endpoint`.
    pub revocation_endpoint: String,
    /// For `introspection_endpoint`.
    pub introspection_endpoint: String,
    /// For `pushed_authorization_request_endpoint`.
    pub pushed_authorization_request_endpoint: String,
    /// For `device_authorization_endpoint`.
    pub device_authorization_endpoint: String,
    /// For `backchannel_authentication_endpoint`.
    pub backchannel_authentication_endpoint: String,
}

/// What a route says of itself. RFC 9728 section 2.
#[derive(Serialize)]
pub struct ResourceMetadata {
    /// The audience that its tokens must have.
    pub resource: String,
    /// Who issues them.
    pub authorization_servers: Vec<String>,
    /// What can be asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// RFC 9396 section 10, for FHIR routes.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub authorization_details_types_supported: &'static [&'static str],
    /// `header`.
    pub bearer_methods_supported: &'static [&'static str],
    /// RFC 8705 section 3.
    pub tls_client_certificate_bound_access_tokens: bool,
    /// What proofs beside its tokens may be signed with.
    pub dpop_signing_alg_values_supported: &'static [&'static str],
}
