//! What the server says of itself. RFC 8414, RFC 8705 section 5, RFC 9449 section 5.1, OpenID Connect Discovery 1.0, RFC 9728, SMART App Launch 2.2.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chartgate_access::key_life::KEY_SET_MAX_AGE;
use chartgate_protocol::jose::{Algorithm, ContentEncryption, KeyManagement};
use chartgate_protocol::oauth::authorization_details::DetailType;
use chartgate_protocol::oauth::introspection::INTROSPECTION_SCOPE;
use chartgate_protocol::oauth::metadata::{EndpointAliases, ResourceMetadata, ServerMetadata};
use chartgate_protocol::oauth::response_mode::ResponseMode;
use chartgate_protocol::oauth::token::{DEVICE_CODE, JWT_BEARER};
use chartgate_protocol::oauth::token_exchange::TOKEN_EXCHANGE;
use chartgate_protocol::oidc::ciba::CIBA;
use chartgate_protocol::revocations::REVOCATIONS_SCOPE;
use chartgate_protocol::smart::categories::Category;
use chartgate_protocol::smart::configuration::SmartConfiguration;
use http::{HeaderValue, StatusCode, header};

use super::AuthorizationServer;
use crate::config::{Dynamic, RouteKind, TokenForm};
use crate::live::proofs::ALGORITHM_NAMES;
use crate::tongue;

const GRANTS: &[&str] = &[
    "authorization_code",
    "refresh_token",
    "client_credentials",
    DEVICE_CODE,
    TOKEN_EXCHANGE,
    JWT_BEARER,
    CIBA,
];
/// Those by which a client proves who it is, at any listener.
const PROVING_METHODS: &[&str] = &["client_secret_basic", "client_secret_post", "private_key_jwt"];
const ASSERTION_ALGORITHMS: &[&str] = &["RS384", "ES384", "RS256", "PS256", "PS384", "ES256", "EdDSA"];
const SCOPES: &[&str] = &[
    "openid",
    "profile",
    "email",
    "fhirUser",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "patient/*.cruds",
    "user/*.cruds",
    "system/*.cruds",
];
const CAPABILITIES: &[&str] = &[
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
];

pub(super) async fn server_metadata(State(server): State<Arc<AuthorizationServer>>) -> Response {
    let at = |path: &str| format!("{}{path}", server.issuer);
    let signing: Vec<_> = server.keys.current().algorithms().map(Algorithm::name).collect();
    let own = server.tokens.signing.encryption.iter().copied();
    let managements = || KeyManagement::PUBLIC.map(KeyManagement::name).to_vec();
    let contents = || ContentEncryption::ALL.map(ContentEncryption::name).to_vec();
    public(&ServerMetadata {
        issuer: server.issuer.clone(),
        authorization_endpoint: at("/authorize"),
        token_endpoint: at("/token"),
        jwks_uri: at("/jwks"),
        userinfo_endpoint: at("/userinfo"),
        revocation_endpoint: at("/revoke"),
        scopes_supported: scopes()
            .chain([REVOCATIONS_SCOPE, INTROSPECTION_SCOPE].map(str::to_owned))
            .collect(),
        response_types_supported: &["code"],
        response_modes_supported: ResponseMode::NAMES,
        grant_types_supported: GRANTS,
        token_endpoint_auth_methods_supported: auth_methods(&server),
        token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        revocations_endpoint: at("/revocations"),
        revocation_endpoint_auth_methods_supported: auth_methods(&server),
        revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        pushed_authorization_request_endpoint: at("/par"),
        require_pushed_authorization_requests: false,
        tls_client_certificate_bound_access_tokens: server.mtls_base.is_some(),
        mtls_endpoint_aliases: aliases(&server),
        dpop_signing_alg_values_supported: ALGORITHM_NAMES,
        device_authorization_endpoint: at("/device-authorization"),
        backchannel_authentication_endpoint: at("/backchannel-authentication"),
        backchannel_token_delivery_modes_supported: &["poll", "ping"],
        backchannel_user_code_parameter_supported: false,
        backchannel_authentication_request_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        end_session_endpoint: at("/end-session"),
        introspection_endpoint: at("/introspect"),
        introspection_endpoint_auth_methods_supported: proving_methods(&server),
        introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        backchannel_logout_supported: true,
        backchannel_logout_session_supported: true,
        frontchannel_logout_supported: true,
        frontchannel_logout_session_supported: true,
        code_challenge_methods_supported: &["S256"],
        subject_types_supported: &["public"],
        authorization_details_types_supported: DetailType::NAMES,
        purpose_of_use_values_supported: server.purposes.all(),
        authorization_signing_alg_values_supported: signing.clone(),
        id_token_signing_alg_values_supported: signing.clone(),
        userinfo_signing_alg_values_supported: signing.clone(),
        introspection_signing_alg_values_supported: signing,
        request_object_encryption_alg_values_supported: own.map(KeyManagement::name).collect(),
        request_object_encryption_enc_values_supported: contents(),
        id_token_encryption_alg_values_supported: managements(),
        id_token_encryption_enc_values_supported: contents(),
        userinfo_encryption_alg_values_supported: managements(),
        userinfo_encryption_enc_values_supported: contents(),
        introspection_encryption_alg_values_supported: managements(),
        introspection_encryption_enc_values_supported: contents(),
        acr_values_supported: server.offered.acr_values(),
        claims_supported: &[
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "acr",
            "amr",
            "azp",
            "sid",
            "fhirUser",
            "email",
        ],
        claims_parameter_supported: true,
        ui_locales_supported: &tongue::TAGS,
        authorization_response_iss_parameter_supported: true,
        request_parameter_supported: true,
        request_object_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        require_signed_request_object: false,
        request_uri_parameter_supported: false,
        client_id_metadata_document_supported: server.documents.are_taken(),
        registration_endpoint: registration_endpoint(&server),
        protected_resources: server.routes.iter().map(|route| route.audience.clone()).collect(),
    })
}

