//! Signing in with an account at an identity provider: going there, and coming back. OpenID Connect Core section 3.1,
//! RFC 9700 section 4.4, RFC 9207; ATTACKS A10.
//!
//! What goes there is one browser's, for one provider, good once and for ten minutes. What the provider says is believed of who
//! signed in there, and of how strongly where the configuration says so; who that is here says [`super::admission`].

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use chartgate_access::grant::authorization_code::PendingAuthorization;
use chartgate_access::login::assurance::{Assurance, Next, Whom, after_code, after_password};
use chartgate_access::login::provider::methods;
use chartgate_access::principal::User;
use chartgate_access::session::AuthTime;
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::claims::Identifier;
use chartgate_protocol::jose::provider_token::SignedInThere;
use chartgate_protocol::oidc::provider::Answers;
use chartgate_values::Timestamp;

use super::form::{Browser, Visit, see_other, stale, unavailable};
use super::second_factor::in_time;
use super::sign_in::{Begin, start_session, with_cookies};
use super::then::Then;
use super::{Login, admission, enrol_factor, new_passkey, second_factor};
use crate::entropy::{digest_of, opaque_secret};
use crate::live::identity_providers::{Endpoints, Provider, ProviderError, Redeemed, Redemption};
use crate::live::trusted_issuers::SKEW;
use crate::store::half_sign_ins::{First, There};
use crate::store::provider_links::{Effort, ProviderSignIn};
use crate::store::provider_sessions::SessionThere;
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};

/// A way to sign in with an account elsewhere, as pages show it.
pub(super) struct Way {
    pub(super) title: String,
    pub(super) address: String,
}

impl Way {
    /// All that there are, for this browser, each going on with this.
    pub(super) fn all(login: &Login, browser: &Browser, with: Option<(&str, &str)>) -> Vec<Self> {
        let mut query = Form::default();
        query.push("go", &browser.leave());
        if let Some((name, value)) = with {
            query.push(name, value);
        }
        let way = |provider: &Arc<Provider>| Self {
            title: provider.config.title.clone(),
            address: query.behind(&format!("/login/with/{}", provider.config.name)),
        };
        login.providers.iter().map(way).collect()
    }
}

/// Why nobody is signed in, as far as the provider is concerned.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSignIn {
    #[error("it signed nobody in")]
    Refused,
    #[error("the answer is another one's, or does not say whose")]
    MixedUp,
    #[error("the sign-in there is older than was asked for")]
    NotLately,
    #[error("it does not say when somebody signed in there, and that was asked for")]
    TimeUnsaid,
    #[error(transparent)]
    Failed(#[from] ProviderError),
}

impl NoSignIn {
    /// The stable code for the record.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Refused => "provider-refused",
            Self::MixedUp => "provider-mixed-up",
            Self::NotLately => "provider-not-lately",
            Self::TimeUnsaid => "provider-no-auth-time",
            Self::Failed(_) => "provider-failed",
        }
    }
}

/// Sends somebody to a provider.
pub(super) async fn leave(
    State(login): State<Arc<Login>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Response {
    let Some(provider) = login.providers.named(&name) else { return stale() };
    // Led here by a page of ours: nobody else's link ends a session, or links an account to whom they like.
    if visit.form.get("go") != Some(visit.browser.leave().as_str()) {
        return see_other(&Then::of(&visit.form).sign_in());
    }
    let everybody = login.second_factors.two_factors == Whom::Everybody;
    let effort = if everybody { Effort::TwoFactors } else { Effort::AsUsual };
    go(&login, provider, &visit, effort).await
}

/// Keeps what was begun, and sends the browser there.
async fn go(login: &Login, provider: &Provider, visit: &Visit, effort: Effort) -> Response {
    login.throttle.count(visit.origin.ip);
    if let Err(kept) = login.throttle.reserve.admit_stranger() {
        return unavailable(&kept);
    }
    let then = Then::of(&visit.form);
    let pending = match pending(login, visit) {
        Ok(pending) => pending,
        Err(response) => return *response,
    };
    let asked = pending.as_ref().map(|pending| pending.assurance).unwrap_or_default();
    let effort = if asked > Assurance::OneFactor { Effort::TwoFactors } else { effort };
    let endpoints = match provider.endpoints().await {
        Ok(endpoints) => endpoints,
        Err(error) => return admission::refuse_sign_in(login, visit, provider, (&error.into(), None)).await,
    };
    let state = opaque_secret();
    let begun = ProviderSignIn {
        issuer: provider.config.issuer.to_string(),
        effort,
        then: then.hidden().map(|(name, value)| (name.to_owned(), value.to_owned())),
        enrolment: visit.form.get("token").map(digest_of),
    };
    let wanted = Wanted {
        state: state.expose(),
        effort,
        since: pending.as_ref().and_then(|pending| pending.signed_in_since),
        hint: pending.as_ref().and_then(|pending| pending.login_hint.as_deref()),
    };
    let target = wanted.address(login, provider, visit, &endpoints);
    let (digest, browser, now) = (digest_of(state.expose()), visit.browser.digest(), login.clock.now());
    let kept = login.store.write(move |sql| sql.add_provider_sign_in(&digest, &browser, &begun, now)).await;
    match kept {
        Ok(()) => visit.browser.remembered(see_other(&target)),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}

/// What is asked of a provider.
struct Wanted<'a> {
    state: &'a str,
    effort: Effort,
    /// The person has to show who they are, and have done so since then.
    since: Option<Timestamp>,
    hint: Option<&'a str>,
}

impl Wanted<'_> {
    /// The address of the authorization request. OpenID Connect Core section 3.1.2.1, RFC 7636 section 4.3.
    fn address(&self, login: &Login, provider: &Provider, visit: &Visit, endpoints: &Endpoints) -> String {
        let config = &provider.config;
        let mut query = Form::default();
        query.push("response_type", "code");
        query.push("client_id", &config.client_id);
        query.push("redirect_uri", &way_back(login, provider));
        query.push("scope", &config.scopes.join(" "));
        query.push("state", self.state);
        query.push("nonce", &nonce(self.state));
        query.push("code_challenge", &digest_of(visit.browser.verifier(self.state)));
        query.push("code_challenge_method", "S256");
        // No session here outlives what the configuration says, counted from when somebody showed who they are. Who is asked
        // for it has to say when that was (section 2, `auth_time`).
        let longest = login.timeouts.shortest().absolute;
        let max_age = self.since.map_or(longest, |since| login.clock.now().since(since).min(longest));
        query.push("max_age", &max_age.as_secs().to_string());
        let acr_values: Vec<&str> = config.two_factors.acr.iter().map(String::as_str).collect();
        if self.effort == Effort::TwoFactors && !acr_values.is_empty() {
            query.push("acr_values", &acr_values.join(" "));
        }
        if self.since.is_some() {
            query.push("prompt", "login");
        }
        if let Some(hint) = self.hint {
            query.push("login_hint", hint);
        }
        let endpoint = endpoints.metadata.authorization_endpoint.as_str();
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{separator}{}", query.encode())
    }
}

