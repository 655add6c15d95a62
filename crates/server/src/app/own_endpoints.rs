//! What answers by itself: the authorization server, the pages for people, and the log's tiles.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use http::request::Parts as Head;
use http::{Request, Response};
use tower::ServiceExt as _;

use super::{App, Lasting};
use crate::authorization_server::{self, AuthorizationServer, Often};
use crate::config::Config;
use crate::live::identity_providers::Providers;
use crate::live::proven::Proven;
use crate::live::tokens::{ASKED_ABOUT, OwnTokens};
use crate::log_tiles::{self, LogTiles};
use crate::login::{self, Login};
use crate::net::client::egress::Reach;
use crate::net::origin::Origin;
use crate::net::throttle::{Buckets, Rate};
use crate::net::tls::ClientAuthorities;
use crate::pep::Gateway;
use crate::registration::documents::{self, Documents};
use crate::registration::in_force::ClientsInForce;

/// All of it.
pub(crate) struct OwnEndpoints {
    authorization_server: Arc<AuthorizationServer>,
    router: Router,
}

impl OwnEndpoints {
    /// Answers a request whose body is here.
    pub(crate) async fn answer(&self, origin: Origin, mut head: Head, body: Bytes) -> Response<Body> {
        if let Some(often) = Often::of(&head) {
            return self.authorization_server.answer_often(often, origin, head.headers, body).await;
        }
        head.extensions.insert(origin);
        match self.router.clone().oneshot(Request::from_parts(head, Body::from(body))).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl App {
    /// All of it, by the reloadable part of this configuration.
    pub(super) fn own_endpoints(
        &self,
        config: &Config,
        lasting: &Lasting,
        directory: Arc<Gateway>,
        clients: &Arc<ClientsInForce>,
    ) -> anyhow::Result<OwnEndpoints> {
        let own_tokens = self.own_tokens(config);
        let server =
            self.authorization_server(config, lasting, Arc::clone(&own_tokens), Arc::clone(clients))?;
        let server = Arc::new(server);
        let login = self.login(config, directory, Arc::clone(clients))?;
        // After all that can fail: a configuration that is not used changes nothing.
        if self.egress.reconfigure(&config.egress)? == Reach::Other {
            self.client_keys.forget();
        }
        self.phones.reconfigure(&config.push);
        self.passwords.reconfigure(config.passwords.clone());
        self.passkeys.known.reconfigure(Arc::clone(&config.authenticators));
        let router = authorization_server::router(Arc::clone(&server))
            .merge(login::router(Arc::new(login)))
            .merge(log_tiles::router(Arc::new(self.log_tiles(config, own_tokens))));
        Ok(OwnEndpoints { authorization_server: server, router })
    }

    fn own_tokens(&self, config: &Config) -> Arc<OwnTokens> {
        Arc::new(OwnTokens {
            issuer: config.issuer.clone(),
            keys: Arc::clone(&self.keys),
            cut_offs: Arc::clone(&self.cut_offs),
            sessions: Arc::clone(&self.sessions),
            proofs: Arc::clone(&self.proofs),
            clock: Arc::clone(&self.clock),
            asked_about: Proven::new(ASKED_ABOUT),
        })
    }

    fn authorization_server(
        &self,
        config: &Config,
        lasting: &Lasting,
        own_tokens: Arc<OwnTokens>,
        clients: Arc<ClientsInForce>,
    ) -> anyhow::Result<AuthorizationServer> {
        Ok(AuthorizationServer {
            documents: Documents::new(documents::Parts {
                clients,
                egress: Arc::clone(&self.egress),
                journal: self.log.journal.clone(),
                cut_offs: Arc::clone(&self.cut_offs),
                throttle: Arc::clone(&self.throttle),
                clock: Arc::clone(&self.clock),
            }),
            registration: config.registration.clone(),
            registrations: Buckets::new(
                Rate::per_hour(config.registration.per_hour),
                Arc::clone(&self.clock),
            ),
            issuer: config.issuer.clone(),
            tokens: config.tokens.clone(),
            timeouts: config.sessions,
            providers: Arc::clone(&config.identity_providers),
            second_factors: Arc::clone(&config.second_factors),
            offered: config.offered,
            routes: Arc::clone(&config.routes),
            store: Arc::clone(&self.store),
            keys: Arc::clone(&self.keys),
            client_keys: Arc::clone(&self.client_keys),
            issuers: Arc::clone(&self.issuers),
            approvals: Arc::clone(&self.approvals),
            apps: Arc::clone(&self.apps),
            emergencies: Arc::clone(&self.emergencies),
            purposes: Arc::clone(&config.purposes),
            cut_offs: Arc::clone(&self.cut_offs),
            outbox: Arc::clone(&self.outbox),
            sessions: Arc::clone(&self.sessions),
            status_lists: Arc::clone(&self.status_lists),
            followers: Arc::clone(&lasting.followers),
            own_tokens,
            proofs: Arc::clone(&self.proofs),
            mtls_base: self.config.mtls_base(),
            client_authorities: config.client_ca.as_deref().map(ClientAuthorities::load).transpose()?,
            journal: self.log.journal.clone(),
            throttle: Arc::clone(&self.throttle),
            clock: Arc::clone(&self.clock),
        })
    }

    fn login(
        &self,
        config: &Config,
        directory: Arc<Gateway>,
        clients: Arc<ClientsInForce>,
    ) -> anyhow::Result<Login> {
        Ok(Login {
            clients,
            issuer: config.issuer.clone(),
            apps: Arc::clone(&self.apps),
            timeouts: config.sessions,
            second_factors: Arc::clone(&config.second_factors),
            offered: config.offered,
            recovery: config.recovery,
            factors: Arc::clone(&self.factors),
            passkeys: Arc::clone(&self.passkeys),
            providers: Arc::new(Providers::new(&config.identity_providers, Arc::clone(&self.provider_seal))?),
            store: Arc::clone(&self.store),
            policies: Arc::clone(&self.policies),
            purposes: Arc::clone(&config.purposes),
            approvals: Arc::clone(&self.approvals),
            phones: Arc::clone(&self.phones),
            emergencies: Arc::clone(&self.emergencies),
            findings: Arc::clone(&self.watcher.findings),
            keys: Arc::clone(&self.keys),
            cut_offs: Arc::clone(&self.cut_offs),
            outbox: Arc::clone(&self.outbox),
            passwords: Arc::clone(&self.passwords),
            directory,
            sessions: Arc::clone(&self.sessions),
            journal: self.log.journal.clone(),
            log: Arc::clone(&self.log.reading),
            throttle: Arc::clone(&self.throttle),
            clock: Arc::clone(&self.clock),
        })
    }

    fn log_tiles(&self, config: &Config, own_tokens: Arc<OwnTokens>) -> LogTiles {
        LogTiles {
            dir: config.audit.dir.clone(),
            own_tokens,
            journal: self.log.journal.clone(),
            throttle: Arc::clone(&self.throttle),
            clock: Arc::clone(&self.clock),
        }
    }
}
