//! The authorization server: a file for each endpoint.

mod apps;
mod audience;
mod authenticate_client;
mod authorize;
pub(crate) mod back_channel_logout;
mod backchannel_authentication;
mod client_request;
mod device_authorization;
mod discovery;
mod error;
mod for_client;
mod introspect;
mod launch;
mod par;
mod protected;
mod register;
mod request_object;
mod revocations;
mod revoke;
mod sender;
mod status_lists;
mod token;
mod userinfo;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{delete, get, post};
use chartgate_access::login::assurance::{Offered, Required};
use chartgate_access::purpose::Purposes;
use chartgate_access::session::Timeouts;
use chartgate_audit::journal::Journal;
use chartgate_values::Clock;
use http::request::Parts as Head;
use http::{HeaderMap, Method, Response};

use crate::authorization_response::Answering;
use crate::config::{Dynamic, IdentityProvider, Registration, Route, Tokens};
use crate::live::approvals::Approvals;
use crate::live::apps::Apps;
use crate::live::client_keys::ClientKeys;
use crate::live::cut_offs::LiveCutOffs;
use crate::live::emergency::Emergencies;
use crate::live::keys::KeyRing;
use crate::live::outbox::Outbox;
use crate::live::proofs::Proofs;
use crate::live::sessions::LiveSessions;
use crate::live::status_lists::StatusLists;
use crate::live::tokens::OwnTokens;
use crate::live::trusted_issuers::LiveIssuers;
use crate::net::origin::Origin;
use crate::net::throttle::{Buckets, Throttle};
use crate::net::tls::ClientAuthorities;
use crate::pages;
use crate::registration::documents::Documents;
use crate::store::refresh_tokens::{RefreshKey, StoredRefreshToken};
use crate::store::{Store, StoreError};

use client_request::Posted;
pub(crate) use revocations::Followers;

/// What the endpoints work with.
pub(crate) struct AuthorizationServer {
    pub(crate) issuer: String,
    pub(crate) tokens: Tokens,
    pub(crate) timeouts: Timeouts,
    /// Where people may sign in in place of here.
    pub(crate) providers: Arc<[Arc<IdentityProvider>]>,
    pub(crate) second_factors: Arc<Required>,
    pub(crate) offered: Offered,
    pub(crate) routes: Arc<[Route]>,
    pub(crate) store: Arc<Store>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) emergencies: Arc<Emergencies>,
    pub(crate) purposes: Arc<Purposes>,
    pub(crate) documents: Documents,
    /// Who may register, and what they may have.
    pub(crate) registration: Registration,
    /// How often an address may register as anybody can.
    pub(crate) registrations: Buckets,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) client_keys: Arc<ClientKeys>,
    pub(crate) issuers: Arc<LiveIssuers>,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) sessions: Arc<LiveSessions>,
    pub(crate) status_lists: Arc<StatusLists>,
    pub(crate) followers: Arc<Followers>,
    pub(crate) own_tokens: Arc<OwnTokens>,
    pub(crate) proofs: Arc<Proofs>,
    /// Where clients may show certificates.
    pub(crate) mtls_base: Option<String>,
    pub(crate) client_authorities: Option<ClientAuthorities>,
    pub(crate) journal: Journal,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl AuthorizationServer {
    /// Answers what is asked often.
    pub(crate) async fn answer_often(
        self: &Arc<Self>,
        often: Often,
        origin: Origin,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        let posted = Posted { server: Arc::clone(self), origin, headers, body };
        match often {
            Often::Token => token::post(posted).await,
            Often::Introspection => introspect::post(posted).await,
        }
    }

    /// For answers at clients' redirect URIs.
    fn answering(&self) -> Answering<'_> {
        Answering { issuer: &self.issuer, keys: &self.keys, now: self.clock.now() }
    }

    /// What is kept of a token that somebody asks about or ends, if it is a refresh token. Those have no dots; an access
    /// token has, and is not looked for.
    fn refresh_token(&self, token: &str) -> Result<Option<StoredRefreshToken>, StoreError> {
        if token.contains('.') {
            return Ok(None);
        }
        self.store.read(|sql| sql.refresh_token(&RefreshKey::of(token)))
    }
}

/// What programs ask again and again: tokens, and what tokens are worth. It is answered without a router, whose boxes on the way
/// took a twelfth of an ES256 token's time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Often {
    Token,
    Introspection,
}

impl Often {
    /// Whether this is such a request.
    pub(crate) fn of(head: &Head) -> Option<Self> {
        match head.uri.path() {
            _ if head.method != Method::POST => None,
            "/token" => Some(Self::Token),
            "/introspect" => Some(Self::Introspection),
            _ => None,
        }
    }
}

/// Forms of this protocol are short; those of pages are shorter.
pub(crate) const MAX_FORM: usize = 64 << 10;

/// All endpoints, those that are asked often among them, which come here with other methods alone. Their paths come from
/// discovery; only the well-known ones are fixed.
pub(crate) fn router(server: Arc<AuthorizationServer>) -> Router {
    let mut router = Router::new()
        .route("/.well-known/openid-configuration", get(discovery::server_metadata))
        .route("/.well-known/oauth-authorization-server", get(discovery::server_metadata))
        .route("/jwks", get(discovery::jwks))
        .route("/authorize", get(authorize::by_query).post(authorize::by_form))
        .route("/authorize/continue", get(authorize::proceed))
        .route("/token", post(token::post))
        .route("/revoke", post(revoke::post))
        .route("/status-lists/{id}", get(status_lists::get))
        .route("/revocations", get(revocations::get))
        .route("/par", post(par::post))
        .route("/device-authorization", post(device_authorization::post))
        .route("/backchannel-authentication", post(backchannel_authentication::post))
        .route("/launch", post(launch::post))
        .route("/introspect", post(introspect::post))
        .route("/account/api/apps", get(apps::list).delete(apps::disconnect_named))
        .route("/account/api/apps/{client}", delete(apps::disconnect))
        .route("/userinfo", get(userinfo::get).post(userinfo::get));
    router = router
        .route("/register/{client}", get(register::read).put(register::change).delete(register::remove));
    if server.registration.dynamic != Dynamic::Off {
        router = router.route("/register", post(register::post));
    }
    for route in server.routes.iter() {
        let metadata = format!("/.well-known/oauth-protected-resource{}", route.path);
        let (name, smart) = (route.name.clone(), format!("{}/.well-known/smart-configuration", route.path));
        router = router.route(&metadata, get(move |state| discovery::resource_metadata(state, name)));
        if route.is_fhir() {
            router = router.route(&smart, get(discovery::smart_configuration));
        }
    }
    router.layer(DefaultBodyLimit::max(MAX_FORM)).layer(middleware::from_fn(pages::speak)).with_state(server)
}