/// Where a provider sends people back to: one address for each, so that no answer is taken for another's (RFC 9700 section 4.4.2).
fn way_back(login: &Login, provider: &Provider) -> String {
    format!("{}/login/with/{}/back", login.issuer, provider.config.name)
}

fn nonce(state: &str) -> String {
    digest_of(format!("nonce {state}"))
}

/// Takes up a sign-in that comes back.
pub(super) async fn back(
    State(login): State<Arc<Login>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Response {
    let Some(provider) = login.providers.named(&name) else { return stale() };
    login.throttle.count(visit.origin.ip);
    let Some(state) = visit.form.get("state") else { return stale() };
    let (digest, browser, now) = (digest_of(state), visit.browser.digest(), login.clock.now());
    // Whoever makes one up makes us write nothing.
    match login.store.read(|sql| sql.is_provider_sign_in(&digest, &browser, now)) {
        Ok(true) => {}
        Ok(false) => return stale(),
        Err::<_, StoreError>(error) => return unavailable(&error),
    }
    let taken = login.store.write(move |sql| sql.take_provider_sign_in(&digest, &browser, now)).await;
    let begun = match taken {
        Ok(Some(begun)) if begun.issuer == provider.config.issuer.as_str() => begun,
        Ok(_) => return stale(),
        Err::<_, StoreError>(error) => return unavailable(&error),
    };
    let answered = answer(&login, provider, &visit, state).await;
    // From here on the visit is about what the person goes on with.
    let mut form = Form::default();
    if let Some((name, value)) = &begun.then {
        form.push(name, value);
    }
    let visit = Visit { form, ..visit };
    let Redemption { there, id_token } = match answered {
        Ok(redemption) => redemption,
        Err(cause) => return admission::refuse_sign_in(&login, &visit, provider, (&cause, None)).await,
    };
    let pending = match pending(&login, &visit) {
        Ok(pending) => pending,
        Err(response) => return *response,
    };
    let (auth_time, told) = match auth_time(&login, pending.as_ref(), &there) {
        Ok(known) => known,
        Err(cause) => {
            return admission::refuse_sign_in(&login, &visit, provider, (&cause, Some(&there))).await;
        }
    };
    match admission::admit(&login, &visit, provider, &there, begun.enrolment.as_deref()).await {
        Ok(user) => {
            let issuer = provider.config.issuer.to_string();
            let session = SessionThere {
                sid: there.sid.as_ref().map(ToString::to_string),
                asked_at: now,
                id_token: login.providers.seal(&issuer, &user.name, &id_token),
            };
            let at = There { provider: provider.config.name.clone(), issuer, auth_time, told, session };
            let came = Came { provider, begun: &begun, there: &there, at };
            go_on(&login, &visit, pending.as_ref(), &came, &user).await
        }
        Err(response) => *response,
    }
}

/// The request that waits, if one does.
fn pending(login: &Login, visit: &Visit) -> Result<Option<PendingAuthorization>, Box<Response>> {
    let Some(handle) = visit.form.get("request") else { return Ok(None) };
    let begun = visit.browser.pending(login, handle).map_err(|error| unavailable(&error))?;
    Ok(Some(begun.ok_or_else(stale)?.pending))
}

/// When they showed who they are, as lately as it has to be. Where the provider does not say, it is presumed to be the moment at
/// which it told us; that is never taken for a sign-in that was asked for.
fn auth_time(
    login: &Login,
    pending: Option<&PendingAuthorization>,
    there: &SignedInThere,
) -> Result<(Timestamp, AuthTime), NoSignIn> {
    let (now, since) = (login.clock.now(), pending.and_then(|pending| pending.signed_in_since));
    let (auth_time, told) = match (there.auth_time, since) {
        // It speaks in whole seconds, and of its own clock.
        (Some(time), Some(since)) if (since.minus(SKEW)..since).contains(&time.timestamp()) => {
            (since, AuthTime::Said)
        }
        (Some(time), _) => (time.timestamp().min(now), AuthTime::Said),
        (None, None) => (now, AuthTime::Presumed),
        (None, Some(_)) => return Err(NoSignIn::TimeUnsaid),
    };
    let is_late = since.is_some_and(|since| auth_time < since);
    if is_late || now >= auth_time.plus(login.timeouts.shortest().absolute) {
        return Err(NoSignIn::NotLately);
    }
    Ok((auth_time, told))
}

/// Who signed in there, and by which ID token. The answer's parameters count for nothing beyond that.
async fn answer(
    login: &Login,
    provider: &Provider,
    visit: &Visit,
    state: &str,
) -> Result<Redemption, NoSignIn> {
    let (form, now) = (&visit.form, login.clock.now());
    let endpoints = provider.endpoints().await?;
    match (form.get("iss"), endpoints.metadata.answers) {
        (Some(iss), _) if iss == provider.config.issuer.as_str() => {}
        (None, Answers::MayNotSay) => {}
        (Some(_), _) | (None, Answers::NameTheirIssuer) => return Err(NoSignIn::MixedUp),
    }
    let code = form.get("code").filter(|_| form.get("error").is_none()).ok_or(NoSignIn::Refused)?;
    let redeemed = Redeemed {
        code,
        verifier: &visit.browser.verifier(state),
        nonce: &nonce(state),
        redirect_uri: &way_back(login, provider),
    };
    Ok(provider.redeem(&endpoints, &redeemed, now).await?)
}

/// A sign-in that came back.
struct Came<'a> {
    provider: &'a Provider,
    begun: &'a ProviderSignIn,
    there: &'a SignedInThere,
    at: There,
}