pub(super) async fn smart_configuration(State(server): State<Arc<AuthorizationServer>>) -> Response {
    let at = |path: &str| format!("{}{path}", server.issuer);
    public(&SmartConfiguration {
        issuer: server.issuer.clone(),
        jwks_uri: at("/jwks"),
        authorization_endpoint: at("/authorize"),
        token_endpoint: at("/token"),
        revocation_endpoint: at("/revoke"),
        introspection_endpoint: at("/introspect"),
        registration_endpoint: registration_endpoint(&server),
        grant_types_supported: GRANTS,
        response_types_supported: &["code"],
        token_endpoint_auth_methods_supported: auth_methods(&server),
        token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        code_challenge_methods_supported: &["S256"],
        scopes_supported: scopes().collect(),
        capabilities: CAPABILITIES,
    })
}

pub(super) async fn resource_metadata(
    State(server): State<Arc<AuthorizationServer>>,
    name: String,
) -> Response {
    let Some(route) = server.routes.iter().find(|route| route.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let scopes_supported = match &route.kind {
        RouteKind::Fhir { .. } => scopes().collect(),
        RouteKind::Http { allow } => {
            let mut scopes: Vec<String> = allow.iter().filter_map(|rule| rule.scope.clone()).collect();
            scopes.sort_unstable();
            scopes.dedup();
            scopes
        }
    };
    let issuers = server.issuers.current();
    // What others issue is signed alone, and not taken where tokens have to be encrypted.
    let others = issuers.names().filter(|_| route.tokens == TokenForm::Signed);
    let authorization_servers =
        std::iter::once(server.issuer.as_str()).chain(others).map(str::to_owned).collect();
    public(&ResourceMetadata {
        resource: route.audience.clone(),
        authorization_servers,
        scopes_supported,
        authorization_details_types_supported: if route.is_fhir() { DetailType::NAMES } else { &[] },
        bearer_methods_supported: &["header"],
        tls_client_certificate_bound_access_tokens: server.mtls_base.is_some(),
        dpop_signing_alg_values_supported: ALGORITHM_NAMES,
    })
}

pub(super) async fn jwks(State(server): State<Arc<AuthorizationServer>>) -> Response {
    let body = server.keys.current().jwks.clone();
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json".to_owned()),
        (header::CACHE_CONTROL, format!("public, max-age={}", KEY_SET_MAX_AGE.as_secs())),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
    ];
    (headers, body).into_response()
}

/// With certificates where somebody may show one, and where somebody vouches for them.
fn proving_methods(server: &AuthorizationServer) -> Vec<&'static str> {
    let mut methods = PROVING_METHODS.to_vec();
    if server.mtls_base.is_some() {
        methods.push("self_signed_tls_client_auth");
        methods.extend(server.client_authorities.as_ref().map(|_| "tls_client_auth"));
    }
    methods
}

pub(super) fn auth_methods(server: &AuthorizationServer) -> Vec<&'static str> {
    let mut methods = proving_methods(server);
    methods.insert(0, "none");
    methods
}

/// Where clients register, if any may.
fn registration_endpoint(server: &AuthorizationServer) -> Option<String> {
    (server.registration.dynamic != Dynamic::Off).then(|| format!("{}/register", server.issuer))
}

fn aliases(server: &AuthorizationServer) -> Option<EndpointAliases> {
    let base = server.mtls_base.as_ref()?;
    let at = |path: &str| format!("{base}{path}");
    Some(EndpointAliases {
        token_endpoint: at("/token"),
        userinfo_endpoint: at("/userinfo"),
        revocation_endpoint: at("/revoke"),
        introspection_endpoint: at("/introspect"),
        pushed_authorization_request_endpoint: at("/par"),
        device_authorization_endpoint: at("/device-authorization"),
        backchannel_authentication_endpoint: at("/backchannel-authentication"),
    })
}

fn public(document: &impl serde::Serialize) -> Response {
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    (headers, Json(document)).into_response()
}

/// With those for the kinds of records that US Core tells apart; others can be asked for as well.
fn scopes() -> impl Iterator<Item = String> {
    let levels = ["patient", "user"].into_iter();
    let kinds = levels.flat_map(|level| Category::all().map(move |category| category.scope(level, "rs")));
    SCOPES.iter().map(|scope| (*scope).to_owned()).chain(kinds)
}
