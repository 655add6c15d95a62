//! Signing out where somebody signed in: at their identity provider. OpenID Connect RP-Initiated Logout 1.0 sections 2 and 3.
//!
//! By then all that was open here has ended, on record. Where the provider does not answer, or nobody comes back from there,
//! nothing is lost.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use chartgate_protocol::form::Form;
use chartgate_values::Secret;

use super::Login;
use super::form::{Present, Visit, stale, unavailable};
use super::signed_out;
use crate::config::SignOutThere;
use crate::entropy::{digest_of, opaque_secret};
use crate::live::identity_providers::{Provider, ProviderError};
use crate::store::StoreError;

/// What is left open where somebody signed in, and how that is closed.
#[derive(Clone)]
pub(super) enum Onward {
    /// The browser goes there by itself.
    Goes { provider: String, address: String },
    /// Its person may.
    Offered { provider: String, address: String },
    /// Nobody can be sent there, or is to be: the person is told that it is open.
    StaysOpen { provider: String },
}

/// Somebody who leaves, and what their session at the provider is known by; read while it is open here.
pub(super) struct Leaver<'a> {
    provider: &'a Arc<Provider>,
    id_token: Option<Secret<String>>,
}

impl<'a> Leaver<'a> {
    /// Somebody who came by a provider, also where they showed more here since.
    pub(super) fn of(login: &'a Login, present: &Present) -> Option<Self> {
        let id = &present.session.id;
        let read = login.store.read(|sql| Ok((sql.open_at(id)?, sql.provider_id_token(id)?)));
        let (issuer, sealed) = read.unwrap_or_else(|error: StoreError| {
            tracing::warn!(%error, "what somebody signs out with at their provider cannot be read");
            (present.session.elsewhere.as_ref().map(|own| own.issuer.clone()), None)
        });
        let issuer = issuer?;
        let provider = login.providers.of(&issuer)?;
        let id_token = sealed.and_then(|sealed| login.providers.open(&issuer, &present.user.name, &sealed));
        Some(Self { provider, id_token })
    }

    /// The way there, and from there on to `target`. Nobody waits longer than the provider may take to say where it is.
    pub(super) async fn onward(self, login: &Login, visit: &Visit, target: Option<&str>) -> Onward {
        let config = &self.provider.config;
        let provider = config.title.clone();
        let address = match config.sign_out {
            SignOutThere::Never => None,
            SignOutThere::Always | SignOutThere::Offered => self.address(login, visit, target).await,
        };
        match (address, config.sign_out) {
            (Some(address), SignOutThere::Always) => Onward::Goes { provider, address },
            (Some(address), SignOutThere::Offered) => Onward::Offered { provider, address },
            (Some(_), SignOutThere::Never) | (None, _) => Onward::StaysOpen { provider },
        }
    }

    async fn address(&self, login: &Login, visit: &Visit, target: Option<&str>) -> Option<String> {
        let config = &self.provider.config;
        let endpoints = self.provider.endpoints().await;
        let endpoints = endpoints.map_err(|error: ProviderError| {
            tracing::warn!(provider = %config.name, %error, "nobody can be sent there to sign out");
        });
        let endpoint = endpoints.ok()?.metadata.end_session_endpoint.clone()?;
        let state = opaque_secret();
        let (digest, browser) = (digest_of(state.expose()), visit.browser.digest());
        let (issuer, goes_on, now) =
            (config.issuer.to_string(), target.map(str::to_owned), login.clock.now());
        let kept = login.store.write(move |sql| {
            sql.add_provider_sign_out(&digest, (&browser, &issuer), goes_on.as_deref(), now)
        });
        if let Err::<_, StoreError>(error) = kept.await {
            tracing::warn!(%error, "where somebody goes on who signs out at their provider was not kept");
            return None;
        }
        let mut query = Form::default();
        if let Some(id_token) = &self.id_token {
            query.push("id_token_hint", id_token.expose());
        }
        query.push("client_id", &config.client_id);
        query.push("post_logout_redirect_uri", &way_back(login, self.provider));
        query.push("state", state.expose());
        let separator = if endpoint.as_str().contains('?') { '&' } else { '?' };
        Some(format!("{}{separator}{}", endpoint.as_str(), query.encode()))
    }
}

/// Where a provider sends people who signed out there: one address for each, as with signing in.
fn way_back(login: &Login, provider: &Provider) -> String {
    format!("{}/login/with/{}/signed-out", login.issuer, provider.config.name)
}

/// Goes on from there. That somebody comes back says nothing of whether they signed out.
pub(super) async fn back(
    State(login): State<Arc<Login>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Response {
    let Some(provider) = login.providers.named(&name) else { return stale() };
    login.throttle.count(visit.origin.ip);
    let Some(state) = visit.form.get("state") else { return stale() };
    let (digest, browser, now) = (digest_of(state), visit.browser.digest(), login.clock.now());
    let issuer = provider.config.issuer.to_string();
    // Whoever makes one up makes us write nothing.
    match login.store.read(|sql| sql.is_provider_sign_out(&digest, (&browser, &issuer), now)) {
        Ok(true) => {}
        Ok(false) => return stale(),
        Err::<_, StoreError>(error) => return unavailable(&error),
    }
    let taken =
        login.store.write(move |sql| sql.take_provider_sign_out(&digest, (&browser, &issuer), now)).await;
    match taken {
        Ok(Some(target)) => signed_out::answer(&[], target.as_deref(), None),
        Ok(None) => stale(),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}