/// Begins the session, or asks for what is missing of it.
async fn go_on(
    login: &Login,
    visit: &Visit,
    pending: Option<&PendingAuthorization>,
    came: &Came<'_>,
    user: &User,
) -> Response {
    let Came { provider, begun, there, at } = came;
    let config = &provider.config;
    let asked = pending.map(|pending| pending.assurance).unwrap_or_default();
    let needed = asked.max(login.second_factors.of(user));
    let (acr, amr) = (there.acr.as_ref().map(Identifier::as_str), there.amr.iter().map(Identifier::as_str));
    let shown = config.two_factors.assurance(acr, amr);
    if shown < needed && begun.effort == Effort::AsUsual && !config.two_factors.acr.is_empty() {
        return go(login, provider, visit, Effort::TwoFactors).await;
    }
    let next = match login.factors.holds(&user.name) {
        // Two factors there are as good as a code here.
        Ok(holds) if shown >= Assurance::TwoFactors => after_code(holds, needed),
        Ok(holds) => after_password(holds, needed),
        Err(error) => return unavailable(&error),
    };
    let (first, then) = (First::Elsewhere(at.clone()), Then::of(&visit.form));
    let (issuer, subject) = (config.issuer.to_string(), there.sub.as_str().to_owned());
    let name = user.name.clone();
    // Whoever was unlinked meanwhile does not get in.
    let still = move |sql: &Sql<'_>| {
        let is_theirs = sql.linked_user(&issuer, &subject)?.as_ref() == Some(&name);
        Ok(if is_theirs { Used::Now } else { Used::Before })
    };
    match next {
        Next::Prove => in_time(second_factor::ask(login, visit, (user, first), still).await),
        Next::Enrol => in_time(enrol_factor::ask(login, visit, (user, first, None), &then, still).await),
        Next::EnrolAPasskey => {
            in_time(new_passkey::ask(login, visit, (user, first, None), &then, still).await)
        }
        Next::Session => {
            let begin = Begin { user, amr: methods(shown), factor: None, elsewhere: Some(at), with: None };
            let still = move |sql: &Sql<'_>, _| Ok((still(sql)? == Used::Now).then(Vec::new));
            match start_session(login, visit, begin, still).await {
                Ok(Some(cookies)) => with_cookies(see_other(&then.target()), cookies),
                Ok(None) => stale(),
                Err(response) => response,
            }
        }
    }
}
