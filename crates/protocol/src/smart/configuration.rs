//! The document at `<route>/.well-known/smart-configuration`. SMART App Launch 2.2, "Conformance".

use serde::Serialize;

/// What a SMART app reads before it launches.
#[derive(Serialize)]
pub struct SmartConfiguration {
    /// The issuer of ID tokens.
    pub issuer: String,
    /// The keys of ID tokens.
    pub jwks_uri: String,
    /// Where people are sent.
    pub authorization_endpoint: String,
    /// Where grants are redeemed.
    pub token_endpoint: String,
    /// RFC 7009.
    pub revocation_endpoint: String,
    /// RFC 7662.
    pub introspection_endpoint: String,
    /// RFC 7591 section 3, where somebody may register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Registered grant names.
    pub grant_types_supported: &'static [&'static str],
    /// `code`.
    pub response_types_supported: &'static [&'static str],
    /// Ways of client authentication.
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    /// Algorithms for client assertions.
    pub token_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    /// `S256`.
    pub code_challenge_methods_supported: &'static [&'static str],
    /// Scopes that work.
    pub scopes_supported: Vec<String>,
    /// What the server can do, in SMART's words.
    pub capabilities: &'static [&'static str],
}
